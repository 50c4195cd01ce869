package erase

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"weir/internal/archive"
	"weir/internal/archive/partfile"
	"weir/internal/block"
	"weir/internal/buffer"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/objects"
	"weir/internal/result"
	"weir/internal/sample"
	"weir/internal/settle"
	"weir/internal/store"
	"weir/internal/store/pebble"
)

const (
	hour   = int64(3600e9)
	second = int64(1e9)
)

// rig is a store with a week of three revisions: one that is dropped, one that is
// archived and has its table, and an open one, in which a merge replaced items and a
// crash left some; a quarantine, leftovers of archives, results and exports.
type rig struct {
	t       *testing.T
	rng     *rand.Rand
	store   store.Store
	week    sample.Week
	clock   time.Time
	stamp   uint64
	number  uint64
	writers []*journal.Writer
	book    *journal.Book
	series  []sample.Series

	archives, results, exports, records *memory
	handed                              Handed // what the run's record says
	house                               house
	letters                             letters
	reading                             []string
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func newRig(t *testing.T, seed uint64) *rig {
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
	r := &rig{t: t, rng: rand.New(rand.NewPCG(seed, 1)), store: s, week: week, clock: time.Unix(1_768_000_000, 0)}
	for _, m := range []**memory{&r.archives, &r.results, &r.exports, &r.records} {
		*m = &memory{all: map[string][]byte{}}
	}
	r.book = journal.NewBook(s, 2, r.rng.Uint64, nil)
	_, err = r.book.EnsureWeek(t.Context(), week)
	r.must(err)
	for partition := range 2 {
		r.take(partition)
	}
	for i := range 6 {
		of := sample.Series{Metric: "m", Tags: []sample.Tag{{Name: "host", Value: fmt.Sprint(i)}}}
		r.series = append(r.series, of)
		partition := of.ID().Shard().Range(2)
		r.must(r.writers[partition].Register(t.Context(), []journal.Registration{{Key: of.Key(), Kind: sample.Float64}}))
	}
	r.fill()
	return r
}

// take takes a journal over, as a worker does that starts.
func (r *rig) take(partition int) {
	w, err := journal.OpenWriter(r.t.Context(), r.book.Journal(store.JournalID{Week: r.week, Partition: partition}), "w", r.rng.Uint64)
	r.must(err)
	if partition < len(r.writers) {
		r.writers[partition] = w
	} else {
		r.writers = append(r.writers, w)
	}
}

func (r *rig) archiver(s store.Store, o objects.Objects, book *journal.Book) *archive.Archiver {
	return archive.New(archive.Options{
		Book: book, Tables: s, Objects: o, Now: func() time.Time { return r.clock }, Random: rand.Uint64,
		Commit: func(context.Context, sample.Week) error { return nil }, PartRows: 12,
	})
}

func (r *rig) fill() {
	ctx := r.t.Context()
	a := r.archiver(r.store, r.archives, r.book)
	for range 3 {
		r.flush()
	}
	r.must(a.Archive(ctx, r.week, func(archive.Progress) {}))
	r.must(r.book.DropVolume(ctx, r.week, 0, r.clock))
	r.flush()
	r.flush()
	r.must(a.Archive(ctx, r.week, func(archive.Progress) {}))
	// What an attempt left that was cut short.
	for name, body := range r.archives.all {
		if strings.Contains(name, "rev=0") && strings.HasSuffix(name, ".parquet") {
			r.archives.all[strings.Replace(name, "part-20", "part-19", 1)] = body
		}
	}
	r.flush()
	r.flush()
	r.flush()
	r.merge()
	for partition := range 2 { // a crash before the commit
		r.write(partition, false)
		r.take(partition)
	}
	r.quarantine()
	r.derive()
	r.house = house{"rollup": 3, "series": 1}
}

func (r *rig) flush() {
	for partition := range 2 {
		r.write(partition, true)
	}
}

// write writes some samples of each series of a partition, and commits them.
func (r *rig) write(partition int, commit bool) {
	w := r.writers[partition]
	r.must(w.Confirm(r.t.Context()))
	r.stamp++
	c := &journal.Commit{Flush: w.NewFlush(), Span: hour, Buckets: 2, Horizon: message.Stamp(r.stamp)}
	w.Journal().View(func(s *journal.State) { c.Revision = s.Revision() })
	volume, err := r.book.EnsureVolume(r.t.Context(), r.week, c.Revision)
	r.must(err)
	var items []store.Item
	for n := range int64(2) {
		span := r.week.Start() + n*hour
		b := &block.Batch{Versions: []uint64{}}
		for _, h := range r.handles(partition) {
			times := map[int64]bool{}
			for range 4 {
				times[span+int64(r.rng.IntN(20))*second] = true
			}
			for at := span; at < span+20*second; at += second {
				if times[at] {
					b.AddSample(sample.Sample{Time: at, Value: sample.FloatValue(float64(r.rng.IntN(1000)))})
					b.Versions = append(b.Versions, r.stamp)
				}
			}
			b.EndRun(h, sample.Float64)
		}
		body, err := block.Encode(nil, b)
		r.must(err)
		i := journal.Item{Bucket: sample.FirstShard(partition, 2), Span: span, Samples: uint32(b.Samples()), Bytes: uint32(len(body))}
		c.Items, items = append(c.Items, i), append(items, store.Item{Key: c.Key(i), Body: body})
		c.Hours = append(c.Hours, journal.Hour{Start: span, Samples: uint64(b.Samples())})
	}
	r.must(r.store.Write(r.t.Context(), volume.Table, items))
	if !commit {
		return
	}
	r.number++
	n := c.Hours[0].Samples + c.Hours[1].Samples
	c.Lives = []journal.Life{{Life: message.Life(partition + 1), Ranges: []journal.Range{{From: r.number, To: r.number}}, Samples: n}}
	r.must(w.Commit(r.t.Context(), c))
}

func (r *rig) handles(partition int) (out []sample.Handle) {
	r.writers[partition].Journal().View(func(s *journal.State) {
		for _, of := range r.series {
			if h, _, ok := s.Handle(of.Key()); ok {
				out = append(out, h)
			}
		}
	})
	slices.Sort(out)
	return out
}

// merge brings the items of the open revision's first hour together, and sweeps nothing.
func (r *rig) merge() {
	for partition := range 2 {
		id := store.JournalID{Week: r.week, Partition: partition}
		j := r.book.Journal(id)
		flush, _ := r.book.NewMerge(j)
		m := &journal.Merge{Flush: flush, Revision: 2, Buckets: 2, Span: hour}
		volume, err := r.book.Volume(r.t.Context(), r.week, 2)
		r.must(err)
		var c settle.Collector
		for n := range j.Snapshot().Items.All() {
			if n.Revision != 2 || n.Key.Span != r.week.Start() {
				continue
			}
			m.Replaces = append(m.Replaces, n.Key)
			r.item(volume.Table, n.Key, func(b *block.Batch) { c.Add(b, n.Position) })
		}
		slices.SortFunc(m.Replaces, journal.CompareKeys)
		b := c.Batch()
		body, err := block.Encode(nil, b)
		r.must(err)
		i := journal.Item{Bucket: sample.FirstShard(partition, 2), Span: r.week.Start(), Samples: uint32(b.Samples()), Bytes: uint32(len(body))}
		m.Items, m.Overwritten = []journal.Item{i}, c.Overwritten()
		r.must(r.store.Write(r.t.Context(), volume.Table, []store.Item{{Key: m.Key(i), Body: body}}))
		if counts, err := r.book.Merge(r.t.Context(), id, m); err != nil || !counts {
			r.t.Fatalf("the merge counts: %v, %v", counts, err)
		}
	}
}

func (r *rig) item(table string, key store.ItemKey, do func(*block.Batch)) {
	r.t.Helper()
	found := false
	r.must(r.store.Query(r.t.Context(), table, key.Bucket, key.Span, key.Span, func(i store.Item) bool {
		if i.Key == key {
			var b block.Batch
			r.must(block.Decode(&b, i.Body))
			do(&b)
			found = true
		}
		return !found
	}))
	if !found {
		r.t.Fatalf("table %s has no item %v", table, key)
	}
}

func (r *rig) quarantine() {
	r.must(r.store.Ensure(r.t.Context(), journal.QuarantineTable))
	for n, of := range [][]int{{0, 1}, {0}, {2}} {
		b := &block.Batch{}
		for _, i := range of {
			b.AddSample(sample.Sample{Time: r.week.Start(), Value: sample.StringValue("kept apart")})
			b.EndKeyRun(r.series[i].Key(), sample.String)
		}
		body, err := block.Encode(nil, b)
		r.must(err)
		key := store.ItemKey{Bucket: 1, Span: r.week.Start(), Flush: store.FlushID{Nonce: uint64(n)}}
		r.must(r.store.Write(r.t.Context(), journal.QuarantineTable, []store.Item{{Key: key, Body: body}}))
	}
}

// eraser gives an eraser of a process of its own, whose ports go through a gate.
func (r *rig) eraser(g *gate) *Eraser {
	s := gatedStore{r.store, g}
	book := journal.NewBook(s, 2, rand.Uint64, nil)
	r.must(book.Load(r.t.Context()))
	pause := func(ctx context.Context, d time.Duration) error {
		r.clock = r.clock.Add(d)
		return ctx.Err()
	}
	now := func() time.Time { return r.clock }
	return New(Options{
		Sources: []Place{
			&Letters{Queues: 2, Dead: listedLetters{all: &r.letters}, Book: book},
			&Volumes{Book: book, Tables: s, Now: now, Pause: pause},
			&Archives{Book: book, Archiver: r.archiver(s, gatedObjects{r.archives, g}, book)},
			&Quarantine{Tables: s},
		},
		Derived: []Place{
			&Results{Objects: gatedObjects{r.results, g}, Runs: runs{r, g}, Attempt: func() string { return fmt.Sprintf("%016x", rand.Uint64()) }},
			&Exports{Objects: gatedObjects{r.exports, g}},
			&Warehouse{Warehouse: gatedHouse{rows: r.house, g: g}},
		},
		Records: gatedObjects{r.records, g}, Now: now, Random: rand.Uint64, Pause: pause, Wait: time.Minute,
		Commit:  func(context.Context) error { return nil },
		Reading: func(context.Context) ([]string, error) { return r.reading, nil },
		Notes:   func(context.Context, *Target) ([]string, error) { return []string{"a note"}, nil },
	})
}

// request is for an erasure of the first series and one more.
func (r *rig) request() Request {
	q := Request{Selector: "m{host=~\"0|3\"}", Target: Target{Series: []Member{MakeMember(r.series[0]), MakeMember(r.series[3])}}}
	q.Target.From, q.Target.To = Always()
	return q
}

// told is a sample as a reader finds it.
type told struct {
	revision int
	series   sample.SeriesID
	time     int64
}

// held gives what readers find of all series: from tables where they are, else from
// archives. What counts is decided by version and position.
func (r *rig) held() map[told]string {
	r.t.Helper()
	out := map[told]string{}
	ids := map[sample.Handle]sample.SeriesID{}
	wanted := map[sample.SeriesID]sample.Handle{}
	for partition := range 2 {
		r.writers[partition].Journal().View(func(s *journal.State) {
			for _, of := range r.series {
				if h, _, ok := s.Handle(of.Key()); ok {
					ids[h], wanted[of.ID()] = of.ID(), h
				}
			}
		})
	}
	best := map[told][2]uint64{}
	add := func(revision int, b *block.Batch, position uint64) {
		for run, h := range b.Handles {
			start, end := b.Run(run)
			for i := start; i < end; i++ {
				at, order := told{revision, ids[h], b.Times[i]}, [2]uint64{b.Versions[i], position}
				if b.Positions != nil {
					order[1] = b.Positions[i]
				}
				if was, ok := best[at]; !ok || was[0] < order[0] || was[0] == order[0] && was[1] < order[1] {
					best[at] = order
					out[at] = fmt.Sprint(b.Value(b.Kinds[run], i).Float(), order)
				}
			}
		}
	}
	book := journal.NewBook(r.store, 2, rand.Uint64, nil)
	r.must(book.Load(r.t.Context()))
	volumes, err := book.Volumes(r.t.Context(), r.week)
	r.must(err)
	for _, v := range volumes {
		if v.State == journal.VolumeEnded {
			continue
		}
		if v.State == journal.VolumeDropped {
			r.archived(&v, wanted, func(b *block.Batch) { add(v.Revision, b, 0) })
			continue
		}
		for _, j := range book.Journals() {
			for n := range j.Snapshot().Items.All() {
				if n.Revision == v.Revision {
					r.item(v.Table, n.Key, func(b *block.Batch) { add(v.Revision, b, n.Position) })
				}
			}
		}
	}
	return out
}

func (r *rig) archived(v *journal.VolumeRecord, wanted map[sample.SeriesID]sample.Handle, do func(*block.Batch)) {
	r.t.Helper()
	m, err := archive.NewArchives(r.archives).Manifest(r.t.Context(), v)
	r.must(err)
	for i := range m.Files {
		s := partfile.Selection{Wanted: partfile.Want(wanted), From: math.MinInt64, To: math.MaxInt64}
		r.must(archive.NewArchives(r.archives).Read(r.t.Context(), &m.Files[i], s, func(b *block.Batch) error { do(b); return nil }))
	}
}

// others gives what readers find of the others, and fails where the run's result or
// the export can't be read.
func (r *rig) others(q *Request) map[told]string {
	r.t.Helper()
	all := r.held()
	for at := range all {
		if slices.ContainsFunc(q.Target.Series, func(m Member) bool { return m.ID == at.series }) {
			delete(all, at)
		}
	}
	m, err := result.ReadManifest(r.t.Context(), r.results, r.handed.Manifest, r.handed.SHA256)
	r.must(err)
	rows := 0
	r.must(result.Read(r.t.Context(), r.results, m, func(of *result.Rows) error {
		for i := range of.Len() {
			if n := of.Columns[1].Ints[i]; n != 0 && n != 3 {
				rows++
			}
		}
		return nil
	}))
	if rows != 4 {
		r.t.Errorf("the result has %d rows of others", rows)
	}
	if text := string(r.exports.all["out/x.csv"]); strings.Count(text, "\n") < 5 {
		r.t.Errorf("the export is %q", text)
	}
	return all
}

// letter makes a dead letter with samples of a series.
func (r *rig) letter(id string, series int) buffer.DeadLetter {
	b := &block.Batch{}
	b.AddSample(sample.Sample{Time: r.week.Start(), Value: sample.FloatValue(1)})
	b.EndKeyRun(r.series[series].Key(), sample.Float64)
	body, err := block.Encode(nil, b)
	r.must(err)
	m := message.Message{Role: message.Data, Life: 9, Number: 9, Stamp: 9, Week: r.week, Samples: 1, Block: body}
	return buffer.DeadLetter{ID: id, Body: m.Append(nil)}
}

func text(v any) string {
	body, _ := json.Marshal(v)
	return string(body)
}
