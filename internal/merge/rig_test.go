package merge

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"weir/internal/block"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
	"weir/internal/store/pebble"
)

const (
	hour   = int64(3600e9)
	second = int64(1e9)
)

// rig is a store, one week's journals, a writer of each and a naive model of
// what they hold.
type rig struct {
	t       *testing.T
	rng     *rand.Rand
	store   store.Store
	book    *journal.Book
	week    sample.Week
	writers []*journal.Writer
	stamp   message.Stamp
	clock   time.Time
	merger  *Merger

	kinds  map[sample.Handle]sample.Kind
	wanted map[place]row // what a reader has to find
	stored int           // samples in items of commits
}

// place is a series and a time; row is what counts there.
type place struct {
	handle sample.Handle
	time   int64
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
	week, err := sample.ParseWeek("2026-W03")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), store: s, week: week, clock: time.Unix(1_768_000_000, 0),
		kinds: map[sample.Handle]sample.Kind{}, wanted: map[place]row{},
	}
	r.open(partitions)
	for i := range series {
		key := sample.Series{Metric: fmt.Sprintf("m%d", i)}.Key()
		partition := sample.KeyID([]byte(key)).Shard().Range(partitions)
		kind := sample.Kind(1 + i%4)
		if err := r.writers[partition].Register(t.Context(), []journal.Registration{{Key: key, Kind: kind}}); err != nil {
			t.Fatal(err)
		}
		r.book.Journal(r.id(partition)).View(func(s *journal.State) {
			h, _, _ := s.Handle(key)
			r.kinds[h] = kind
		})
	}
	return r
}

// open begins anew, as a process does: with what the store has.
func (r *rig) open(partitions int) {
	r.t.Helper()
	r.book = journal.NewBook(r.store, partitions, r.rng.Uint64, nil)
	if _, err := r.book.EnsureWeek(r.t.Context(), r.week); err != nil {
		r.t.Fatal(err)
	}
	r.writers = nil
	for partition := range partitions {
		w, err := journal.OpenWriter(r.t.Context(), r.book.Journal(r.id(partition)), "w", r.rng.Uint64)
		if err != nil {
			r.t.Fatal(err)
		}
		r.writers = append(r.writers, w)
	}
	config := Default()
	config.FanIn, config.Samples, config.Settle, config.Grace = 3, 40, time.Minute, time.Minute
	r.merger = New(Options{Config: config, Tables: r.store, Book: r.book, Now: func() time.Time { return r.clock }})
}

func (r *rig) id(partition int) store.JournalID {
	return store.JournalID{Week: r.week, Partition: partition}
}

// flush commits some samples of the first hours of the week, many of them at
// times that have samples already, in any order of stamps.
func (r *rig) flush(partition, samples int) {
	r.t.Helper()
	w := r.writers[partition]
	c := &journal.Commit{Flush: w.NewFlush(), Span: hour, Buckets: 1 << r.rng.IntN(4)}
	var position uint64
	w.Journal().View(func(s *journal.State) { position, c.Revision = s.Cut(), s.Revision() })
	var handles []sample.Handle
	for h := range r.kinds {
		if h.Shard().Range(len(r.writers)) == partition {
			handles = append(handles, h)
		}
	}
	slices.Sort(handles)
	r.stamp += 1 + message.Stamp(r.rng.IntN(3))
	c.Horizon = r.stamp
	var items []store.Item
	span := r.week.Start() + int64(r.rng.IntN(2))*hour
	for bucket := range c.Buckets {
		b := &block.Batch{Versions: []uint64{}}
		for _, h := range handles {
			if h.Shard().Range(c.Buckets) == bucket {
				r.run(b, h, span, position, samples)
			}
		}
		if b.Samples() == 0 {
			continue
		}
		body, err := block.Encode(nil, b)
		if err != nil {
			r.t.Fatal(err)
		}
		i := journal.Item{Bucket: sample.FirstShard(bucket, c.Buckets), Span: span, Samples: uint32(b.Samples()), Bytes: uint32(len(body))}
		c.Items = append(c.Items, i)
		items = append(items, store.Item{Key: c.Key(i), Body: body})
		r.stored += b.Samples()
	}
	c.Hours = []journal.Hour{{Start: span, Samples: 1}}
	volume, err := r.book.EnsureVolume(r.t.Context(), r.week, c.Revision)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.store.Write(r.t.Context(), volume.Table, items); err != nil {
		r.t.Fatal(err)
	}
	if err := w.Commit(r.t.Context(), c); err != nil {
		r.t.Fatal(err)
	}
}

