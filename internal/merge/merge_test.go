package merge

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"weir/internal/journal"
	"weir/internal/sample"
	"weir/internal/store"
)

// TestMergingIsInvisible flushes, merges, sweeps, seals and restarts at
// random, and wants every reader to find the rows that a naive model has, with
// their versions and positions, and no sample unaccounted for.
func TestMergingIsInvisible(t *testing.T) {
	for seed := range uint64(12) {
		partitions := 1 + int(seed%3)
		r := newRig(t, seed, partitions, 12)
		for range 60 {
			switch n := r.rng.IntN(20); {
			case n < 14:
				r.flush(r.rng.IntN(partitions), 1+r.rng.IntN(8))
			case n < 17:
				r.pass(time.Duration(r.rng.IntN(50)) * time.Second)
			case n < 18:
				r.pass(2 * time.Minute)
			case n < 19:
				r.open(partitions)
			default:
				r.seal()
			}
			r.check(seed)
		}
		for range 4 { // all settles, and then what it replaced goes
			r.pass(2 * time.Minute)
		}
		r.check(seed)
		if current, held := r.items(); current != held {
			t.Errorf("seed %d: %d items count, and the tables hold %d", seed, current, held)
		}
		if c := r.merger.Counts(); c.Merges+c.Swept+c.Orphans == 0 {
			t.Errorf("seed %d: nothing was done: %+v", seed, c)
		}
	}
}

func (r *rig) seal() {
	r.t.Helper()
	volumes, err := r.book.Volumes(r.t.Context(), r.week)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.book.SealVolume(r.t.Context(), r.week, volumes[len(volumes)-1].Revision); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) check(seed uint64) {
	r.t.Helper()
	rows, samples := r.found()
	if !maps.Equal(rows, r.wanted) {
		r.t.Fatalf("seed %d: readers find %d rows, and %d are wanted; or not the same", seed, len(rows), len(r.wanted))
	}
	overwritten := 0
	for partition := range r.writers {
		r.book.Journal(r.id(partition)).View(func(s *journal.State) { overwritten += int(s.Merged().Overwritten) })
	}
	if samples+overwritten != r.stored {
		r.t.Fatalf("seed %d: %d samples in items and %d overwritten by merges; commits stored %d", seed, samples, overwritten, r.stored)
	}
}

// TestASettledSpanIsOneRunASeries: once nothing comes any more, each series of
// a span is in one item, of about the size that is aimed at.
func TestASettledSpanIsOneRunASeries(t *testing.T) {
	r := newRig(t, 1, 1, 40)
	for range 30 {
		r.flush(0, 3)
		r.pass(time.Second)
	}
	before, _ := r.items()
	r.pass(2 * time.Minute)
	r.pass(2 * time.Minute)
	after, held := r.items()
	if after >= before || held != after {
		t.Errorf("%d items became %d, and the table holds %d", before, after, held)
	}
	for span := range r.book.Journal(r.id(0)).Snapshot().Items.Spans() {
		covered := map[sample.Shard]bool{}
		for i := range span {
			from, to := span[i].Shards()
			for s := from; s < to; s++ {
				if covered[s] {
					t.Errorf("shard %d is in two items of the span at %d", s, span[i].Key.Span)
				}
				covered[s] = true
			}
			if n := span[i].Samples; n > 4*40 {
				t.Errorf("an item has %d samples; 40 are aimed at", n)
			}
		}
	}
}

// TestASampleIsRewrittenFewTimes bounds the write amplification: the samples
// that merges rewrite, over those that flushes wrote.
func TestASampleIsRewrittenFewTimes(t *testing.T) {
	r := newRig(t, 2, 1, 8)
	const flushes = 200
	for range flushes {
		r.flush(0, 4)
		r.pass(time.Second)
	}
	r.pass(2 * time.Minute)
	times := float64(r.merger.Counts().Samples) / float64(r.stored)
	// 3 at once of 200: each power of 3 below 200 rewrites a sample once, and
	// settling once more.
	if times > 6.5 {
		t.Errorf("each sample was rewritten %.1f times", times)
	}
	t.Logf("each sample was rewritten %.1f times in %d merges", times, r.merger.Counts().Merges)
}

// TestLateSamplesDoNotRewriteTheirSpan: a trickle into a settled span is
// gathered until it is worth it.
func TestLateSamplesDoNotRewriteTheirSpan(t *testing.T) {
	r := newRig(t, 3, 1, 40)
	for range 40 {
		r.flush(0, 12)
	}
	r.pass(0)
	r.pass(2 * time.Minute)
	settled := r.merger.Counts().Samples
	r.flush(0, 1)
	r.pass(0)
	r.pass(2 * time.Minute)
	if now := r.merger.Counts().Samples; now > settled+uint64(r.stored)/4 {
		t.Errorf("a few late samples rewrote %d", now-settled)
	}
}

