package journal

import (
	"context"
	"errors"
	"fmt"

	"weir/internal/store"
)

// Writer appends to one journal for one worker, from its epoch until another's
// (law 2). Safe for concurrent use: appends go one after the other.
//
// When a method fails with ErrFenced or ErrUncertain the writer is of no use
// any more. An error of another kind means that nothing was appended.
type Writer struct {
	appender
	random func() uint64
	epoch  uint64 // State.epoch right after this writer's own
	broken error
}

// OpenWriter takes a journal over: it appends an epoch and only then believes
// what the journal says, so that what it knows is complete. random gives
// numbers that no other writer is given.
func OpenWriter(ctx context.Context, j *Journal, worker string, random func() uint64) (*Writer, error) {
	w := &Writer{appender: appender{journal: j, id: random()}, random: random}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.refresh(ctx, nil); err != nil {
		return nil, err
	}
	at, err := w.append(ctx, &Entry{Epoch: &Epoch{Worker: worker}}, func() error { return nil })
	if err != nil {
		return nil, err
	}
	w.epoch = at + 1
	return w, nil
}

// Journal gives the journal that w writes.
func (w *Writer) Journal() *Journal { return w.journal }

// NewFlush gives an id that no other attempt to flush has.
func (w *Writer) NewFlush() store.FlushID {
	return newFlushID(w.journal.id, w.epoch-1, w.random())
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
// of it is named already: that would store its samples twice (law 3); and with
// ErrSealed when its revision ended meanwhile.
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
	_, err := w.append(ctx, e, func() error { return w.check(e) })
	if errors.Is(err, ErrUncertain) || errors.Is(err, ErrCorrupt) {
		w.broken = err
	}
	return err
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
	if e.Commit.Revision != s.revision {
		return fmt.Errorf("journal %s: flush %s was written for revision %d: %w", w.journal.id, e.Commit.Flush, e.Commit.Revision, ErrSealed)
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

// Broken says whether the writer is of no use any more.
func (w *Writer) Broken() bool {
	w.journal.mu.Lock()
	defer w.journal.mu.Unlock()
	return w.broken != nil
}
