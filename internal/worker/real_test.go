package worker

import (
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"weir/internal/buffer"
	"weir/internal/buffer/jetstream"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
	"weir/internal/store/pebble"
)

// carefree leases let every worker hold a queue at once: what two do then is
// the journal's to put right.
type carefree struct{}

func (carefree) Acquire(context.Context, int, string, time.Duration) (buffer.Lease, error) {
	return carefree{}, nil
}
func (carefree) Renew(context.Context) error   { return nil }
func (carefree) Release(context.Context) error { return nil }

// drivers is the embedded profile's buffer and store in a folder of the test.
type drivers struct {
	buffer *jetstream.Driver
	store  *pebble.Store
}

func openDrivers(t *testing.T, visibility time.Duration) drivers {
	quiet := slog.New(slog.DiscardHandler)
	c := jetstream.Default()
	c.Dir, c.Logger, c.VisibilityTimeout = filepath.Join(t.TempDir(), "buffer"), quiet, visibility
	b, err := jetstream.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	sc := pebble.Default()
	sc.Dir, sc.Logger = filepath.Join(t.TempDir(), "store"), quiet
	s, err := pebble.Open(sc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return drivers{b, s}
}

// worker makes a worker with a memory of its own.
func (d drivers) worker(name string, leases buffer.Leases, set func(*Config)) *Worker {
	config := Default()
	config.FlushAge, config.RetryDelay, config.LeaseTime = 20*time.Millisecond, time.Millisecond, 50*time.Millisecond
	config.MaxAttempts, config.ExtendAfter = 100_000, time.Hour
	set(&config)
	return New(Options{
		Name: name, Config: config, Buffer: d.buffer, Dead: d.buffer, Leases: leases, Tables: d.store,
		Book: journal.NewBook(d.store, 1, rand.Uint64, nil), Kinds: func(string) sample.Kind { return 0 },
		Now: time.Now, Random: rand.Uint64,
	})
}

// start runs a worker until stop is called, which waits for it.
func start(t *testing.T, w *Worker) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Errorf("the worker ends: %v", err)
		}
	})
	return func() { cancel(); running.Wait() }
}

// until polls until done says so.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		if done() {
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// send puts all that the world has queued into the real queue.
func (d drivers) send(t *testing.T, w *world) {
	var bodies [][]byte
	for _, q := range w.queue {
		bodies = append(bodies, q.body)
	}
	w.queue = nil
	for _, err := range d.buffer.Send(t.Context(), 0, bodies) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// recount reads what the store holds into a world that knows what was sent,
// which watches laws 2 and 3 over it, entry by entry; then laws 1 and 6.
func (d drivers) recount(t *testing.T, w *world) {
	ctx := t.Context()
	tables, err := d.store.Names(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		w.tables[table] = map[store.ItemKey][]byte{}
		for bucket := range sample.Shard(sample.Shards) {
			err := d.store.Query(ctx, table, bucket, math.MinInt64, math.MaxInt64, func(i store.Item) bool {
				w.put(table, i)
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	ids, err := d.store.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		entries, err := d.store.Read(ctx, id, 0, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			w.accept(w.journal(id), entry)
		}
	}
	letters, err := d.buffer.List(ctx, 0, "", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range letters {
		for id, truth := range w.truths {
			if string(truth.body) == string(l.Body) {
				w.dead = append(w.dead, &queued{message: id})
			}
		}
	}
	for _, j := range w.journals() {
		w.checkReading(j, len(j.commits))
		w.checkOrder(j)
	}
	w.checkSettled()
	for law, violation := range w.violations {
		t.Errorf("law %d: %s", law, violation)
	}
}

// empty says whether the queue holds nothing.
func (d drivers) empty(t *testing.T) bool {
	depth, err := d.buffer.Depth(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return depth.Messages == 0
}

// TestTwoWorkersOverRealDrivers has two workers drain one queue at the same
// time, each taking the journals over from the other again and again, while
// the queue delivers anew what they hold for long.
func TestTwoWorkersOverRealDrivers(t *testing.T) {
	d := openDrivers(t, 60*time.Millisecond)
	w := newWorld(rand.New(rand.NewPCG(7, 7)), breakage{})
	g := newGateways(w)
	g.long = true
	one := start(t, d.worker("one", carefree{}, func(*Config) {}))
	two := start(t, d.worker("two", carefree{}, func(*Config) {}))
	messages := 400
	if testing.Short() {
		messages = 100
	}
	for range messages / 20 {
		for range 20 {
			g.send()
		}
		d.send(t, w)
	}
	until(t, "the first commits", func() bool {
		ids, err := d.store.List(t.Context())
		return err == nil && len(ids) > 0
	})
	one() // it flushes what it holds, if the other lets it
	until(t, "the queue is empty", func() bool { return d.empty(t) })
	two()
	d.recount(t, w)
	taken := 0
	for _, j := range w.journals() {
		taken += len(j.raw) - len(j.commits)
	}
	t.Logf("%d messages, %d entries that are no commits, %v", messages, taken, w.counts)
}

// TestRedeliveryWhileFlushing delivers each message again and again while the
// worker's flushes settle them: under the race detector, a delivery that joins
// the one in the head must not meet the flush that acks it.
func TestRedeliveryWhileFlushing(t *testing.T) {
	d := openDrivers(t, 10*time.Millisecond)
	w := newWorld(rand.New(rand.NewPCG(8, 8)), breakage{})
	g := newGateways(w)
	g.long = true
	worker := d.worker("one", d.buffer, func(c *Config) { c.FlushAge = 10 * time.Millisecond })
	stop := start(t, worker)
	for range 30 {
		for range 10 {
			g.send()
		}
		d.send(t, w)
	}
	until(t, "the queue is empty", func() bool { return d.empty(t) })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, l := range g.lives {
		if l.next > 0 {
			if err := worker.WaitSeen(ctx, 0, message.ID{Life: l.life, Number: l.next - 1}); err != nil {
				t.Errorf("life %s was not seen to its end: %v", l.life, err)
			}
		}
	}
	stop()
	d.recount(t, w)
}
