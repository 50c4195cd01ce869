// Package query reads: it owns selectors, windowed aggregation, and the HTTP
// API of both.
//
// It refuses to know where samples are kept: it works over a Source, which
// merges volumes, journals and heads. It imports sample, problem and
// spelling alone.
package query

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
	// range, in the order given, with its samples in time order, one a time.
	// The Points and all that they hold are valid only during the call. An
	// error of yield ends it and is returned.
	Samples(ctx context.Context, r Reading, yield func(*Points) error) error

	// Windows is Samples for what a function makes of the samples of each
	// window: cells in the series' kind, in order of time, one a window, none
	// without samples. The cells are valid only during the call.
	Windows(ctx context.Context, r Reading, w Windowing, yield func(*SeriesInfo, []Cell) error) error
}

// Reading is which samples are read: those of listed series with
// Start ≤ time < End. What is decoded and held for it is counted in Budget.
type Reading struct {
	Series     []SeriesInfo
	Start, End int64
	Budget     *Budget
}

// SeriesInfo is what the catalog knows of a series.
type SeriesInfo struct {
	Series sample.Series
	ID     sample.SeriesID
	Kind   sample.Kind
	// Weeks are those in which the series is registered, in order.
	Weeks []sample.Week
	// Own is what the Source that listed the series keeps of it, and nil else.
	Own any
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

// value gives the i-th value.
func (p *Points) value(i int) sample.Value {
	if p.Info.Kind == sample.String {
		return sample.StringValue(p.Texts[i])
	}
	return sample.Value{Kind: p.Info.Kind, Bits: p.Bits[i]}
}

// Compare orders series by metric, then by tags, name before value. It is the
// order of all lists, and the one in which a group combines its series.
func Compare(a, b sample.Series) int { return a.Compare(b) }

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
		return nil, &LimitError{"max_series", int64(e.limits.MaxSeries), fmt.Sprintf(
			"%d series match; add matchers to the selector, or give a shorter range", len(list))}
	}
	byKey := func(a, b SeriesInfo) int { return Compare(a.Series, b.Series) }
	// Which of equal times First and Last take hangs on this order.
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
	if len(list) == 0 {
		return nil
	}
	return guard(func(keep func(error) error) error {
		return e.source.Samples(ctx, Reading{list, s.Start, s.End, NewBudget(e.limits)}, func(p *Points) error {
			if err := ctx.Err(); err != nil {
				return keep(err)
			}
			return keep(yield(p))
		})
	})
}

// guard says of a Source's error that it is one, and leaves those that a yield
// gave, which keep passes through, as they are.
func guard(read func(keep func(error) error) error) error {
	var yielded error
	err := read(func(err error) error {
		yielded = err
		return err
	})
	if err != nil && yielded == nil {
		return fmt.Errorf("read samples: %w", err)
	}
	return err
}
