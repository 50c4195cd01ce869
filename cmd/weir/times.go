package main

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// timeHelp says what parseTime reads, for the help of flags.
const timeHelp = `RFC 3339, a date, ns since 1970, "now", or relative such as -1h, -7d`

// parseTime reads a time of a flag.
func parseTime(flag, text string, now time.Time) (time.Time, error) {
	if text == "now" {
		return now.UTC(), nil
	}
	if strings.HasPrefix(text, "-") || strings.HasPrefix(text, "+") {
		if d, err := parseDuration(text); err == nil {
			return now.Add(d).UTC(), nil
		}
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly, time.DateTime, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	if ns, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Unix(0, ns).UTC(), nil
	}
	return time.Time{}, usagef("--%s %q: give a time as %s", flag, text, timeHelp)
}

// parseDuration reads Go's durations, and whole days and weeks.
func parseDuration(text string) (time.Duration, error) {
	for unit, hours := range map[string]int64{"d": 24, "w": 7 * 24} {
		if digits, ok := strings.CutSuffix(text, unit); ok {
			n, err := strconv.ParseInt(digits, 10, 64)
			if err == nil && n < math.MaxInt64/int64(time.Hour)/hours && n > math.MinInt64/int64(time.Hour)/hours {
				return time.Duration(n*hours) * time.Hour, nil
			}
		}
	}
	return time.ParseDuration(text)
}

// duration is a flag's value that parseDuration reads.
type duration time.Duration

func (d *duration) String() string { return time.Duration(*d).String() }
func (d *duration) Type() string   { return "duration" }
func (d *duration) Set(text string) error {
	parsed, err := parseDuration(text)
	*d = duration(parsed)
	return err
}

// rangeOf resolves the flags start and end to what a server reads; an empty
// one stays so.
func (g *global) rangeOf(start, end string) (from, to string, err error) {
	now := g.now()
	resolve := func(flag, text string) (string, error) {
		if text == "" {
			return "", nil
		}
		t, err := parseTime(flag, text, now)
		return t.Format(time.RFC3339Nano), err
	}
	if from, err = resolve("start", start); err != nil {
		return "", "", err
	}
	to, err = resolve("end", end)
	return from, to, err
}
