package volumes

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"weir/internal/block"
	"weir/internal/catalog"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/query"
	"weir/internal/sample"
	"weir/internal/store"
	"weir/internal/store/pebble"
)

const (
	unitWeek   = sample.Week(2922)
	unitSpan   = int64(24 * 3600e9)
	unitHour   = int64(3600e9)
	unitSecond = int64(1e9)
)

// unitAt gives a time in the week.
func unitAt(second int64) int64 { return unitWeek.Start() + second*unitSecond }

// unitHeads are heads that a test fills.
type unitHeads struct {
	catchUp   func(context.Context) error
	snapshots map[store.JournalID]func() journal.Snapshot
	asked     map[store.JournalID]int
	lost      error // if set, what Snapshot answers
}

func (h *unitHeads) CatchUp(ctx context.Context) error {
	if h.catchUp != nil {
		return h.catchUp(ctx)
	}
	return ctx.Err()
}

func (h *unitHeads) Snapshot(_ context.Context, id store.JournalID) (journal.Snapshot, bool, error) {
	h.asked[id]++
	if h.lost != nil {
		return journal.Snapshot{}, false, h.lost
	}
	if s := h.snapshots[id]; s != nil {
		return s(), true, nil
	}
	return journal.Snapshot{}, false, nil
}

// unitRig is a store, what workers write into it, and a Source over both.
type unitRig struct {
	t       testing.TB
	store   store.Store
	book    *journal.Book
	catalog *catalog.Catalog
	heads   *unitHeads
	writers map[store.JournalID]*journal.Writer
	random  func() uint64
	source  *Source
	limits  query.Limits
	budget  *query.Budget // of the last reading

	messages uint64 // that flushes name
}

func unitNewRig(t testing.TB, partitions int) *unitRig {
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
	r := &unitRig{
		t: t, store: s, catalog: catalog.New(), writers: map[store.JournalID]*journal.Writer{},
		heads:  &unitHeads{snapshots: map[store.JournalID]func() journal.Snapshot{}, asked: map[store.JournalID]int{}},
		random: rand.New(rand.NewPCG(1, 2)).Uint64,
	}
	r.book = journal.NewBook(s, partitions, rand.Uint64, func(id store.JournalID, news []journal.Registered) {
		for _, n := range news {
			if err := r.catalog.Register(n.Key, catalog.InWeek{Week: id.Week, Handle: n.Handle, Kind: n.Kind}); err != nil {
				t.Error(err)
			}
		}
	})
	r.limit(1000)
	return r
}

func (r *unitRig) limit(samples int) {
	r.limits = query.DefaultLimits()
	r.limits.MaxSamples = samples
	r.source = New(Options{Tables: r.store, Book: r.book, Catalog: r.catalog, Heads: r.heads})
}

// reading is one of listed series, by the rig's limits.
func (r *unitRig) reading(list []query.SeriesInfo, start, end int64) query.Reading {
	r.budget = query.NewBudget(r.limits)
	return query.Reading{Series: list, Start: start, End: end, Budget: r.budget}
}

// journalOf gives the journal of a series in a week, which it makes.
func (r *unitRig) journalOf(week sample.Week, series sample.Series) store.JournalID {
	r.t.Helper()
	record, err := r.book.EnsureWeek(r.t.Context(), week)
	if err != nil {
		r.t.Fatal(err)
	}
	return store.JournalID{Week: week, Partition: series.ID().Shard().Range(record.Partitions)}
}

func (r *unitRig) writer(id store.JournalID) *journal.Writer {
	r.t.Helper()
	if r.writers[id] == nil {
		w, err := journal.OpenWriter(r.t.Context(), r.book.Journal(id), "w", r.random)
		if err != nil {
			r.t.Fatal(err)
		}
		r.writers[id] = w
	}
	return r.writers[id]
}

func (r *unitRig) register(week sample.Week, series sample.Series, kind sample.Kind) sample.Handle {
	r.t.Helper()
	id := r.journalOf(week, series)
	if err := r.writer(id).Register(r.t.Context(), []journal.Registration{{Key: series.Key(), Kind: kind}}); err != nil {
		r.t.Fatal(err)
	}
	s, err := r.catalog.Intern([]byte(series.Key()))
	if err != nil {
		r.t.Fatal(err)
	}
	in, ok := s.In(week)
	if !ok {
		r.t.Fatalf("series %s is not registered", series)
	}
	return in.Handle
}

// unitVersioned is a sample with the version that an item gives it.
type unitVersioned struct {
	sample.Sample
	version uint64
}

