package rollup

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"weir/internal/analysis"
	"weir/internal/result"
	"weir/internal/sample"
)

// naive gives the functions of values by name, with math/big for sums.
func naive(values []float64) map[string]float64 {
	out := map[string]float64{count: float64(len(values)), first: values[0], last: values[len(values)-1]}
	total, special := new(big.Float).SetPrec(4000), 0.0
	low, high := math.NaN(), math.NaN()
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			special += v
		} else {
			total.Add(total, new(big.Float).SetFloat64(v))
		}
		if math.IsNaN(v) {
			continue
		}
		if low != low || v < low || v == low && math.Signbit(v) {
			low = v
		}
		if high != high || v > high || v == high && !math.Signbit(v) {
			high = v
		}
	}
	out[least], out[most] = low, high
	out[sum], _ = total.Float64()
	if special != 0 {
		out[sum] = special
	}
	out[mean] = out[sum] / float64(len(values))
	squares := 0.0
	for _, v := range values {
		squares += float64((v - out[mean]) * (v - out[mean]))
	}
	out[stddev] = math.Sqrt(squares / float64(len(values)-1))
	return out
}

func drawSeries(t *rapid.T) *analysis.Samples {
	kind := rapid.SampledFrom([]sample.Kind{sample.Float64, sample.Int64, sample.Bool, sample.String}).Draw(t, "kind")
	series, err := sample.NewSeries("m", []sample.Tag{{Name: "host", Value: `a"b`}})
	if err != nil {
		t.Fatal(err)
	}
	s := &analysis.Samples{Series: analysis.NewSeries(series, series.ID(), kind)}
	s.Times = rapid.SliceOfNDistinct(rapid.Int64Range(100, 199), 0, 40, rapid.ID[int64]).Draw(t, "times")
	slices.Sort(s.Times)
	special := rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, 1, -1})
	value := rapid.OneOf(rapid.Float64Range(-1e6, 1e6), rapid.Float64Range(-1e6, 1e6), special)
	for range s.Times {
		switch kind {
		case sample.Float64:
			s.Bits = append(s.Bits, math.Float64bits(value.Draw(t, "value")))
		case sample.Int64:
			s.Bits = append(s.Bits, uint64(rapid.Int64().Draw(t, "value")))
		case sample.Bool:
			s.Bits = append(s.Bits, rapid.Uint64Range(0, 1).Draw(t, "value"))
		case sample.String:
			s.Texts = append(s.Texts, "x")
		}
	}
	return s
}

// TestRollupsAreRight compares with a naive model: windows, functions, nulls.
func TestRollupsAreRight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSeries(t)
		every := rapid.SampledFrom([]int64{0, 7, 10, 1000}).Draw(t, "every")
		start, end := rapid.Int64Range(95, 100).Draw(t, "start"), rapid.Int64Range(200, 204).Draw(t, "end")
		r, err := New(Parameters{Every: every, Quantiles: []float64{0.9, 0.5}})
		if err != nil {
			t.Fatal(err)
		}
		rows := result.NewRows(r.Columns())
		w := r.Worker()
		if err := w.Analyse(rows, s, start, end); err != nil {
			t.Fatal(err)
		}
		length := every
		if every == 0 {
			length = end - start
		}
		row := 0
		for from := start; from < end; from += length {
			to := min(from+length, end)
			var values []float64
			texts := 0
			wide := new(big.Int)
			for i, at := range s.Times {
				if at < from || at >= to {
					continue
				}
				switch s.Series.Kind {
				case sample.Float64:
					values = append(values, math.Float64frombits(s.Bits[i]))
				case sample.String:
					texts++
				default:
					values = append(values, float64(int64(s.Bits[i])))
					wide.Add(wide, big.NewInt(int64(s.Bits[i])))
				}
			}
			if len(values)+texts == 0 {
				continue
			}
			if rows.Columns[3].Ints[row] != from || rows.Columns[4].Ints[row] != to || rows.Columns[0].Texts[rows.Columns[0].Index[row]] != s.Series.ID {
				t.Fatalf("row %d is of [%d, %d); want [%d, %d)", row, rows.Columns[3].Ints[row], rows.Columns[4].Ints[row], from, to)
			}
			var want map[string]float64
			if len(values) > 0 {
				want = naive(values)
				if s.Series.Kind != sample.Float64 {
					want[sum], _ = new(big.Float).SetInt(wide).Float64()
					want[mean] = want[sum] / float64(len(values))
				}
			}
			checkRow(t, r, rows, row, want, len(values)+texts)
			if len(values) > 0 {
				checkQuantiles(t, r, rows, row, values)
			}
			row++
		}
		if rows.Len() != row {
			t.Fatalf("%d rows; want %d", rows.Len(), row)
		}
	})
}

