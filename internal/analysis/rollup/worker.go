package rollup

import (
	"fmt"
	"math"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/store"

	"weir/internal/analysis"
	"weir/internal/exact"
	"weir/internal/result"
	"weir/internal/sample"
)

// worker rolls up one series after the other.
type worker struct {
	*Rollup
	floats []uint64           // scratch: values of other kinds as those of float64
	sketch *ddsketch.DDSketch // of the window's values, where quantiles are wanted
}

// Analyse appends a row for each window that has samples.
func (w *worker) Analyse(rows *result.Rows, s *analysis.Samples, start, end int64) error {
	n := 0
	for i, guess := 0, 1; i < len(s.Times); n++ {
		from, to := w.window(s.Times[i], start, end)
		j := windowEnd(s.Times, i, guess, to)
		guess = j - i
		rows.Columns[3].Int(from)
		rows.Columns[4].Int(to)
		if s.Series.Kind == sample.String {
			w.none(rows, j-i)
		} else if err := w.numbers(rows, s.Series.Kind, s.Bits[i:j]); err != nil {
			return err
		}
		i = j
	}
	if n > 0 {
		rows.Columns[0].Repeat(s.Series.ID, n)
		rows.Columns[1].Repeat(s.Series.Metric, n)
		rows.Columns[2].Repeat(s.Series.Tags, n)
		rows.EndRows(n)
	}
	return nil
}

// windowEnd gives the first place behind i whose time is not before to; mostly
// it is as far away as that of the window before.
func windowEnd(times []int64, i, guess int, to int64) int {
	j := min(i+guess, len(times))
	for j > i+1 && times[j-1] >= to {
		j--
	}
	for j < len(times) && times[j] < to {
		j++
	}
	return j
}

// window gives the window that holds t, cut off at the run's.
func (r *Rollup) window(t, start, end int64) (from, to int64) {
	if r.every == 0 || end-start <= r.every {
		return start, end
	}
	from = t - (t-start)%r.every
	if end-from <= r.every {
		return from, end
	}
	return from, from + r.every
}

// asFloats gives values as those of float64: the same ones where they are.
func (w *worker) asFloats(kind sample.Kind, values []uint64) []uint64 {
	return asFloats(&w.floats, kind, values)
}

// asFloats puts values that are not of float64 into room.
func asFloats(room *[]uint64, kind sample.Kind, values []uint64) []uint64 {
	if kind == sample.Float64 {
		return values
	}
	*room = (*room)[:0]
	for _, b := range values {
		*room = append(*room, math.Float64bits(float64(int64(b))))
	}
	return *room
}

// fixed is how many columns come before those of functions.
const fixed = 5

// none appends the functions of n strings.
func (w *worker) none(rows *result.Rows, n int) {
	for i := fixed; i < len(w.columns); i++ {
		if w.columns[i].Name == count {
			rows.Columns[i].Int(int64(n))
		} else {
			rows.Columns[i].None()
		}
	}
}

// numbers appends the functions of values that are numbers.
func (w *worker) numbers(rows *result.Rows, kind sample.Kind, values []uint64) error {
	at := fixed
	next := func() *result.Values {
		at++
		return &rows.Columns[at-1]
	}
	if w.wanted.count {
		next().Int(int64(len(values)))
	}
	if w.wanted.least || w.wanted.most {
		low, high := bounds(kind, values)
		if w.wanted.least {
			next().Float(low)
		}
		if w.wanted.most {
			next().Float(high)
		}
	}
	var total, average float64
	if w.sums {
		total = sumOf(kind, values)
		average = total / float64(len(values))
	}
	if w.wanted.mean {
		next().Float(average)
	}
	if w.wanted.sum {
		next().Float(total)
	}
	if w.wanted.first {
		next().Float(floatOf(kind, values[0]))
	}
	if w.wanted.last {
		next().Float(floatOf(kind, values[len(values)-1]))
	}
	if w.wanted.stddev {
		if len(values) == 1 {
			next().None()
		} else {
			next().Float(deviation(w.asFloats(kind, values), average))
		}
	}
	if len(w.quantiles) == 0 {
		return nil
	}
	return w.appendQuantiles(w.asFloats(kind, values), next)
}

