// Package tail owns the feed that journals give: it reads the commits behind a
// cut, and their samples from the week tables, merged or not.
//
// Nothing is kept for a reader but its cut, so any number of them, however
// slow, cost what they read. It holds no pin: what was merged, swept or dropped
// before it was read is found in the merged items, or told as a gap.
//
// It imports the ports feed and store, journal and block, and no driver.
package tail

import (
	"context"
	"fmt"
	"time"

	"weir/internal/feed"
	"weir/internal/journal"
	"weir/internal/sample"
	"weir/internal/store"
)

// Options is what a Tailer reads from.
type Options struct {
	Tables store.Tables
	Book   *journal.Book
	Now    func() time.Time
	// Idle is how often a reader is told that it has all while nothing is
	// committed.
	Idle time.Duration
}

// Tailer is the feed of a book's journals. Safe for concurrent use.
type Tailer struct{ Options }

var _ feed.Feed = (*Tailer)(nil)

// New makes a tailer.
func New(o Options) *Tailer { return &Tailer{o} }

// Tail gives commits as they happen; see feed.Feed.
func (t *Tailer) Tail(ctx context.Context, r feed.Request, yield func(*feed.Event) error) error {
	s := &subscription{Tailer: t, request: r, yield: yield, readers: map[store.JournalID]*reader{}}
	if err := s.begin(); err != nil {
		return err
	}
	idle := time.NewTicker(t.Idle)
	defer idle.Stop()
	for {
		changed := t.Book.Changed() // before it is looked at what there is
		more, err := s.round(ctx)
		if err != nil {
			return err
		}
		if more {
			continue
		}
		if err := s.give(&feed.Event{}); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-idle.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// subscription is one reader's state.
type subscription struct {
	*Tailer
	request feed.Request
	yield   func(*feed.Event) error
	cut     *feed.Cut
	readers map[store.JournalID]*reader
}

// begin sets the cut that the request names.
func (s *subscription) begin() error {
	s.cut = &feed.Cut{}
	known := map[feed.Journal]uint64{}
	for _, j := range s.Book.Journals() {
		known[nameOf(j.ID())] = j.Snapshot().Cut
	}
	if s.request.After != nil {
		s.cut = s.request.After.Clone()
		for _, j := range s.cut.Journals() {
			if at, end := s.cut.Position(j), known[j]; at > end {
				return fmt.Errorf("%w: it is at entry %d of %s/%d, which has %d here: it is of another instance, or of this one before it was set back",
					feed.ErrToken, at, j.Week, j.Partition, end)
			}
		}
	} else if !s.request.Oldest {
		for j, end := range known {
			s.cut.Set(j, end)
		}
	}
	return nil
}

func nameOf(id store.JournalID) feed.Journal {
	return feed.Journal{Week: id.Week, Partition: id.Partition}
}

// round gives some of what each journal has, and says whether any had.
func (s *subscription) round(ctx context.Context) (more bool, err error) {
	for _, j := range s.Book.Journals() {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		r := s.readers[j.ID()]
		if r == nil {
			r = &reader{subscription: s, journal: j, name: nameOf(j.ID()), series: map[sample.Handle]sample.Series{}, tables: map[int]string{}}
			s.readers[j.ID()] = r
		}
		had, err := r.step(ctx)
		if err != nil {
			return false, err
		}
		more = more || had
	}
	return more, nil
}

// give hands out an event, with the cut behind it.
func (s *subscription) give(e *feed.Event) error {
	e.Cut = s.cut
	return s.yield(e)
}
