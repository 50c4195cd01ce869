package worker

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"weir/internal/buffer"
	"weir/internal/journal"
)

// totals adds up the heads.
func (r *runner) totals() (sum loads) {
	for _, h := range r.heads {
		for class, of := range h.loads() {
			sum[class].join(of)
		}
	}
	return sum
}

// full says whether the heads hold as much as they may; a flush makes room.
func (r *runner) full() bool {
	totals := r.totals()
	sum := totals.all()
	return sum.samples >= 2*r.config.FlushSamples || sum.entries >= r.config.HeadMessages
}

// due gives the classes of which the heads are old or large enough to be
// flushed: none, the fast one alone, or all.
func (r *runner) due() []journal.Class {
	now := r.now()
	if r.flushing || now.Before(r.notUntil) {
		return nil
	}
	totals := r.totals()
	sum, fast, steady := totals.all(), totals[journal.Fast], totals[journal.Steady]
	switch {
	case sum.entries > 0 && r.hurry[r.queue].Swap(false),
		steady.entries > 0 && now.Sub(steady.oldest) >= r.config.FlushAge,
		sum.samples >= r.config.FlushSamples, sum.entries >= r.config.HeadMessages/2:
		return allClasses()
	case fast.entries > 0 && now.Sub(fast.oldest) >= r.config.FastAge:
		return []journal.Class{journal.Fast}
	}
	return nil
}

// allClasses gives the classes in the order in which they are flushed.
func allClasses() []journal.Class { return []journal.Class{journal.Fast, journal.Steady} }

// startFlush flushes in the background, so that messages are received, and
// seen by queries, meanwhile.
func (r *runner) startFlush(ctx context.Context) {
	classes := r.due()
	if len(classes) == 0 {
		return
	}
	r.flushing = true
	heads := r.inOrder()
	go func() { r.flushed <- r.flushAll(ctx, heads, classes) }()
}

// inOrder gives the heads in order of week.
func (r *runner) inOrder() []*head {
	return slices.SortedFunc(maps.Values(r.heads), func(a, b *head) int { return cmp.Compare(a.id.Week, b.id.Week) })
}

// flushAll flushes classes of heads when it is this runner's turn among its
// worker's.
func (r *runner) flushAll(ctx context.Context, heads []*head, classes []journal.Class) (err error) {
	defer recovered(&err)
	return r.flushTurn.do(ctx, func() error {
		var failed []error
		for _, class := range classes {
			for _, h := range heads {
				if err := r.flusher.flush(ctx, h, class); err != nil {
					failed = append(failed, err)
				}
			}
		}
		return errors.Join(failed...)
	})
}

// afterFlush says whether the runner can go on after a flush.
func (r *runner) afterFlush(ctx context.Context, err error) error {
	r.flushing = false
	switch {
	case err == nil:
		r.backoff, r.notUntil = 0, time.Time{}
		return nil
	case errors.Is(err, journal.ErrFenced), errors.Is(err, errPanicked):
		return err
	case errors.Is(err, journal.ErrUncertain):
		if err := r.reopen(ctx); err != nil {
			return err
		}
	}
	r.backoff = min(max(2*r.backoff, 100*time.Millisecond), 10*time.Second)
	r.notUntil = r.now().Add(r.backoff)
	r.logger.Error("flush failed; the samples stay in the head and the queue, and it is tried again", "in", r.backoff, "error", err)
	return nil
}

// settleFlush waits for the flush that is under way.
func (r *runner) settleFlush() error {
	if !r.flushing {
		return nil
	}
	err := <-r.flushed
	r.flushing = false
	return err
}

// reopen opens the journals of which an append had no known outcome, and
// settles what turned out to be named.
func (r *runner) reopen(ctx context.Context) error {
	if err := r.settleFlush(); errors.Is(err, journal.ErrFenced) {
		return err
	}
	for _, h := range r.inOrder() {
		if !h.writer.Broken() {
			continue
		}
		w, err := journal.OpenWriter(ctx, h.writer.Journal(), r.name, r.random)
		if err != nil {
			// The lease comes back when the store does.
			return err
		}
		h.mu.Lock()
		h.writer = w
		h.mu.Unlock()
		r.flusher.ack(ctx, h.removeNamed())
	}
	return nil
}

// extend keeps from being delivered again what waits in a head for long.
func (r *runner) extend(ctx context.Context) {
	now := r.now()
	for _, h := range r.heads {
		for _, d := range h.heldSince(now.Add(-r.config.ExtendAfter), now) {
			if x, ok := d.(buffer.Extender); ok {
				_ = x.Extend(ctx) // else it comes again, and waits with the first
			}
		}
	}
}

// drain takes what the queue still gives, for at most half of the config's
// DrainTime, and flushes all. What is cut short stays in the queue. Where the
// queue goes to another worker, what it still holds is theirs.
func (r *runner) drain(ctx context.Context) error {
	until := r.now().Add(r.config.DrainTime / 2)
	for !r.yields && ctx.Err() == nil && r.now().Before(until) {
		wait, cancel := context.WithTimeout(ctx, r.config.tick())
		batch, err := r.buffer.Receive(wait, r.queue, r.config.ReceiveBatch)
		cancel()
		if err != nil || len(batch) == 0 {
			break
		}
		if err := r.handleAll(ctx, batch); err != nil {
			r.drop(ctx)
			return err
		}
		if r.full() {
			break
		}
	}
	if err := r.afterFlush(ctx, r.settleFlush()); err != nil {
		r.drop(ctx)
		return err
	}
	if err := r.flushAll(ctx, r.inOrder(), allClasses()); err != nil {
		r.logger.Error("the last flush failed; the samples are in the queue", "error", err)
		r.drop(ctx)
		return err
	}
	return nil
}
