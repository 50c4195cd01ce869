package jsonl

import (
	"math"
	"strconv"
	"time"

	"weir/internal/gateway/intake"
	"weir/internal/sample"
)

// sample gives the time, value and quality of the element that was read, or
// what is wrong with it.
func (p *parser) sample() (sample.Sample, *fault) {
	var s sample.Sample
	if p.bad != nil {
		return s, p.bad
	}
	switch {
	case p.metric.class == absent:
		return s, p.syntax(p.start, `the key "metric" is missing`)
	case p.metric.class != text:
		return s, p.syntax(p.metric.at, "metric is %s; write it as a string", p.metric.class)
	case p.tagsAt.class != absent && p.tagsAt.class != object:
		return s, p.syntax(p.tagsAt.at, `tags is %s; write an object of strings such as {"site":"s1"}, or leave it out`, p.tagsAt.class)
	case p.value.class == absent:
		return s, p.syntax(p.start, `the key "value" is missing`)
	}
	var f *fault
	if s.Time, f = p.sampleTime(); f != nil {
		return s, f
	}
	if s.Value, f = p.sampleValue(); f != nil {
		return s, f
	}
	s.Quality, f = p.sampleQuality()
	return s, f
}

func (p *parser) sampleTime() (int64, *fault) {
	t := p.time
	switch t.class {
	case absent:
		return p.now, nil
	case number:
		return p.nanoseconds()
	case text:
		if whole(t.text) {
			return p.nanoseconds()
		}
	default:
		return 0, p.syntax(t.at, "time is %s; write RFC 3339 or whole ns since 1970, or leave it out", t.class)
	}
	var at time.Time
	if err := at.UnmarshalText(t.text); err != nil || !isRFC3339(t.text) {
		return 0, p.syntax(t.at, "time %s is neither RFC 3339, such as 2026-01-05T00:00:00Z, nor whole ns since 1970", intake.Quote(t.text))
	}
	if at.Before(time.Unix(0, math.MinInt64)) || at.After(time.Unix(0, math.MaxInt64)) {
		return 0, p.syntax(t.at, "time %s lies outside the years 1677 to 2262", intake.Quote(t.text))
	}
	return at.UnixNano(), nil
}

// isRFC3339 says whether b has the form of RFC 3339, section 5.6: package time
// also takes hours of one digit, commas before fractions and zones past a day.
func isRFC3339(b []byte) bool {
	const form = "0000-00-00T00:00:00"
	if len(b) <= len(form) || !hasForm(b[:len(form)], form) {
		return false
	}
	b = b[len(form):]
	if b[0] == '.' {
		digits := 1
		for digits < len(b) && b[digits]-'0' <= 9 {
			digits++
		}
		if digits == 1 {
			return false
		}
		b = b[digits:]
	}
	if string(b) == "Z" {
		return true
	}
	return (hasForm(b, "+00:00") || hasForm(b, "-00:00")) && string(b[1:3]) < "24" && string(b[4:6]) < "60"
}

// hasForm says whether b is form, with any digit where form has a zero.
func hasForm(b []byte, form string) bool {
	if len(b) != len(form) {
		return false
	}
	for i := range b {
		if b[i] != form[i] && (form[i] != '0' || b[i]-'0' > 9) {
			return false
		}
	}
	return true
}

// nanoseconds reads a time that is a number, or a string of digits.
func (p *parser) nanoseconds() (int64, *fault) {
	t := p.time
	if !whole(t.text) {
		return 0, p.syntax(t.at, "time %s is no whole number of ns; write it without fraction and exponent", intake.Quote(t.text))
	}
	ns, err := strconv.ParseInt(string(t.text), 10, 64)
	if err != nil {
		return 0, p.syntax(t.at, "time %s lies outside the years 1677 to 2262, counted in ns since 1970", intake.Quote(t.text))
	}
	return ns, nil
}

// whole says whether b is an integer in digits, with a minus or without.
func whole(b []byte) bool {
	if len(b) > 0 && b[0] == '-' {
		b = b[1:]
	}
	for _, c := range b {
		if c-'0' > 9 {
			return false
		}
	}
	return len(b) > 0
}

func (p *parser) sampleValue() (sample.Value, *fault) {
	v := p.value
	kind, f := p.sampleKind()
	if f != nil {
		return sample.Value{}, f
	}
	switch {
	case kind == sample.Float64 && v.class == number:
		x, err := strconv.ParseFloat(string(v.text), 64)
		if err != nil {
			return sample.Value{}, p.syntax(v.at, "value %s is past what a float64 holds", intake.Quote(v.text))
		}
		return sample.FloatValue(x), nil
	case kind == sample.Float64 && v.class == text:
		switch string(v.text) {
		case "NaN":
			return sample.FloatValue(math.NaN()), nil
		case "+Inf", "Inf":
			return sample.FloatValue(math.Inf(1)), nil
		case "-Inf":
			return sample.FloatValue(math.Inf(-1)), nil
		}
		return sample.Value{}, p.syntax(v.at, `value %s is a string, but kind is float64; write a number, or "NaN", "+Inf" or "-Inf"`, intake.Quote(v.text))
	case kind == sample.Int64 && v.class == number:
		if !whole(v.text) {
			return sample.Value{}, p.syntax(v.at, "value %s is no integer; write it without fraction and exponent", intake.Quote(v.text))
		}
		i, err := strconv.ParseInt(string(v.text), 10, 64)
		if err != nil {
			return sample.Value{}, p.syntax(v.at, "value %s is past what an int64 holds", intake.Quote(v.text))
		}
		return sample.IntValue(i), nil
	case kind == sample.Bool && v.class == boolean:
		return sample.BoolValue(v.text[0] == 't'), nil
	case kind == sample.String && v.class == text:
		return sample.StringValue(string(v.text)), nil
	case p.kind.class == absent:
		return sample.Value{}, p.syntax(v.at, "value is %s; write a number, a boolean or a string", v.class)
	}
	return sample.Value{}, p.syntax(v.at, "value is %s, but kind is %s", v.class, kind)
}

// sampleKind gives the kind that is declared, or else the value's own; a
// number is a float64 unless it is declared otherwise.
func (p *parser) sampleKind() (sample.Kind, *fault) {
	switch p.kind.class {
	case text:
		kind, err := sample.ParseKind(string(p.kind.text))
		if err != nil {
			return 0, p.syntax(p.kind.at, "unknown kind %s: use float64, int64, bool or string", intake.Quote(p.kind.text))
		}
		return kind, nil
	case absent:
		switch p.value.class {
		case number:
			return sample.Float64, nil
		case boolean:
			return sample.Bool, nil
		}
		return sample.String, nil
	}
	return 0, p.syntax(p.kind.at, "kind is %s; write float64, int64, bool or string in double quotes, or leave it out", p.kind.class)
}

func (p *parser) sampleQuality() (sample.Quality, *fault) {
	q := p.quality
	switch q.class {
	case absent:
		return sample.Good, nil
	case number:
		if n, err := strconv.ParseUint(string(q.text), 10, 32); err == nil {
			return sample.Quality(n), nil
		}
		return 0, p.syntax(q.at, "quality %s is no OPC UA status code: write an integer from 0 (Good) to 4294967295", intake.Quote(q.text))
	}
	return 0, p.syntax(q.at, "quality is %s; write an integer from 0 (Good) to 4294967295, or leave it out", q.class)
}