// TestOrphansAreSweptAfterATakeover: the items of a flush that was killed
// ahead of its commit go once another writer has the journal, and no sooner.
func TestOrphansAreSweptAfterATakeover(t *testing.T) {
	r := newRig(t, 4, 2, 12)
	r.flush(0, 3)
	key := store.ItemKey{Span: r.week.Start(), Flush: r.writers[1].NewFlush()}
	if err := r.store.Write(t.Context(), "samples_2026_w03", []store.Item{{Key: key, Body: []byte("not named")}}); err != nil {
		t.Fatal(err)
	}
	r.pass(time.Hour)
	if n := r.merger.Counts().Orphans; n != 0 {
		t.Errorf("%d items were removed that may yet be named", n)
	}
	r.open(2)
	r.pass(0)
	if n := r.merger.Counts().Orphans; n != 1 {
		t.Errorf("%d orphans were removed; want 1", n)
	}
	r.check(4)
}

// TestAnUnreadableItemIsLeftAlone: it stays, is counted, and the others of its
// span are merged.
func TestAnUnreadableItemIsLeftAlone(t *testing.T) {
	r := newRig(t, 5, 1, 12)
	for range 6 {
		r.flush(0, 5)
	}
	var bad *journal.Named
	for span := range r.book.Journal(r.id(0)).Snapshot().Items.Spans() {
		if len(span) > 2 {
			bad = &span[0]
		}
	}
	body := r.body(bad)
	body[len(body)/2] ^= 1
	if err := r.store.Write(t.Context(), "samples_2026_w03", []store.Item{{Key: bad.Key, Body: body}}); err != nil {
		t.Fatal(err)
	}
	r.clock = r.clock.Add(time.Minute)
	failures := 0
	for range 8 {
		r.clock = r.clock.Add(2 * time.Minute)
		if err := r.merger.Pass(t.Context()); err != nil {
			failures++
		}
	}
	c := r.merger.Counts()
	if failures != 1 || c.Unreadable != 1 || c.Merges == 0 {
		t.Errorf("%d passes failed, %+v; want one, and merges of the others", failures, c)
	}
	if r.body(bad) == nil {
		t.Error("the item is gone")
	}
}

// TestADropThatWasCutShortIsFinished: the record says dropped, the table is
// there; the next start removes it.
func TestADropThatWasCutShortIsFinished(t *testing.T) {
	r := newRig(t, 6, 1, 4)
	r.flush(0, 3)
	r.seal()
	v, err := r.book.Volume(t.Context(), r.week, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.book.DiscardVolume(t.Context(), r.week, 0, r.clock); err != nil {
		t.Fatal(err)
	}
	if err := r.store.Ensure(t.Context(), v.Table); err != nil { // as if its drop had not happened
		t.Fatal(err)
	}
	if err := r.merger.finishDrops(t.Context()); err != nil {
		t.Fatal(err)
	}
	if names, err := r.store.Names(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("the tables are %v, %v", names, err)
	}
}

// damaged is a store that cannot read one item.
type damaged struct {
	store.Store
	key store.ItemKey
}

func (d *damaged) Query(ctx context.Context, table string, bucket sample.Shard, from, to int64, yield func(store.Item) bool) error {
	met := false
	err := d.Store.Query(ctx, table, bucket, from, to, func(i store.Item) bool {
		if i.Key == d.key {
			met = true
			return true
		}
		return yield(i)
	})
	if err == nil && met {
		err = &store.Unreadable{Keys: []store.ItemKey{d.key}, Err: store.ErrCorrupt}
	}
	return err
}

// TestWhatTheStoreCannotReadIsLeftAlone: damage below the blocks keeps no other
// item from being merged.
func TestWhatTheStoreCannotReadIsLeftAlone(t *testing.T) {
	r := newRig(t, 7, 1, 12)
	for range 8 {
		r.flush(0, 5)
	}
	d := &damaged{Store: r.store}
	for span := range r.book.Journal(r.id(0)).Snapshot().Items.Spans() {
		if len(span) > 2 {
			d.key = span[0].Key
		}
	}
	r.merger.tables = d
	for range 8 {
		r.clock = r.clock.Add(2 * time.Minute)
		if err := r.merger.Pass(t.Context()); err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Fatal(err)
		}
	}
	c := r.merger.Counts()
	if c.Unreadable != 1 || c.Merges == 0 {
		t.Errorf("%+v; want one item left alone, and the others merged", c)
	}
	r.check(7)
}
