// Package worker owns the way from the queue to the week tables: receive,
// decode, register, merge into the head, flush, commit, and only then ack.
//
// A worker may hold several queues, several workers share them by leases. All
// that is certain is in the journal: a worker can be killed between any two
// statements, and what no commit names comes again.
//
// It works on the ports buffer and store through journal, and imports no
// driver and no other service.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"weir/internal/buffer"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

// Config is how a worker gathers and gives up.
type Config struct {
	FlushAge     time.Duration `yaml:"flush_age" doc:"how long a sample waits in the head at most"`
	FlushSamples int           `yaml:"flush_samples" doc:"how many samples of a queue make a flush at once"`
	HeadMessages int           `yaml:"head_messages" doc:"how many messages of a queue a worker holds at most"`
	MaxFailures  int           `yaml:"max_failures" doc:"how many failed handlings send a message to the dead letters"`
	MaxAttempts  int           `yaml:"max_attempts" doc:"how many unsettled deliveries do"`
	RetryDelay   time.Duration `yaml:"retry_delay" doc:"how long a message waits after its first failed handling; then twice as long, and so on"`
	LeaseTime    time.Duration `yaml:"lease_time" doc:"how long a queue stays with a worker that is not heard of"`
	ExtendAfter  time.Duration `yaml:"extend_after" doc:"how long a delivery is held before its visibility timeout is started anew"`
	DrainTime    time.Duration `yaml:"drain_time" doc:"how long a worker that is stopped takes at most to flush what it holds"`
	ReceiveBatch int           `yaml:"receive_batch" doc:"how many messages are received at a time"`
}

// Default gives the embedded profile's values.
func Default() Config {
	return Config{
		FlushAge: 10 * time.Second, FlushSamples: 1 << 20, HeadMessages: 32 << 10,
		MaxFailures: 5, MaxAttempts: 100, RetryDelay: time.Second,
		LeaseTime: 15 * time.Second, ExtendAfter: 20 * time.Second, DrainTime: 20 * time.Second,
		ReceiveBatch: 64,
	}
}

// Validate names the first value that cannot work.
func (c Config) Validate() error {
	for _, v := range []struct {
		name string
		ok   bool
		want string
	}{
		{"flush_age", c.FlushAge >= 10*time.Millisecond && c.FlushAge <= time.Hour, "10ms to 1h"},
		{"flush_samples", c.FlushSamples > 0, "at least 1"},
		{"head_messages", c.HeadMessages > 1, "at least 2"},
		{"max_failures", c.MaxFailures > 0 && c.MaxFailures <= 20, "1 to 20"},
		{"max_attempts", c.MaxAttempts > 1, "at least 2"},
		{"retry_delay", c.RetryDelay > 0, "more than 0"},
		{"lease_time", c.LeaseTime >= 30*time.Millisecond, "at least 30ms"},
		{"extend_after", c.ExtendAfter > 0, "more than 0"},
		{"drain_time", c.DrainTime > 0, "more than 0"},
		{"receive_batch", c.ReceiveBatch > 0, "at least 1"},
	} {
		if !v.ok {
			return fmt.Errorf("worker.%s: want %s", v.name, v.want)
		}
	}
	return nil
}

// tick is how often a worker looks whether a flush is due.
func (c Config) tick() time.Duration {
	return min(max(c.FlushAge/10, 5*time.Millisecond), 250*time.Millisecond)
}

// Options is what a worker works with. Nothing may be nil but Logger.
type Options struct {
	Name   string // who, for people
	Config Config
	Buffer buffer.Buffer
	Dead   buffer.DeadLetters
	Leases buffer.Leases
	Tables store.Tables
	Book   *journal.Book
	Kinds  func(key string) sample.Kind // a series' kind in any week, 0 if none
	Now    func() time.Time
	Random func() uint64
	Logger *slog.Logger
}

