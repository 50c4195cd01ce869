package sample

import (
	"fmt"
	"math"
	"time"
)

// Week is an ISO 8601 week in UTC, counted from the one of 1970-01-01
// (1970-W01, which began on Monday 1969-12-29) as 0. A sample belongs to the
// week of its time, not of its arrival.
type Week int32

const (
	weekLength = int64(7 * 24 * time.Hour)
	// Monday 1969-12-29 lies three days before the epoch.
	weekOrigin = -int64(3 * 24 * time.Hour)
)

// WeekOf gives the week of a time in ns since 1970 UTC.
func WeekOf(ns int64) Week {
	w := ns / weekLength
	rest := ns % weekLength // shifting first could overflow at the far ends
	if rest < weekOrigin {
		w--
	} else if rest >= weekOrigin+weekLength {
		w++
	}
	return Week(w)
}

// Start gives the week's first ns, at the ends of int64 the first there is.
func (w Week) Start() int64 {
	if int64(w) <= math.MinInt64/weekLength {
		return math.MinInt64
	}
	return int64(w)*weekLength + weekOrigin
}

// End gives the first ns after the week, at the ends of int64 the last there is.
func (w Week) End() int64 {
	if int64(w) >= math.MaxInt64/weekLength {
		return math.MaxInt64
	}
	return (w + 1).Start()
}

// String writes the week as 2026-W03.
func (w Week) String() string {
	// Thursday names the ISO year.
	thursday := time.Unix(0, 0).UTC().AddDate(0, 0, 7*int(w))
	year, week := thursday.ISOWeek()
	return fmt.Sprintf("%04d-W%02d", year, week)
}

// ParseWeek reads 2026-W03.
func ParseWeek(s string) (Week, error) {
	var year, week int
	if n, err := fmt.Sscanf(s, "%4d-W%2d", &year, &week); n != 2 || err != nil || len(s) != len("2026-W03") {
		return 0, fmt.Errorf("week %q: write it as an ISO week, such as 2026-W03", s)
	}
	jan4 := time.Date(year, 1, 4, 0, 0, 0, 0, time.UTC) // always in week 1
	days := int(math.Floor(float64(jan4.Unix()) / 86400))
	first := Week(math.Floor(float64(days+3) / 7))
	w := first + Week(week) - 1
	if w.String() != s {
		return 0, fmt.Errorf("week %q: year %d has no week %d", s, year, week)
	}
	return w, nil
}
