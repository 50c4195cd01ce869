package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"weir/internal/block"
	"weir/internal/buffer"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

// maxFlushMessages bounds how many messages one commit names, so that its
// entry stays small.
const maxFlushMessages = 8 << 10

// flusher writes heads: items first, each synced, and then the one commit
// that names them (law 2). A crash in between leaves items that nothing
// names, and messages that come again.
type flusher struct {
	buffer   buffer.Buffer
	tables   store.Tables
	book     *journal.Book
	flushes  *flushes
	messages int // that one commit names at most
	builders sync.Pool
}

func (f *flusher) builder() *itemBuilder {
	if b, ok := f.builders.Get().(*itemBuilder); ok {
		return b
	}
	return &itemBuilder{}
}

// flush writes all of a class that is in the head by now, in as many commits as
// it takes. Each takes the earliest stamps that are left, so that none makes
// late what came in time.
func (f *flusher) flush(ctx context.Context, h *head, class journal.Class) error {
	left := h.of(class)
	slices.SortFunc(left, func(a, b *entry) int { return compareMessages(&a.message, &b.message) })
	for limit := f.messages; len(left) > 0; {
		entries := left[:min(limit, len(left))]
		revision := h.revision()
		err := f.commit(ctx, h, class, entries)
		switch {
		case err == nil:
			left = left[len(entries):]
		case errors.Is(err, store.ErrTooLarge) && len(entries) > 1:
			limit = len(entries) / 2 // a flush covers whole messages: cover fewer
			continue
		case superseded(h, revision, err):
			continue // anew, in the next revision's table
		default:
			return err
		}
		f.ack(ctx, h.removeNamed())
	}
	return nil
}

// superseded says whether a flush failed because its revision ended meanwhile: a
// seal came ahead of its commit, or with the seal its table went.
func superseded(h *head, revision int, err error) bool {
	return errors.Is(err, journal.ErrSealed) || errors.Is(err, store.ErrNoTable) && h.revision() > revision
}

// ack settles what is named. A lost ack brings the message again, and then it
// is named already; so its error is of no consequence.
func (f *flusher) ack(ctx context.Context, entries []*entry) {
	var all []buffer.Delivery
	for _, e := range entries {
		all = append(all, e.deliveries...)
	}
	if len(all) > 0 {
		_ = buffer.AckAll(ctx, f.buffer, all)
	}
}

// commit writes entries of a class, which are in order, and names them.
func (f *flusher) commit(ctx context.Context, h *head, class journal.Class, entries []*entry) error {
	var before message.Stamp
	var s *ordinals
	c := &journal.Commit{Flush: h.writer.NewFlush(), Class: class}
	h.writer.Journal().View(func(state *journal.State) {
		before, s = state.Horizon(class), newOrdinals(state)
		c.Revision = state.Revision()
	})
	g := gather(entries, s, before)
	c.Horizon = g.horizon
	b := f.builder()
	defer f.builders.Put(b)
	items, err := b.build(h.id.Week, g, c)
	if err != nil {
		return err
	}
	c.Lives, c.Rejected = summarizeLives(entries)
	refused, err := quarantine(h.id, entries, c)
	if err != nil {
		return err
	}
	if err := f.write(ctx, h.id.Week, c.Revision, items, refused); err != nil {
		if errors.Is(err, store.ErrNoTable) {
			// A table that is gone was sealed before: read on to see that.
			err = errors.Join(err, h.writer.Confirm(ctx))
		}
		return err
	}
	if err := h.writer.Commit(ctx, c); err != nil {
		return err
	}
	f.flushes.add(c)
	return nil
}

func (f *flusher) write(ctx context.Context, week sample.Week, revision int, items, refused []store.Item) error {
	if len(refused) > 0 {
		if err := f.tables.Ensure(ctx, journal.QuarantineTable); err != nil {
			return err
		}
		if err := f.tables.Write(ctx, journal.QuarantineTable, refused); err != nil {
			return err
		}
	}
	if len(items) == 0 {
		return nil
	}
	if _, err := f.book.EnsureWeek(ctx, week); err != nil {
		return err
	}
	volume, err := f.book.EnsureVolume(ctx, week, revision)
	if err != nil {
		return err
	}
	return f.tables.Write(ctx, volume.Table, items)
}

// summarizeLives says which messages of which lives the entries are, with
// what the latest of each life tells of it. Entries are in order of stamps.
func summarizeLives(entries []*entry) ([]journal.Life, uint64) {
	var rejected uint64
	lives := map[message.Life]*journal.Life{}
	sets := map[message.Life]journal.Numbers{}
	for _, e := range entries {
		m := &e.message
		rejected += m.Rejected
		l := lives[m.Life]
		if l == nil {
			l = &journal.Life{Life: m.Life, First: m.Stamp}
			lives[m.Life] = l
		}
		sets[m.Life] = sets[m.Life].AddNumber(m.Number)
		l.Samples += m.Samples
		l.First = min(l.First, m.Stamp)
		l.Last = max(l.Last, m.Stamp)
		l.Accepted = max(l.Accepted, m.Accepted)
		l.Closed = l.Closed || m.Role == message.Close
		if m.Role == message.Start {
			l.Started, l.Instance = true, m.Instance
		}
	}
	out := make([]journal.Life, 0, len(lives))
	for id, l := range lives {
		l.Ranges = sets[id]
		out = append(out, *l)
	}
	slices.SortFunc(out, func(a, b journal.Life) int {
		if a.Life < b.Life {
			return -1
		}
		return 1
	})
	return out, rejected
}

// quarantine makes the items of what the entries could not store, one a life
// and reason, and names them in the commit.
func quarantine(id store.JournalID, entries []*entry, c *journal.Commit) ([]store.Item, error) {
	type group struct {
		life   message.Life
		reason string
	}
	batches := map[group]*block.Batch{}
	var order []group
	for _, e := range entries {
		for _, r := range e.refused {
			g := group{e.message.Life, r.reason}
			if batches[g] == nil {
				batches[g] = &block.Batch{}
				order = append(order, g)
			}
			appendKeyRuns(batches[g], r.batch)
		}
	}
	var items []store.Item
	var parts []part
	for _, g := range order {
		key := store.ItemKey{Bucket: sample.FirstShard(id.Partition%sample.Shards, sample.Shards), Span: id.Week.Start(), Flush: c.Flush}
		before := len(parts)
		var err error
		if parts, err = encodeParts(parts, key, batches[g]); err != nil {
			return nil, fmt.Errorf("quarantine: %w", err)
		}
		for _, p := range parts[before:] {
			c.Quarantined = append(c.Quarantined, journal.Refusal{
				Item: p.named, Life: g.life, Reason: g.reason, Samples: uint64(p.named.Samples),
			})
			items = append(items, p.Item)
		}
	}
	return items, nil
}

// appendKeyRuns copies the runs of from, all of them by key, to the end of to.
func appendKeyRuns(to, from *block.Batch) {
	for i, key := range from.Keys {
		start, end := from.Run(i)
		for j := start; j < end; j++ {
			to.AddSample(sample.Sample{Time: from.Times[j], Value: from.Value(from.Kinds[i], j), Quality: from.Quality(j)})
		}
		to.EndKeyRun(key, from.Kinds[i])
	}
}
