package lineprotocol

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"weir/internal/gateway/intake"
	"weir/internal/sample"
)

// readFields reads the fields that begin at pos, and gives where the last one
// ends.
func (p *parser) readFields(pos int, order *fields) (int, error) {
	body := p.body
	for pos < len(body) && body[pos] == ' ' {
		pos++
	}
	p.values = p.values[:0]
	for expected := 0; ; {
		if len(p.values) == p.limits.MaxFields {
			return pos, p.fail(pos, "the line has more than %d fields, and that is the limit; send several lines", p.limits.MaxFields)
		}
		v := p.addValue()
		*v = value{name: pos, known: -1}
		if expected < len(order.names) && hasPrefix(body[pos:], order.names[expected]) {
			v.known = expected
			v.equals = pos + len(order.names[expected]) - 1
		} else {
			var err error
			if v.equals, err = p.readFieldName(pos); err != nil {
				return pos, err
			}
			if i, ok := order.find(body[pos:v.equals+1], expected); ok {
				v.known = i
			}
		}
		expected = v.known + 1
		if kind, bits, end := readShort(body, v.equals+1); end > 0 {
			v.value.Kind, v.value.Bits = kind, bits
			pos = end
		} else {
			var err error
			if pos, err = p.readValue(v); err != nil {
				return pos, err
			}
		}
		if pos == len(body) || body[pos] != ',' {
			return pos, nil
		}
		pos++
	}
}

// addValue adds a value to the line, to be filled in place: copying it costs as
// much as reading it.
func (p *parser) addValue() *value {
	if n := len(p.values); n < cap(p.values) {
		p.values = p.values[:n+1]
	} else {
		p.values = append(p.values, value{})
	}
	return &p.values[len(p.values)-1]
}

// hasPrefix is bytes.HasPrefix with a string.
func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

// readFieldName reads a field's name that begins at pos, and gives where its
// '=' is.
func (p *parser) readFieldName(pos int) (int, error) {
	equals, err := p.scanName(pos, nameEscapes, "field's name")
	if err != nil {
		return pos, err
	}
	raw := p.body[pos:equals]
	if len(raw) == 0 {
		return pos, p.fail(pos, "a field is missing here; write name=value")
	}
	if !utf8.Valid(raw) {
		return pos, p.fail(pos, "field %s is not valid UTF-8", intake.Quote(raw))
	}
	if equals == len(p.body) || p.body[equals] != '=' {
		return pos, p.fail(equals, "field %s has no '='; write name=value", intake.Quote(raw))
	}
	return equals, nil
}

// readValue reads the value after a field's '=', and gives where it ends.
func (p *parser) readValue(v *value) (int, error) {
	pos := v.equals + 1
	if pos == len(p.body) {
		return pos, p.badValue(v)
	}
	var ok bool
	switch c := p.body[pos]; c {
	case '"':
		return p.readString(v)
	case 't', 'T', 'f', 'F':
		pos, ok = p.readBool(pos, v)
	default:
		pos, ok = p.readNumber(pos, v)
	}
	if ok && pos < len(p.body) {
		// Comma and space are what follows nearly always.
		if c := p.body[pos]; c != ',' && c != ' ' {
			_, ok = p.lineEnd(pos)
		}
	}
	if !ok {
		return pos, p.badValue(v)
	}
	return pos, nil
}

func (p *parser) readBool(pos int, v *value) (int, bool) {
	token := p.token(pos)
	switch string(token) {
	case "t", "T", "true", "True", "TRUE":
		v.value = sample.BoolValue(true)
	case "f", "F", "false", "False", "FALSE":
		v.value = sample.BoolValue(false)
	default:
		return pos, false
	}
	return pos + len(token), true
}

