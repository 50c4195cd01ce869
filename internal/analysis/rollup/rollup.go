// Package rollup is the analysis that brings the samples of a series together
// by windows of time: count, min, max, mean, sum, first, last, stddev and
// quantiles. It imports its port, result, exact and sample.
//
// Numbers are given as float64. Of float64 series the sum is exact and rounded
// once; NaN makes sum, mean and stddev NaN, and is passed over by min, max and
// quantiles unless there is nothing else. -0 lies below 0. A bool counts as 0 or
// 1. Of strings there is only the count.
package rollup

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"weir/internal/analysis"
	"weir/internal/result"
)

// The functions, in the order of the columns.
const (
	count  = "count"
	least  = "min"
	most   = "max"
	mean   = "mean"
	sum    = "sum"
	first  = "first"
	last   = "last"
	stddev = "stddev" // of a sample: the squares are divided by count - 1; null for one sample
)

// Functions lists the functions in the order of their columns.
func Functions() []string { return []string{count, least, most, mean, sum, first, last, stddev} }

// Accuracy is the greatest relative error of a quantile: what is given lies
// within it of the sample whose rank is asked for. Values past 1e308 count as
// about that.
const Accuracy = 0.01

// Parameters say which rollup.
type Parameters struct {
	Every     int64     // ns, counted from the window's start; 0: the whole window
	Functions []string  // none: all
	Quantiles []float64 // each above 0 and below 1
	By        []string  // tags; none: each series has rows of its own
}

// Rollup is the analysis.
type Rollup struct {
	every     int64
	wanted    struct{ count, least, most, mean, sum, first, last, stddev bool }
	sums      bool // one of them needs the sum
	quantiles []float64
	columns   []result.Column
	by        []string // sorted
}

var _ analysis.Analysis = (*Rollup)(nil)

// New makes a rollup. Its errors wrap analysis.ErrParameters.
func New(p Parameters) (*Rollup, error) {
	r := &Rollup{every: p.Every, quantiles: slices.Clone(p.Quantiles)}
	if p.Every < 0 {
		return nil, fmt.Errorf("%w: every is %d ns; want more than 0, or none", analysis.ErrParameters, p.Every)
	}
	for _, f := range p.Functions {
		if !slices.Contains(Functions(), f) {
			return nil, fmt.Errorf("%w: no function %q; there are %s", analysis.ErrParameters, f, strings.Join(Functions(), ", "))
		}
	}
	r.columns = []result.Column{
		{Name: "series", Type: result.Text}, {Name: "metric", Type: result.Text}, {Name: "tags", Type: result.Text},
		{Name: "window_start", Type: result.Time}, {Name: "window_end", Type: result.Time},
	}
	for i, wanted := range []*bool{
		&r.wanted.count, &r.wanted.least, &r.wanted.most, &r.wanted.mean,
		&r.wanted.sum, &r.wanted.first, &r.wanted.last, &r.wanted.stddev,
	} {
		f := Functions()[i]
		if *wanted = len(p.Functions) == 0 || slices.Contains(p.Functions, f); !*wanted {
			continue
		}
		column := result.Column{Name: f, Type: result.Float}
		if f == count {
			column.Type = result.Int
		}
		r.columns = append(r.columns, column)
	}
	for _, tag := range p.By {
		if tag == "" || tag == "__name__" {
			return nil, fmt.Errorf("%w: by %q: give names of tags; groups are of one metric in any case", analysis.ErrParameters, tag)
		}
	}
	r.by = slices.Compact(slices.Sorted(slices.Values(p.By)))
	r.sums = r.wanted.mean || r.wanted.sum || r.wanted.stddev
	slices.Sort(r.quantiles)
	r.quantiles = slices.Compact(r.quantiles)
	for _, q := range r.quantiles {
		if !(q > 0 && q < 1) {
			return nil, fmt.Errorf("%w: quantile %v; want one between 0 and 1, as 0.99", analysis.ErrParameters, q)
		}
		r.columns = append(r.columns, result.Column{Name: quantileName(q), Type: result.Float})
	}
	return r, nil
}

// quantileName gives a quantile's column: p50, p99, p99_9.
func quantileName(q float64) string {
	percent := strconv.FormatFloat(math.Round(q*100*1e9)/1e9, 'f', -1, 64)
	return "p" + strings.ReplaceAll(percent, ".", "_")
}

// Table is rollup's.
func (r *Rollup) Table() string { return "rollup" }

// Columns gives those of the functions that are wanted.
func (r *Rollup) Columns() []result.Column { return slices.Clone(r.columns) }

// Lookback is none.
func (r *Rollup) Lookback() int64 { return 0 }

// Independent gives the length of a window.
func (r *Rollup) Independent() int64 { return r.every }

// Worker gives what computes on one core: a Gatherer where series are grouped.
func (r *Rollup) Worker() analysis.Worker {
	if len(r.by) > 0 {
		return newGatherer(r)
	}
	return &worker{Rollup: r}
}
