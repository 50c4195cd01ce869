package query

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ParseTime reads a point in time: RFC 3339 with any fraction and offset, a
// date alone (midnight UTC), an integer of ns since 1970 UTC, "now", or an
// offset from now such as "-1h", "now-1d12h" or "now+5m". now is in ns.
func ParseTime(text string, now int64) (int64, error) {
	if offset, ok := strings.CutPrefix(text, "now"); ok || isOffset(text) {
		return parseOffset(text, offset, now)
	}
	if ns, err := strconv.ParseInt(text, 10, 64); err == nil {
		return ns, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return nanoseconds(t, text)
		}
	}
	if before, after, ok := strings.Cut(text, " "); ok {
		if _, err := time.Parse(time.RFC3339Nano, before+"+"+after); err == nil ||
			(before == "" || before == "now") && isOffset("+"+after) {
			return 0, fmt.Errorf("%q is not a time: a + in a URL means a space; write %%2B for it", text)
		}
		if _, err := time.Parse(time.RFC3339Nano, before+"T"+after); err == nil {
			return 0, fmt.Errorf("%q is not a time: write T between date and time of day", text)
		}
	}
	if _, err := time.Parse("2006-01-02T15:04:05", text); err == nil {
		return 0, fmt.Errorf("%q has no offset: add Z for UTC, or one such as +01:00", text)
	}
	return 0, fmt.Errorf("%q is not a time: write RFC 3339 such as 2026-01-31T12:00:00Z, ns since 1970, or -1h", text)
}

// isOffset says whether a text is a signed duration and not an integer of ns.
func isOffset(text string) bool {
	if len(text) < 2 || text[0] != '-' && text[0] != '+' {
		return false
	}
	_, err := strconv.ParseFloat(text, 64)
	return err != nil && strings.ContainsAny(text[1:2], "0123456789.")
}

func parseOffset(text, offset string, now int64) (int64, error) {
	if text != "now"+offset {
		offset = text
	}
	offset = strings.TrimSpace(offset)
	if offset == "" {
		return now, nil
	}
	if offset[0] != '-' && offset[0] != '+' {
		return 0, fmt.Errorf("%q is not a time: after now comes - or + and a duration (in a URL, write %%2B for +)", text)
	}
	d, err := ParseDuration(offset[1:])
	if err != nil {
		return 0, fmt.Errorf("%q is not a time: %w", text, err)
	}
	if offset[0] == '-' {
		d = -d
	}
	t := now + d
	if (d > 0) != (t > now) && d != 0 {
		return 0, fmt.Errorf("%q lies outside the years 1677 to 2262", text)
	}
	return t, nil
}

// nanoseconds gives t in ns, where int64 can say it.
func nanoseconds(t time.Time, text string) (int64, error) {
	if t.Before(time.Unix(0, math.MinInt64)) || t.After(time.Unix(0, math.MaxInt64)) {
		return 0, fmt.Errorf("%q lies outside the years 1677 to 2262, which a time in ns can say", text)
	}
	return t.UnixNano(), nil
}

// ParseDuration reads a duration above 0 in ns: numbers with the units ns, us,
// ms, s, m, h, d (24 h) and w (7 d), such as 90s, 1h30m or 1.5d.
func ParseDuration(text string) (int64, error) {
	const hint = "write a duration such as 30s, 5m, 1h, 1d or 1w"
	part := regexp.MustCompile(`^([0-9]+)(\.[0-9]{1,18})?(ns|us|µs|μs|ms|s|m|h|d|w)`)
	var total int64
	for rest := text; rest != ""; {
		m := part.FindStringSubmatch(rest)
		if m == nil {
			return 0, fmt.Errorf("%q is not a duration: %s", text, hint)
		}
		rest = rest[len(m[0]):]
		n, err := strconv.ParseInt(m[1], 10, 64)
		unit := unitLength(m[3])
		if err != nil || n > (math.MaxInt64-total)/unit {
			return 0, fmt.Errorf("%q is longer than 292 years", text)
		}
		total += n * unit
		if m[2] == "" {
			continue
		}
		fraction, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration: %w", text, err)
		}
		extra := int64(math.Round(fraction * float64(unit)))
		if total > math.MaxInt64-extra {
			return 0, fmt.Errorf("%q is longer than 292 years", text)
		}
		total += extra
	}
	if total == 0 {
		return 0, fmt.Errorf("%q is no duration above 0: %s", text, hint)
	}
	return total, nil
}

// unitLength gives the ns of one of ParseDuration's units.
func unitLength(unit string) int64 {
	switch unit {
	case "ns":
		return 1
	case "ms":
		return int64(time.Millisecond)
	case "s":
		return int64(time.Second)
	case "m":
		return int64(time.Minute)
	case "h":
		return int64(time.Hour)
	case "d":
		return int64(24 * time.Hour)
	case "w":
		return int64(7 * 24 * time.Hour)
	}
	return int64(time.Microsecond) // us, with a micro sign or a mu too
}
