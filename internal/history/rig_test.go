package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"weir/internal/block"
	"weir/internal/catalog"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
	"weir/internal/store/pebble"
)

// rig is a store with weeks in it, and a process that imports.
type rig struct {
	t     *testing.T
	store store.Store
	*process
}

// process is what a start of the program has in memory.
type process struct {
	book     *journal.Book
	catalog  *catalog.Catalog
	clock    *message.Clock
	importer *Importer
	commit   func(context.Context, sample.Week) error
	held     bool
}

func newRig(t *testing.T) *rig {
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
	r := &rig{t: t, store: s}
	r.process = r.start(s)
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// now is in 2026-W10.
func now() time.Time { return time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) }

func week(t testing.TB, text string) sample.Week {
	t.Helper()
	w, err := sample.ParseWeek(text)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// start begins a process on a store, perhaps a wrapped one.
func (r *rig) start(s store.Store) *process {
	p := &process{catalog: catalog.New(), commit: func(context.Context, sample.Week) error { return nil }}
	p.book = journal.NewBook(s, 2, rand.Uint64, func(id store.JournalID, news []journal.Registered) {
		for _, n := range news {
			if err := p.catalog.Register(n.Key, catalog.InWeek{Week: id.Week, Handle: n.Handle, Kind: n.Kind}); err != nil {
				r.t.Error(err)
			}
		}
	})
	p.clock = message.NewClock(now)
	p.importer = New(Options{
		Book: p.book, Tables: s, Catalog: p.catalog, Clock: p.clock, Now: now, Random: rand.Uint64, Decoder: p.decoder,
		Commit: func(ctx context.Context, w sample.Week) error { return p.commit(ctx, w) },
		Held:   func(context.Context, store.JournalID) (bool, error) { return p.held, nil },
	})
	return p
}

// take takes a chunk of which all before were answered.
func (p *process) take(ctx context.Context, of Import, number uint64, text string) (Result, error) {
	ticket, err := p.importer.Admit(ctx, of, number, number)
	if err != nil {
		return Result{}, err
	}
	defer ticket.Leave()
	return ticket.Take(ctx, Chunk{Format: FormatLines, Text: []byte(text)})
}

// load reads what the store has, as a start does.
func (p *process) load(ctx context.Context) error {
	if err := p.book.Load(ctx); err != nil {
		return err
	}
	for _, j := range p.book.Journals() {
		s := j.Snapshot()
		p.clock.Observe(s.Latest())
	}
	return nil
}

// decoder reads lines of metric, value and ns; i ends an int, quotes a text.
func (p *process) decoder(format, _ string) (Decoder, error) {
	if format != FormatLines {
		return nil, errors.New("no such format")
	}
	return func(text []byte, to Sink) {
		for n, line := range bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
			fields := strings.Fields(string(line))
			if len(fields) != 3 {
				to.Reject(Fault{Line: n + 1, Reason: "not three fields"})
				continue
			}
			series, err := p.catalog.Intern(sample.Series{Metric: fields[0]}.AppendKey(nil))
			at, terr := strconv.ParseInt(fields[2], 10, 64)
			v := valueOf(fields[1])
			if err = errors.Join(err, terr); err == nil {
				if v.Kind != sample.String && to.Line([]*catalog.Series{series}, []sample.Kind{v.Kind}, []uint64{v.Bits}, at) {
					continue
				}
				err = to.Emit(series, sample.Sample{Time: at, Value: v})
			}
			if err != nil {
				to.Reject(Fault{Line: n + 1, Reason: err.Error()})
			}
		}
	}, nil
}

func valueOf(text string) sample.Value {
	if strings.HasPrefix(text, `"`) {
		return sample.StringValue(strings.Trim(text, `"`))
	}
	if i, ok := strings.CutSuffix(text, "i"); ok {
		n, _ := strconv.ParseInt(i, 10, 64)
		return sample.IntValue(n)
	}
	f, _ := strconv.ParseFloat(text, 64)
	return sample.FloatValue(f)
}

// model is the value of each metric and time.
type model map[string]string

func (m model) put(metric string, at int64, v sample.Value) {
	m[fmt.Sprintf("%s %d", metric, at)] = fmt.Sprintf("%v %x %s", v.Kind, v.Bits, v.Text)
}

// line adds a line to a text and to the model.
func (m model) line(text *strings.Builder, metric, value string, at int64) {
	fmt.Fprintf(text, "%s %s %d\n", metric, value, at)
	m.put(metric, at, valueOf(value))
}

