package query

import (
	"errors"
	"fmt"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxForm is the largest body of a POST, in bytes.
const maxForm = 1 << 20

// paramError says that a request's parameter can't be used.
type paramError struct {
	status int // 0 stands for 400
	err    error
}

func (e *paramError) Error() string { return e.err.Error() }
func (e *paramError) Unwrap() error { return e.err }

func badParam(format string, args ...any) error {
	return &paramError{err: fmt.Errorf(format, args...)}
}

// params are a request's parameters, of the URL and of a POST's form. The
// first thing that is wrong with them is kept in err.
type params struct {
	values url.Values
	now    int64
	err    error
}

// readParams reads the parameters of a request, which must be among the known
// ones, each given once at most; by may be repeated.
func readParams(w http.ResponseWriter, r *http.Request, now int64, known ...string) params {
	if r.Method == http.MethodPost {
		if kind := r.Header.Get("Content-Type"); kind != "" {
			if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/x-www-form-urlencoded" {
				return params{err: &paramError{http.StatusUnsupportedMediaType, fmt.Errorf(
					"the body is %q: send the parameters as application/x-www-form-urlencoded", kind)}}
			}
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	}
	if err := r.ParseForm(); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return params{err: &paramError{http.StatusRequestEntityTooLarge, fmt.Errorf("the form has more than %d bytes", large.Limit)}}
		}
		return params{err: badParam("the parameters can't be read: %w", err)}
	}
	p := params{values: r.Form, now: now}
	names := make([]string, 0, len(r.Form))
	for name := range r.Form {
		names = append(names, name)
	}
	slices.Sort(names) // the same request has the same answer
	for _, name := range names {
		switch {
		case !slices.Contains(known, name):
			p.err = badParam("unknown parameter %q%s; there are %s", name, didYouMean(name, known), strings.Join(known, ", "))
		case len(r.Form[name]) > 1 && name != "by":
			p.err = badParam("parameter %s is given %d times; give it once", name, len(r.Form[name]))
		default:
			continue
		}
		break
	}
	return p
}

func (p *params) fail(name string, err error) {
	if err != nil && p.err == nil {
		p.err = badParam("%s: %w", name, err)
	}
}

// selector reads match.
func (p *params) selector(required bool) Selector {
	if !p.values.Has("match") {
		if required {
			p.fail("match", errors.New(`it is missing: name the series, such as match=cpu_usage_user{hostname="host_1"}; match={} is all of them`))
		}
		return Selector{}
	}
	sel, err := ParseSelector(p.values.Get("match"))
	p.fail("match", err)
	return sel
}

// lastHour reads start and end, which are by default an hour ago and now.
func (p *params) lastHour() (start, end int64) {
	return p.between(p.now-int64(time.Hour), p.now)
}

// allTime reads start and end, which are by default the first and the last ns
// that there are.
func (p *params) allTime() (start, end int64) {
	return p.between(math.MinInt64, math.MaxInt64)
}

func (p *params) between(start, end int64) (from, to int64) {
	hint := ""
	for _, at := range []struct {
		name string
		time *int64
	}{{"start", &start}, {"end", &end}} {
		text := p.values.Get(at.name)
		if text == "" {
			hint += fmt.Sprintf(" (%s is not given, and is %s then)", at.name, writeTime(*at.time))
			continue
		}
		var err error
		*at.time, err = ParseTime(text, p.now)
		p.fail(at.name, err)
	}
	if p.err == nil && start >= end {
		p.err = badParam("start %s is not before end %s%s", writeTime(start), writeTime(end), hint)
	}
	return start, end
}

func writeTime(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }

// window reads window.
func (p *params) window() int64 {
	text := p.values.Get("window")
	if text == "" {
		p.fail("window", errors.New("it is missing: give a duration such as 5m, 1h or 1d"))
		return 0
	}
	if ns, err := strconv.ParseInt(text, 10, 64); err == nil && ns > 0 {
		return ns
	}
	window, err := ParseDuration(text)
	p.fail("window", err)
	return window
}

// function reads fn.
func (p *params) function() Function {
	text := p.values.Get("fn")
	if text == "" {
		p.fail("fn", errors.New("it is missing: give count, min, max, mean, sum, first or last"))
		return 0
	}
	f, err := ParseFunction(text)
	p.fail("fn", err)
	return f
}

// by reads by: names with commas between them. Given but empty, it asks for
// one group of all series; not given, for a group a series.
func (p *params) by() (names []string, grouped bool) {
	for _, list := range p.values["by"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name != "" {
				names = append(names, name)
			} else if strings.Contains(list, ",") {
				p.fail("by", fmt.Errorf("%q has a comma too many", list))
			}
		}
	}
	if len(names) > maxMatchers {
		p.fail("by", fmt.Errorf("%d names; the limit is %d", len(names), maxMatchers))
	}
	return names, p.values.Has("by")
}

// format reads format, or takes from Accept the one that is liked better.
func (p *params) format(accept string) format {
	switch name := p.values.Get("format"); name {
	case "csv":
		return csvRows{}
	case "json":
		return jsonLines{}
	case "":
	default:
		p.fail("format", fmt.Errorf("no format %q%s; there are json and csv", name, didYouMean(name, []string{"json", "csv"})))
	}
	if acceptance(accept, "text/csv") > acceptance(accept, "application/x-ndjson", "application/json", "*/*") {
		return csvRows{}
	}
	return jsonLines{}
}

// acceptance gives the weight of the best of some media types in an Accept
// header (RFC 9110, 12.5.1), 0 when none of them is there.
func acceptance(header string, types ...string) float64 {
	best := 0.0
	for part := range strings.SplitSeq(header, ",") {
		media, attributes, err := mime.ParseMediaType(part)
		if err != nil || !slices.Contains(types, media) {
			continue
		}
		weight := 1.0
		if q, given := attributes["q"]; given {
			if weight, err = strconv.ParseFloat(q, 64); err != nil {
				weight = 0
			}
		}
		best = max(best, weight)
	}
	return best
}
