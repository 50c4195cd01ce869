package tail

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"weir/internal/block"
	"weir/internal/feed"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
	"weir/internal/store/pebble"
)

const (
	unitWeek   = sample.Week(2922)
	unitHour   = int64(3600e9)
	partitions = 2
)

// key is one sample's series and time within the whole instance.
type key struct {
	series string
	time   int64
}

// given is a sample of one commit.
type given struct {
	journal  feed.Journal
	position uint64
	key
	value int64
}

// order is what decides between samples of one key (law 6).
type order struct{ version, position uint64 }

// rig is a store with what workers, mergers and sweepers do to it, and a model
// of what was committed.
type rig struct {
	t      *testing.T
	random *rand.Rand
	store  store.Store
	book   *journal.Book
	tailer *Tailer
	writer map[store.JournalID]*journal.Writer
	life   message.Life
	number uint64
	stamp  message.Stamp

	commits  map[given]order
	revision map[given]int
	merged   map[key]bool // samples of it went through a merge: losers may be gone
	dropped  map[journal.VolumeID]bool
	counts   map[string]int
}

func newRig(t *testing.T, seed uint64) *rig {
	t.Helper()
	cfg := pebble.Default()
	cfg.Dir = t.TempDir()
	s, err := pebble.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &rig{
		t: t, random: rand.New(rand.NewPCG(seed, 1)), store: s, life: 7, stamp: message.Stamp(unitWeek.Start()),
		commits: map[given]order{}, revision: map[given]int{}, merged: map[key]bool{}, dropped: map[journal.VolumeID]bool{}, counts: map[string]int{},
	}
	r.restart()
	return r
}

