package settle

import (
	"cmp"
	"math/rand/v2"
	"testing"

	"weir/internal/block"
	"weir/internal/sample"
)

type spot struct {
	handle sample.Handle
	time   int64
}

type version struct{ version, position, bits uint64 }

// TestOneSampleASeriesAndTime adds random items and compares with a naive map;
// in batches of any size it is the same.
func TestOneSampleASeriesAndTime(t *testing.T) {
	var c Collector
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		c.Reset()
		want, added := map[spot]version{}, 0
		for position := range uint64(1 + r.IntN(5)) {
			b := &block.Batch{Versions: []uint64{}}
			for h := range sample.Handle(5) {
				at := int64(0)
				for range r.IntN(6) {
					at += 1 + r.Int64N(3)
					now := version{r.Uint64N(3), position, r.Uint64()}
					b.AddSample(sample.Sample{Time: at, Value: sample.Value{Kind: sample.Int64, Bits: now.bits}})
					b.Versions = append(b.Versions, now.version)
					was, ok := want[spot{h, at}]
					if !ok || cmp.Or(cmp.Compare(was.version, now.version), cmp.Compare(was.position, now.position)) < 0 {
						want[spot{h, at}] = now
					}
					added++
				}
				b.EndRun(h, sample.Int64)
			}
			c.Add(b, position)
		}
		got, last := map[spot]version{}, spot{time: -1}
		err := c.Each(cmp.Compare[sample.Handle], 1+r.IntN(10), func(b *block.Batch) error {
			for run, h := range b.Handles {
				start, end := b.Run(run)
				for i := start; i < end; i++ {
					now := spot{h, b.Times[i]}
					if cmp.Or(cmp.Compare(last.handle, now.handle), cmp.Compare(last.time, now.time)) >= 0 {
						t.Fatalf("seed %d: %v comes after %v", seed, now, last)
					}
					got[now], last = version{b.Versions[i], b.Positions[i], b.Bits[i]}, now
				}
			}
			return nil
		})
		if err != nil || len(got) != len(want) || int(c.Overwritten()) != added-len(want) || c.Samples() != added {
			t.Fatalf("seed %d: %d samples, %d overwritten of %d, %v; want %d", seed, len(got), c.Overwritten(), added, err, len(want))
		}
		for at, w := range want {
			if got[at] != w {
				t.Fatalf("seed %d: at %v there is %v; want %v", seed, at, got[at], w)
			}
		}
		if n := c.Batch().Samples(); n != len(want) {
			t.Errorf("seed %d: the batch has %d samples; want %d", seed, n, len(want))
		}
	}
}

// TestHalvesAreAll divides a batch by series, and one series by time.
func TestHalvesAreAll(t *testing.T) {
	for _, runs := range []int{1, 2, 5} {
		b := &block.Batch{Versions: []uint64{}, Positions: []uint64{}}
		for h := range runs {
			for i := range 4 {
				b.AddSample(sample.Sample{Time: int64(i), Value: sample.IntValue(int64(h))})
				b.Versions, b.Positions = append(b.Versions, 1), append(b.Positions, 2)
			}
			b.EndRun(sample.Handle(h), sample.Int64)
		}
		n := 0
		for _, half := range Halves(b) {
			if half.Samples() == 0 || half.Validate() != nil {
				t.Errorf("%d runs: a half has %d samples, %v", runs, half.Samples(), half.Validate())
			}
			n += half.Samples()
		}
		if n != b.Samples() {
			t.Errorf("%d runs: the halves have %d samples; want %d", runs, n, b.Samples())
		}
	}
}

// TestDivideLosesNothing divides random batches and compares sample by sample.
func TestDivideLosesNothing(t *testing.T) {
	var d Division
	kept, gone := &d.Kept, &d.Gone
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		b := &block.Batch{Versions: []uint64{}, Positions: []uint64{}}
		for h := range sample.Handle(4) {
			at := int64(-3)
			for range r.IntN(8) {
				at += 1 + r.Int64N(2)
				b.AddSample(sample.Sample{Time: at, Value: sample.StringValue(string('a' + rune(r.IntN(26)))), Quality: sample.Quality(r.IntN(2))})
				b.Versions, b.Positions = append(b.Versions, r.Uint64()), append(b.Positions, r.Uint64())
			}
			b.EndRun(h, sample.String)
		}
		from, to := r.Int64N(6)-3, r.Int64N(9)
		goes := func(h sample.Handle) bool { return h%2 == 1 }
		d.Divide(b, goes, from, to)
		if kept.Validate() != nil || gone.Validate() != nil || kept.Samples()+gone.Samples() != b.Samples() {
			t.Fatalf("seed %d: %d kept, %d gone of %d: %v, %v", seed, kept.Samples(), gone.Samples(), b.Samples(), kept.Validate(), gone.Validate())
		}
		next := map[*block.Batch]int{}
		for run, h := range b.Handles {
			start, end := b.Run(run)
			for i := start; i < end; i++ {
				of := kept
				if goes(h) && b.Times[i] >= from && b.Times[i] < to {
					of = gone
				}
				n := next[of]
				next[of]++
				if of.Times[n] != b.Times[i] || of.Value(sample.String, n) != b.Value(sample.String, i) || of.Quality(n) != b.Quality(i) ||
					of.Versions[n] != b.Versions[i] || of.Positions[n] != b.Positions[i] {
					t.Fatalf("seed %d: sample %d of run %d is not what it was", seed, i, run)
				}
			}
		}
	}
}
