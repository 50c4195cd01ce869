package lineprotocol

import (
	"fmt"
	"math"
)

// Precision is the unit of a body's times, in ns.
type Precision int64

// The precisions, as InfluxDB 1 and 2 have them.
const (
	Nanosecond  Precision = 1
	Microsecond Precision = 1_000
	Millisecond Precision = 1_000_000
	Second      Precision = 1_000_000_000
	Minute      Precision = 60 * Second
	Hour        Precision = 60 * Minute
)

// ParsePrecision reads the query parameter that names a precision. InfluxDB 1
// says n, u, ms, s, m and h, InfluxDB 2 ns, us, ms and s; both are known, and
// none at all means ns.
func ParsePrecision(name string) (Precision, error) {
	switch name {
	case "", "ns", "n":
		return Nanosecond, nil
	case "us", "u", "µs", "µ":
		return Microsecond, nil
	case "ms":
		return Millisecond, nil
	case "s":
		return Second, nil
	case "m":
		return Minute, nil
	case "h":
		return Hour, nil
	}
	return 0, fmt.Errorf("unknown precision %.20q: use ns (or n), us (or u), ms, s, m (minutes) or h", name)
}

// String gives the name that InfluxDB 2 has, or else InfluxDB 1.
func (p Precision) String() string {
	switch p {
	case Nanosecond:
		return "ns"
	case Microsecond:
		return "us"
	case Millisecond:
		return "ms"
	case Second:
		return "s"
	case Minute:
		return "m"
	case Hour:
		return "h"
	}
	return fmt.Sprintf("%d ns", int64(p))
}

// scale turns a time in units of p into ns, and says whether int64 has it.
func (p Precision) scale(t int64) (int64, bool) {
	if p == Nanosecond {
		return t, true
	}
	limit := math.MaxInt64 / int64(p)
	return t * int64(p), t >= -limit && t <= limit
}

// floor rounds ns down to a multiple of p, or leaves the first ones of int64.
func (p Precision) floor(ns int64) int64 {
	rest := ns % int64(p)
	if rest < 0 {
		rest += int64(p)
	}
	if ns < math.MinInt64+rest {
		return ns
	}
	return ns - rest
}
