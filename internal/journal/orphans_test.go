package journal

import (
	"context"
	"testing"
	"time"

	"weir/internal/sample"
	"weir/internal/store"
)

// unitWeek makes a week of two partitions whose first journal a writer holds.
func unitWeek(t *testing.T, s store.Store) (*Book, *Writer, VolumeRecord) {
	t.Helper()
	b := NewBook(s, 2, unitRandom(7), nil)
	if _, err := b.EnsureWeek(t.Context(), 2900); err != nil {
		t.Fatal(err)
	}
	v, err := b.Volume(t.Context(), 2900, 0)
	if err != nil {
		t.Fatal(err)
	}
	return b, unitTake(t, b, 0, 3), v
}

func unitTake(t *testing.T, b *Book, partition int, seed uint64) *Writer {
	t.Helper()
	w, err := OpenWriter(t.Context(), b.Journal(store.JournalID{Week: 2900, Partition: partition}), "w", unitRandom(seed))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func unitPut(t *testing.T, s store.Store, table string, flushes ...store.FlushID) {
	t.Helper()
	for _, f := range flushes {
		if err := s.Write(t.Context(), table, []store.Item{{Key: store.ItemKey{Flush: f}, Body: []byte("item")}}); err != nil {
			t.Fatal(err)
		}
	}
}

// unitLeft gives the flushes whose items a table has.
func unitLeft(t *testing.T, s *unitStore, table string) map[store.FlushID]bool {
	t.Helper()
	left := map[store.FlushID]bool{}
	if err := s.Store.(store.Lister).Keys(t.Context(), table, func(k store.ItemKey) bool { left[k.Flush] = true; return true }); err != nil {
		t.Fatal(err)
	}
	return left
}

// unitLister is a unitStore that lists keys, and does something in between.
type unitLister struct {
	*unitStore
	after func()
}

func (l unitLister) Keys(ctx context.Context, table string, yield func(store.ItemKey) bool) error {
	err := l.Store.(store.Lister).Keys(ctx, table, yield)
	if l.after != nil {
		l.after()
	}
	return err
}

func TestOnlyWhatNobodyCanNameIsAnOrphan(t *testing.T) {
	s := unitPebble(t)
	b, first, v := unitWeek(t, s)
	b.store = unitLister{unitStore: s}
	crashed, named := first.NewFlush(), first.NewFlush()
	old := store.FlushID{Epoch: crashed.Epoch, Nonce: 900 << (64 - partitionBits)} // version 1: of no partition
	other := newFlushID(store.JournalID{Week: 2900, Partition: 1}, 0, 5)           // of a journal that nobody took over
	unitPut(t, s, v.Table, crashed, named, old, other)
	commit := &Commit{Flush: named, Buckets: 1, Span: int64(time.Hour), Items: []Item{{Samples: 1, Bytes: 4}}}
	if err := first.Commit(t.Context(), commit); err != nil {
		t.Fatal(err)
	}
	sweep := func(want int) {
		t.Helper()
		if n, err := b.SweepOrphans(t.Context(), 2900, 0); n != want || err != nil {
			t.Fatalf("%d orphans, %v; want %d", n, err, want)
		}
	}
	sweep(0) // all may be named yet
	second := unitTake(t, b, 0, 4)
	underWay := second.NewFlush()
	merge, ok := b.NewMerge(b.Journal(first.Journal().ID()))
	if !ok {
		t.Fatal("the journal is taken over, and gives no id for a merge")
	}
	unitPut(t, s, v.Table, underWay, merge)
	sweep(2) // crashed and old
	if left := unitLeft(t, s, v.Table); len(left) != 4 || !left[named] || !left[other] || !left[underWay] || !left[merge] {
		t.Errorf("%v are left", left)
	}
	unitTake(t, b, 1, 5) // its epoch is at 0, which other's flush carries
	sweep(0)
	unitTake(t, b, 1, 6)
	sweep(1)
	// An epoch, and a commit before it, that come while keys are listed.
	b.store = unitLister{s, func() {
		second.Journal().View(func(*State) {})
		commit := &Commit{Flush: underWay, Buckets: 1, Span: int64(time.Hour), Items: []Item{{Samples: 1, Bytes: 4}}}
		if err := second.Commit(t.Context(), commit); err != nil {
			t.Error(err)
		}
		unitTake(t, b, 0, 8)
	}}
	sweep(1) // the merge, and not what the commit names
	if left := unitLeft(t, s, v.Table); len(left) != 2 || !left[named] || !left[underWay] {
		t.Errorf("%v are left", left)
	}
}

// TestASweepThatWasCutShortIsFinishedByAnother: the first raises the record and
// dies; the second has read less of the journal than the record says.
func TestASweepThatWasCutShortIsFinishedByAnother(t *testing.T) {
	s := unitPebble(t)
	b, w, v := unitWeek(t, s)
	id := w.Journal().ID()
	replace := func() store.FlushID {
		flush := w.NewFlush()
		unitPut(t, s, v.Table, flush)
		commit := &Commit{Flush: flush, Buckets: 1, Span: int64(time.Hour), Items: []Item{{Samples: 1, Bytes: 4}}}
		if err := w.Commit(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
		merged, _ := b.NewMerge(b.Journal(id))
		unitPut(t, s, v.Table, merged)
		m := &Merge{Flush: merged, Buckets: 1, Span: int64(time.Hour), Items: []Item{{Bucket: sample.Shard(0), Samples: 1, Bytes: 4}}, Replaces: []store.ItemKey{commit.Key(commit.Items[0])}}
		if counts, err := b.Merge(t.Context(), id, m); !counts || err != nil {
			t.Fatal(counts, err)
		}
		return flush
	}
	early := replace()
	second := NewBook(s, 2, unitRandom(9), nil)
	if err := second.Journal(id).Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	late := replace()
	cut := []uint64{unitCut(b.Journal(id)), 0}
	if _, err := b.turn(t.Context(), VolumeID{2900, 0}, func(v *VolumeRecord) (bool, error) { return v.remove(cut, time.Now()), nil }); err != nil {
		t.Fatal(err)
	}
	if n, err := second.Sweep(t.Context(), 2900, 0, cut, time.Now()); n != 2 || err != nil {
		t.Errorf("%d removed, %v; want 2", n, err)
	}
	if left := unitLeft(t, s, v.Table); left[early] || left[late] || len(left) != 2 {
		t.Errorf("%v are left", left)
	}
}
