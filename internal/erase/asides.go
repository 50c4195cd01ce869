package erase

import (
	"context"
	"errors"
	"fmt"
	"math"

	"weir/internal/block"
	"weir/internal/buffer"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

// Quarantine is the items of samples that were accepted and could not be stored.
// An item is written anew under its own key, or deleted where nothing is left of
// it: journals name these items with a reason and a count, and nothing is merged
// there. So this is the one table in which an item is written twice.
type Quarantine struct {
	Tables store.Tables
}

var _ Place = (*Quarantine)(nil)

// PlaceQuarantine is the name of this place.
const PlaceQuarantine = "quarantine"

// each calls yield with each item that has samples of the target.
func (q *Quarantine) each(ctx context.Context, t *Target, yield func(item store.Item, kept *block.Batch, gone int) error) error {
	lister, ok := q.Tables.(store.Lister)
	if !ok {
		return errors.New("this store can't list what is in a table")
	}
	buckets := map[sample.Shard]struct{}{}
	err := lister.Keys(ctx, journal.QuarantineTable, func(k store.ItemKey) bool {
		buckets[k.Bucket] = struct{}{}
		return true
	})
	if errors.Is(err, store.ErrNoTable) {
		return nil
	}
	if err != nil {
		return err
	}
	var b block.Batch
	for bucket := range buckets {
		var failed error
		err := q.Tables.Query(ctx, journal.QuarantineTable, bucket, math.MinInt64, math.MaxInt64, func(item store.Item) bool {
			if failed = block.Decode(&b, item.Body); failed != nil {
				failed = fmt.Errorf("item %v can't be read, so it is not known whether it holds samples of the series: %w", item.Key, failed)
				return false
			}
			if kept, gone := withoutKeys(&b, t); gone > 0 {
				failed = yield(item, kept, gone)
			}
			return failed == nil && ctx.Err() == nil
		})
		if err := errors.Join(failed, err, ctx.Err()); err != nil {
			return fmt.Errorf("quarantine: %w", err)
		}
	}
	return nil
}

// withoutKeys gives a batch of series by their keys without samples of the target,
// and how many those were.
func withoutKeys(b *block.Batch, t *Target) (kept *block.Batch, gone int) {
	kept = &block.Batch{}
	for run, kind := range b.Kinds {
		start, end := b.Run(run)
		had := kept.Samples()
		for i := start; i < end; i++ {
			if run >= len(b.Handles) && t.has(b.Keys[run-len(b.Handles)]) && b.Times[i] >= t.From && b.Times[i] < t.To {
				gone++
				continue
			}
			kept.AddSample(sample.Sample{Time: b.Times[i], Value: b.Value(kind, i), Quality: b.Quality(i)})
		}
		switch {
		case kept.Samples() == had:
		case run < len(b.Handles):
			kept.EndRun(b.Handles[run], kind)
		default:
			kept.EndKeyRun(b.Keys[run-len(b.Handles)], kind)
		}
	}
	return kept, gone
}

// has says whether a series, by its canonical key, is to be erased.
func (t *Target) has(key string) bool {
	for i := range t.Series {
		if t.Series[i].Key == key {
			return true
		}
	}
	return false
}

// Count reads all items.
func (q *Quarantine) Count(ctx context.Context, t *Target, _ Tell) ([]Found, error) {
	all := []Found{{PlaceQuarantine, unitSamples, 0}}
	err := q.each(ctx, t, func(_ store.Item, _ *block.Batch, gone int) error {
		all[0].Count += uint64(gone)
		return nil
	})
	return all, err
}

// Erase writes items anew.
func (q *Quarantine) Erase(ctx context.Context, t *Target, _ Tell) error {
	var empty []store.ItemKey
	var rewritten []store.Item
	err := q.each(ctx, t, func(item store.Item, kept *block.Batch, _ int) error {
		if kept.Samples() == 0 {
			empty = append(empty, item.Key)
			return nil
		}
		body, err := block.EncodeSmall(nil, kept)
		rewritten = append(rewritten, store.Item{Key: item.Key, Body: body})
		return err
	})
	if err != nil {
		return err
	}
	if len(rewritten) > 0 {
		if err := q.Tables.Write(ctx, journal.QuarantineTable, rewritten); err != nil {
			return err
		}
	}
	if len(empty) > 0 {
		return q.Tables.Delete(ctx, journal.QuarantineTable, empty)
	}
	return nil
}

// Letters is the dead letters. A letter is a message as it was, with samples of
// many series under one number; nothing can be taken out of it. Where one holds
// samples of the target the erasure ends with an error that says what to do.
type Letters struct {
	Queues int
	Dead   buffer.DeadLetters
	Book   *journal.Book
}

var _ Place = (*Letters)(nil)

// PlaceLetters is the name of this place.
const PlaceLetters = "dead letters"

const letterPage = 256

// Each calls yield with each dead letter, and how many samples of the target it
// holds; err says that it can't be read.
func (l *Letters) Each(ctx context.Context, t *Target, yield func(queue int, letter *buffer.DeadLetter, samples int, err error)) error {
	for queue := range l.Queues {
		for after := ""; ; {
			letters, err := l.Dead.List(ctx, queue, after, letterPage)
			if err != nil {
				return err
			}
			for i := range letters {
				n, err := l.samples(letters[i].Body, t)
				yield(queue, &letters[i], n, err)
				after = letters[i].ID
			}
			if len(letters) < letterPage {
				break
			}
		}
	}
	return nil
}

func (l *Letters) samples(body []byte, t *Target) (n int, err error) {
	m, err := message.Decode(body)
	if err != nil {
		return 0, err
	}
	if len(m.Block) == 0 {
		return 0, nil
	}
	var b block.Batch
	if err := block.Decode(&b, m.Block); err != nil {
		return 0, err
	}
	j := l.Book.Journal(store.JournalID{Week: m.Week, Partition: m.Queue})
	for run := range b.Kinds {
		key := ""
		if run < len(b.Handles) {
			j.View(func(s *journal.State) {
				of, _ := s.Registration(b.Handles[run])
				key = of.Key
			})
		} else {
			key = b.Keys[run-len(b.Handles)]
		}
		if !t.has(key) {
			continue
		}
		start, end := b.Run(run)
		for _, at := range b.Times[start:end] {
			if at >= t.From && at < t.To {
				n++
			}
		}
	}
	return n, nil
}

// Count reads all letters. What can't be read is for the notes.
func (l *Letters) Count(ctx context.Context, t *Target, _ Tell) ([]Found, error) {
	all := []Found{{PlaceLetters, unitSamples, 0}}
	err := l.Each(ctx, t, func(_ int, _ *buffer.DeadLetter, n int, _ error) { all[0].Count += uint64(n) })
	return all, err
}

// Erase refuses where a letter holds samples.
func (l *Letters) Erase(ctx context.Context, t *Target, _ Tell) error {
	queue, id, letters := 0, "", 0
	err := l.Each(ctx, t, func(q int, letter *buffer.DeadLetter, n int, _ error) {
		if n > 0 {
			queue, id = q, letter.ID
			letters++
		}
	})
	if err == nil && letters > 0 {
		err = fmt.Errorf("%w in %d dead letters, which can't be changed: send them again (weir queue redrive), the first is %s of queue %d, and erase again once they are stored",
			ErrLeft, letters, id, queue)
	}
	return err
}
