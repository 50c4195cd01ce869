package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"weir/internal/buffer"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/store"
)

// runner drains one queue while it holds the queue's lease. Its fields are
// its own goroutine's, but heads, which readers find under mu.
type runner struct {
	*Worker
	queue  int
	name   string
	logger *slog.Logger

	mu    sync.Mutex // guards the map for readers; run alone changes it
	heads map[store.JournalID]*head

	failures map[string]int // failed handlings by delivery id
	received chan []buffer.Delivery

	flushed  chan error // the answer of the flush that is under way
	flushing bool
	yields   bool          // the queue goes to another worker of this process
	backoff  time.Duration // after failed flushes
	notUntil time.Time     // no flush before
}

// run works until ctx ends, then drains within the config's DrainTime.
// It returns nil after a drain, else why it stopped: ErrFenced, ErrLost.
func (r *runner) run(ctx context.Context, lease buffer.Lease) error {
	// What is under way when ctx ends is finished, within the drain's time.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(r.config.DrainTime, cancel) })()
	receiving, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); r.receive(receiving) }()
	defer func() { stop(); <-done }()
	tick := time.NewTicker(r.config.tick())
	defer tick.Stop()
	renew := time.NewTicker(r.config.LeaseTime / 3)
	defer renew.Stop()
	for {
		received := r.received
		if r.full() {
			received = nil // the queue keeps what comes
		}
		var err error
		select {
		case <-ctx.Done():
			stop()
			<-done
			r.yields = errors.Is(context.Cause(ctx), errYield)
			return r.drain(work)
		case batch := <-received:
			err = r.handleAll(work, batch)
		case err = <-r.flushed:
			err = r.afterFlush(work, err)
		case <-tick.C:
			r.extend(work)
		case <-renew.C:
			if err = lease.Renew(work); err != nil && !errors.Is(err, buffer.ErrLost) {
				r.logger.Warn("lease not renewed; trying again", "error", err)
				err = nil
			}
		}
		if err != nil {
			r.drop(work)
			return err
		}
		r.startFlush(work)
	}
}

// errPanicked is how a worker ends that broke one of its own rules.
var errPanicked = errors.New("worker panicked")

// recovered turns a panic into an error.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v\n%s", errPanicked, p, debug.Stack())
	}
}

// runSafely is run, with a panic of it turned into an error.
func (r *runner) runSafely(ctx context.Context, lease buffer.Lease) error {
	err := func() (err error) {
		defer recovered(&err)
		return r.run(ctx, lease)
	}()
	if errors.Is(err, errPanicked) {
		r.drop(context.WithoutCancel(ctx)) // again, or for the first time
	}
	return err
}

// receive hands on what the queue gives until ctx ends. What it holds then
// comes again after the visibility timeout, or at once where Nack can say so.
func (r *runner) receive(ctx context.Context) {
	for ctx.Err() == nil {
		batch, err := r.buffer.Receive(ctx, r.queue, r.config.ReceiveBatch)
		if err != nil {
			if ctx.Err() == nil {
				r.logger.Warn("receive failed; trying again", "error", err)
				pause(ctx, time.Second)
			}
			continue
		}
		select {
		case r.received <- batch:
		case <-ctx.Done():
			for _, d := range batch {
				_ = d.Nack(context.WithoutCancel(ctx), 0) // else it comes by itself
			}
		}
	}
}

func (r *runner) handleAll(ctx context.Context, batch []buffer.Delivery) error {
	for i, d := range batch {
		if err := r.handle(ctx, d); err != nil {
			for _, d := range batch[i:] {
				_ = giveBack(ctx, d) // else it comes by itself
			}
			return err
		}
	}
	return nil
}

