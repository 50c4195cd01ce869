package journal

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

// TestNumbersAreASet holds Numbers against a plain set, both at the small end
// and where numbers run out.
func TestNumbersAreASet(t *testing.T) {
	const span = 40
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.SampledFrom([]uint64{0, 7, math.MaxUint64 - span + 1}).Draw(t, "base")
		var s Numbers
		plain := [span]bool{}
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			from := rapid.IntRange(0, span-1).Draw(t, "from")
			to := rapid.IntRange(from, min(from+6, span-1)).Draw(t, "to")
			r := Range{base + uint64(from), base + uint64(to)}
			if touched := slices.Contains(plain[from:to+1], true); s.overlaps(r) != touched {
				t.Fatalf("%v overlaps %v: %v; want %v", s, r, !touched, touched)
			}
			switch rapid.IntRange(0, 2).Draw(t, "op") {
			case 0:
				s = s.Add(r)
				for i := from; i <= to; i++ {
					plain[i] = true
				}
			case 1:
				s = s.AddNumber(r.From)
				plain[from] = true
			case 2:
				s = s.Remove(r.From)
				plain[from] = false
			}
			same(t, s, plain[:], base)
		}
	})
}

func same(t *rapid.T, s Numbers, plain []bool, base uint64) {
	for i, in := range plain {
		if s.Has(base+uint64(i)) != in {
			t.Fatalf("%v has %d: %v; want %v", s, base+uint64(i), !in, in)
		}
	}
	for i, r := range s {
		if r.To < r.From || i > 0 && r.From <= s[i-1].To+1 {
			t.Fatalf("%v is not in order, or parts of it touch", s)
		}
	}
	through := 0
	for base == 0 && through < len(plain) && plain[through] {
		through++
	}
	if s.Through() != uint64(through) {
		t.Fatalf("%v goes through to %d; want %d", s, s.Through(), through)
	}
}

// fold is the naive reading of entries.
type fold struct {
	kinds   map[string]sample.Kind
	order   map[sample.Shard][]string
	named   map[message.ID]bool
	flushes []store.FlushID
	horizon message.Stamp
	stored  uint64
}

// TestStateFoldsEntries holds State against a naive fold of random entries.
func TestStateFoldsEntries(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s, f := newState(), &fold{kinds: map[string]sample.Kind{}, order: map[sample.Shard][]string{}, named: map[message.ID]bool{}}
		epoch := uint64(0)
		for position := range uint64(30) {
			e := randomEntry(rng, f)
			if e.Epoch != nil {
				epoch = position + 1
			}
			news, err := s.apply(e)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			for _, n := range news {
				if f.order[n.Handle.Shard()][n.Handle.Ordinal()] != n.Key {
					t.Fatalf("seed %d: %q is new as ordinal %d of shard %d", seed, n.Key, n.Handle.Ordinal(), n.Handle.Shard())
				}
			}
			if s.Cut() != position+1 || s.epoch != epoch || s.Horizon(Steady) != f.horizon || s.Samples() != f.stored || len(s.Commits()) != len(f.flushes) {
				t.Fatalf("seed %d, position %d: cut %d, epoch %d, horizon %d, %d samples, %d commits; want %+v", seed, position, s.Cut(), s.epoch, s.Horizon(Steady), s.Samples(), len(s.Commits()), f)
			}
		}
		sameSeries(t, s, f)
		for id, named := range f.named {
			if s.Named(id) != named {
				t.Fatalf("seed %d: message %v is named: %v", seed, id, !named)
			}
		}
	}
}

