package definition

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
)

// Instant is a time in ns since 1970 UTC. Its text is RFC 3339 in UTC.
type Instant int64

// InstantOf gives the time's ns.
func InstantOf(t time.Time) Instant { return Instant(t.UnixNano()) }

// Time gives the instant in UTC.
func (i Instant) Time() time.Time { return time.Unix(0, int64(i)).UTC() }

// Add adds a duration, and stops at the ends of int64.
func (i Instant) Add(d time.Duration) Instant {
	switch sum := i + Instant(d); {
	case d > 0 && sum < i:
		return math.MaxInt64
	case d < 0 && sum > i:
		return math.MinInt64
	default:
		return sum
	}
}

func (i Instant) String() string { return i.Time().Format(time.RFC3339Nano) }

// ParseInstant reads RFC 3339, of the years that int64 ns can say.
func ParseInstant(text string) (Instant, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, fmt.Errorf("time %q: write it as RFC 3339 with its zone, such as 2026-01-01T00:00:00Z", text)
	}
	i := InstantOf(t)
	if !i.Time().Equal(t) {
		return 0, fmt.Errorf("time %q: the years are 1678 to 2261", text)
	}
	return i, nil
}

// MarshalJSON writes the instant as a string.
func (i Instant) MarshalJSON() ([]byte, error) { return json.Marshal(i.String()) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (i *Instant) UnmarshalJSON(text []byte) error {
	var s string
	err := json.Unmarshal(text, &s)
	if err == nil {
		*i, err = ParseInstant(s)
	}
	return err
}

// Window is the half-open range of time [Start, End) that a run is about.
type Window struct {
	Start Instant `json:"window_start"`
	End   Instant `json:"window_end"`
}

// String writes START/END.
func (w Window) String() string { return w.Start.String() + "/" + w.End.String() }

// ParseWindow reads START/END, both RFC 3339.
func ParseWindow(text string) (Window, error) {
	from, to, ok := strings.Cut(text, "/")
	if !ok {
		return Window{}, fmt.Errorf("window %q: write it as START/END, such as 2026-01-01T00:00:00Z/2026-01-02T00:00:00Z", text)
	}
	start, err := ParseInstant(from)
	if err != nil {
		return Window{}, fmt.Errorf("window %q: %w", text, err)
	}
	end, err := ParseInstant(to)
	if err != nil {
		return Window{}, fmt.Errorf("window %q: %w", text, err)
	}
	w := Window{start, end}
	return w, w.Check()
}

// Check refuses a window that does not end after it starts.
func (w Window) Check() error {
	if w.End <= w.Start {
		return fmt.Errorf("window %s: it must end after it starts", w)
	}
	return nil
}