// checkRow compares a row's functions; want is nil for strings.
func checkRow(t *rapid.T, r *Rollup, rows *result.Rows, row int, want map[string]float64, n int) {
	for i, c := range r.Columns() {
		v := &rows.Columns[i]
		null := v.Null != nil && v.Null[row]
		switch {
		case i < fixed || !slices.Contains(Functions(), c.Name):
		case c.Name == count:
			if v.Ints[row] != int64(n) {
				t.Fatalf("row %d: count %d; want %d", row, v.Ints[row], n)
			}
		case want == nil || c.Name == stddev && n == 1:
			if !null {
				t.Fatalf("row %d: %s is %v; want null", row, c.Name, v.Floats[row])
			}
		case c.Name == stddev:
			// Of int64 values the mean is that of the exact sum, not of rounded ones.
			if got, want := v.Floats[row], want[stddev]; null || math.Abs(got-want) > 1e-9*math.Abs(want) && got == got {
				t.Fatalf("row %d: stddev is %v; want %v", row, got, want)
			}
		default:
			got, want := v.Floats[row], want[c.Name]
			if null || math.Float64bits(got) != math.Float64bits(want) && !(got != got && want != want) && !(got == 0 && want == 0 && c.Name != least && c.Name != most) {
				t.Fatalf("row %d: %s is %v; want %v", row, c.Name, got, want)
			}
		}
	}
}

func checkQuantiles(t *rapid.T, r *Rollup, rows *result.Rows, row int, values []float64) {
	var finite []float64
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			finite = append(finite, v)
		}
	}
	slices.Sort(finite)
	for k, q := range []float64{0.5, 0.9} {
		v := &rows.Columns[len(rows.Columns)-2+k]
		if len(finite) == 0 {
			if v.Null == nil || !v.Null[row] {
				t.Fatalf("row %d: quantile %v of nothing is %v; want null", row, q, v.Floats[row])
			}
			continue
		}
		rank := q * float64(len(finite)-1)
		low, high := finite[int(math.Floor(rank))], finite[int(math.Ceil(rank))]
		if math.Abs(low) > 1e308 || math.Abs(high) > 1e308 {
			continue // past what a sketch tells apart
		}
		slack := (Accuracy+1e-9)*max(math.Abs(low), math.Abs(high)) + 1e-300
		if got := v.Floats[row]; got < low-slack || got > high+slack {
			t.Fatalf("row %d: quantile %v is %v; want it between %v and %v, to %v of that", row, q, got, low, high, Accuracy)
		}
	}
}

func TestColumnsFollowTheParameters(t *testing.T) {
	r, err := New(Parameters{Every: 5, Functions: []string{sum, count}, Quantiles: []float64{0.999, 0.5, 0.5}})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range r.Columns() {
		names = append(names, c.Name)
	}
	if got, want := fmt.Sprint(names), "[series metric tags window_start window_end count sum p50 p99_9]"; got != want {
		t.Errorf("columns are %s; want %s", got, want)
	}
	if r.Independent() != 5 || r.Lookback() != 0 || r.Table() != "rollup" {
		t.Errorf("independent %d, lookback %d, table %s", r.Independent(), r.Lookback(), r.Table())
	}
	for _, p := range []Parameters{{Every: -1}, {Functions: []string{"median"}}, {Quantiles: []float64{1}}, {Quantiles: []float64{math.NaN()}}} {
		if _, err := New(p); !errors.Is(err, analysis.ErrParameters) {
			t.Errorf("%+v: %v; want ErrParameters", p, err)
		}
	}
}

func BenchmarkAnalyse(b *testing.B) {
	const n = 10_000
	series, err := sample.NewSeries("cpu_usage_user", []sample.Tag{{Name: "host", Value: "host_1"}})
	if err != nil {
		b.Fatal(err)
	}
	s := &analysis.Samples{Series: analysis.NewSeries(series, series.ID(), sample.Float64)}
	for i := range n {
		s.Times = append(s.Times, int64(i)*10e9)
		s.Bits = append(s.Bits, math.Float64bits(float64(i*i%101)))
	}
	r, err := New(Parameters{Every: 300e9, Functions: []string{count, least, most, mean, sum, last}})
	if err != nil {
		b.Fatal(err)
	}
	rows, w := result.NewRows(r.Columns()), r.Worker()
	for b.Loop() {
		rows.Reset()
		if err := w.Analyse(rows, s, 0, n*10e9); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Msamples/s")
}
