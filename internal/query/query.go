// Package query reads: it owns selectors, windowed aggregation, and the HTTP
// API of both.
//
// It refuses to know where samples are kept: it works over a Source, which
// merges volumes, journals and heads. It imports sample, problem and
// spelling alone.
package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"weir/internal/sample"
)

// ErrUnavailable is what a Source wraps when it can't answer now but may
// later, as while it opens. The HTTP API answers 503.
var ErrUnavailable = errors.New("samples can't be read now")

// Source gives a consistent view of all samples accepted so far: volumes,
// journals and heads merged, duplicates resolved. It is safe for concurrent
// use.
type Source interface {
	// Series lists the series that match and may have samples in [start, end),
	// each once, in the order of Compare. The list is the caller's.
	Series(ctx context.Context, sel Selector, start, end int64) ([]SeriesInfo, error)

	// Samples calls yield once for each of the series that has samples in
	// [start, end), in the order given, with its samples in time order, one a
	// time. The Points and all that they hold are valid only during the call.
	// An error of yield ends it and is returned.
	Samples(ctx context.Context, series []SeriesInfo, start, end int64, yield func(*Points) error) error
}

// SeriesInfo is what the catalog knows of a series.
type SeriesInfo struct {
	Series sample.Series
	ID     sample.SeriesID
	Kind   sample.Kind
	// Weeks are those in which the series is registered, in order.
	Weeks []sample.Week
}

// Points are samples of one series, in columns. Times ascend strictly.
type Points struct {
	Info  *SeriesInfo
	Times []int64
	// Bits are the values as in sample.Value; unused when the kind is String.
	Bits []uint64
	// Texts are the values when the kind is String, else nil.
	Texts []string
	// Qualities is nil when all are Good.
	Qualities []sample.Quality
}

// Compare orders series by metric, then by tags, name before value. It is the
// order of all lists, and the one in which a group combines its series.
func Compare(a, b sample.Series) int {
	if c := strings.Compare(a.Metric, b.Metric); c != 0 {
		return c
	}
	return slices.CompareFunc(a.Tags, b.Tags, func(x, y sample.Tag) int {
		return cmp.Or(strings.Compare(x.Name, y.Name), strings.Compare(x.Value, y.Value))
	})
}

// Limits bound what one query may cost. They are this package's part of the
// configuration.
type Limits struct {
	// MaxSeries is how many series a query may match.
	MaxSeries int `yaml:"max_series" doc:"how many series a query may match"`
	// MaxSamples is how many samples a query may read.
	MaxSamples int `yaml:"max_samples" doc:"how many samples a query may read"`
	// MaxWindows is how many windows, of all groups together, an aggregate by
	// tags may hold in memory: about 100 bytes each.
	MaxWindows int `yaml:"max_windows" doc:"how many windows an aggregate by tags may hold in memory, about 100 bytes each"`
}

// DefaultLimits suit one machine with a few GB of memory.
func DefaultLimits() Limits {
	return Limits{MaxSeries: 1_000_000, MaxSamples: 100_000_000, MaxWindows: 5_000_000}
}

// Validate says which limit makes no sense.
func (l Limits) Validate() error {
	for _, f := range []struct {
		name  string
		value int
	}{{"max_series", l.MaxSeries}, {"max_samples", l.MaxSamples}, {"max_windows", l.MaxWindows}} {
		if f.value < 1 {
			return fmt.Errorf("%s is %d: it must be at least 1", f.name, f.value)
		}
	}
	return nil
}

// LimitError says that a query would cost more than it may.
type LimitError struct {
	Limit string // "max_series", …
	Max   int
	Hint  string // what to narrow
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the query is over %s, which is %d: %s", e.Limit, e.Max, e.Hint)
}

// Selection is which series, and which samples of them: those with
// Start ≤ time < End.
type Selection struct {
	Selector   Selector
	Start, End int64
}

// Engine answers queries over a Source. It is safe for concurrent use.
type Engine struct {
	source Source
	limits Limits
}

// NewEngine makes an engine. The limits must be valid.
func NewEngine(source Source, limits Limits) *Engine {
	return &Engine{source: source, limits: limits}
}

// Series lists the series of a selection in the order of Compare.
func (e *Engine) Series(ctx context.Context, s Selection) ([]SeriesInfo, error) {
	list, err := e.source.Series(ctx, s.Selector, s.Start, s.End)
	if err != nil {
		return nil, fmt.Errorf("list series: %w", err)
	}
	if len(list) > e.limits.MaxSeries {
		return nil, &LimitError{"max_series", e.limits.MaxSeries, fmt.Sprintf(
			"%d series match; add matchers to the selector, or give a shorter range", len(list))}
	}
	byKey := func(a, b SeriesInfo) int { return Compare(a.Series, b.Series) }
	// Which sum a group has, to the last bit, hangs on this order.
	if !slices.IsSortedFunc(list, byKey) {
		slices.SortFunc(list, byKey)
	}
	return list, nil
}

// Select calls yield for each series of a selection that has samples there,
// in the order of Compare. The Points are valid only during the call.
func (e *Engine) Select(ctx context.Context, s Selection, yield func(*Points) error) error {
	list, err := e.Series(ctx, s)
	if err != nil {
		return err
	}
	return e.samples(ctx, list, s, yield)
}

// samples reads the samples of listed series, and counts them.
func (e *Engine) samples(ctx context.Context, list []SeriesInfo, s Selection, yield func(*Points) error) error {
	if len(list) == 0 {
		return nil
	}
	total := 0
	var yielded error
	err := e.source.Samples(ctx, list, s.Start, s.End, func(p *Points) error {
		if yielded = ctx.Err(); yielded != nil {
			return yielded
		}
		if total += len(p.Times); total > e.limits.MaxSamples {
			yielded = &LimitError{"max_samples", e.limits.MaxSamples,
				"give a shorter range, or add matchers to the selector"}
			return yielded
		}
		if len(p.Times) > 0 {
			yielded = yield(p)
		}
		return yielded
	})
	if err != nil && yielded == nil {
		return fmt.Errorf("read samples: %w", err)
	}
	return err
}
