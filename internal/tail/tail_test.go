package tail

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"weir/internal/feed"
	"weir/internal/journal"
	"weir/internal/sample"
	"weir/internal/store"
)

// reading is a reader that is killed and resumed, and what it saw.
type reading struct {
	*rig
	match func(sample.Series) bool
	token string // that it kept; the cut before it was read by somebody before it
	seen  map[given]int
	gaps  map[feed.Journal][]feed.Gap
}

// goOn reads from the kept token until all is read, or the reader is killed
// after some events. What it saw after it last kept a token comes again.
func (r *reading) goOn(events int) {
	r.t.Helper()
	request := feed.Request{Match: r.match, Oldest: true}
	if r.token != "" {
		cut, err := feed.ParseToken(r.token)
		r.must(err)
		request.After = cut
	}
	last := map[feed.Journal]uint64{}
	if request.After != nil {
		for _, j := range request.After.Journals() {
			last[j] = request.After.Position(j)
		}
	}
	r.run(request, func(e *feed.Event) bool {
		if len(e.Series) > 0 || e.Gap != nil {
			from := e.Position
			if e.Gap != nil {
				from = e.Gap.From
				r.gaps[e.Journal] = append(r.gaps[e.Journal], *e.Gap)
				r.counts["gaps"]++
			}
			if from < last[e.Journal] {
				r.t.Fatalf("%v: position %d comes after %d", e.Journal, from, last[e.Journal])
			}
			last[e.Journal] = e.Position + 1
			if e.Cut.Position(e.Journal) != e.Position+1 {
				r.t.Fatalf("%v: the cut behind position %d is at %d", e.Journal, e.Position, e.Cut.Position(e.Journal))
			}
		}
		once := map[given]bool{}
		for _, g := range samplesOf(e) {
			if once[g] {
				r.t.Fatalf("%+v is twice in one event", g)
			}
			once[g] = true
			if _, ok := r.commits[g]; !ok {
				r.t.Fatalf("%+v was never committed", g)
			}
			r.seen[g]++
		}
		if events--; events == 0 {
			r.counts["kills"]++
			return false
		}
		if r.random.IntN(2) == 0 {
			r.token = e.Cut.Token()
		}
		return true
	})
}

// check wants each committed sample that matches to have been seen, but for
// those that were overwritten and merged, and those of gaps that are true.
func (r *reading) check() {
	r.t.Helper()
	best := map[key]order{}
	for g, o := range r.commits {
		if was := best[g.key]; o.version > was.version || o.version == was.version && o.position > was.position {
			best[g.key] = o
		}
	}
	for g, o := range r.commits {
		series, err := sample.ParseKey([]byte(g.series))
		r.must(err)
		if r.match != nil && !r.match(series) {
			if r.seen[g] > 0 {
				r.t.Fatalf("%+v does not match", g)
			}
			continue
		}
		if r.seen[g] > 0 || r.merged[g.key] && o != best[g.key] {
			continue
		}
		id := journal.VolumeID{Week: g.journal.Week, Revision: r.revision[g]}
		told := slices.ContainsFunc(r.gaps[g.journal], func(gap feed.Gap) bool {
			return gap.Reason == feed.Dropped && g.position >= gap.From && g.position < gap.To
		})
		if !told || !r.dropped[id] {
			r.t.Fatalf("%+v (revision %d, dropped %v) was not seen, and no gap tells it", g, id.Revision, r.dropped[id])
		}
	}
}

// life lets samples be committed, merged, swept, sealed and dropped in any
// order, over restarts and new weeks, while a reader is killed and resumed.
func life(t *testing.T, seed uint64, steps int) map[string]int {
	t.Helper()
	r := newRig(t, seed)
	readers := []*reading{{rig: r}, {rig: r, match: func(s sample.Series) bool { return s.Tag("n") < "3" }}}
	for _, of := range readers {
		of.seen, of.gaps = map[given]int{}, map[feed.Journal][]feed.Gap{}
	}
	weeks := sample.Week(1)
	for step := range steps {
		week := unitWeek + sample.Week(r.random.IntN(int(weeks)))
		id := store.JournalID{Week: week, Partition: r.random.IntN(partitions)}
		switch n := r.random.IntN(100); {
		case n < 45:
			r.commit(id)
		case n < 60:
			r.merge(id)
		case n < 68:
			r.sweep(week)
		case n < 71:
			r.seal(week)
		case n < 73:
			r.drop(week)
		case n < 76:
			r.restart()
		case n < 78 && weeks < 4:
			weeks++
		default:
			readers[step%len(readers)].goOn(1 + r.random.IntN(12))
		}
	}
	for _, of := range readers {
		of.goOn(-1)
		of.check()
	}
	return r.counts
}

