package retention

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Age is a length of time that is written as 520w, 90d or 12h.
type Age time.Duration

const (
	day  = 24 * time.Hour
	week = 7 * day
)

func (a Age) String() string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{week, "w"}, {day, "d"}, {time.Hour, "h"}} {
		if d := time.Duration(a); d != 0 && d%unit.length == 0 {
			return fmt.Sprintf("%d%s", d/unit.length, unit.name)
		}
	}
	return time.Duration(a).String()
}

// UnmarshalText reads what String writes, and 0.
func (a *Age) UnmarshalText(text []byte) error {
	for name, length := range map[string]time.Duration{"w": week, "d": day} {
		digits, ok := strings.CutSuffix(string(text), name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 32)
		if err != nil || n > math.MaxInt64/uint64(length) {
			return fmt.Errorf("%q: write a whole number with its unit, such as 520w, 90d or 12h", text)
		}
		*a = Age(n) * Age(length)
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q: write a whole number with its unit, such as 520w, 90d or 12h", text)
	}
	*a = Age(d)
	return nil
}