func floatOf(kind sample.Kind, b uint64) float64 {
	if kind == sample.Float64 {
		return math.Float64frombits(b)
	}
	return float64(int64(b))
}

// sumOf gives the sum of values, exact until it is rounded once.
func sumOf(kind sample.Kind, values []uint64) float64 {
	if kind != sample.Float64 {
		return exact.Float(exact.SumInts(values))
	}
	var total exact.Sum
	total.Add(values)
	return total.Value()
}

// bounds gives the least and the greatest value: -0 lies below 0, and NaN is
// passed over unless all are.
func bounds(kind sample.Kind, values []uint64) (low, high float64) {
	if kind != sample.Float64 {
		least, most := boundsOfInts(values)
		return float64(least), float64(most)
	}
	low, high = math.Inf(1), math.Inf(-1)
	for _, b := range values {
		x := math.Float64frombits(b)
		low, high = min(low, x), max(high, x)
	}
	if low == low {
		return low, high
	}
	low, high = math.Inf(1), math.Inf(-1)
	some := false
	for _, b := range values {
		if x := math.Float64frombits(b); x == x {
			low, high, some = min(low, x), max(high, x), true
		}
	}
	if !some {
		return math.NaN(), math.NaN()
	}
	return low, high
}

// boundsOfInts keeps two of each, so that one comparison needn't wait for the other.
func boundsOfInts(values []uint64) (int64, int64) {
	least, most := int64(values[0]), int64(values[0])
	least2, most2 := least, most
	for ; len(values) >= 2; values = values[2:] {
		a, b := int64(values[0]), int64(values[1])
		least, most = min(least, a), max(most, a)
		least2, most2 = min(least2, b), max(most2, b)
	}
	if len(values) == 1 {
		least, most = min(least, int64(values[0])), max(most, int64(values[0]))
	}
	return min(least, least2), max(most, most2)
}

// deviation gives the standard deviation of a sample, by a second pass over it.
func deviation(values []uint64, average float64) float64 {
	squares := 0.0
	for _, b := range values {
		d := math.Float64frombits(b) - average
		squares += float64(d * d)
	}
	return math.Sqrt(squares / float64(len(values)-1))
}

// appendQuantiles appends the quantiles of finite values, or nulls where there is
// none.
func (w *worker) appendQuantiles(values []uint64, next func() *result.Values) error {
	if w.sketch == nil {
		var err error
		if w.sketch, err = newSketch(); err != nil {
			return err
		}
	}
	w.sketch.Clear()
	if err := sketch(w.sketch, values); err != nil {
		return err
	}
	return w.readSketch(w.sketch, next)
}

func newSketch() (*ddsketch.DDSketch, error) {
	// Its logarithm is made of additions and bits alone, unlike the math
	// library's, which differs from machine to machine.
	m, err := mapping.NewCubicallyInterpolatedMapping(Accuracy)
	if err != nil {
		return nil, fmt.Errorf("quantiles: %w", err)
	}
	return ddsketch.NewDDSketch(m, store.NewDenseStore(), store.NewDenseStore()), nil
}

// sketch adds the finite ones of values.
func sketch(to *ddsketch.DDSketch, values []uint64) error {
	for _, b := range values {
		if x := math.Float64frombits(b); !math.IsNaN(x) && !math.IsInf(x, 0) {
			most := to.MaxIndexableValue() // about 1.25e308
			if err := to.Add(max(-most, min(most, x))); err != nil {
				return fmt.Errorf("quantiles: %w", err)
			}
		}
	}
	return nil
}

// readSketch appends the quantiles of a sketch, or nulls where it is empty.
func (r *Rollup) readSketch(from *ddsketch.DDSketch, next func() *result.Values) error {
	for _, q := range r.quantiles {
		if from.IsEmpty() {
			next().None()
			continue
		}
		x, err := from.GetValueAtQuantile(q)
		if err != nil {
			return fmt.Errorf("quantiles: %w", err)
		}
		next().Float(x)
	}
	return nil
}
