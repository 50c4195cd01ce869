package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/internal/store"
)

// appender puts entries at the end of a journal, one after the other, and
// finds out what became of those whose answer was lost (law 2).
type appender struct {
	journal  *Journal
	id       uint64 // a random number that no other appender has
	sequence uint64
}

// retryPause is how long an append whose answer was lost waits before it
// reads, and maxRetries how often it does so before it gives up.
const (
	retryPause = 20 * time.Millisecond
	maxRetries = 8
)

// append puts e at the end of the journal and gives its position. check is
// asked before each attempt whether e may stand behind all that is known by
// then; its error is returned, and then nothing was appended. ErrUncertain
// means that e may or may not be there. The caller holds the journal's lock,
// so there is one append outstanding.
func (a *appender) append(ctx context.Context, e *Entry, check func() error) (uint64, error) {
	a.sequence++
	e.ID = EntryID{a.id, a.sequence}
	body := e.Encode(nil)
	id := a.journal.id
	if len(body) > store.MaxEntry {
		return 0, fmt.Errorf("journal %s: %w: an entry of %d bytes; the limit is %d", id, store.ErrTooLarge, len(body), store.MaxEntry)
	}
	for try := 0; ; try++ {
		if err := check(); err != nil {
			return 0, err
		}
		at := a.journal.state.next
		err := a.journal.log.Append(ctx, id, at, body)
		if err == nil {
			return at, a.journal.apply(e)
		}
		if own, done, rerr := a.resolve(ctx, e); rerr != nil {
			return 0, fmt.Errorf("journal %s, position %d: %w: %w", id, at, ErrUncertain, errors.Join(err, rerr))
		} else if done {
			return own, nil
		}
		if try < maxRetries || errors.Is(err, store.ErrTaken) && a.journal.state.next > at {
			continue
		}
		// Nothing stands at the position; but the append may yet arrive there.
		return 0, fmt.Errorf("journal %s, position %d: %w: %w", id, at, ErrUncertain, err)
	}
}

// resolve reads the journal on after an append that failed, and says whether
// and where the entry stands. It tries for a bounded time.
func (a *appender) resolve(ctx context.Context, e *Entry) (position uint64, done bool, err error) {
	for try := 0; ; try++ {
		err = a.journal.refresh(ctx, func(read *Entry) {
			if read.ID == e.ID { // what one try has applied the next does not read again
				position, done = a.journal.state.next-1, true
			}
		})
		if err == nil || try >= maxRetries {
			return position, done, err
		}
		select {
		case <-ctx.Done():
			return 0, false, errors.Join(err, ctx.Err())
		case <-time.After(retryPause << min(try, 6)):
		}
	}
}

// partitionBits is how many of the upper bits of a flush's nonce say which
// partition's it is, so that the items of flushes that nothing names can be
// told by their keys: a bucket may hold series of several partitions.
const partitionBits = 10

// newFlushID gives an id that no other attempt to flush or merge has.
func newFlushID(id store.JournalID, epoch, random uint64) store.FlushID {
	return store.FlushID{Epoch: epoch, Nonce: uint64(id.Partition)<<(64-partitionBits) | random>>partitionBits}
}

// partitionOf gives the partition whose flush it is.
func partitionOf(f store.FlushID) int { return int(f.Nonce >> (64 - partitionBits)) }