// randomEntry makes an entry and folds it naively.
func randomEntry(rng *rand.Rand, f *fold) *Entry {
	switch rng.IntN(3) {
	case 0:
		return &Entry{Epoch: &Epoch{}}
	case 1:
		r := &Register{}
		for range 1 + rng.IntN(3) {
			key := sample.Series{Metric: string(rune('a' + rng.IntN(26)))}.Key()
			kind := sample.Kind(1 + rng.IntN(4))
			r.Series = append(r.Series, Registration{key, kind})
			if f.kinds[key] == 0 {
				f.kinds[key] = kind
				shard := sample.KeyID([]byte(key)).Shard()
				f.order[shard] = append(f.order[shard], key)
			}
		}
		return &Entry{Register: r}
	}
	c := &Commit{Flush: store.FlushID{Nonce: rng.Uint64()}, Horizon: message.Stamp(rng.IntN(1000))}
	for life := range message.Life(1 + rng.IntN(2)) {
		l := Life{Life: life, Samples: uint64(10 + rng.IntN(10))}
		for range 1 + rng.IntN(3) {
			n := rng.Uint64N(50)
			f.named[message.ID{Life: life, Number: n}] = true
			l.Ranges = append(l.Ranges, Range{n, n})
		}
		f.named[message.ID{Life: life, Number: 99}] = false
		c.Lives = append(c.Lives, l)
		f.stored += l.Samples
	}
	if rng.IntN(2) == 0 {
		c.Quarantined = []Refusal{{Samples: 4}, {Samples: 1}}
		f.stored -= 5
	}
	f.flushes = append(f.flushes, c.Flush)
	f.horizon = max(f.horizon, c.Horizon)
	return &Entry{Commit: c}
}

func sameSeries(t *testing.T, s *State, f *fold) {
	t.Helper()
	n := 0
	for shard, keys := range f.order {
		for ordinal, key := range keys {
			n++
			h := sample.NewHandle(shard, uint32(ordinal))
			if got, kind, ok := s.Handle(key); got != h || kind != f.kinds[key] || !ok {
				t.Errorf("%q is %v of kind %v, %v; want %v of kind %v", key, got, kind, ok, h, f.kinds[key])
			}
			if r, ok := s.Registration(h); r.Key != key || r.Kind != f.kinds[key] || !ok {
				t.Errorf("handle %v is %+v, %v; want %q", h, r, ok, key)
			}
		}
		if _, ok := s.Registration(sample.NewHandle(shard, uint32(len(keys)))); ok {
			t.Errorf("shard %d knows one ordinal too many", shard)
		}
	}
	s.Ordinals(func(shard sample.Shard, got int) {
		n -= got
		if got != len(f.order[shard]) {
			t.Errorf("shard %d has %d series; want %d", shard, got, len(f.order[shard]))
		}
	})
	if _, _, ok := s.Handle("\x07unknown"); ok || n != 0 || s.Series() != len(f.kinds) {
		t.Errorf("%d series, %d not told by shard, an unknown one known: %v; want %d", s.Series(), n, ok, len(f.kinds))
	}
}

func TestAFlushIsCommittedOnce(t *testing.T) {
	s := newState()
	e := &Entry{Commit: &Commit{Flush: store.FlushID{Epoch: 1, Nonce: 2}}}
	if _, err := s.apply(e); err != nil {
		t.Fatal(err)
	}
	if _, err := s.apply(e); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a flush that is committed twice: %v; want ErrCorrupt", err)
	}
}

func TestCommitsThatWereGivenDoNotChange(t *testing.T) {
	s := newState()
	for n := range uint64(20) {
		before := s.Commits()
		if _, err := s.apply(&Entry{Commit: &Commit{Flush: store.FlushID{Nonce: n}}}); err != nil {
			t.Fatal(err)
		}
		if len(before) != int(n) || len(append(before, Placed{})) != int(n)+1 || s.Commits()[n].Commit == nil {
			t.Fatalf("the commits given ahead of the one at %d changed, or changed it", n)
		}
	}
}

func TestVersionOfLateMessages(t *testing.T) {
	for _, v := range []struct {
		stamp, before, horizon message.Stamp
		want                   uint64
	}{{5, 4, 9, 9}, {9, 4, 9, 9}, {4, 4, 9, 4}, {3, 4, 9, 3}, {1, 0, 1, 1}} {
		if got := Version(v.stamp, v.before, v.horizon); got != v.want {
			t.Errorf("stamp %d, horizons %d and %d: version %d; want %d", v.stamp, v.before, v.horizon, got, v.want)
		}
	}
}
