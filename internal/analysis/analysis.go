// Package analysis is the port of what is computed of samples: each series is
// seen whole, in order of time, and gives rows of a table.
//
// It owns the contract. It refuses to know where samples come from and where
// rows go. Analyses are its children. It imports sample, jsonline and result.
package analysis

import (
	"errors"

	"weir/internal/jsonline"
	"weir/internal/result"
	"weir/internal/sample"
)

// ErrParameters means that an analysis can't be made as it is asked for.
var ErrParameters = errors.New("the analysis can't be made so")

// Analysis makes rows of samples. It is made once a step and does not change.
// The same samples give the same rows on every machine: what is multiplied is
// rounded before it is added, since Go may fuse the two on some.
type Analysis interface {
	// Table names the warehouse's table, and Columns its columns: first series,
	// metric and tags, then window_start and window_end.
	Table() string
	Columns() []result.Column

	// Lookback is how many ns before its window a run reads, for what has to be
	// known at its beginning.
	Lookback() int64

	// Independent gives a length in ns, or 0: what is computed of one stretch of
	// that length, counted from the window's start, hangs on no other. An engine
	// may then give the stretches one after the other.
	Independent() int64

	// Worker gives what computes on one core.
	Worker() Worker
}

// Worker computes for one series after the other, in memory that it keeps.
type Worker interface {
	// Analyse appends the rows of one series for a window [start, end) to rows.
	// The samples lie in [start-Lookback, end), in order of time; they are valid
	// only during the call.
	Analyse(rows *result.Rows, s *Samples, start, end int64) error
}

// Gatherer is a Worker of an analysis of groups of series: Analyse appends no rows, but
// takes a series into its groups. What it gathers hangs neither on the order of the
// series nor on how they are divided among gatherers.
type Gatherer interface {
	Worker

	// Join takes in what another gatherer of the same analysis has gathered, which is
	// used up by that.
	Join(other Gatherer) error

	// Gathered calls yield for each row there is, in order, with what appends it.
	Gathered(yield func(appendTo func(*result.Rows)) error) error
}

// Samples are those of one series, in columns. Times ascend strictly.
type Samples struct {
	Series *Series
	Times  []int64
	// Bits are the values as in sample.Value; unused when the kind is String.
	Bits []uint64
	// Texts are the values when the kind is String, else nil.
	Texts []string
	// Qualities is nil when all are Good.
	Qualities []sample.Quality
	// Versions and Positions decide between samples of one series and time. They are
	// nil unless they were asked for.
	Versions, Positions []uint64
}

// Series is who the samples are of, in the words of a row.
type Series struct {
	ID     string // SeriesID in 32 hex digits
	Metric string
	Tags   string // a JSON object, names in order
	Kind   sample.Kind
	Of     sample.Series
}

// NewSeries gives a series in the words of a row.
func NewSeries(s sample.Series, id sample.SeriesID, kind sample.Kind) *Series {
	return &Series{ID: id.String(), Metric: s.Metric, Tags: string(jsonline.AppendTags(nil, s.Tags)), Kind: kind, Of: s}
}
