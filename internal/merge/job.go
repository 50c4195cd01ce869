package merge

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"weir/internal/journal"
	"weir/internal/sample"
	"weir/internal/store"
)

// merge carries a job out: the new items are written and synced, then the
// entry that names them and what they replace. A crash in between leaves
// orphans, which are swept.
func (m *Merger) merge(ctx context.Context, id store.JournalID, j job) error {
	first := &j.inputs[0]
	volume, err := m.book.Volume(ctx, id.Week, first.Revision)
	if err != nil || volume.Gone() {
		return err
	}
	// A journal that cannot be read takes no entry: no items for it.
	if err := m.book.Journal(id).Refresh(ctx); err != nil {
		return err
	}
	flush, ok := m.book.NewMerge(m.book.Journal(id))
	if !ok {
		return nil
	}
	entry := &journal.Merge{Flush: flush, Revision: first.Revision, Span: first.Length, Buckets: m.config.bucketsOf(j.inputs)}
	for i := range j.inputs {
		entry.Replaces = append(entry.Replaces, j.inputs[i].Key)
	}
	slices.SortFunc(entry.Replaces, journal.CompareKeys)
	b := &builder{entry: entry, small: j.small, handles: m.handles(id)}
	bodies, err := m.read(ctx, volume.Table, j.inputs)
	if err == nil {
		err = b.build(j.inputs, bodies)
	}
	if err == nil {
		err = m.tables.Write(ctx, volume.Table, b.items)
	}
	counts := false
	if err == nil {
		counts, err = m.book.Merge(ctx, id, entry)
	}
	var bad *unreadable
	if errors.As(err, &bad) {
		if !m.current(id, bad.item.Key) {
			return nil // another merged it meanwhile
		}
		m.leave(bad)
	}
	if err != nil {
		return fmt.Errorf("merge in journal %s: %w", id, err)
	}
	m.note(j, entry, counts)
	return nil
}

// current says whether a journal still names an item.
func (m *Merger) current(id store.JournalID, key store.ItemKey) bool {
	for n := range m.book.Journal(id).Snapshot().Items.All() {
		if n.Key == key {
			return true
		}
	}
	return false
}

// leave keeps away from an item that cannot be read: the others go on.
func (m *Merger) leave(bad *unreadable) {
	m.left[bad.item.Key] = struct{}{}
	m.count(func(c *Counts) { c.Unreadable++ })
}

func (m *Merger) note(j job, entry *journal.Merge, counts bool) {
	m.count(func(c *Counts) {
		if !counts {
			c.Void++
			return
		}
		c.Merges++
		for i := range j.inputs {
			c.Items++
			c.Samples += uint64(j.inputs[i].Samples)
			c.ReadBytes += uint64(j.inputs[i].Bytes)
		}
		for _, i := range entry.Items {
			c.Written += uint64(i.Bytes)
		}
	})
}

// handles gives how to list the series of a range of shards.
func (m *Merger) handles(id store.JournalID) func(from, to sample.Shard) []sample.Handle {
	counts := map[sample.Shard]int{}
	m.book.Journal(id).View(func(s *journal.State) {
		s.Ordinals(func(shard sample.Shard, n int) { counts[shard] = n })
	})
	return func(from, to sample.Shard) []sample.Handle {
		out := []sample.Handle{}
		for shard := from; shard < to; shard++ {
			for ordinal := range counts[shard] {
				out = append(out, sample.NewHandle(shard, uint32(ordinal)))
			}
		}
		return out
	}
}

// read gives the packed bodies of items, in their order.
func (m *Merger) read(ctx context.Context, table string, inputs []journal.Named) ([][]byte, error) {
	places := make(map[store.ItemKey]int, len(inputs))
	buckets := map[sample.Shard]struct{}{}
	for i := range inputs {
		places[inputs[i].Key] = i
		buckets[inputs[i].Key.Bucket] = struct{}{}
	}
	bodies := make([][]byte, len(inputs))
	span := inputs[0].Key.Span
	for bucket := range buckets {
		err := m.tables.Query(ctx, table, bucket, span, span, func(item store.Item) bool {
			if i, ok := places[item.Key]; ok {
				bodies[i] = slices.Clone(item.Body)
			}
			return true
		})
		// Damage in the store names the items that it gave no bodies of; those
		// that are none of these are no matter here.
		if damaged := (*store.Unreadable)(nil); err != nil && !errors.As(err, &damaged) {
			return nil, err
		}
	}
	for i, body := range bodies {
		if body == nil {
			return nil, &unreadable{inputs[i], fmt.Errorf("%w: table %s gives no such item", store.ErrCorrupt, table)}
		}
	}
	return bodies, nil
}
