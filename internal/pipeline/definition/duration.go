package definition

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Day is the 24 hours that d means, except in a schedule's period.
const Day = 24 * time.Hour

// ParseDuration reads whole numbers with units, such as 90s, 1h30m, 2d or 4w.
// The units are ns, us, ms, s, m, h, d and w, the largest first. 0 needs none.
func ParseDuration(text string) (time.Duration, error) {
	bad := fmt.Errorf("duration %q: write whole numbers with units, the largest first, such as 90s, 1h30m, 2d or 4w", text)
	if text == "0" {
		return 0, nil
	}
	units := []struct {
		name string
		unit time.Duration
	}{
		{"w", 7 * Day}, {"d", Day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second},
		{"ms", time.Millisecond}, {"us", time.Microsecond}, {"ns", time.Nanosecond},
	}
	var sum time.Duration
	rest, next := text, 0
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		letters := len(rest[digits:]) - len(strings.TrimLeft(rest[digits:], "abcdefghijklmnopqrstuvwxyz"))
		name := rest[digits : digits+letters]
		for next < len(units) && units[next].name != name {
			next++
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if next == len(units) || err != nil {
			return 0, bad
		}
		unit := units[next].unit
		if n > (math.MaxInt64-int64(sum))/int64(unit) {
			return 0, fmt.Errorf("duration %q: it is more than 292 years", text)
		}
		sum += time.Duration(n) * unit
		rest, next = rest[digits+letters:], next+1
	}
	if text == "" {
		return 0, bad
	}
	return sum, nil
}

// Period is the length of a schedule's windows: whole days of the schedule's
// zone, which have 23, 24 or 25 hours where clocks are turned, or a time.
type Period struct {
	Days  int
	Clock time.Duration
}

// length is of the period where no clock changes.
func (p Period) length() time.Duration { return time.Duration(p.Days)*Day + p.Clock }

// longestPeriod keeps sums of periods far from the ends of int64.
const longestPeriod = 10 * 366 * Day

// ParsePeriod reads 90s, 1h30m, or, for days of the calendar, 1d or 2w.
func ParsePeriod(text string) (Period, error) {
	d, err := ParseDuration(text)
	switch {
	case err != nil:
		return Period{}, err
	case d < time.Second || d > longestPeriod:
		return Period{}, fmt.Errorf("period %q: it must be a second to ten years", text)
	case !strings.ContainsAny(text, "dw"):
		return Period{Clock: d}, nil
	case d%Day != 0:
		return Period{}, fmt.Errorf("period %q: write either whole days, which follow the calendar, or hours and less, which do not", text)
	}
	return Period{Days: int(d / Day)}, nil
}
