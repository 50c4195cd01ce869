package journal

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"weir/internal/store"
)

// TestItemsThatWereGivenOutNeverChange folds commits, merges and seals at
// random; each snapshot is held against what it was and against a naive fold.
func TestItemsThatWereGivenOutNeverChange(t *testing.T) {
	type given struct {
		items Items
		copy  []Named
	}
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s, naive := newState(), map[store.ItemKey]bool{}
		var snapshots []given
		unitApply(t, s, unitEpoch(1))
		for n := range uint64(80) {
			flush := store.FlushID{Nonce: n}
			switch rng.IntN(12) {
			case 0:
				unitApply(t, s, &Entry{Seal: &Seal{Revision: rng.IntN(s.Revision() + 1)}})
			case 1, 2, 3, 4:
				unitMergeSome(t, s, rng, flush, naive)
			default:
				c := &Commit{Flush: flush, Revision: s.Revision(), Buckets: 1, Span: int64(time.Hour)}
				for span := range 1 + rng.IntN(3) {
					c.Items = append(c.Items, Item{Span: int64(span) * c.Span, Samples: 1})
					naive[c.Key(c.Items[span])] = true
				}
				unitApply(t, s, &Entry{Commit: c})
			}
			if rng.IntN(2) == 0 {
				g := given{items: s.Items()}
				for n := range g.items.All() {
					g.copy = append(g.copy, *n)
				}
				snapshots = append(snapshots, g)
			}
			unitSame(t, s.Items(), naive)
		}
		for i, g := range snapshots {
			k := 0
			for n := range g.items.All() {
				if k >= len(g.copy) || *n != g.copy[k] {
					t.Fatalf("seed %d: snapshot %d has changed at item %d", seed, i, k)
				}
				k++
			}
			if k != len(g.copy) || g.items.Len() != k {
				t.Fatalf("seed %d: snapshot %d has %d items, Len %d; it had %d", seed, i, k, g.items.Len(), len(g.copy))
			}
		}
	}
}

// unitMergeSome merges some items of a span; now and then it must not count.
func unitMergeSome(t *testing.T, s *State, rng *rand.Rand, flush store.FlushID, naive map[store.ItemKey]bool) {
	t.Helper()
	for span := range s.Items().Spans() {
		if rng.IntN(2) == 0 {
			continue
		}
		m := &Merge{Flush: flush, Revision: span[0].Revision, Buckets: 1, Span: span[0].Length, Items: []Item{{Span: span[0].Key.Span, Samples: 1}}}
		counts := true
		for _, n := range span {
			if n.Revision == m.Revision || rng.IntN(20) == 0 {
				m.Replaces = append(m.Replaces, n.Key)
				counts = counts && n.Revision == m.Revision
			}
		}
		switch rng.IntN(8) {
		case 0:
			m.Flush.Epoch, counts = 9, false
		case 1:
			m.Replaces, counts = append(m.Replaces, store.ItemKey{Span: m.Span * 9}), false
		case 2:
			m.Replaces, counts = append(m.Replaces, m.Replaces[len(m.Replaces)-1]), false
		}
		void := s.Merged().Void
		unitApply(t, s, &Entry{Merge: m})
		if s.NamesFlush(flush) != counts || (s.Merged().Void == void) != counts {
			t.Fatalf("merge %+v counts: %v; want %v", m, !counts, counts)
		}
		if counts {
			for _, key := range m.Replaces {
				delete(naive, key)
			}
			naive[m.Key(m.Items[0])] = true
		}
		return
	}
}

func unitSame(t *testing.T, items Items, naive map[store.ItemKey]bool) {
	t.Helper()
	var keys []store.ItemKey
	last := int64(-1)
	for n := range items.All() {
		if !naive[n.Key] || n.Key.Span < last || slices.Contains(keys, n.Key) {
			t.Fatalf("item %v is current, and must not, or not there", n.Key)
		}
		keys, last = append(keys, n.Key), n.Key.Span
	}
	if len(keys) != len(naive) {
		t.Fatalf("%d items are current; want %d", len(keys), len(naive))
	}
}

// BenchmarkWeekInMemory tells what the fold of a week of flushes of ten seconds
// keeps, with a merge of each minute's.
func BenchmarkWeekInMemory(b *testing.B) {
	for b.Loop() {
		s := newState()
		if _, err := s.apply(unitEpoch(1)); err != nil {
			b.Fatal(err)
		}
		const hour = int64(time.Hour)
		var keys []store.ItemKey
		for n := range uint64(7 * 24 * 360) {
			start := int64(n/360) * hour
			c := &Commit{
				Flush: store.FlushID{Nonce: 2 * n}, Buckets: 1, Span: hour, Items: []Item{{Span: start, Samples: 1}},
				Lives: []Life{{Life: 5, Ranges: []Range{{n, n}}}}, Hours: []Hour{{start, 1}},
			}
			keys = append(keys, c.Key(c.Items[0]))
			if _, err := s.apply(&Entry{Commit: c}); err != nil {
				b.Fatal(err)
			}
			if len(keys) < 6 {
				continue
			}
			m := &Merge{Flush: store.FlushID{Nonce: 2*n + 1}, Buckets: 1, Span: hour, Items: []Item{{Span: start, Samples: 6}}, Replaces: keys}
			if _, err := s.apply(&Entry{Merge: m}); err != nil {
				b.Fatal(err)
			}
			keys = nil
		}
		unitHeap(b, s)
	}
}

// unitHeap reports what a state's parts hold.
func unitHeap(b *testing.B, s *State) {
	b.Helper()
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	all := heap()
	s.flushes = nil
	flushes := heap()
	s.retired = nil
	retired := heap()
	s.commits = nil
	commits := heap()
	runtime.KeepAlive(s)
	b.ReportMetric(all-flushes, "B-flushes")
	b.ReportMetric(flushes-retired, "B-retired")
	b.ReportMetric(retired-commits, "B-commits")
}
