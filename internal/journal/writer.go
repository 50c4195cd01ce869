package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/internal/store"
)

// Writer appends to one journal for one worker, from its epoch until another's
// (law 2). Safe for concurrent use: appends go one after the other.
//
// When a method fails with ErrFenced or ErrUncertain the writer is of no use
// any more. An error of another kind means that nothing was appended.
type Writer struct {
	journal  *Journal
	random   func() uint64
	id       uint64
	sequence uint64
	epoch    uint64 // State.epoch right after this writer's own
	broken   error
}

// retryPause is how long an append whose answer was lost waits before it
// reads, and maxRetries how often it does so before it gives up.
const (
	retryPause = 20 * time.Millisecond
	maxRetries = 8
)

// OpenWriter takes a journal over: it appends an epoch and only then believes
// what the journal says, so that what it knows is complete. random gives
// numbers that no other writer is given.
func OpenWriter(ctx context.Context, j *Journal, worker string, random func() uint64) (*Writer, error) {
	w := &Writer{journal: j, random: random, id: random()}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.refresh(ctx, nil); err != nil {
		return nil, err
	}
	w.epoch = j.state.epoch
	if err := w.append(ctx, &Entry{Epoch: &Epoch{Worker: worker}}); err != nil {
		return nil, err
	}
	return w, nil
}

// Journal gives the journal that w writes.
func (w *Writer) Journal() *Journal { return w.journal }

// NewFlush gives an id that no other attempt to flush has.
func (w *Writer) NewFlush() store.FlushID {
	return store.FlushID{Epoch: w.epoch - 1, Nonce: w.random()}
}

// Register makes series durable in the journal; those that are registered
// already are left as they are. Their handles and kinds are the journal's.
func (w *Writer) Register(ctx context.Context, series []Registration) error {
	for len(series) > 0 {
		n, size := 0, 0
		for n < len(series) && (n == 0 || size+len(series[n].Key) < store.MaxEntry/2) {
			size += len(series[n].Key) + 4
			n++
		}
		if err := w.locked(ctx, &Entry{Register: &Register{Series: series[:n]}}); err != nil {
			return err
		}
		series = series[n:]
	}
	return nil
}

// Commit names a flush whose items are stored. It is refused when a message
// of it is named already: that would store its samples twice (law 3).
func (w *Writer) Commit(ctx context.Context, c *Commit) error {
	return w.locked(ctx, &Entry{Commit: c})
}

// Confirm reads the journal on, so that what it says is complete by now, and
// gives ErrFenced where another worker took it over.
func (w *Writer) Confirm(ctx context.Context) error {
	w.journal.mu.Lock()
	defer w.journal.mu.Unlock()
	if err := w.journal.refresh(ctx, nil); err != nil {
		return err
	}
	return w.usable()
}

func (w *Writer) locked(ctx context.Context, e *Entry) error {
	w.journal.mu.Lock()
	defer w.journal.mu.Unlock()
	return w.append(ctx, e)
}

// append puts e at the end of the journal. The caller holds the journal's
// lock, so there is one append outstanding.
func (w *Writer) append(ctx context.Context, e *Entry) error {
	if err := w.usable(); err != nil {
		return err
	}
	w.sequence++
	e.ID = EntryID{w.id, w.sequence}
	body := e.Encode(nil)
	if len(body) > store.MaxEntry {
		return fmt.Errorf("journal %s: %w: an entry of %d bytes; the limit is %d", w.journal.id, store.ErrTooLarge, len(body), store.MaxEntry)
	}
	for try := 0; ; try++ {
		if err := w.check(e); err != nil {
			return err
		}
		at := w.journal.state.next
		err := w.journal.log.Append(ctx, w.journal.id, at, body)
		if err == nil {
			return w.settle(e)
		}
		if done, rerr := w.resolve(ctx, e); rerr != nil {
			w.broken = fmt.Errorf("journal %s, position %d: %w: %w", w.journal.id, at, ErrUncertain, errors.Join(err, rerr))
			return w.broken
		} else if done {
			return nil
		}
		if try < maxRetries || errors.Is(err, store.ErrTaken) && w.journal.state.next > at {
			continue
		}
		// Nothing stands at the position; but the append may yet arrive there.
		w.broken = fmt.Errorf("journal %s, position %d: %w: %w", w.journal.id, at, ErrUncertain, err)
		return w.broken
	}
}

// usable refuses all work once the writer is broken or another's epoch stands.
func (w *Writer) usable() error {
	if w.broken == nil && w.journal.state.epoch != w.epoch {
		w.broken = fmt.Errorf("journal %s: %w", w.journal.id, ErrFenced)
	}
	return w.broken
}

// check refuses what must not be appended after what is now known.
func (w *Writer) check(e *Entry) error {
	if err := w.usable(); err != nil {
		return err
	}
	s := w.journal.state
	if e.Commit == nil {
		return nil
	}
	if _, ok := s.flushes[e.Commit.Flush]; ok {
		return fmt.Errorf("journal %s: flush %s is committed already", w.journal.id, e.Commit.Flush)
	}
	for i := range e.Commit.Lives {
		l := &e.Commit.Lives[i]
		for _, r := range l.Ranges {
			if s.lives[l.Life].overlaps(r) {
				return fmt.Errorf("journal %s: flush %s names messages %d to %d of life %s, which are named already in part",
					w.journal.id, e.Commit.Flush, r.From, r.To, l.Life)
			}
		}
	}
	return nil
}

// settle takes an entry that is known to stand at the next position.
func (w *Writer) settle(e *Entry) error {
	if err := w.journal.apply(e); err != nil {
		w.broken = err
		return err
	}
	w.took(e)
	return nil
}

func (w *Writer) took(e *Entry) {
	if e.Epoch != nil {
		w.epoch = w.journal.state.epoch
	}
}

// resolve reads the journal on after an append that failed, and says whether
// the entry stands there. It tries for a bounded time.
func (w *Writer) resolve(ctx context.Context, e *Entry) (bool, error) {
	done := false // stays: what one try has applied the next does not read again
	for try := 0; ; try++ {
		err := w.journal.refresh(ctx, func(read *Entry) {
			if read.ID == e.ID {
				done = true
				w.took(read)
			} else if e.Epoch != nil && !done {
				// Somebody's entry came ahead of this epoch: it will stand
				// behind it and knows it.
				w.epoch = w.journal.state.epoch
			}
		})
		if err == nil || try >= maxRetries {
			return done, err
		}
		select {
		case <-ctx.Done():
			return false, errors.Join(err, ctx.Err())
		case <-time.After(retryPause << min(try, 6)):
		}
	}
}

// Broken says whether the writer is of no use any more.
func (w *Writer) Broken() bool {
	w.journal.mu.Lock()
	defer w.journal.mu.Unlock()
	return w.broken != nil
}
