package exact

import (
	"math"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// bigSum is the sum of finite values by math/big alone, rounded once.
func bigSum(values []float64) float64 {
	total := new(big.Float).SetPrec(4000)
	for _, v := range values {
		total.Add(total, new(big.Float).SetFloat64(v))
	}
	if total.Sign() == 0 {
		if slices.ContainsFunc(values, func(v float64) bool { return v != 0 || !math.Signbit(v) }) {
			return 0
		}
		return math.Copysign(0, -1)
	}
	nearest, _ := total.Float64()
	return nearest
}

func bitsOf(values []float64) []uint64 {
	out := make([]uint64, len(values))
	for i, v := range values {
		out[i] = math.Float64bits(v)
	}
	return out
}

// TestSumsAreExact adds values in random order and in random parts, and
// compares with math/big.
func TestSumsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(
			rapid.Float64(), // every finite pattern
			rapid.Float64Range(-1e3, 1e3),
			rapid.Map(rapid.IntRange(-2000, 2000), func(i int) float64 { return float64(i) / 1000 }),
			rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, -1, 0x1p53, -0x1p53, 0x1p-1074, -0x1p-1074, math.MaxFloat64, -math.MaxFloat64, 0x1p-60}),
		)
		values := rapid.SliceOfN(value, 1, 60).Draw(t, "values")
		want := bigSum(values)
		mixed := slices.Clone(values)
		slices.SortFunc(mixed, func(a, b float64) int { return rapid.IntRange(-1, 1).Draw(t, "order") })
		var total Sum
		for rest := bitsOf(mixed); len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "part")
			var part Sum
			if rapid.Bool().Draw(t, "directly") {
				total.Add(rest[:n])
			} else {
				part.Add(rest[:n])
				total.Join(part)
			}
			rest = rest[n:]
		}
		if got := total.Value(); math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("the sum of %v is %v; want %v", mixed, got, want)
		}
	})
}

func TestSumsAtTheEdges(t *testing.T) {
	inf, nan, most := math.Inf(1), math.NaN(), math.MaxFloat64
	for name, c := range map[string]struct {
		values []float64
		want   float64
	}{
		"what cancels leaves the rest":      {[]float64{1e300, 1, -1e300}, 1},
		"past the greatest and back":        {[]float64{most, most, -most}, most},
		"past the greatest":                 {[]float64{most, most}, inf},
		"half an ulp below an infinity":     {[]float64{most, 0x1p969}, most},
		"half an ulp rounds to an infinity": {[]float64{most, 0x1p970}, inf},
		"a tie goes to even":                {[]float64{1, 0x1p-53}, 1},
		"a hair above a tie goes up":        {[]float64{1, 0x1p-53, 0x1p-1074}, 1 + 0x1p-52},
		"NaN wins":                          {[]float64{inf, 1, nan}, nan},
		"both infinities":                   {[]float64{inf, -inf}, nan},
		"one infinity":                      {[]float64{-inf, most, most}, -inf},
		"subnormal":                         {[]float64{0x1p-1074, 0x1p-1074}, 0x1p-1073},
		"zeros":                             {[]float64{math.Copysign(0, -1), 0}, 0},
		"none but -0":                       {[]float64{math.Copysign(0, -1), math.Copysign(0, -1)}, math.Copysign(0, -1)},
	} {
		for _, reversed := range []bool{false, true} {
			if reversed {
				slices.Reverse(c.values)
			}
			var whole, joined Sum
			whole.Add(bitsOf(c.values))
			for _, v := range bitsOf(c.values) {
				var one Sum
				one.Add([]uint64{v})
				joined.Join(one)
			}
			for _, s := range []Sum{whole, joined} {
				got := s.Value()
				if math.IsNaN(c.want) != math.IsNaN(got) || !math.IsNaN(got) && math.Float64bits(got) != math.Float64bits(c.want) {
					t.Errorf("%s: the sum of %v is %v; want %v", name, c.values, got, c.want)
				}
			}
		}
	}
}

// TestManyWideSums makes carries go on, in both directions.
func TestManyWideSums(t *testing.T) {
	var values []float64
	for i := range 10_000 {
		values = append(values, math.Ldexp(1.999999999, i%200-100), -math.Ldexp(1.5, i%190-90))
	}
	var s, twice Sum
	s.Add(bitsOf(values))
	if got, want := s.Value(), bigSum(values); got != want || s.wide == nil || s.Size() != accumulatorSize {
		t.Errorf("%v; want %v", got, want)
	}
	twice.Join(s)
	twice.Join(s)
	if got, want := twice.Value(), bigSum(append(slices.Clone(values), values...)); got != want {
		t.Errorf("joined twice %v; want %v", got, want)
	}
}

func TestWideIntegersEnterSumsExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		low, high := rapid.Uint64().Draw(t, "low"), rapid.Int64().Draw(t, "high")
		var s Sum
		s.AddWide(low, high)
		if got, want := s.Value(), Float(low, high); got != want {
			t.Fatalf("%d × 2^64 + %d is %v; want %v", high, low, got, want)
		}
	})
}

func BenchmarkExactSum(b *testing.B) {
	values := make([]uint64, 4096)
	for i := range values {
		values[i] = math.Float64bits(float64(i%977) / 1000)
	}
	for b.Loop() {
		var s Sum
		s.Add(values)
		if s.wide != nil {
			b.Fatal("it went wide")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(values)), "ns/value")
}

// TestExactIsNotRounded: what lies below a float64's last place is there.
func TestExactIsNotRounded(t *testing.T) {
	for _, values := range [][]float64{{}, {1, 0x1p-80}, {0x1p900, 1, 0x1p-1074}, {1, -1}, {3}} {
		var s Sum
		want := new(big.Float).SetPrec(4000)
		for _, x := range values {
			s.Add([]uint64{math.Float64bits(x)})
			want.Add(want, new(big.Float).SetFloat64(x))
		}
		if got, ok := s.Exact(); !ok || got.Cmp(want) != 0 {
			t.Errorf("the sum of %v is %v, %v", values, got, ok)
		}
	}
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		var s Sum
		s.Add([]uint64{math.Float64bits(x), math.Float64bits(1)})
		if got, ok := s.Exact(); ok {
			t.Errorf("with %v it is %v", x, got)
		}
	}
}
