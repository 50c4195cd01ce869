package archive

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"weir/internal/archive/partfile"
	"weir/internal/block"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/objects"
	"weir/internal/objects/folder"
	"weir/internal/sample"
	"weir/internal/settle"
	"weir/internal/store"
	"weir/internal/store/pebble"
)

const second = int64(1e9)

// rig is a store, one week's journals with a writer of each, objects, and a
// naive model of what each revision holds.
type rig struct {
	t       *testing.T
	rng     *rand.Rand
	store   store.Store
	objects objects.Objects
	book    *journal.Book
	week    sample.Week
	writers []*journal.Writer
	clock   time.Time
	stamp   message.Stamp
	number  uint64

	kinds  map[sample.Handle]sample.Kind
	ids    map[sample.Handle]sample.SeriesID
	wanted map[int]map[place]row // by revision
	sent   int
}

type place struct {
	id   sample.SeriesID
	time int64
}

type row struct {
	value             sample.Value
	quality           sample.Quality
	version, position uint64
}

func newRig(t *testing.T, seed uint64, partitions, series int) *rig {
	t.Helper()
	config := pebble.Default()
	config.Dir, config.FS = "data", vfs.NewMem()
	s, err := pebble.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	to, err := folder.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	week, err := sample.ParseWeek("2026-W03")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), store: s, objects: to, week: week, clock: time.Unix(1_768_000_000, 0),
		kinds: map[sample.Handle]sample.Kind{}, ids: map[sample.Handle]sample.SeriesID{}, wanted: map[int]map[place]row{},
	}
	r.open(partitions)
	for i := range series {
		key := sample.Series{Metric: fmt.Sprintf("m%d", i), Tags: []sample.Tag{{Name: "a", Value: "\"<&é"}}}.Key()
		partition := sample.KeyID([]byte(key)).Shard().Range(partitions)
		kind := sample.Kind(1 + i%4)
		r.must(r.writers[partition].Register(t.Context(), []journal.Registration{{Key: key, Kind: kind}}))
		r.book.Journal(r.id(partition)).View(func(s *journal.State) {
			h, _, _ := s.Handle(key)
			r.kinds[h], r.ids[h] = kind, sample.KeyID([]byte(key))
		})
	}
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// open begins anew, as a process does: with what the store has.
func (r *rig) open(partitions int) {
	r.t.Helper()
	r.book = journal.NewBook(r.store, partitions, r.rng.Uint64, nil)
	_, err := r.book.EnsureWeek(r.t.Context(), r.week)
	r.must(err)
	r.writers = nil
	for partition := range partitions {
		w, err := journal.OpenWriter(r.t.Context(), r.book.Journal(r.id(partition)), "w", r.rng.Uint64)
		r.must(err)
		r.writers = append(r.writers, w)
	}
}

func (r *rig) id(partition int) store.JournalID {
	return store.JournalID{Week: r.week, Partition: partition}
}

// archiver gives an archiver of a process of its own, on wrapped ports.
func (r *rig) archiver(s store.Store, o objects.Objects) *Archiver {
	book := journal.NewBook(s, len(r.writers), rand.Uint64, nil)
	return New(Options{
		Book: book, Tables: s, Objects: o, Now: func() time.Time { return r.clock }, Random: rand.Uint64,
		Commit: func(context.Context, sample.Week) error { return nil }, PartRows: 100,
	})
}

func quiet(Progress) {}

// fill flushes into each partition.
func (r *rig) fill(flushes int) {
	for range flushes {
		for partition := range r.writers {
			r.must(r.flush(partition, 8))
		}
	}
}

// flush commits some samples of the first hours of the week, many of them at
// times that have samples already, in any order of stamps.
func (r *rig) flush(partition, samples int) error {
	w := r.writers[partition]
	for {
		err := r.commit(w, partition, samples)
		if !errors.Is(err, journal.ErrSealed) && !errors.Is(err, store.ErrNoTable) {
			return err
		}
		if err := w.Confirm(r.t.Context()); err != nil {
			return err
		}
	}
}

func (r *rig) commit(w *journal.Writer, partition, samples int) error {
	c := &journal.Commit{Flush: w.NewFlush(), Span: hour, Buckets: 1 << r.rng.IntN(4)}
	var position uint64
	w.Journal().View(func(s *journal.State) { position, c.Revision = s.Cut(), s.Revision() })
	r.stamp += 1 + message.Stamp(r.rng.IntN(3))
	c.Horizon = r.stamp
	volume, err := r.book.EnsureVolume(r.t.Context(), r.week, c.Revision)
	if err != nil {
		return err
	}
	rows := map[place]row{}
	items := r.items(c, partition, samples, rows)
	if err := r.store.Write(r.t.Context(), volume.Table, items); err != nil {
		return err
	}
	r.number++
	c.Lives = []journal.Life{{Life: message.Life(partition + 1), Ranges: []journal.Range{{From: r.number, To: r.number}}, Samples: uint64(len(rows)) + 2}}
	c.Overwritten = 2
	if err := w.Commit(r.t.Context(), c); err != nil {
		return err
	}
	w.Journal().View(func(s *journal.State) { position = s.Cut() - 1 })
	of := r.wanted[c.Revision]
	if of == nil {
		of = map[place]row{}
		r.wanted[c.Revision] = of
	}
	for at, now := range rows {
		now.position = position
		offer(of, at, now)
	}
	r.sent += len(rows) + 2
	return nil
}