// run adds a run of a series to an item, and to the model.
func (r *rig) run(b *block.Batch, h sample.Handle, span int64, position uint64, most int) {
	times := map[int64]struct{}{}
	for range r.rng.IntN(most + 1) {
		times[span+int64(r.rng.IntN(60))*second] = struct{}{}
	}
	if len(times) == 0 {
		return
	}
	version := uint64(r.stamp)
	if r.rng.IntN(4) == 0 {
		version -= uint64(r.rng.IntN(5)) // a late message
	}
	ascending := make([]int64, 0, len(times))
	for t := range times {
		ascending = append(ascending, t)
	}
	slices.Sort(ascending)
	for _, t := range ascending {
		s := sample.Sample{Time: t, Value: r.value(r.kinds[h])}
		if r.rng.IntN(9) == 0 {
			s.Quality = sample.Quality(r.rng.Uint32())
		}
		b.AddSample(s)
		b.Versions = append(b.Versions, version)
		now := row{s.Value, s.Quality, version, position}
		at := place{h, t}
		if was, ok := r.wanted[at]; !ok || was.version < version || was.version == version && was.position < position {
			r.wanted[at] = now
		}
	}
	b.EndRun(h, r.kinds[h])
}

func (r *rig) value(kind sample.Kind) sample.Value {
	switch kind {
	case sample.Int64:
		return sample.IntValue(r.rng.Int64N(1000))
	case sample.Bool:
		return sample.BoolValue(r.rng.IntN(2) == 0)
	case sample.String:
		return sample.StringValue(fmt.Sprintf("text %d", r.rng.IntN(20)))
	}
	return sample.FloatValue(float64(r.rng.IntN(1000)) / 10)
}

// found is what a reader finds, by what the journals name: the row that counts
// at each place, and how many samples all items hold.
func (r *rig) found() (map[place]row, int) {
	r.t.Helper()
	rows, samples := map[place]row{}, 0
	for partition := range r.writers {
		for n := range r.book.Journal(r.id(partition)).Snapshot().Items.All() {
			body := r.body(n)
			var b block.Batch
			if err := block.Decode(&b, body); err != nil {
				r.t.Fatalf("item %v: %v", n.Key, err)
			}
			if b.Samples() != int(n.Samples) || len(body) != int(n.Bytes) {
				r.t.Fatalf("item %v has %d samples in %d bytes; its journal says %d in %d", n.Key, b.Samples(), len(body), n.Samples, n.Bytes)
			}
			samples += b.Samples()
			r.addRows(rows, n, &b)
		}
	}
	return rows, samples
}

func (r *rig) addRows(rows map[place]row, n *journal.Named, b *block.Batch) {
	first, end := n.Shards()
	for run, h := range b.Handles {
		if h.Shard() < first || h.Shard() >= end {
			r.t.Fatalf("item %v has a series of shard %d", n.Key, h.Shard())
		}
		start, stop := b.Run(run)
		for i := start; i < stop; i++ {
			if b.Times[i] < n.From || b.Times[i] >= n.To {
				r.t.Fatalf("item %v has a sample at %d, outside of [%d, %d)", n.Key, b.Times[i], n.From, n.To)
			}
			now := row{b.Value(b.Kinds[run], i), b.Quality(i), b.Versions[i], n.Position}
			if n.Merged {
				now.position = b.Positions[i]
			}
			at := place{h, b.Times[i]}
			if was, ok := rows[at]; !ok || was.version < now.version || was.version == now.version && was.position < now.position {
				rows[at] = now
			}
		}
	}
}

func (r *rig) body(n *journal.Named) (body []byte) {
	r.t.Helper()
	volume, err := r.book.Volume(r.t.Context(), r.week, n.Revision)
	if err != nil {
		r.t.Fatal(err)
	}
	err = r.store.Query(r.t.Context(), volume.Table, n.Key.Bucket, n.Key.Span, n.Key.Span, func(i store.Item) bool {
		if i.Key == n.Key {
			body = slices.Clone(i.Body)
		}
		return body == nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return body
}

func (r *rig) pass(later time.Duration) {
	r.t.Helper()
	r.clock = r.clock.Add(later)
	if err := r.merger.Pass(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// items gives how many items count, and how many the tables hold.
func (r *rig) items() (current, held int) {
	r.t.Helper()
	for partition := range r.writers {
		current += r.book.Journal(r.id(partition)).Snapshot().Items.Len()
	}
	tables, err := r.store.Names(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, table := range tables {
		err := r.store.(store.Lister).Keys(r.t.Context(), table, func(store.ItemKey) bool { held++; return true })
		if err != nil {
			r.t.Fatal(err)
		}
	}
	return current, held
}
