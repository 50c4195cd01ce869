package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

// account is what journals name of a life, by queue, and which of its chunks are
// under way.
type account struct {
	mu      sync.Mutex
	samples map[int]uint64
	orders
}

func (a *account) add(queue int, samples uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.samples[queue] += samples
}

func (a *account) byQueue() map[int]uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.samples)
}

// maxAccounts is how many lives are remembered; the others' are added up anew.
const maxAccounts = 64

// account gives a life's account: from memory, or from all journals.
func (im *Importer) account(ctx context.Context, life message.Life) (*account, error) {
	im.mu.Lock()
	a := im.lives[life]
	im.mu.Unlock()
	if a != nil {
		return a, nil
	}
	if err := im.Book.Load(ctx); err != nil {
		return nil, err
	}
	a = &account{samples: map[int]uint64{}, orders: orders{changed: make(chan struct{})}}
	im.each(life, func(id store.JournalID, c *journal.Commit, l *journal.Life) { a.samples[id.Partition] += l.Samples })
	im.mu.Lock()
	defer im.mu.Unlock()
	if was := im.lives[life]; was != nil {
		return was, nil // another added it up meanwhile
	}
	if len(im.lives) >= maxAccounts {
		clear(im.lives)
	}
	im.lives[life] = a
	return a, nil
}

// each calls f with each commit that names messages of a life.
func (im *Importer) each(life message.Life, f func(store.JournalID, *journal.Commit, *journal.Life)) {
	for _, j := range im.Book.Journals() {
		for _, c := range j.Snapshot().Commits {
			for i := range c.Lives {
				if c.Lives[i].Life == life {
					f(j.ID(), c.Commit, &c.Lives[i])
				}
			}
		}
	}
}

// Volume is one that holds samples of an import.
type Volume struct {
	Week     sample.Week
	Revision int
	Samples  uint64
	State    journal.VolumeState
}

// LiveFor is how long after its end a week is not sealed yet: samples still come
// for it in the usual course.
const LiveFor = 24 * time.Hour

// Finish closes an import's life, whose last chunk was that before chunks, and
// ends the revisions that hold its samples, but those of weeks that are still
// being filled. It gives the volumes, in order.
func (im *Importer) Finish(ctx context.Context, of Import, chunks uint64, seal bool) ([]Volume, error) {
	if chunks >= MaxChunks {
		return nil, fmt.Errorf("%w: %d chunks", ErrRequest, chunks)
	}
	select {
	case im.turn <- struct{}{}:
		defer func() { <-im.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
	if err := im.Book.Load(ctx); err != nil {
		return nil, err
	}
	held := map[journal.VolumeID]uint64{}
	queues := map[int]*ending{}
	im.each(of.Life, func(id store.JournalID, c *journal.Commit, l *journal.Life) {
		if l.Samples > 0 {
			held[journal.VolumeID{Week: id.Week, Revision: c.Revision}] += l.Samples
		}
		q := queues[id.Partition]
		if q == nil {
			q = &ending{last: id}
			queues[id.Partition] = q
		}
		q.closed = q.closed || l.Closed
		q.samples += l.Samples
		if id.Week > q.last.Week {
			q.last = id
		}
	})
	for _, partition := range slices.Sorted(maps.Keys(queues)) {
		if q := queues[partition]; !q.closed {
			if err := im.close(ctx, of, q, chunks); err != nil {
				return nil, err
			}
		}
	}
	return im.seal(ctx, held, seal)
}

// ending is the end of a life in a queue.
type ending struct {
	last    store.JournalID // the latest week's
	samples uint64
	closed  bool
}

// close commits a life's close message.
func (im *Importer) close(ctx context.Context, of Import, q *ending, chunks uint64) error {
	j, n := im.Book.Journal(q.last), number(chunks, q.last.Week)
	for try := 0; ; try++ {
		guest, err := im.join(ctx, j, of)
		if err != nil {
			return err
		}
		named := false
		j.View(func(s *journal.State) { named = s.Named(message.ID{Life: of.Life, Number: n}) })
		if named {
			return nil
		}
		stamp := im.Clock.Now()
		err = im.commit(ctx, guest, q.last.Week, nil, &journal.Commit{
			Buckets: 1, Span: int64(7 * 24 * time.Hour),
			Lives: []journal.Life{{
				Life: of.Life, Ranges: []journal.Range{{From: n, To: n}}, First: stamp, Last: stamp, Accepted: q.samples, Closed: true,
			}},
		})
		if err == nil {
			return nil
		}
		if (!guest.Broken() && !errors.Is(err, journal.ErrSealed)) || ctx.Err() != nil || try >= maxTries {
			return err
		}
	}
}

// seal ends the open ones of volumes whose weeks are over.
func (im *Importer) seal(ctx context.Context, held map[journal.VolumeID]uint64, seal bool) ([]Volume, error) {
	var out []Volume
	ids := slices.SortedFunc(maps.Keys(held), func(a, b journal.VolumeID) int {
		return cmp.Or(cmp.Compare(a.Week, b.Week), cmp.Compare(a.Revision, b.Revision))
	})
	for _, id := range ids {
		v, err := im.Book.Volume(ctx, id.Week, id.Revision)
		if err != nil {
			return nil, err
		}
		over := im.Now().Add(-LiveFor).UnixNano() >= id.Week.End()
		if seal && over && v.State == journal.VolumeOpen {
			if err := im.Commit(ctx, id.Week); err != nil { // or it would begin the next revision
				return nil, err
			}
			if err := im.Book.SealVolume(ctx, id.Week, id.Revision); err != nil {
				return nil, err
			}
			v.State = journal.VolumeSealed
		}
		out = append(out, Volume{id.Week, id.Revision, held[id], v.State})
	}
	return out, nil
}