// badValue says what is wrong with a value that is no string.
func (p *parser) badValue(v *value) error {
	at := v.equals + 1
	name, token := intake.Quote(p.body[v.name:v.equals]), p.token(at)
	text := intake.Quote(token)
	if len(token) == 0 {
		return p.fail(at, "field %s has no value; give it one or leave the field out", name)
	}
	last, digits := token[len(token)-1], token[:len(token)-1]
	unsigned, err := strconv.ParseUint(string(digits), 10, 64)
	switch bare := bytes.ToLower(bytes.TrimLeft(token, "+-")); {
	case string(bare) == "nan", string(bare) == "inf", string(bare) == "infinity":
		return p.fail(at, "field %s is %s, which line protocol has no place for; leave the field out", name, text)
	case last == 'u' && err == nil && unsigned > math.MaxInt64:
		return p.fail(at, "field %s is %s, past the largest int64, 9223372036854775807; send it as a float", name, text)
	case last == 'i' && allDigits(bytes.TrimPrefix(digits, []byte("-"))), last == 'u' && allDigits(digits):
		return p.fail(at, "field %s is %s, which no int64 holds; send it as a float", name, text)
	case isFloat(token):
		return p.fail(at, "field %s is %s, which is past what a float64 holds", name, text)
	}
	return p.fail(at, "field %s has the value %s, which is no number, integer (1i), boolean or string; put text in double quotes", name, text)
}

// readString reads a value in double quotes, which begins with the first of
// them. A backslash takes the meaning from a quote and from a backslash.
func (p *parser) readString(v *value) (int, error) {
	open := v.equals + 1
	rest := p.body[open+1:]
	// Past the longest line there can be no good end.
	rest = rest[:min(len(rest), p.limits.MaxLine)]
	end := closingQuote(rest)
	if end < 0 {
		return open, p.fail(open, "the string of field %s has no closing quote in the %d bytes after it", intake.Quote(p.body[v.name:v.equals]), len(rest))
	}
	raw := rest[:end]
	pos := open + 1 + end + 1
	if pos < len(p.body) && p.body[pos] != ',' && p.body[pos] != ' ' {
		if _, ok := p.lineEnd(pos); !ok {
			// The quote that was taken for the closing one may open another
			// line's string: only the line the string begins on is lost.
			return open, &fault{at: pos, resume: open, err: fmt.Errorf("after the string of field %s comes %s; write a backslash before a quote within a string",
				intake.Quote(p.body[v.name:v.equals]), intake.Quote(p.token(pos)))}
		}
	}
	text := raw
	if bytes.IndexByte(raw, '\\') >= 0 {
		text = p.unescapeString(raw)
	}
	switch {
	case len(text) > p.limits.MaxString:
		return pos, p.fail(pos-1, "the string of field %s has %d bytes, and the limit is %d", intake.Quote(p.body[v.name:v.equals]), len(text), p.limits.MaxString)
	case !utf8.Valid(text):
		return pos, p.fail(pos-1, "the string of field %s is not valid UTF-8", intake.Quote(p.body[v.name:v.equals]))
	}
	p.line += bytes.Count(raw, []byte("\n"))
	v.value = sample.StringValue(p.keep(text))
	return pos, nil
}

// closingQuote gives where the first quote is that no backslash precedes, -1
// when there is none.
func closingQuote(b []byte) int {
	for from := 0; ; {
		quote := bytes.IndexByte(b[from:], '"')
		if quote < 0 {
			return -1
		}
		quote += from
		slashes := 0
		for quote-1-slashes >= from && b[quote-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return quote
		}
		from = quote + 1
	}
}

func (p *parser) unescapeString(raw []byte) []byte {
	out := p.scratch[:0]
	for i := 0; i < len(raw); i++ {
		if raw[i] == '\\' && i+1 < len(raw) && (raw[i+1] == '"' || raw[i+1] == '\\') {
			i++
		}
		out = append(out, raw[i])
	}
	p.scratch = out
	return out
}

// Bounds of the strings that are remembered.
const (
	keptTexts = 4096
	keptText  = 128
)

// keep gives text as a string of its own. States and names come again and
// again, so short ones are remembered rather than copied anew.
func (p *parser) keep(text []byte) string {
	if len(text) > keptText {
		return string(text)
	}
	if s, ok := p.texts[string(text)]; ok {
		return s
	}
	if len(p.texts) >= keptTexts {
		clear(p.texts)
	}
	s := string(text)
	p.texts[s] = s
	return s
}
