package query

import (
	"fmt"
	"sync/atomic"
)

// Limits bound what one query may cost, and how many run. They are this
// package's part of the configuration.
type Limits struct {
	// MaxSeries is how many series a query may match.
	MaxSeries int `yaml:"max_series" doc:"how many series a query may match"`
	// MaxSamples is how many samples a query may read.
	MaxSamples int `yaml:"max_samples" doc:"how many samples a query may decode; runs that are taken by their statistics are not among them"`
	// MaxWindows is how many windows, of all groups together, an aggregate by
	// tags may hold in memory: about 100 bytes each.
	MaxWindows int `yaml:"max_windows" doc:"how many windows an aggregate by tags may hold in memory, about 100 bytes each"`
	// MaxMemory is how many bytes of items, columns and windows a query may
	// hold at once.
	MaxMemory int64 `yaml:"max_memory" doc:"how many bytes of items, columns and windows a query may hold at once"`
	// MaxRunning is how many queries run at once. Four times as many may wait;
	// more are refused.
	MaxRunning int `yaml:"max_running" doc:"how many queries run at once; four times as many wait their turn, further ones are answered 503"`
}

// DefaultLimits suit one machine with a few GB of memory.
func DefaultLimits() Limits {
	return Limits{MaxSeries: 1_000_000, MaxSamples: 100_000_000, MaxWindows: 5_000_000, MaxMemory: 1 << 30, MaxRunning: 8}
}

// Validate says which limit makes no sense.
func (l Limits) Validate() error {
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"max_series", int64(l.MaxSeries)}, {"max_samples", int64(l.MaxSamples)}, {"max_windows", int64(l.MaxWindows)},
		{"max_memory", l.MaxMemory}, {"max_running", int64(l.MaxRunning)},
	} {
		if f.value < 1 {
			return fmt.Errorf("%s is %d: it must be at least 1", f.name, f.value)
		}
	}
	return nil
}

// LimitError says that a query would cost more than it may.
type LimitError struct {
	Limit string // "max_series", …
	Max   int64
	Hint  string // what to narrow
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the query is over %s, which is %d: %s", e.Limit, e.Max, e.Hint)
}

// Budget is what one query may still cost. Safe for concurrent use.
type Budget struct {
	limits  Limits
	samples atomic.Int64
	bytes   atomic.Int64
}

// NewBudget makes the budget of one query.
func NewBudget(l Limits) *Budget { return &Budget{limits: l} }

// Read counts samples that are decoded.
func (b *Budget) Read(samples int) error {
	if b.samples.Add(int64(samples)) > int64(b.limits.MaxSamples) {
		return &LimitError{"max_samples", int64(b.limits.MaxSamples), "give a shorter range, or add matchers to the selector"}
	}
	return nil
}

// Hold counts bytes that are held from now on: where that is an error too, so
// that whoever gives them back need not know.
func (b *Budget) Hold(bytes int) error {
	if b.bytes.Add(int64(bytes)) > b.limits.MaxMemory {
		return &LimitError{"max_memory", b.limits.MaxMemory,
			"give a shorter range, longer windows, or add matchers to the selector"}
	}
	return nil
}

// Release gives bytes back that were held.
func (b *Budget) Release(bytes int) { b.bytes.Add(-int64(bytes)) }

// Held gives the bytes that are held.
func (b *Budget) Held() int64 { return b.bytes.Load() }
