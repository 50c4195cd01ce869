package block

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"weir/internal/sample"
)

// longModel makes a batch of long runs: some shared times, some of their own,
// some not ascending, some with values that no sum or statistics take.
func longModel(seed uint64) model {
	r := rand.New(rand.NewPCG(seed, 11))
	m := model{versions: r.IntN(2) == 0, positions: r.IntN(2) == 0}
	shared := 50 + r.IntN(100)
	for i := range 30 {
		run := modelRun{kind: sample.Kind(1 + r.IntN(4)), handle: sample.Handle(i * 3)}
		n, at, step := shared, int64(1767571200e9), int64(10e9)
		if r.IntN(3) == 0 {
			n, at = 1+r.IntN(200), at+r.Int64N(100)*1e9
		}
		wild := r.IntN(6)
		v := r.Int64N(1e6)
		for k := range n {
			s := modelSample{Sample: sample.Sample{Time: at + int64(k)*step, Value: longValue(r, run.kind, &v, wild)}}
			if wild == 5 && r.IntN(40) == 0 {
				s.Time -= 3 * step
			}
			if m.versions {
				s.version = 1767571200e9 + uint64(k/4)*7e9 // as if flushed four at a time
			}
			if m.positions {
				s.position = uint64(k / 4)
			}
			run.samples = append(run.samples, s)
		}
		m.runs = append(m.runs, run)
	}
	return m
}

func longValue(r *rand.Rand, kind sample.Kind, v *int64, wild int) sample.Value {
	*v += r.Int64N(9) - 3
	if r.IntN(30) == 0 {
		*v += r.Int64N(2000) - 1000
	}
	switch kind {
	case sample.Int64:
		if wild == 0 {
			return sample.IntValue(int64(r.Uint64()))
		}
		return sample.IntValue(*v)
	case sample.Bool:
		return sample.BoolValue(r.IntN(3) == 0 || wild == 0)
	case sample.String:
		return sample.StringValue([]string{"on", "off"}[r.IntN(2)])
	}
	switch {
	case wild == 0 && r.IntN(50) == 0:
		return sample.Value{Kind: kind, Bits: oddFloats[r.IntN(len(oddFloats))]}
	case wild < 3:
		return sample.FloatValue(r.NormFloat64() * 100)
	}
	return sample.FloatValue(float64(*v) / 1000)
}

// TestSummariesAreWhatTheSamplesSay holds statistics against the samples.
func TestSummariesAreWhatTheSamplesSay(t *testing.T) {
	known := map[sample.Kind]int{}
	for seed := range uint64(60) {
		m := longModel(seed)
		for _, encode := range []func([]byte, *Batch) ([]byte, error){Encode, EncodeSmall} {
			body, err := encode(nil, m.batch())
			if err != nil {
				t.Fatal(err)
			}
			var wanted []sample.Handle
			for i := range m.runs {
				if seed%2 == 0 || i%3 == 0 {
					wanted = append(wanted, m.runs[i].handle)
				}
			}
			got, err := Summarize(nil, body, wanted)
			if err != nil || len(got) != len(wanted) {
				t.Fatalf("seed %d: %d summaries, %v; want %d", seed, len(got), err, len(wanted))
			}
			for _, s := range got {
				i := slices.IndexFunc(m.runs, func(r modelRun) bool { return r.handle == s.Handle })
				checkSummary(t, seed, &m.runs[i], &s)
				if s.Known {
					known[s.Kind]++
				}
			}
		}
	}
	t.Logf("with statistics: %v", known)
	for _, kind := range []sample.Kind{sample.Float64, sample.Int64, sample.Bool} {
		if known[kind] < 100 {
			t.Errorf("%d runs of %s had statistics", known[kind], kind)
		}
	}
}

func checkSummary(t *testing.T, seed uint64, r *modelRun, s *Summary) {
	t.Helper()
	up := true
	least, most := r.samples[0], r.samples[0]
	for i, x := range r.samples {
		up = up && (i == 0 || x.Time > r.samples[i-1].Time)
		if x.Time < least.Time {
			least = x
		}
		if x.Time > most.Time {
			most = x
		}
	}
	if s.Kind != r.kind || s.Count != len(r.samples) || s.First != least.Time || s.Last != most.Time || s.Ascending != up {
		t.Fatalf("seed %d: %+v of %d samples of %s, ascending %v", seed, s, len(r.samples), r.kind, up)
	}
	if !s.Known {
		if up && len(r.samples) >= leastStatistics && r.kind == sample.Bool {
			t.Fatalf("seed %d: bools without statistics", seed)
		}
		return
	}
	low, high, sum := r.samples[0].Value, r.samples[0].Value, new(big.Float).SetPrec(4000)
	for _, x := range r.samples {
		if smaller(x.Value, low) {
			low = x.Value
		}
		if smaller(high, x.Value) {
			high = x.Value
		}
		sum.Add(sum, exact(x.Value))
	}
	if s.Min != low.Bits || s.Max != high.Bits || s.FirstBits != least.Value.Bits || s.LastBits != most.Value.Bits {
		t.Fatalf("seed %d: %+v; want least %x, most %x, first %x, last %x", seed, s, low.Bits, high.Bits, least.Value.Bits, most.Value.Bits)
	}
	got := new(big.Float).SetPrec(4000)
	if r.kind == sample.Float64 {
		a, b := s.Sum.Floats()
		got.Add(new(big.Float).SetPrec(4000).SetFloat64(a), new(big.Float).SetPrec(4000).SetFloat64(b))
		if rounded, _ := sum.Float64(); rounded != a {
			t.Fatalf("seed %d: the rounded sum is %v; want %v", seed, a, rounded)
		}
	} else {
		whole := new(big.Int).Lsh(big.NewInt(int64(s.Sum.High)), 64)
		got.SetInt(whole.Add(whole, new(big.Int).SetUint64(s.Sum.Low)))
	}
	if got.Cmp(sum) != 0 {
		t.Fatalf("seed %d: the sum of %s is %v; want %v", seed, r.kind, got, sum)
	}
}

