package block

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"weir/internal/sample"
)

// model is a batch as plainly as it can be written.
type model struct {
	runs      []modelRun
	versions  bool
	positions bool
}

type modelRun struct {
	handle  sample.Handle
	key     string
	keyed   bool
	kind    sample.Kind
	samples []modelSample
}

type modelSample struct {
	sample.Sample
	version  uint64
	position uint64
}

// batch makes the batch that m stands for.
func (m model) batch() *Batch {
	b := new(Batch)
	if m.versions {
		b.Versions = []uint64{}
	}
	if m.positions {
		b.Positions = []uint64{}
	}
	for _, r := range m.runs {
		for _, s := range r.samples {
			b.AddSample(s.Sample)
			if m.versions {
				b.Versions = append(b.Versions, s.version)
			}
			if m.positions {
				b.Positions = append(b.Positions, s.position)
			}
		}
		if r.keyed {
			b.EndKeyRun(r.key, r.kind)
		} else {
			b.EndRun(r.handle, r.kind)
		}
	}
	return b
}

// read is the inverse of batch.
func read(b *Batch) model {
	m := model{versions: b.Versions != nil, positions: b.Positions != nil}
	for i := range b.Runs() {
		r := modelRun{kind: b.Kinds[i]}
		if i < len(b.Handles) {
			r.handle = b.Handles[i]
		} else {
			r.key, r.keyed = b.Keys[i-len(b.Handles)], true
		}
		start, end := b.Run(i)
		for j := start; j < end; j++ {
			s := modelSample{Sample: sample.Sample{
				Time: b.Times[j], Value: b.Value(r.kind, j), Quality: b.Quality(j),
			}}
			if m.versions {
				s.version = b.Versions[j]
			}
			if m.positions {
				s.position = b.Positions[j]
			}
			r.samples = append(r.samples, s)
		}
		m.runs = append(m.runs, r)
	}
	return m
}

// only gives what DecodeSeries must give for sorted handles.
func (m model) only(handles []sample.Handle) model {
	m.runs = slices.DeleteFunc(slices.Clone(m.runs), func(r modelRun) bool {
		return r.keyed || !slices.Contains(handles, r.handle)
	})
	return m
}

// differ says where two models differ, or nothing.
func differ(got, want model) string {
	if got.versions != want.versions || got.positions != want.positions {
		return fmt.Sprintf("columns: got %v %v, want %v %v", got.versions, got.positions, want.versions, want.positions)
	}
	if len(got.runs) != len(want.runs) {
		return fmt.Sprintf("got %d runs, want %d", len(got.runs), len(want.runs))
	}
	for i, g := range got.runs {
		w := want.runs[i]
		if g.handle != w.handle || g.key != w.key || g.keyed != w.keyed || g.kind != w.kind {
			return fmt.Sprintf("run %d: got %x %q %v %s, want %x %q %v %s",
				i, g.handle, g.key, g.keyed, g.kind, w.handle, w.key, w.keyed, w.kind)
		}
		if len(g.samples) != len(w.samples) {
			return fmt.Sprintf("run %d: got %d samples, want %d", i, len(g.samples), len(w.samples))
		}
		for j := range g.samples {
			if g.samples[j] != w.samples[j] {
				return fmt.Sprintf("run %d, sample %d: got %+v, want %+v", i, j, g.samples[j], w.samples[j])
			}
		}
	}
	return ""
}

// summary gives what Inspect must say.
func (m model) summary() Outline {
	var s Outline
	for _, r := range m.runs {
		if r.keyed {
			s.Keyed++
		} else {
			s.Registered++
		}
		for _, x := range r.samples {
			if s.Samples == 0 {
				s.MinTime, s.MaxTime = x.Time, x.Time
			}
			s.MinTime, s.MaxTime = min(s.MinTime, x.Time), max(s.MaxTime, x.Time)
			s.Samples++
		}
	}
	return s
}

// The values that codecs stumble over.
var (
	oddFloats = []uint64{
		0, 1 << 63, // both zeros
		1, 0x000FFFFFFFFFFFFF, 1<<63 | 1, // subnormals
		0x7FF0000000000000, 0xFFF0000000000000, // infinities
		0x7FF8000000000000, 0x7FF8000000000001, 0x7FF0000000000001, 0xFFFFFFFFFFFFFFFF, // NaNs
		math.Float64bits(1e300), math.Float64bits(-1e300), math.Float64bits(math.MaxFloat64),
		math.Float64bits(1 << 51), math.Float64bits(1<<51 - 1), math.Float64bits(-(1 << 53)), math.Float64bits(1 << 63),
		math.Float64bits(0.1), math.Float64bits(-0.3), math.Float64bits(1e-15), math.Float64bits(1.0 / 3), math.Float64bits(0.1 + 0.2),
	}
	oddInts  = []int64{0, 1, -1, math.MaxInt64, math.MinInt64, math.MaxInt64 - 1, 1 << 53, 127, 128, -64}
	oddTimes = []int64{0, -1, math.MaxInt64, math.MinInt64, 1767571200e9, 1767571210e9, 1767571200e9 + 1}
)