// restart forgets all that is in memory.
func (r *rig) restart() {
	r.t.Helper()
	r.counts["restarts"]++
	r.book = journal.NewBook(r.store, partitions, r.random.Uint64, nil)
	if err := r.book.Load(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.writer = map[store.JournalID]*journal.Writer{}
	r.tailer = New(Options{Tables: r.store, Book: r.book, Now: func() time.Time { return time.Unix(0, int64(r.stamp)) }, Idle: time.Hour})
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) writerOf(id store.JournalID) *journal.Writer {
	r.t.Helper()
	if r.writer[id] == nil {
		_, err := r.book.EnsureWeek(r.t.Context(), id.Week)
		r.must(err)
		r.writer[id], err = journal.OpenWriter(r.t.Context(), r.book.Journal(id), "w", r.random.Uint64)
		r.must(err)
	}
	return r.writer[id]
}

// seriesOf gives one of some series of a partition.
func (r *rig) seriesOf(partition int) sample.Series {
	for {
		s, err := sample.NewSeries("m", []sample.Tag{{Name: "n", Value: fmt.Sprint(r.random.IntN(12))}})
		r.must(err)
		if s.ID().Shard().Range(partitions) == partition {
			return s
		}
	}
}

// commit flushes some samples of a week and partition into items of an hour
// and of few buckets, and notes them in the model.
func (r *rig) commit(id store.JournalID) {
	r.t.Helper()
	w := r.writerOf(id)
	var state *journal.State
	w.Journal().View(func(s *journal.State) { state = s })
	r.stamp += 1000
	c := &journal.Commit{
		Flush: w.NewFlush(), Buckets: 1 << r.random.IntN(4), Span: unitHour, Horizon: r.stamp, Revision: state.Revision(),
		Lives: []journal.Life{{Life: r.life, Ranges: []journal.Range{{From: r.number, To: r.number}}, First: r.stamp, Last: r.stamp}},
	}
	r.number++
	samples := map[key]int64{}
	for range 1 + r.random.IntN(12) {
		at := id.Week.Start() + int64(r.random.IntN(3))*unitHour + int64(r.random.IntN(8))*1e9
		samples[key{r.seriesOf(id.Partition).Key(), at}] = r.random.Int64()
	}
	var news []journal.Registration
	for k := range samples {
		news = append(news, journal.Registration{Key: k.series, Kind: sample.Int64})
	}
	r.must(w.Register(r.t.Context(), news))
	type place struct {
		span   int64
		bucket int
	}
	in := map[place][]key{}
	for k := range samples {
		h, _, ok := state.Handle(k.series)
		if !ok {
			r.t.Fatalf("series %s is not registered", k.series)
		}
		p := place{k.time - (k.time-id.Week.Start())%unitHour, h.Shard().Range(c.Buckets)}
		in[p] = append(in[p], k)
	}
	var items []store.Item
	for p, keys := range in {
		b := r.batch(state, keys, func(k key) (int64, *order) { return samples[k], nil })
		item := journal.Item{Bucket: sample.FirstShard(p.bucket, c.Buckets), Span: p.span, Samples: uint32(len(keys))}
		body, err := block.Encode(nil, b)
		r.must(err)
		item.Bytes = uint32(len(body))
		c.Items, items = append(c.Items, item), append(items, store.Item{Key: c.Key(item), Body: body})
		c.Lives[0].Samples += uint64(len(keys))
		c.Hours = append(c.Hours, journal.Hour{Start: p.span, Samples: uint64(len(keys))})
	}
	slices.SortFunc(c.Items, func(a, b journal.Item) int {
		return journal.CompareKeys(c.Key(a), c.Key(b))
	})
	slices.SortFunc(c.Hours, func(a, b journal.Hour) int { return int((a.Start - b.Start) / unitHour) })
	volume, err := r.book.EnsureVolume(r.t.Context(), id.Week, c.Revision)
	r.must(err)
	r.must(r.store.Write(r.t.Context(), volume.Table, items))
	position := state.Cut()
	r.must(w.Commit(r.t.Context(), c))
	for k, v := range samples {
		g := given{nameOf(id), position, k, v}
		r.commits[g], r.revision[g] = order{uint64(r.stamp), position}, c.Revision
	}
	r.counts["commits"]++
}

// batch makes a block of samples by series and time. Of what was merged order
// says what each sample carries.
func (r *rig) batch(state *journal.State, keys []key, of func(key) (int64, *order)) *block.Batch {
	slices.SortFunc(keys, func(a, b key) int {
		x, _, _ := state.Handle(a.series)
		y, _, _ := state.Handle(b.series)
		if x != y {
			return int(int64(x) - int64(y))
		}
		return int(a.time - b.time)
	})
	b := &block.Batch{}
	for i, k := range keys {
		value, o := of(k)
		b.AddSample(sample.Sample{Time: k.time, Value: sample.IntValue(value)})
		if o != nil {
			b.Versions, b.Positions = append(b.Versions, o.version), append(b.Positions, o.position)
		}
		if i+1 == len(keys) || keys[i+1].series != k.series {
			h, _, _ := state.Handle(k.series)
			b.EndRun(h, sample.Int64)
		}
	}
	return b
}

// merge replaces some of the items of a span by one, as a merger does.
func (r *rig) merge(id store.JournalID) {
	r.t.Helper()
	j := r.book.Journal(id)
	snapshot := j.Snapshot()
	spans := slices.Collect(snapshot.Items.Spans())
	flush, ok := r.book.NewMerge(j)
	if !ok || len(spans) == 0 {
		return
	}
	span := spans[r.random.IntN(len(spans))]
	revision := span[r.random.IntN(len(span))].Revision
	var inputs []journal.Named
	for _, n := range span {
		if n.Revision == revision && r.random.IntN(4) > 0 {
			inputs = append(inputs, n)
		}
	}
	if len(inputs) == 0 || r.dropped[journal.VolumeID{Week: id.Week, Revision: revision}] {
		return
	}
	var state *journal.State
	j.View(func(s *journal.State) { state = s })
	best, values := map[key]order{}, map[key]int64{}
	for g, o := range r.commits { // the items hold what the model says, less what merges left out
		if g.journal != nameOf(id) || !slices.ContainsFunc(inputs, func(n journal.Named) bool { return r.holds(state, n, g) }) {
			continue
		}
		r.merged[g.key] = true
		if was, ok := best[g.key]; !ok || o.version > was.version || o.version == was.version && o.position > was.position {
			best[g.key], values[g.key] = o, g.value
		}
	}
	m := &journal.Merge{Flush: flush, Revision: revision, Buckets: 1, Span: unitHour}
	for _, n := range inputs {
		m.Replaces = append(m.Replaces, n.Key)
	}
	slices.SortFunc(m.Replaces, journal.CompareKeys)
	b := r.batch(state, slices.Collect(maps.Keys(best)), func(k key) (int64, *order) { o := best[k]; return values[k], &o })
	body, err := block.Encode(nil, b)
	r.must(err)
	item := journal.Item{Span: span[0].Key.Span, Samples: uint32(len(best)), Bytes: uint32(len(body))}
	m.Items = []journal.Item{item}
	volume, err := r.book.Volume(r.t.Context(), id.Week, revision)
	r.must(err)
	r.must(r.store.Write(r.t.Context(), volume.Table, []store.Item{{Key: m.Key(item), Body: body}}))
	counts, err := r.book.Merge(r.t.Context(), id, m)
	r.must(err)
	if !counts {
		r.t.Fatal("the merge does not count")
	}
	r.counts["merges"]++
}

// holds says whether an item may hold a sample, by reading it.
func (r *rig) holds(state *journal.State, n journal.Named, g given) bool {
	h, _, _ := state.Handle(g.series)
	first, end := n.Shards()
	if r.revision[g] != n.Revision || h.Shard() < first || h.Shard() >= end || g.time < n.Key.Span || g.time >= n.Key.Span+n.Length {
		return false
	}
	if !n.Merged {
		return n.Position == g.position
	}
	volume, err := r.book.Volume(r.t.Context(), g.journal.Week, n.Revision)
	r.must(err)
	found := false
	r.must(r.store.Query(r.t.Context(), volume.Table, n.Key.Bucket, n.Key.Span, n.Key.Span, func(i store.Item) bool {
		if i.Key != n.Key {
			return true
		}
		var b block.Batch
		r.must(block.DecodeSeries(&b, i.Body, []sample.Handle{h}))
		for k, t := range b.Times {
			found = found || t == g.time && b.Positions[k] == g.position
		}
		return false
	}))
	return found
}

// sweep removes what merges replaced.
func (r *rig) sweep(week sample.Week) {
	r.t.Helper()
	volumes, err := r.book.Volumes(r.t.Context(), week)
	r.must(err)
	before := make([]uint64, partitions)
	for p := range before {
		before[p] = r.book.Journal(store.JournalID{Week: week, Partition: p}).Snapshot().Cut
	}
	for _, v := range volumes {
		n, err := r.book.Sweep(r.t.Context(), week, v.Revision, before, time.Now())
		r.must(err)
		r.counts["swept items"] += n
	}
}

// seal ends the open revision of a week, if it has a volume.
func (r *rig) seal(week sample.Week) {
	r.t.Helper()
	volumes, err := r.book.Volumes(r.t.Context(), week)
	r.must(err)
	if len(volumes) > 0 && volumes[len(volumes)-1].State == journal.VolumeOpen {
		r.must(r.book.SealVolume(r.t.Context(), week, volumes[len(volumes)-1].Revision))
		r.counts["seals"]++
	}
}

// drop removes a sealed volume of a week, if there is one.
func (r *rig) drop(week sample.Week) {
	r.t.Helper()
	volumes, err := r.book.Volumes(r.t.Context(), week)
	r.must(err)
	for _, v := range volumes {
		if v.State == journal.VolumeSealed {
			r.must(r.book.DiscardVolume(r.t.Context(), week, v.Revision, time.Now()))
			r.dropped[journal.VolumeID{Week: week, Revision: v.Revision}] = true
			r.counts["drops"]++
			return
		}
	}
}

// errStop is how a reading in a test ends.
var errStop = errors.New("enough")

// run tails until all that there is was read, or stop says so.
func (r *rig) run(request feed.Request, see func(*feed.Event) bool) {
	r.t.Helper()
	err := r.tailer.Tail(r.t.Context(), request, func(e *feed.Event) error {
		if !see(e) || len(e.Series) == 0 && e.Gap == nil {
			return errStop
		}
		return nil
	})
	if !errors.Is(err, errStop) {
		r.t.Fatalf("tail ended by %v", err)
	}
}

// samplesOf gives an event's samples.
func samplesOf(e *feed.Event) []given {
	var out []given
	for _, p := range e.Series {
		for i, t := range p.Times {
			out = append(out, given{e.Journal, e.Position, key{p.Series.Key(), t}, int64(p.Bits[i])})
		}
	}
	return out
}