// flush stores samples of one registered series as items of a flush, and
// names them unless it is to be one that was cut short.
func (r *unitRig) flush(week sample.Week, series sample.Series, samples []unitVersioned, cutShort bool) *journal.Commit {
	r.t.Helper()
	const buckets = 4
	handle := r.register(week, series, samples[0].Value.Kind)
	w := r.writer(r.journalOf(week, series))
	c := &journal.Commit{Flush: w.NewFlush(), Buckets: buckets, Span: unitSpan}
	r.messages++
	c.Lives = []journal.Life{{Life: 1, Ranges: []journal.Range{{From: r.messages, To: r.messages}}, Samples: uint64(len(samples))}}
	w.Journal().View(func(s *journal.State) { c.Revision = s.Revision() })
	volume, err := r.book.EnsureVolume(r.t.Context(), week, c.Revision)
	if err != nil {
		r.t.Fatal(err)
	}
	spans, hours := map[int64]*block.Batch{}, map[int64]uint64{}
	for _, s := range samples {
		hours[s.Time-s.Time%unitHour]++
		span := s.Time - (s.Time-week.Start())%unitSpan
		if spans[span] == nil {
			spans[span] = &block.Batch{}
		}
		spans[span].AddSample(s.Sample)
		spans[span].Versions = append(spans[span].Versions, s.version)
	}
	bucket := sample.FirstShard(handle.Shard().Range(buckets), buckets)
	for span, b := range spans {
		b.EndRun(handle, samples[0].Value.Kind)
		body, err := block.Encode(nil, b)
		if err != nil {
			r.t.Fatal(err)
		}
		c.Items = append(c.Items, journal.Item{Bucket: bucket, Span: span, Samples: uint32(b.Samples()), Bytes: uint32(len(body))})
		if err := r.store.Write(r.t.Context(), volume.Table, []store.Item{{Key: c.Key(c.Items[len(c.Items)-1]), Body: body}}); err != nil {
			r.t.Fatal(err)
		}
	}
	slices.SortFunc(c.Items, func(a, b journal.Item) int { return int((a.Span - b.Span) / unitSpan) })
	for start, n := range hours {
		c.Hours = append(c.Hours, journal.Hour{Start: start, Samples: n})
	}
	slices.SortFunc(c.Hours, func(a, b journal.Hour) int { return int((a.Start - b.Start) / unitHour) })
	if !cutShort {
		r.commit(week, series, c)
	}
	return c
}

func (r *unitRig) commit(week sample.Week, series sample.Series, c *journal.Commit) {
	r.t.Helper()
	if err := r.writer(r.journalOf(week, series)).Commit(r.t.Context(), c); err != nil {
		r.t.Fatal(err)
	}
}

func (r *unitRig) write(week sample.Week, i store.Item) {
	r.t.Helper()
	volume, err := r.book.Volume(r.t.Context(), week, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.store.Write(r.t.Context(), volume.Table, []store.Item{i}); err != nil {
		r.t.Fatal(err)
	}
}

// pend puts a message in the head of a series' journal: of this horizon, with
// what the journal names.
func (r *unitRig) pend(week sample.Week, series sample.Series, horizon, stamp message.Stamp, samples ...sample.Sample) {
	r.t.Helper()
	b := &block.Batch{}
	for _, s := range samples {
		b.AddSample(s)
	}
	b.EndRun(r.register(week, series, samples[0].Value.Kind), samples[0].Value.Kind)
	id := r.journalOf(week, series)
	before := r.heads.snapshots[id]
	r.heads.snapshots[id] = func() journal.Snapshot {
		s := r.book.Journal(id).Snapshot()
		if before != nil {
			s = before()
		}
		s.Horizons[journal.Steady] = horizon
		s.Pending = append(s.Pending, journal.Pending{Message: message.Message{Stamp: stamp}, Batch: b})
		return s
	}
}

// read gives the samples of the series that a selector matches, by series.
func (r *unitRig) read(selector string, start, end int64) (map[string][]sample.Sample, error) {
	r.t.Helper()
	sel, err := query.ParseSelector(selector)
	if err != nil {
		r.t.Fatal(err)
	}
	list, err := r.source.Series(r.t.Context(), sel, start, end)
	if err != nil {
		return nil, err
	}
	got := map[string][]sample.Sample{}
	err = r.source.Samples(r.t.Context(), r.reading(list, start, end), func(p *query.Points) error {
		name := p.Info.Series.String()
		if _, twice := got[name]; twice {
			r.t.Errorf("series %s comes twice", name)
		}
		for i, at := range p.Times {
			s := sample.Sample{Time: at, Value: sample.Value{Kind: p.Info.Kind}}
			if p.Info.Kind == sample.String {
				s.Value.Text = p.Texts[i]
			} else {
				s.Value.Bits = p.Bits[i]
			}
			if p.Qualities != nil {
				s.Quality = p.Qualities[i]
			}
			got[name] = append(got[name], s)
		}
		return nil
	})
	return got, err
}

func unitFloat(second int64, v float64) sample.Sample {
	return sample.Sample{Time: unitAt(second), Value: sample.FloatValue(v)}
}

func unitMetric(metric string) sample.Series { return sample.Series{Metric: metric} }
