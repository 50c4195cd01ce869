package worker

import (
	"context"
	"sync/atomic"

	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/store"
)

// readers is what the readers of a process ask its workers. The workers of a
// pool share one, so that a queue may move from one to another unnoticed.
type readers struct {
	seen    []*seen       // by queue
	hurry   []atomic.Bool // by queue: what waits is to be flushed now
	flushes flushes
}

func newReaders(queues int) *readers {
	r := &readers{hurry: make([]atomic.Bool, queues)}
	for range queues {
		r.seen = append(r.seen, newSeen())
	}
	return r
}

// WaitSeen waits until every message of a life up to and including id was
// taken from the queue: then each is in a head, or named, or refused.
func (r *readers) WaitSeen(ctx context.Context, queue int, id message.ID) error {
	return r.seen[queue].wait(ctx, id)
}

// Snapshot gives the head of a journal together with what the journal says;
// ok is false where no head of it is held here, and then the journal itself
// says all. Whatever was seen before the call is in what it gives, or named:
// where a head was lost since, it waits until its messages have come again.
func (r *readers) Snapshot(ctx context.Context, id store.JournalID) (s journal.Snapshot, ok bool, err error) {
	if id.Partition >= len(r.seen) {
		return s, false, nil // of a week with more partitions than there are queues now
	}
	for seen := r.seen[id.Partition]; ; {
		runner, losses, err := seen.whole(ctx, id)
		if err != nil {
			return journal.Snapshot{}, false, err
		}
		s, ok := runner.snapshot(id)
		if seen.lossesSoFar() == losses {
			return s, ok, nil
		}
		// A head was dropped meanwhile: perhaps this one, half of it.
	}
}

// FlushSoon makes the workers flush what waits in the heads, however young and
// small it is. It does not wait for that.
func (r *readers) FlushSoon() {
	for queue := range r.hurry {
		r.hurry[queue].Store(true)
	}
}

// HeadSize is how much of a queue waits to be committed.
type HeadSize struct {
	Queue, Messages, Samples int
	Worker                   string // who holds it
}

// Heads tells how much waits in the heads of each queue that is held.
func (r *readers) Heads() []HeadSize {
	out := make([]HeadSize, 0, len(r.seen))
	for queue, s := range r.seen {
		runner := s.drainer()
		if runner == nil {
			continue
		}
		size := HeadSize{Queue: queue, Worker: runner.name}
		runner.mu.Lock()
		for _, h := range runner.heads {
			waiting := h.loads()
			sum := waiting.all()
			size.Messages += sum.entries
			size.Samples += sum.samples
		}
		runner.mu.Unlock()
		out = append(out, size)
	}
	return out
}

// snapshot gives one of the runner's heads with its journal. No runner has no
// head.
func (r *runner) snapshot(id store.JournalID) (journal.Snapshot, bool) {
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