// Worker holds queues and drains them. Safe for concurrent use.
type Worker struct {
	name    string
	config  Config
	buffer  buffer.Buffer
	dead    buffer.DeadLetters
	leases  buffer.Leases
	book    *journal.Book
	flusher *flusher
	kinds   func(key string) sample.Kind
	now     func() time.Time
	random  func() uint64
	logger  *slog.Logger

	seen []*seen // by queue

	mu      sync.Mutex
	runners map[int]*runner // by queue, those that run
}

// New makes a worker; Run starts it.
func New(o Options) *Worker {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	w := &Worker{
		name: o.Name, config: o.Config, buffer: o.Buffer, dead: o.Dead, leases: o.Leases, book: o.Book,
		flusher: &flusher{tables: o.Tables, book: o.Book, messages: maxFlushMessages}, kinds: o.Kinds, now: o.Now, random: o.Random,
		logger: o.Logger, runners: map[int]*runner{},
	}
	for range o.Buffer.Queues() {
		w.seen = append(w.seen, newSeen())
	}
	return w
}

// Run drains every queue whose lease it can get until ctx ends; then it
// flushes what it holds, gives the leases back and returns nil.
func (w *Worker) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for queue := range w.buffer.Queues() {
		all.Go(func() { w.hold(ctx, queue) })
	}
	all.Wait()
	return nil
}

// hold drains one queue whenever it can get the lease.
func (w *Worker) hold(ctx context.Context, queue int) {
	logger := w.logger.With("queue", queue)
	for ctx.Err() == nil {
		lease, err := w.leases.Acquire(ctx, queue, w.name, w.config.LeaseTime)
		if err != nil {
			if !errors.Is(err, buffer.ErrHeld) && ctx.Err() == nil {
				logger.Warn("lease not acquired; trying again", "error", err)
			}
			pause(ctx, w.config.LeaseTime/5)
			continue
		}
		r := w.newRunner(queue, logger)
		w.setRunner(queue, r)
		err = r.run(ctx, lease)
		w.setRunner(queue, nil)
		if rerr := lease.Release(context.WithoutCancel(ctx)); rerr != nil {
			logger.Warn("lease not released; it runs out", "error", rerr)
		}
		if err != nil && ctx.Err() == nil {
			logger.Warn("queue given up; trying to take it again", "error", err)
			pause(ctx, w.config.LeaseTime/5)
		}
	}
}

func (w *Worker) newRunner(queue int, logger *slog.Logger) *runner {
	return &runner{
		Worker: w, queue: queue, name: w.name, logger: logger, heads: map[store.JournalID]*head{},
		failures: map[string]int{}, received: make(chan []buffer.Delivery), flushed: make(chan error, 1),
	}
}

func (w *Worker) setRunner(queue int, r *runner) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r == nil {
		delete(w.runners, queue)
		return
	}
	w.runners[queue] = r
}

// WaitSeen waits until the worker has taken every message of a life up to and
// including id from the queue: then each is in a head, or named, or refused.
func (w *Worker) WaitSeen(ctx context.Context, queue int, id message.ID) error {
	return w.seen[queue].wait(ctx, id)
}

// Snapshot gives the head of a journal together with what the journal says;
// ok is false where this worker holds no head of it.
func (w *Worker) Snapshot(id store.JournalID) (s journal.Snapshot, ok bool) {
	w.mu.Lock()
	r := w.runners[id.Partition]
	w.mu.Unlock()
	if r == nil {
		return journal.Snapshot{}, false
	}
	r.mu.Lock()
	h := r.heads[id]
	r.mu.Unlock()
	if h == nil {
		return journal.Snapshot{}, false
	}
	return h.snapshot(), true
}

// HeadSize is how much of a queue waits to be committed.
type HeadSize struct {
	Queue, Messages, Samples int
}

// Heads tells how much waits in the heads of each queue that is held.
func (w *Worker) Heads() []HeadSize {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]HeadSize, 0, len(w.runners))
	for queue, r := range w.runners {
		size := HeadSize{Queue: queue}
		r.mu.Lock()
		for _, h := range r.heads {
			n, samples, _ := h.size()
			size.Messages += n
			size.Samples += samples
		}
		r.mu.Unlock()
		out = append(out, size)
	}
	return out
}
