package history

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

// writing is one message on its way into its journal.
type writing struct {
	of       Import
	id       store.JournalID
	number   uint64
	stamp    message.Stamp
	accepted uint64 // running total of the life in this queue
	started  bool   // the life is known in this queue
	rejected uint64 // told with this message
}

// store writes the messages of a chunk, several at once.
func (im *Importer) store(ctx context.Context, of Import, chunk uint64, a *account, r *reading) (Result, error) {
	out := Result{Rejected: r.rejected, Faults: r.faults}
	if err := im.settleWeeks(ctx, r.messages); err != nil {
		return out, err
	}
	stamp := im.Clock.Now() // what was accepted before has an earlier one
	base := a.byQueue()
	var mu sync.Mutex
	err := several(ctx, r.messages, func(ctx context.Context, g *gathered) error {
		w := &writing{
			of: of, id: store.JournalID{Week: g.week, Partition: g.partition}, number: number(chunk, g.week), stamp: stamp,
			accepted: base[g.partition] + uint64(g.samples), started: base[g.partition] > 0,
		}
		if g == r.messages[0] {
			w.rejected = r.rejected
		}
		stored, err := im.message(ctx, w, g)
		if err != nil {
			return fmt.Errorf("week %s: %w", g.week, err)
		}
		mu.Lock()
		defer mu.Unlock()
		if stored {
			out.Stored += uint64(g.samples)
			a.add(g.partition, uint64(g.samples))
		} else {
			out.Repeated += uint64(g.samples)
		}
		return nil
	})
	return out, err
}

// settleWeeks waits until what was accepted before of the weeks of a chunk is
// committed, so that what is imported wins over it (law 6).
func (im *Importer) settleWeeks(ctx context.Context, messages []*gathered) error {
	for i, g := range messages {
		if i > 0 && messages[i-1].week == g.week {
			continue
		}
		if err := im.Commit(ctx, g.week); err != nil {
			return err
		}
	}
	return nil
}

// message stores one message unless it is stored, and says whether it did.
func (im *Importer) message(ctx context.Context, w *writing, g *gathered) (stored bool, err error) {
	j := im.Book.Journal(w.id)
	named := func() (named bool) {
		j.View(func(s *journal.State) { named = s.Named(message.ID{Life: w.of.Life, Number: w.number}) })
		return named
	}
	if err := j.Refresh(ctx); err != nil {
		return false, err
	}
	if named() {
		return false, nil
	}
	guest, err := im.join(ctx, j, w.of)
	if err != nil {
		return false, err
	}
	b, _ := im.builders.Get().(*builder)
	defer im.builders.Put(b)
	if guest, err = im.register(ctx, b, guest, g, w.of); err != nil {
		return false, err
	}
	b.gather(g)
	c := &journal.Commit{Rejected: w.rejected}
	items, err := b.items(g.week, uint64(w.stamp), c)
	if err != nil {
		return false, err
	}
	c.Lives = []journal.Life{{
		Life: w.of.Life, Ranges: []journal.Range{{From: w.number, To: w.number}}, Samples: uint64(g.samples),
		First: w.stamp, Last: w.stamp, Accepted: w.accepted,
	}}
	if !w.started {
		c.Lives[0].Started, c.Lives[0].Instance = true, w.of.instance()
	}
	for try := 0; ; try++ {
		err := im.commit(ctx, guest, w.id.Week, items, c)
		if err == nil {
			return true, nil
		}
		if guest.Broken() && ctx.Err() == nil && try < maxTries {
			// Another took the journal over, or an answer was lost: see what stands there.
			if guest, err = im.join(ctx, j, w.of); err != nil {
				return false, err
			}
			if named() {
				return true, nil
			}
			continue
		}
		if !superseded(j, c.Revision, err) || try >= maxTries {
			return false, err
		}
	}
}

// maxTries bounds how often a message is written anew because others take its
// journal over, or seal it.
const maxTries = 100

// superseded says whether a commit failed because its revision ended meanwhile.
func superseded(j *journal.Journal, revision int, err error) bool {
	open := 0
	j.View(func(s *journal.State) { open = s.Revision() })
	return errors.Is(err, journal.ErrSealed) || errors.Is(err, store.ErrNoTable) && open > revision
}

// commit writes items, under a flush id of their own, and names them.
func (im *Importer) commit(ctx context.Context, guest *journal.Writer, week sample.Week, items []store.Item, c *journal.Commit) error {
	c.Flush = guest.NewFlush()
	guest.Journal().View(func(s *journal.State) {
		// It takes no message of a head, so the horizon stays.
		c.Revision, c.Horizon = s.Revision(), s.Horizon(journal.Steady)
	})
	if len(items) > 0 {
		for i := range items {
			items[i].Key.Flush = c.Flush
		}
		volume, err := im.Book.EnsureVolume(ctx, week, c.Revision)
		if err != nil {
			return err
		}
		if err := im.Tables.Write(ctx, volume.Table, items); err != nil {
			if errors.Is(err, store.ErrNoTable) {
				// A table that is gone was sealed before: read on to see that.
				err = errors.Join(err, guest.Confirm(ctx))
			}
			return err
		}
	}
	return guest.Commit(ctx, c)
}

// join makes a guest of a journal. The first of this process takes it over where
// no worker has it, so that orphans of attempts before may go.
func (im *Importer) join(ctx context.Context, j *journal.Journal, of Import) (*journal.Writer, error) {
	id := j.ID()
	im.mu.Lock()
	taken := im.taken[id]
	im.mu.Unlock()
	if taken {
		return journal.JoinWriter(ctx, j, of.instance(), im.Random)
	}
	held, err := im.Held(ctx, id)
	if err != nil {
		return nil, err
	}
	open := journal.OpenWriter
	if held {
		open = journal.JoinWriter
	}
	w, err := open(ctx, j, of.instance(), im.Random)
	if err == nil {
		im.mu.Lock()
		im.taken[id] = true
		im.mu.Unlock()
	}
	return w, err
}

// register makes a message's series durable in the journal and names them. It
// gives the guest, which may be another by then.
func (im *Importer) register(ctx context.Context, b *builder, guest *journal.Writer, g *gathered, of Import) (*journal.Writer, error) {
	all := im.Catalog.All()
	b.find(g, all)
	j := guest.Journal()
	for try := 0; ; try++ {
		var news []journal.Registration
		j.View(func(s *journal.State) { news = b.registrations(all, s) })
		if len(news) == 0 {
			break
		}
		slices.SortFunc(news, func(x, y journal.Registration) int {
			if x.Key < y.Key {
				return -1
			}
			return 1
		})
		err := guest.Register(ctx, news)
		if err == nil {
			continue
		}
		if !guest.Broken() || ctx.Err() != nil || try >= maxTries {
			return nil, err
		}
		if guest, err = im.join(ctx, j, of); err != nil {
			return nil, err
		}
	}
	var err error
	j.View(func(s *journal.State) { err = b.name(g, all, s) })
	return guest, err
}

// atOnce is how many weeks are worked on at once: most of the time each waits
// for the disk.
const atOnce = 8

// several does something with each of a list, some of them at once, until one
// fails; ctx tells the others that.
func several[T any](ctx context.Context, list []T, do func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	places := make(chan struct{}, atOnce)
	for _, one := range list {
		places <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-places }()
			defer func() { // one import must not end all that the process does
				if p := recover(); p != nil {
					cancel(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
				}
			}()
			if err := do(ctx, one); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}
