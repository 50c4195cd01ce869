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
	"weir/internal/sample"
	"weir/internal/store"
)

// Config is how a worker gathers and gives up.
type Config struct {
	FlushAge     time.Duration `yaml:"flush_age" doc:"how long a sample waits in the head at most"`
	FastAge      time.Duration `yaml:"fast_age" doc:"how long one of a fast series does"`
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
		FlushAge: 10 * time.Second, FastAge: time.Second, FlushSamples: 1 << 18, HeadMessages: 32 << 10,
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
		{"fast_age", c.FastAge >= 10*time.Millisecond && c.FastAge <= time.Hour, "10ms to 1h"},
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
	return min(max(min(c.FlushAge/10, c.FastAge/4), 5*time.Millisecond), 250*time.Millisecond)
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

// Worker holds queues and drains them: of all of them it handles one message
// and one flush at a time. Safe for concurrent use.
type Worker struct {
	*readers
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

	claims     *claims
	handleTurn *budget
	flushTurn  *budget

	mu   sync.Mutex
	died error // why it ended by itself
}

// New makes a worker that is the only one of its process; Run starts it.
func New(o Options) *Worker {
	return newWorker(o, newReaders(o.Buffer.Queues()), newClaims(o.Buffer.Queues(), o.Now))
}

func newWorker(o Options, r *readers, c *claims) *Worker {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Worker{
		readers: r, name: o.Name, config: o.Config, buffer: o.Buffer, dead: o.Dead, leases: o.Leases, book: o.Book,
		flusher: &flusher{buffer: o.Buffer, tables: o.Tables, book: o.Book, flushes: &r.flushes, messages: maxFlushMessages}, kinds: o.Kinds, now: o.Now, random: o.Random,
		logger: o.Logger, claims: c, handleTurn: newBudget(o.Now), flushTurn: newBudget(o.Now),
	}
}

// Run drains its share of the queues whose leases it can get until ctx ends;
// then it flushes what it holds, gives the leases back and returns nil. A
// panic is the end of this worker, and its error: what it held comes again.
func (w *Worker) Run(ctx context.Context) error {
	w.claims.join(w)
	defer w.claims.leave(w)
	working, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for {
		queue, held, err := w.claims.next(working, w)
		if err != nil {
			break
		}
		all.Go(func() {
			if err := w.hold(held, queue); errors.Is(err, errPanicked) {
				w.mu.Lock()
				w.died = err
				w.mu.Unlock()
				w.claims.leave(w) // others take what it had
				cancel(errYield)
			}
		})
	}
	all.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.died
}

// hold drains one claimed queue for as long as it has the lease.
func (w *Worker) hold(ctx context.Context, queue int) (err error) {
	later := w.config.LeaseTime / 5
	defer func() { w.claims.give(queue, later) }()
	logger := w.logger.With("worker", w.name, "queue", queue)
	lease, err := w.leases.Acquire(ctx, queue, w.name, w.config.LeaseTime)
	if err != nil {
		if !errors.Is(err, buffer.ErrHeld) && ctx.Err() == nil {
			logger.Warn("lease not acquired; trying again", "error", err)
		}
		if ctx.Err() != nil {
			later = 0 // it was not tried
		}
		return err
	}
	r := w.newRunner(queue, logger)
	w.seen[queue].drains(r)
	err = r.runSafely(ctx, lease)
	w.seen[queue].drains(nil)
	if rerr := lease.Release(context.WithoutCancel(ctx)); rerr != nil {
		logger.Warn("lease not released; it runs out", "error", rerr)
	}
	switch {
	case err == nil:
		later = 0
	case ctx.Err() == nil:
		logger.Warn("queue given up; trying to take it again", "error", err)
	}
	return err
}

func (w *Worker) newRunner(queue int, logger *slog.Logger) *runner {
	return &runner{
		Worker: w, queue: queue, name: w.name, logger: logger, heads: map[store.JournalID]*head{},
		failures: map[string]int{}, received: make(chan []buffer.Delivery), flushed: make(chan error, 1),
	}
}