// handle admits a delivery or settles it otherwise. Its error stops the runner.
func (r *runner) handle(ctx context.Context, d buffer.Delivery) error {
	r.seen[r.queue].take()
	if d.Attempts() >= r.config.MaxAttempts {
		return r.bury(ctx, d, fmt.Sprintf("%d deliveries did not settle it", d.Attempts()))
	}
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := r.handleTurn.do(ctx, func() error { return r.admitSafely(ctx, d) })
		switch {
		case err == nil:
			delete(r.failures, d.ID())
			return nil
		case errors.Is(err, errPoison):
			r.sawDelivery(d)
			return r.fail(ctx, d, err)
		case errors.Is(err, journal.ErrFenced):
			return err // another worker has the journal: the message is theirs
		case errors.Is(err, journal.ErrUncertain):
			if err := r.reopen(ctx); err != nil {
				return err
			}
		case errors.Is(err, errNewer), unreadable(err):
			r.logger.Error("message left for later, or for a newer worker", "message", d.ID(), "in", leftFor, "error", err)
			r.sawDelivery(d)
			return ignoreUnavailable(d.Nack(ctx, leftFor))
		}
		// The store did not answer. The message is as good as any: try again.
		r.logger.Warn("message not handled; trying again", "message", d.ID(), "error", err)
		if !pause(ctx, wait) {
			return giveBack(ctx, d)
		}
	}
}

// giveBackTime is for giving one message back that its runner has no time for.
const giveBackTime = 100 * time.Millisecond

// giveBack gives a message back at once, also where ctx has ended: else it would
// be hidden from the next runner for the rest of its visibility timeout.
func giveBack(ctx context.Context, d buffer.Delivery) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackTime)
	defer cancel()
	return ignoreUnavailable(d.Nack(ctx, 0))
}

// leftFor is how long a message waits that this worker can do nothing about.
const leftFor = 30 * time.Second

// unreadable says whether an error is about what is stored for the message's
// week. Waiting for it would keep the messages of all other weeks waiting.
func unreadable(err error) bool {
	return errors.Is(err, journal.ErrCorrupt) || errors.Is(err, journal.ErrVersion) ||
		errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrVersion)
}

// admitSafely turns a panic over one message into a failed handling of it.
func (r *runner) admitSafely(ctx context.Context, d buffer.Delivery) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: panic: %v", errPoison, p)
		}
	}()
	return r.admit(ctx, d)
}

func (r *runner) fail(ctx context.Context, d buffer.Delivery, reason error) error {
	r.failures[d.ID()]++
	n := r.failures[d.ID()]
	if n >= r.config.MaxFailures {
		return r.bury(ctx, d, reason.Error())
	}
	r.logger.Warn("message not handled", "message", d.ID(), "failure", n, "of", r.config.MaxFailures, "error", reason)
	return ignoreUnavailable(d.Nack(ctx, r.config.RetryDelay<<(n-1)))
}

func (r *runner) bury(ctx context.Context, d buffer.Delivery, reason string) error {
	delete(r.failures, d.ID())
	r.sawDelivery(d)
	r.logger.Error("message goes to the dead letters", "message", d.ID(), "reason", reason, "mend", "weir queue dead-letters")
	return ignoreUnavailable(r.dead.Bury(ctx, r.queue, d, reason))
}

// ignoreUnavailable lets pass that a delivery could not be settled: it comes
// again by itself.
func ignoreUnavailable(err error) error {
	if errors.Is(err, buffer.ErrClosed) {
		return err
	}
	return nil
}

// sawDelivery tells those who wait for a message that it will not be in a
// head. A damaged one is taken for what it says it is: if that is wrong, one
// reader may miss one message for a moment; without it, all would wait.
func (r *runner) sawDelivery(d buffer.Delivery) {
	if id, ok := message.Claimed(d.Body()); ok {
		r.saw(id)
	}
}

func (r *runner) saw(id message.ID) { r.seen[r.queue].add(id) }

// drop forgets all heads: what they held was not named, and comes again. A
// flush that is under way ends first.
func (r *runner) drop(ctx context.Context) {
	if err := r.settleFlush(); err != nil {
		r.logger.Warn("the flush that was under way failed", "error", err)
	}
	r.seen[r.queue].lose(r.heads) // before readers could find them gone
	r.mu.Lock()
	heads := r.heads
	r.heads = map[store.JournalID]*head{}
	r.mu.Unlock()
	for _, h := range heads {
		for _, e := range h.all() {
			for _, d := range e.deliveries {
				_ = giveBack(ctx, d) // else it comes by itself
			}
		}
	}
}

// pause waits, and says whether it did to the end.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