func offer(rows map[place]row, at place, now row) {
	if was, ok := rows[at]; !ok || was.version < now.version || was.version == now.version && was.position < now.position {
		rows[at] = now
	}
}

func (r *rig) items(c *journal.Commit, partition, samples int, rows map[place]row) (items []store.Item) {
	handles := slices.Sorted(maps.Keys(r.kinds))
	hours := map[int64]uint64{}
	for n := range int64(2) {
		span := r.week.Start() + n*hour
		for bucket := range c.Buckets {
			b := &block.Batch{Versions: []uint64{}}
			for _, h := range handles {
				if h.Shard().Range(c.Buckets) == bucket && h.Shard().Range(len(r.writers)) == partition {
					r.run(b, h, span, samples, rows)
				}
			}
			if b.Samples() == 0 {
				continue
			}
			body, err := block.Encode(nil, b)
			r.must(err)
			i := journal.Item{Bucket: sample.FirstShard(bucket, c.Buckets), Span: span, Samples: uint32(b.Samples()), Bytes: uint32(len(body))}
			c.Items = append(c.Items, i)
			items = append(items, store.Item{Key: c.Key(i), Body: body})
			hours[span] += uint64(b.Samples())
		}
	}
	for _, start := range slices.Sorted(maps.Keys(hours)) {
		c.Hours = append(c.Hours, journal.Hour{Start: start, Samples: hours[start]})
	}
	return items
}

// run adds a run of a series to an item.
func (r *rig) run(b *block.Batch, h sample.Handle, span int64, most int, rows map[place]row) {
	times := map[int64]struct{}{}
	for range r.rng.IntN(most + 1) {
		times[span+int64(r.rng.IntN(60))*second] = struct{}{}
	}
	if len(times) == 0 {
		return
	}
	version := uint64(r.stamp)
	if r.rng.IntN(4) == 0 {
		version -= min(version, uint64(r.rng.IntN(5))) // a late message
	}
	for _, t := range slices.Sorted(maps.Keys(times)) {
		s := sample.Sample{Time: t, Value: r.value(r.kinds[h])}
		if r.rng.IntN(9) == 0 {
			s.Quality = sample.Quality(r.rng.Uint32())
		}
		b.AddSample(s)
		b.Versions = append(b.Versions, version)
		rows[place{r.ids[h], t}] = row{value: s.Value, quality: s.Quality, version: version}
	}
	b.EndRun(h, r.kinds[h])
}

func (r *rig) value(kind sample.Kind) sample.Value {
	switch kind {
	case sample.Int64:
		return sample.IntValue(r.rng.Int64() - r.rng.Int64())
	case sample.Bool:
		return sample.BoolValue(r.rng.IntN(2) == 0)
	case sample.String:
		return sample.StringValue(fmt.Sprintf("text %d", r.rng.IntN(20)))
	}
	switch r.rng.IntN(20) {
	case 0:
		return sample.Value{Kind: kind, Bits: 0x7ff8000000000000 | r.rng.Uint64()>>32} // a NaN that says something
	case 1:
		return sample.Value{Kind: kind, Bits: 1 << 63}
	}
	return sample.FloatValue(float64(r.rng.IntN(1000)) / 10)
}

// held is what a reader finds of a revision in its table, by what the journals name.
func (r *rig) held(revision int) map[place]row {
	r.t.Helper()
	book := journal.NewBook(r.store, len(r.writers), r.rng.Uint64, nil)
	volume, err := book.Volume(r.t.Context(), r.week, revision)
	r.must(err)
	rows := map[place]row{}
	for partition := range r.writers {
		j := book.Journal(r.id(partition))
		r.must(j.Refresh(r.t.Context()))
		for n := range j.Snapshot().Items.All() {
			if n.Revision == revision {
				r.itemRows(rows, volume.Table, n)
			}
		}
	}
	return rows
}

