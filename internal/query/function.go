package query

import (
	"fmt"
	"strings"

	"weir/internal/sample"
)

// Function is what an aggregate makes of the samples of a window.
type Function uint8

// The functions, and what each gives.
//
//   - Count: how many samples, an int64, for series of every kind.
//   - Sum: of float64 series the exact sum, rounded once (see exact.Sum), which a
//     NaN makes NaN, and both infinities together; of int64 series the exact sum, an error where it is past int64; of bool
//     series how many are true, an int64.
//   - Mean: sum by count, a float64; a bool counts as 0 or 1.
//   - Min, Max: of float64 series NaN is passed over unless all are NaN, and
//     -0 lies below 0; of bool series false lies below true.
//   - First, Last: the value of the earliest or latest sample, of every kind.
//
// String series have no sum, mean, min and max. Every sample counts, whatever
// its quality.
const (
	Count Function = iota + 1
	Min
	Max
	Mean
	Sum
	First
	Last
)

// Functions lists the functions.
func Functions() []Function { return []Function{Count, Min, Max, Mean, Sum, First, Last} }

// String gives the function's name.
func (f Function) String() string {
	names := [...]string{"", "count", "min", "max", "mean", "sum", "first", "last"}
	if int(f) >= len(names) {
		return fmt.Sprintf("function(%d)", uint8(f))
	}
	return names[f]
}

// ParseFunction is the inverse of String.
func ParseFunction(name string) (Function, error) {
	var names []string
	for _, f := range Functions() {
		if f.String() == name {
			return f, nil
		}
		names = append(names, f.String())
	}
	return 0, fmt.Errorf("no function %q%s; there are %s", name, didYouMean(name, names), strings.Join(names, ", "))
}

// KindError says that a function can't be had of a series' kind.
type KindError struct {
	Function Function
	Series   sample.Series
	Kind     sample.Kind
	With     sample.Kind // the kind of the rest of the group, if that is what clashes
}

func (e *KindError) Error() string {
	if e.With != 0 {
		return fmt.Sprintf("%s of a group that mixes %s and %s is not defined, and %s is %s: name fewer series, or group by __name__",
			e.Function, e.With, e.Kind, e.Series, e.Kind)
	}
	return fmt.Sprintf("%s of %s values is not defined, and %s is %s: use count, first or last, or name fewer series",
		e.Function, e.Kind, e.Series, e.Kind)
}

// OverflowError says that the sum of int64 values is past int64.
type OverflowError struct {
	Series sample.Series // the series or group
	Start  int64         // of the window, ns
}

func (e *OverflowError) Error() string {
	return fmt.Sprintf("the sum of %s in the window that begins at %d is past int64: use mean and count, or a shorter window",
		e.Series, e.Start)
}

// inputKind gives the kind in which a group of series is combined: that of all
// of them, or float64 where int64 and float64 meet. A bool takes part in sums
// and means as 0 or 1. Count needs no kind and gives int64.
func (f Function) inputKind(series []SeriesInfo, members []int) (sample.Kind, error) {
	if f == Count {
		return sample.Int64, nil
	}
	var kind sample.Kind
	for _, i := range members {
		own := series[i].Kind
		if own == sample.String && f != First && f != Last {
			return 0, &KindError{Function: f, Series: series[i].Series, Kind: own}
		}
		if own == sample.Bool && (f == Sum || f == Mean) {
			own = sample.Int64
		}
		switch {
		case kind == 0 || kind == own:
			kind = own
		case isNumber(kind) && isNumber(own):
			kind = sample.Float64
		default:
			return 0, &KindError{Function: f, Series: series[i].Series, Kind: series[i].Kind, With: kind}
		}
	}
	return kind, nil
}

func isNumber(k sample.Kind) bool { return k == sample.Float64 || k == sample.Int64 }

// outputKind gives the kind of the function's values over a kind of input.
func (f Function) outputKind(input sample.Kind) sample.Kind {
	if f == Mean {
		return sample.Float64
	}
	return input
}