func genValue(kind sample.Kind) *rapid.Generator[sample.Value] {
	return rapid.Custom(func(t *rapid.T) sample.Value {
		v := sample.Value{Kind: kind}
		switch kind {
		case sample.Float64:
			v.Bits = rapid.OneOf(
				rapid.SampledFrom(oddFloats), rapid.Uint64(),
				rapid.Map(rapid.IntRange(-1e6, 1e6), func(i int) uint64 { return math.Float64bits(float64(i) / 1000) }),
			).Draw(t, "float")
		case sample.Int64:
			v.Bits = uint64(rapid.OneOf(rapid.SampledFrom(oddInts), rapid.Int64(), rapid.Int64Range(0, 100)).Draw(t, "int"))
		case sample.Bool:
			v.Bits = uint64(rapid.IntRange(0, 1).Draw(t, "bool"))
		case sample.String:
			v.Text = rapid.OneOf(rapid.SampledFrom([]string{"", "on", "off", "\xff\x00"}), rapid.String()).Draw(t, "text")
		}
		return v
	})
}

func genModel() *rapid.Generator[model] {
	kinds := rapid.SampledFrom([]sample.Kind{sample.Float64, sample.Int64, sample.Bool, sample.String})
	times := rapid.OneOf(rapid.SampledFrom(oddTimes), rapid.Int64(),
		rapid.Map(rapid.Int64Range(0, 100), func(i int64) int64 { return 1767571200e9 + i*1e9 }))
	qualities := rapid.OneOf(rapid.Just(sample.Good), rapid.Map(rapid.Uint32(), func(q uint32) sample.Quality { return sample.Quality(q) }))
	numbers := rapid.OneOf(rapid.Uint64Range(0, 3), rapid.Uint64())
	return rapid.Custom(func(t *rapid.T) model {
		m := model{versions: rapid.Bool().Draw(t, "versions"), positions: rapid.Bool().Draw(t, "positions")}
		good := rapid.Bool().Draw(t, "all good")
		registered := rapid.IntRange(0, 8).Draw(t, "registered")
		keyed := rapid.IntRange(0, 3).Draw(t, "keyed")
		shared := rapid.SliceOfN(times, 0, 12).Draw(t, "shared times")
		for i := range registered + keyed {
			r := modelRun{kind: kinds.Draw(t, "kind"), keyed: i >= registered}
			if r.keyed {
				r.key = rapid.String().Draw(t, "key")
			} else {
				r.handle = sample.Handle(rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 9)).Draw(t, "handle"))
			}
			stamps := shared
			if rapid.Bool().Draw(t, "own times") {
				stamps = rapid.SliceOfN(times, 0, 12).Draw(t, "times")
			}
			for _, at := range stamps {
				s := modelSample{Sample: sample.Sample{Time: at, Value: genValue(r.kind).Draw(t, "value")}}
				if !good {
					s.Quality = qualities.Draw(t, "quality")
				}
				if m.versions {
					s.version = numbers.Draw(t, "version")
				}
				if m.positions {
					s.position = numbers.Draw(t, "position")
				}
				r.samples = append(r.samples, s)
			}
			m.runs = append(m.runs, r)
		}
		return m
	})
}

// wideModel makes a model of many series from a seed.
func wideModel(seed uint64, series int) model {
	r := rand.New(rand.NewPCG(seed, 5))
	m := model{versions: r.IntN(2) == 0, positions: r.IntN(2) == 0}
	most := 1 + r.IntN(40)
	spread := []int64{1, 1e3, 1e6, 1e9}[r.IntN(4)]
	for i := range series {
		run := modelRun{kind: sample.Kind(1 + r.IntN(4)), handle: sample.Handle(r.IntN(1024))<<32 | sample.Handle(r.IntN(99))}
		if i >= series*9/10 {
			run.handle, run.key, run.keyed = 0, strings.Repeat("key", r.IntN(5))+fmt.Sprint(i), true
		}
		at := 1767571200e9 + r.Int64N(60)*spread
		v := r.IntN(1e6)
		odd := r.IntN(4) == 0
		for range r.IntN(most) {
			at += 10 * spread
			if r.IntN(9) == 0 {
				at += r.Int64N(99) * spread
			}
			v += r.IntN(9)
			s := modelSample{Sample: sample.Sample{Time: at}}
			switch run.kind {
			case sample.Float64:
				s.Value = sample.FloatValue(float64(v) / 1000)
				if odd {
					s.Value = sample.FloatValue(r.NormFloat64())
				}
			case sample.Int64:
				s.Value = sample.IntValue(int64(v))
			case sample.Bool:
				s.Value = sample.BoolValue(v%2 == 0)
			case sample.String:
				s.Value = sample.StringValue(fmt.Sprint("state ", v%7))
			}
			if r.IntN(50) == 0 {
				s.Quality = 0x80000000
			}
			if m.versions {
				s.version = 1767571200e9 + uint64(r.IntN(2))
			}
			if m.positions {
				s.position = uint64(r.IntN(3))
			}
			run.samples = append(run.samples, s)
		}
		m.runs = append(m.runs, run)
	}
	return m
}