func smaller(a, b sample.Value) bool {
	if a.Kind == sample.Float64 {
		return a.Float() < b.Float()
	}
	return int64(a.Bits) < int64(b.Bits)
}

func exact(v sample.Value) *big.Float {
	if v.Kind == sample.Float64 {
		return new(big.Float).SetPrec(4000).SetFloat64(v.Float())
	}
	return new(big.Float).SetPrec(4000).SetInt64(int64(v.Bits))
}

// TestRangesAreCutOut holds DecodeRange against Decode.
func TestRangesAreCutOut(t *testing.T) {
	var into Batch
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 12))
		m := longModel(seed)
		body := mustReturn(t, m, &into)
		var wanted []sample.Handle
		for i := range m.runs {
			if r.IntN(2) == 0 {
				wanted = append(wanted, m.runs[i].handle)
			}
		}
		from := 1767571200e9 + r.Int64N(1500e9)
		to := from + r.Int64N(900e9)
		want := model{versions: m.versions, positions: m.positions}
		for _, run := range m.only(wanted).runs {
			run.samples = slices.DeleteFunc(slices.Clone(run.samples), func(s modelSample) bool { return s.Time < from || s.Time >= to })
			if len(run.samples) > 0 {
				want.runs = append(want.runs, run)
			}
		}
		if len(want.runs) == 0 {
			want.versions, want.positions = false, false
		}
		if err := DecodeRange(&into, body, wanted, from, to); err != nil {
			t.Fatal(err)
		}
		if err := into.Validate(); err != nil {
			t.Fatal(err)
		}
		if d := differ(read(&into), want); d != "" {
			t.Fatalf("seed %d: %s", seed, d)
		}
	}
}

// TestTheHigherEffortSaysTheSame: other bytes, not more of them, and the same
// samples.
func TestTheHigherEffortSaysTheSame(t *testing.T) {
	var into Batch
	for seed := range uint64(40) {
		for _, m := range []model{longModel(seed), wideModel(seed, 60)} {
			fast := mustEncode(t, m)
			small, err := EncodeSmall(nil, m.batch())
			if err != nil || len(small) > len(fast) {
				t.Fatalf("seed %d: %d bytes, %v; the fast effort needs %d", seed, len(small), err, len(fast))
			}
			if err := Decode(&into, small); err != nil {
				t.Fatal(err)
			}
			if d := differ(read(&into), m); d != "" {
				t.Fatalf("seed %d: %s", seed, d)
			}
		}
	}
}

// TestDenseHandlesComeBack writes handles that are dense in their shards, and
// such as nearly are.
func TestDenseHandlesComeBack(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 13))
		var b, got Batch
		for shard := sample.Handle(r.IntN(3)); len(b.Handles) < 300; shard += sample.Handle(1 + r.IntN(3)*r.IntN(2)) {
			n := []int{0, 1, 2, 3, 254, 255, 256}[r.IntN(7)]
			for o := range n {
				if seed%4 != 0 || r.IntN(200) > 0 {
					b.AddSample(sample.Sample{Time: 1, Value: sample.IntValue(int64(o))})
					b.EndRun(shard<<32|sample.Handle(o), sample.Int64)
				}
			}
		}
		if seed%5 == 0 {
			i, k := r.IntN(len(b.Handles)), r.IntN(len(b.Handles))
			b.Handles[i], b.Handles[k] = b.Handles[k], b.Handles[i]
		}
		if seed%7 == 0 {
			b.Handles[len(b.Handles)-1] |= 1<<63 | 1<<40
		}
		body, err := Encode(nil, &b)
		if err == nil {
			err = Decode(&got, body)
		}
		if err != nil || !slices.Equal(got.Handles, b.Handles) {
			t.Fatalf("seed %d: %v, or not the same handles", seed, err)
		}
	}
}

func FuzzSummarize(f *testing.F) {
	for seed := range uint64(4) {
		m := longModel(seed)
		m.runs = m.runs[:6]
		f.Add(mustEncode(f, m), int64(1767571300e9), int64(1767571900e9))
	}
	f.Fuzz(func(t *testing.T, body []byte, from, to int64) {
		var b Batch
		for _, b2 := range [][]byte{body, seal(body), seal(body[:max(len(body)-checksum, 0)])} {
			known := func(err error) bool { return err == nil || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrVersion) }
			if _, err := Summarize(nil, b2, nil); !known(err) {
				t.Fatal(err)
			}
			err := DecodeRange(&b, b2, []sample.Handle{0, 3, 6, 9}, from, to)
			if !known(err) {
				t.Fatal(err)
			}
			if err := b.Validate(); err != nil {
				t.Fatal(err)
			}
			for _, at := range b.Times {
				if at < from || at >= to {
					t.Fatalf("a sample at %d is outside of [%d, %d)", at, from, to)
				}
			}
		}
	})
}

func TestNoSumOfTheLargestFloats(t *testing.T) {
	var s statistics
	values := slices.Repeat([]uint64{math.Float64bits(math.MaxFloat64)}, 100)
	if s.ofFloats(values) {
		t.Errorf("the sum of floats that overflows is %v", s.sum)
	}
}