// read gives what all volumes hold: of each series and time the sample that
// counts, and how many samples journals count in all.
func (r *rig) read() (model, uint64) {
	r.t.Helper()
	p := r.start(r.store)
	r.must(p.load(r.t.Context()))
	type rank struct{ version, position uint64 }
	out, ranks, counted := model{}, map[string]rank{}, uint64(0)
	for _, j := range p.book.Journals() {
		s := j.Snapshot()
		for _, c := range s.Commits {
			counted += c.Stored()
		}
		for n := range s.Items.All() {
			v, err := p.book.Volume(r.t.Context(), j.ID().Week, n.Revision)
			r.must(err)
			if v.State == journal.VolumeDropped {
				continue
			}
			b := r.item(v.Table, n.Key)
			for i, h := range b.Handles {
				var known journal.Registration
				j.View(func(s *journal.State) { known, _ = s.Registration(h) })
				series, err := sample.ParseKey([]byte(known.Key))
				r.must(err)
				start, end := b.Run(i)
				for at := start; at < end; at++ {
					key, now := fmt.Sprintf("%s %d", series.Metric, b.Times[at]), rank{b.Versions[at], n.Position}
					if b.Times[at] < n.From || b.Times[at] >= n.To {
						r.t.Errorf("item %v says that its times are %d to %d, and holds %d", n.Key, n.From, n.To, b.Times[at])
					}
					if was, ok := ranks[key]; ok && (was.version > now.version || was.version == now.version && was.position >= now.position) {
						continue
					}
					ranks[key] = now
					out.put(series.Metric, b.Times[at], b.Value(b.Kinds[i], at))
				}
			}
		}
	}
	return out, counted
}

func (r *rig) item(table string, key store.ItemKey) *block.Batch {
	r.t.Helper()
	var b *block.Batch
	r.must(r.store.Query(r.t.Context(), table, key.Bucket, math.MinInt64, math.MaxInt64, func(i store.Item) bool {
		if i.Key == key {
			b = &block.Batch{}
			r.must(block.Decode(b, i.Body))
		}
		return b == nil
	}))
	if b == nil {
		r.t.Fatalf("table %s has no item %v", table, key)
	}
	return b
}

// check compares what is stored with the model.
func (r *rig) check(want model, counted uint64) {
	r.t.Helper()
	got, n := r.read()
	for key, value := range want {
		if got[key] != value {
			r.t.Errorf("%s is %q, want %q", key, got[key], value)
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			r.t.Errorf("%s is stored, and was not sent", key)
		}
	}
	if n != counted {
		r.t.Errorf("journals count %d samples, want %d", n, counted)
	}
}

// live is a worker's writer with some samples committed.
func (r *rig) live(w sample.Week, metric string, want model, times ...int64) *journal.Writer {
	r.t.Helper()
	_, err := r.book.EnsureWeek(r.t.Context(), w)
	r.must(err)
	key := sample.Series{Metric: metric}.Key()
	id := store.JournalID{Week: w, Partition: sample.KeyID([]byte(key)).Shard().Range(2)}
	writer, err := journal.OpenWriter(r.t.Context(), r.book.Journal(id), "worker", rand.Uint64)
	r.must(err)
	r.flush(writer, metric, want, 1, times...)
	return writer
}

// flush commits samples of one metric, whose value is 7, as a worker does.
func (r *rig) flush(writer *journal.Writer, metric string, want model, number uint64, times ...int64) {
	r.t.Helper()
	key := sample.Series{Metric: metric}.Key()
	r.must(writer.Register(r.t.Context(), []journal.Registration{{Key: key, Kind: sample.Float64}}))
	w := writer.Journal().ID().Week
	stamp := r.clock.Now()
	c := &journal.Commit{Flush: writer.NewFlush(), Buckets: 1, Span: int64(7 * 24 * time.Hour), Horizon: stamp}
	b := &block.Batch{}
	for _, at := range times {
		b.AddSample(sample.Sample{Time: at, Value: sample.FloatValue(7)})
		b.Versions = append(b.Versions, uint64(stamp))
		want.put(metric, at, sample.FloatValue(7))
		c.Hours = append(c.Hours, journal.Hour{Start: floor(at, int64(time.Hour)), Samples: 1})
	}
	writer.Journal().View(func(s *journal.State) {
		handle, kind, _ := s.Handle(key)
		b.EndRun(handle, kind)
		c.Revision = s.Revision()
	})
	body, err := block.Encode(nil, b)
	r.must(err)
	item := journal.Item{Span: w.Start(), Samples: uint32(len(times)), Bytes: uint32(len(body))}
	c.Items = []journal.Item{item}
	volume, err := r.book.EnsureVolume(r.t.Context(), w, c.Revision)
	r.must(err)
	r.must(r.store.Write(r.t.Context(), volume.Table, []store.Item{{Key: c.Key(item), Body: body}}))
	c.Lives = []journal.Life{{Life: 0xabc, Ranges: []journal.Range{{From: number, To: number}}, Samples: uint64(len(times)), First: stamp, Last: stamp}}
	r.must(writer.Commit(r.t.Context(), c))
}

// hooked is a store that calls before each call that writes.
type hooked struct {
	store.Store
	before func(what string) error // an error is the call's
	after  func(what string) error
	mu     sync.Mutex
}

func (h *hooked) call(what string, do func() error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.before(what); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return h.after(what)
}

func (h *hooked) Ensure(ctx context.Context, table string) error {
	return h.call("ensure", func() error { return h.Store.Ensure(ctx, table) })
}

func (h *hooked) Write(ctx context.Context, table string, items []store.Item) error {
	return h.call("write", func() error { return h.Store.Write(ctx, table, items) })
}

func (h *hooked) Append(ctx context.Context, id store.JournalID, position uint64, entry []byte) error {
	return h.call("append", func() error { return h.Store.Append(ctx, id, position, entry) })
}

func (h *hooked) Put(ctx context.Context, key string, value []byte, version uint64) (r store.Record, err error) {
	err = h.call("put", func() error { r, err = h.Store.Put(ctx, key, value, version); return err })
	return r, err
}
