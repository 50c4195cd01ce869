package ingest

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// TimeFormats names the formats that need no layout.
func TimeFormats() []string {
	return []string{"auto", "rfc3339", "datetime", "date", "s", "ms", "us", "ns"}
}

// clock reads the time column. With the format auto the first time that any
// format fits decides, so that one file is never read in two ways.
type clock struct {
	zone   *time.Location
	layout string // for texts
	unit   int64  // ns of one, for numbers
	last   int64
}

func newClock(format string, zone *time.Location) (*clock, error) {
	c := &clock{zone: zone, last: math.MinInt64}
	if zone == nil {
		c.zone = time.UTC
	}
	switch format {
	case "", "auto":
	case "rfc3339":
		c.layout = time.RFC3339
	case "datetime":
		c.layout = time.DateTime
	case "date":
		c.layout = time.DateOnly
	case "s":
		c.unit = int64(time.Second)
	case "ms":
		c.unit = int64(time.Millisecond)
	case "us":
		c.unit = int64(time.Microsecond)
	case "ns":
		c.unit = 1
	default:
		if !strings.Contains(format, "2006") && !strings.Contains(format, "06") {
			return nil, fmt.Errorf("time format %q: use one of %s, or a layout of Go's time package such as \"02.01.2006 15:04\"", format, strings.Join(TimeFormats(), ", "))
		}
		c.layout = format
	}
	return c, nil
}

// parse gives a cell's time in ns.
func (c *clock) parse(cell string) (int64, error) {
	if cell == "" {
		return 0, errors.New("the time is empty")
	}
	if c.layout == "" && c.unit == 0 {
		c.guess(cell)
	}
	var ns int64
	var err error
	switch {
	case c.unit > 0:
		ns, err = parseUnix(cell, c.unit)
	case c.layout != "":
		ns, err = c.parseText(cell)
	default:
		err = fmt.Errorf("%q is no time in a form that is known: say which with --time-format", cell)
	}
	if err == nil {
		c.last = ns
	}
	return ns, err
}

// guess settles the format by a cell, if it is in one of those known.
func (c *clock) guess(cell string) {
	if unit, ok := guessUnit(cell); ok {
		c.unit = unit
		return
	}
	for _, layout := range []string{
		time.RFC3339, "2006-01-02 15:04:05Z07:00", time.DateTime, "2006-01-02T15:04:05",
		"2006-01-02 15:04", "2006-01-02T15:04", "2006/01/02 15:04:05", "2006/01/02 15:04", time.DateOnly, "2006/01/02",
	} {
		if _, err := time.Parse(layout, cell); err == nil {
			c.layout = layout
			return
		}
	}
}

// guessUnit tells a number's unit by its size: those of 1973 to 5138 don't
// overlap.
func guessUnit(cell string) (unit int64, ok bool) {
	whole, _, _ := strings.Cut(cell, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	switch size := math.Abs(float64(n)); {
	case size < 1e11:
		unit = int64(time.Second)
	case size < 1e14:
		unit = int64(time.Millisecond)
	case size < 1e17:
		unit = int64(time.Microsecond)
	default:
		unit = 1
	}
	if err == nil {
		_, err = parseUnix(cell, unit)
	}
	return unit, err == nil
}

// parseUnix reads a decimal number of units, exactly.
func parseUnix(cell string, unit int64) (int64, error) {
	whole, fraction, _ := strings.Cut(cell, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no time as a number", cell)
	}
	if n > math.MaxInt64/unit-1 || n < math.MinInt64/unit+1 {
		return 0, fmt.Errorf("the time %s is outside the years 1678 to 2262: is its unit another (--time-format)?", cell)
	}
	rest, scale := int64(0), unit
	for _, d := range []byte(fraction) {
		if d < '0' || d > '9' {
			return 0, fmt.Errorf("%q is no time as a number", cell)
		}
		if scale /= 10; scale == 0 && d != '0' {
			return 0, fmt.Errorf("the time %s is finer than a nanosecond", cell)
		}
		rest += int64(d-'0') * scale
	}
	if strings.HasPrefix(whole, "-") {
		rest = -rest
	}
	return n*unit + rest, nil
}

func (c *clock) parseText(cell string) (int64, error) {
	t, err := time.Parse(c.layout, cell)
	if err != nil {
		return 0, fmt.Errorf("%q is no time of the form %q", cell, c.layout)
	}
	if c.zone != time.UTC && !saysZone(c.layout) {
		if t, err = c.local(t); err != nil {
			return 0, fmt.Errorf("%q %w", cell, err)
		}
	}
	if t.Before(time.Unix(0, math.MinInt64)) || t.After(time.Unix(0, math.MaxInt64)) {
		return 0, fmt.Errorf("the time %q is outside the years 1678 to 2262", cell)
	}
	return t.UnixNano(), nil
}

func saysZone(layout string) bool {
	return strings.Contains(layout, "Z07") || strings.Contains(layout, "-07") || strings.Contains(layout, "MST")
}

// local takes a wall clock's time, given as if in UTC, to the clock's zone.
// Where clocks are set back an hour happens twice: the first is meant, unless
// the row before lies after it, as it does in a file in order of time. Where
// they are set forward, an hour never happens.
func (c *clock) local(wall time.Time) (time.Time, error) {
	const day = 24 * time.Hour
	candidate := func(near time.Time) (time.Time, bool) {
		_, offset := near.In(c.zone).Zone()
		t := wall.Add(-time.Duration(offset) * time.Second)
		_, really := t.In(c.zone).Zone()
		return t, offset == really
	}
	first, ok := candidate(wall.Add(-day)) // the offset before a change
	second, okToo := candidate(wall.Add(day))
	switch {
	case ok && okToo && second.After(first) && c.last != math.MinInt64 && first.Before(time.Unix(0, c.last)):
		return second, nil
	case ok:
		return first, nil
	case okToo:
		return second, nil
	}
	return time.Time{}, fmt.Errorf("never happened in %s: clocks were set forward over it", c.zone)
}
