package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"weir/internal/buffer"
	"weir/internal/gateway"
	"weir/internal/journal"
	"weir/internal/ledger"
	"weir/internal/message"
	"weir/internal/query/volumes"
	"weir/internal/sample"
	"weir/internal/store"
	"weir/internal/worker"
)

// heads lets readers see what this process's workers have not committed yet.
type heads struct {
	gateway *gateway.Gateway
	workers *worker.Pool
	book    *journal.Book
	clock   *message.Clock
}

var _ volumes.Heads = (*heads)(nil)

// CatchUp waits until the workers have taken every message that this gateway's
// life has durable by now: what was answered 204 is among them.
func (h *heads) CatchUp(ctx context.Context) error {
	for _, t := range h.gateway.Tallies() {
		if t.Durable == 0 {
			continue
		}
		if err := h.workers.WaitSeen(ctx, t.Queue, message.ID{Life: t.Life, Number: t.Durable - 1}); err != nil {
			return err
		}
	}
	return nil
}

// snapshotTime bounds how long a reader waits for what a lost head held.
const snapshotTime = 10 * time.Second

// Snapshot gives a head with its journal.
func (h *heads) Snapshot(ctx context.Context, id store.JournalID) (journal.Snapshot, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshotTime)
	defer cancel()
	return h.workers.Snapshot(ctx, id)
}

// Held says whether a worker holds a journal.
func (h *heads) Held(ctx context.Context, id store.JournalID) (bool, error) {
	_, held, err := h.Snapshot(ctx, id)
	return held, err
}

// commitPause is how often Commit looks again.
const commitPause = 20 * time.Millisecond

// Commit waits until every sample of a week that was acknowledged before the
// call is committed, and makes the workers flush for it.
func (h *heads) Commit(ctx context.Context, week sample.Week) error {
	if err := h.CatchUp(ctx); err != nil {
		return err
	}
	now := h.clock.Now() // what was taken has an earlier stamp
	record, ok, err := h.book.Week(ctx, week)
	if err != nil || !ok {
		return err
	}
	for partition := range record.Partitions {
		for {
			s, ok, err := h.Snapshot(ctx, store.JournalID{Week: week, Partition: partition})
			if err != nil {
				return err
			}
			if !ok || !slices.ContainsFunc(s.Pending, func(p journal.Pending) bool { return p.Message.Stamp <= now }) {
				break
			}
			h.workers.FlushSoon()
			select {
			case <-time.After(commitPause):
			case <-ctx.Done():
				return fmt.Errorf("what was accepted of week %s is not committed yet, see the log: %w", week, ctx.Err())
			}
		}
	}
	return nil
}

// accounts is what the ledger is drawn up from.
type accounts struct {
	*heads
	book   *journal.Book
	buffer buffer.Buffer
	dead   buffer.DeadLetters
}

var _ ledger.Sources = (*accounts)(nil)

// catchUpTime bounds how long a ledger waits for the workers.
const catchUpTime = 10 * time.Second

// CatchUp waits for the workers, but not for as long as a disk is full.
func (a *accounts) CatchUp(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, catchUpTime)
	defer cancel()
	if err := a.heads.CatchUp(wait); err != nil {
		return fmt.Errorf("the ledger can't be drawn up now: the workers have not taken all that was acknowledged within %s, see the log: %w", catchUpTime, err)
	}
	return nil
}

// Tallies gives the life of this process's gateway.
func (a *accounts) Tallies() []ledger.Tally {
	var out []ledger.Tally
	for _, t := range a.gateway.Tallies() {
		out = append(out, ledger.Tally{
			Life: t.Life, Queue: t.Queue, Instance: t.Instance, Numbered: t.Numbered, Durable: t.Durable,
			Accepted: t.Accepted, Last: t.Last, Settled: t.Settled,
		})
	}
	return out
}

// Untold gives what the gateway rejected and no message tells of yet.
func (a *accounts) Untold() uint64 { return a.gateway.Untold() }

// letterPage is how many dead letters are listed at a time.
const letterPage = 256

// Buried calls yield with each dead letter that is a message.
func (a *accounts) Buried(ctx context.Context, yield func(message.Message)) error {
	return eachLetter(ctx, a.buffer, a.dead, func(_ int, l buffer.DeadLetter) error {
		if m, err := message.Decode(l.Body); err == nil {
			yield(m)
		}
		return nil
	})
}

// eachLetter calls f with each dead letter of each queue.
func eachLetter(ctx context.Context, b buffer.Buffer, dead buffer.DeadLetters, f func(int, buffer.DeadLetter) error) error {
	for queue := range b.Queues() {
		for after := ""; ; {
			letters, err := dead.List(ctx, queue, after, letterPage)
			if err != nil {
				return err
			}
			for _, l := range letters {
				if err := f(queue, l); err != nil {
					return err
				}
				after = l.ID
			}
			if len(letters) < letterPage {
				break
			}
		}
	}
	return nil
}

// Journals gives every journal, with its head where this process has it.
func (a *accounts) Journals(ctx context.Context) (map[store.JournalID]journal.Snapshot, error) {
	if err := a.book.Load(ctx); err != nil {
		return nil, err
	}
	out := map[store.JournalID]journal.Snapshot{}
	var failed error
	for _, j := range a.book.Journals() {
		s, ok, err := a.Snapshot(ctx, j.ID())
		failed = errors.Join(failed, err)
		if !ok {
			failed = errors.Join(failed, j.Refresh(ctx))
			s = j.Snapshot()
		}
		out[j.ID()] = s
	}
	return out, failed
}

// Queued tells what a queue holds.
func (a *accounts) Queued(ctx context.Context, queue int) (uint64, time.Time, error) {
	d, err := a.buffer.Depth(ctx, queue)
	return d.Messages, d.Oldest, err
}