func (r *rig) itemRows(rows map[place]row, table string, n *journal.Named) {
	r.t.Helper()
	found := false
	err := r.store.Query(r.t.Context(), table, n.Key.Bucket, n.Key.Span, n.Key.Span, func(i store.Item) bool {
		if i.Key != n.Key {
			return true
		}
		found = true
		var b block.Batch
		r.must(block.Decode(&b, i.Body))
		for run, h := range b.Handles {
			start, end := b.Run(run)
			for i := start; i < end; i++ {
				now := row{b.Value(b.Kinds[run], i), b.Quality(i), b.Versions[i], n.Position}
				if n.Merged {
					now.position = b.Positions[i]
				}
				if b.Times[i] < n.From || b.Times[i] >= n.To {
					r.t.Errorf("item %v has a sample at %d, outside of [%d, %d)", n.Key, b.Times[i], n.From, n.To)
				}
				offer(rows, place{r.ids[h], b.Times[i]}, now)
			}
		}
		return false
	})
	if err != nil || !found {
		r.t.Fatalf("item %v of table %s: found %v, %v", n.Key, table, found, err)
	}
}

// archived is what the archive that the record names holds.
func (r *rig) archived(revision int) map[place]row {
	r.t.Helper()
	v := r.record(revision)
	if v.Archive == nil {
		r.t.Fatalf("revision %d has no archive", revision)
	}
	m, err := ReadManifest(r.t.Context(), r.objects, v.Archive.Manifest, v.Archive.SHA256)
	r.must(err)
	handles, back := map[sample.SeriesID]sample.Handle{}, map[sample.Handle]sample.SeriesID{}
	for h, id := range r.ids {
		handles[id], back[h] = h, id
	}
	rows := map[place]row{}
	var reader partfile.Reader
	for _, f := range m.Files {
		part, err := r.objects.Open(r.t.Context(), f.Name)
		r.must(err)
		err = reader.Read(r.t.Context(), part, partfile.Selection{Wanted: partfile.Want(handles), From: minTime, To: maxTime}, func(b *block.Batch) error {
			for run, h := range b.Handles {
				start, end := b.Run(run)
				for i := start; i < end; i++ {
					at := place{back[h], b.Times[i]}
					if _, ok := rows[at]; ok {
						r.t.Errorf("%v is in the archive twice", at)
					}
					rows[at] = row{b.Value(b.Kinds[run], i), b.Quality(i), b.Versions[i], b.Positions[i]}
				}
			}
			return nil
		})
		r.must(errors.Join(err, part.Close()))
	}
	return rows
}

func (r *rig) record(revision int) journal.VolumeRecord {
	r.t.Helper()
	v, err := r.book.Volume(r.t.Context(), r.week, revision)
	r.must(err)
	return v
}

// check compares what a source gives of a revision with the model.
func (r *rig) check(what string, revision int, got map[place]row) {
	r.t.Helper()
	want := r.wanted[revision]
	for at, w := range want {
		if g, ok := got[at]; !ok || g != w {
			r.t.Fatalf("%s of revision %d has %v, %v at %v; want %v", what, revision, g, ok, at, w)
		}
	}
	if len(got) != len(want) {
		r.t.Fatalf("%s of revision %d has %d rows; want %d", what, revision, len(got), len(want))
	}
}

// merge brings all items of a revision's first span in a partition together.
func (r *rig) merge(partition, revision int) {
	r.t.Helper()
	j := r.book.Journal(r.id(partition))
	r.must(j.Refresh(r.t.Context()))
	flush, ok := r.book.NewMerge(j)
	m := &journal.Merge{Flush: flush, Revision: revision, Buckets: 1, Span: hour}
	var c settle.Collector
	volume := r.record(revision)
	for n := range j.Snapshot().Items.All() {
		if n.Revision != revision || n.Key.Span != r.week.Start() {
			continue
		}
		m.Replaces = append(m.Replaces, n.Key)
		r.must(r.store.Query(r.t.Context(), volume.Table, n.Key.Bucket, n.Key.Span, n.Key.Span, func(i store.Item) bool {
			if i.Key == n.Key {
				var b block.Batch
				r.must(block.Decode(&b, i.Body))
				c.Add(&b, n.Position)
			}
			return true
		}))
	}
	if len(m.Replaces) == 0 || !ok {
		return
	}
	slices.SortFunc(m.Replaces, journal.CompareKeys)
	b := c.Batch()
	body, err := block.Encode(nil, b)
	r.must(err)
	i := journal.Item{Bucket: 0, Span: r.week.Start(), Samples: uint32(b.Samples()), Bytes: uint32(len(body))}
	m.Items, m.Overwritten = []journal.Item{i}, c.Overwritten()
	r.must(r.store.Write(r.t.Context(), volume.Table, []store.Item{{Key: m.Key(i), Body: body}}))
	if counts, err := r.book.Merge(r.t.Context(), r.id(partition), m); err != nil || !counts {
		r.t.Fatal("the merge does not count", err)
	}
}