func TestReadersMissNothing(t *testing.T) {
	seeds := 30
	if testing.Short() {
		seeds = 4
	}
	total := map[string]int{}
	for seed := range uint64(seeds) {
		counts := life(t, seed, 200)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		for name, n := range counts {
			total[name] += n
		}
	}
	t.Log(total)
	for _, name := range []string{"commits", "merges", "swept items", "seals", "drops", "restarts", "kills", "gaps"} {
		if total[name] < seeds/4 {
			t.Errorf("only %d %s: the test is too tame", total[name], name)
		}
	}
}

func TestTailWaitsForCommits(t *testing.T) {
	r := newRig(t, 1)
	id := store.JournalID{Week: unitWeek}
	r.commit(id) // before: not asked for
	ctx, cancel := context.WithCancel(t.Context())
	ready, events := make(chan struct{}), make(chan []given)
	ended := make(chan error, 1)
	go func() {
		first := true
		ended <- r.tailer.Tail(ctx, feed.Request{}, func(e *feed.Event) error {
			if first {
				close(ready)
				first = false
			} else if len(e.Series) > 0 {
				events <- samplesOf(e)
			}
			return nil
		})
	}()
	<-ready
	for range 20 {
		before := maps.Clone(r.commits)
		id.Week = unitWeek + sample.Week(r.random.IntN(2))
		r.commit(id)
		got := <-events
		for g := range r.commits {
			if _, old := before[g]; old == slices.Contains(got, g) {
				t.Fatalf("%+v: given %v, committed before %v", g, !old, old)
			}
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("a tail that is stopped ends by %v", err)
	}
}

func TestSlowReadersAreToldWhatTheyMissed(t *testing.T) {
	r := newRig(t, 3)
	id := store.JournalID{Week: unitWeek}
	for range 5 {
		r.commit(id)
	}
	old := maps.Clone(r.commits)
	r.stamp += 1_000_000
	for range 3 {
		r.commit(id)
	}
	var gap *feed.Gap
	seen := map[given]bool{}
	r.run(feed.Request{Oldest: true, MaxLag: time.Millisecond / 2}, func(e *feed.Event) bool {
		if e.Gap != nil {
			g := *e.Gap
			gap = &g
		}
		for _, g := range samplesOf(e) {
			seen[g] = true
		}
		return true
	})
	if gap == nil || gap.Reason != feed.Slow || gap.Commits != 5 || gap.Samples != uint64(len(old)) {
		t.Errorf("told %+v; want 5 commits of %d samples", gap, len(old))
	}
	for g := range r.commits {
		if _, is := old[g]; is == seen[g] {
			t.Errorf("%+v: old %v, seen %v", g, is, seen[g])
		}
	}
}

// TestDamagedItemsAreGaps: what the store cannot read is told, and the rest is
// given.
func TestDamagedItemsAreGaps(t *testing.T) {
	r := newRig(t, 4)
	id := store.JournalID{Week: unitWeek}
	for range 3 {
		r.commit(id)
	}
	var second journal.Named // an item of the second commit
	items := slices.Collect(r.book.Journal(id).Snapshot().Items.All())
	positions := map[uint64]bool{}
	for _, n := range items {
		positions[n.Position] = true
	}
	sorted := slices.Sorted(maps.Keys(positions))
	for _, n := range items {
		if n.Position == sorted[1] {
			second = *n
		}
	}
	volume, err := r.book.Volume(t.Context(), unitWeek, 0)
	r.must(err)
	r.must(r.store.Write(t.Context(), volume.Table, []store.Item{{Key: second.Key, Body: []byte("no block")}}))
	for _, gone := range []bool{false, true} {
		if gone {
			r.must(r.store.Delete(t.Context(), volume.Table, []store.ItemKey{second.Key}))
		}
		var gaps []feed.Gap
		events := 0
		r.run(feed.Request{Oldest: true}, func(e *feed.Event) bool {
			if e.Gap != nil {
				gaps = append(gaps, *e.Gap)
			} else if len(e.Series) > 0 {
				events++
			}
			return true
		})
		if events != 2 || len(gaps) != 1 || gaps[0].Reason != feed.Damaged || gaps[0].From != sorted[1] || gaps[0].To != sorted[1]+1 {
			t.Errorf("gone %v: %d events and gaps %+v; want 2, and position %d", gone, events, gaps, sorted[1])
		}
	}
}
