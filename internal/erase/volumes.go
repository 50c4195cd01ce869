package erase

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"weir/internal/block"
	"weir/internal/journal"
	"weir/internal/sample"
	"weir/internal/settle"
	"weir/internal/store"
)

// Volumes is the items of all volumes that have a table. The items that journals
// name are replaced by items without the samples, by merges that say how many those
// were; what was replaced is removed at once, and so is what crashes have left.
type Volumes struct {
	Book   *journal.Book
	Tables store.Tables
	Now    func() time.Time
	Pause  func(context.Context, time.Duration) error
}

var _ Place = (*Volumes)(nil)

// Names of the parts of this place.
const (
	PlaceVolumes = "volumes"        // items that journals name
	PlaceOld     = "replaced items" // that merges replaced, or crashes left
	unitSamples  = "samples"
	unitRows     = "rows"
)

// tableOf is a volume with what journals name of it, and the target's series.
type tableOf struct {
	journal.VolumeRecord
	named   map[store.ItemKey]named
	handles []sample.Handle // of the target's series in this week, sorted
}

type named struct {
	journal.Named
	partition int
}

// each calls do with each volume that may hold samples of the target.
func (v *Volumes) each(ctx context.Context, t *Target, tell Tell, do func(*tableOf) error) error {
	weeks, err := v.Book.Weeks(ctx)
	if err != nil {
		return err
	}
	weeks = slices.DeleteFunc(weeks, func(w sample.Week) bool { return w.End() <= t.From || w.Start() >= t.To })
	if len(weeks) > 0 {
		if err := v.Book.Damaged(weeks[0], weeks[len(weeks)-1]); err != nil {
			return fmt.Errorf("what a damaged journal names can't be erased: %w", err)
		}
	}
	for i, week := range weeks {
		tell(uint64(i), uint64(len(weeks)))
		volumes, err := v.Book.Volumes(ctx, week)
		if err != nil {
			return err
		}
		for _, record := range volumes {
			of, err := v.look(ctx, record, t)
			if err == nil && len(of.handles) > 0 {
				err = do(of)
			}
			if err != nil {
				return fmt.Errorf("week %s, revision %d: %w", week, record.Revision, err)
			}
		}
	}
	return nil
}

// look reads what the journals name of a volume by now.
func (v *Volumes) look(ctx context.Context, record journal.VolumeRecord, t *Target) (*tableOf, error) {
	of := &tableOf{VolumeRecord: record, named: map[store.ItemKey]named{}}
	week, ok, err := v.Book.Week(ctx, record.Week)
	if err != nil || !ok {
		return of, err
	}
	if record.Gone() {
		if record.Restoring != "" {
			return nil, fmt.Errorf("%w: it is being restored; end that first: weir archive restore %s", ErrHeld, record.Week)
		}
		return of, v.Tables.Drop(ctx, record.Table) // who dropped it may have been killed before
	}
	for partition := range week.Partitions {
		j := v.Book.Journal(store.JournalID{Week: record.Week, Partition: partition})
		if err := j.Refresh(ctx); err != nil {
			return nil, err
		}
		var items journal.Items
		j.View(func(s *journal.State) {
			items = s.Items()
			for _, m := range t.Series {
				if h, _, ok := s.Handle(m.Key); ok {
					of.handles = append(of.handles, h)
				}
			}
		})
		for n := range items.All() {
			if n.Revision == record.Revision {
				of.named[n.Key] = named{*n, partition}
			}
		}
	}
	slices.Sort(of.handles)
	return of, nil
}

// mayHold says whether an item may hold samples of the target. Of one that no
// journal names neither its span's length is known nor where its bucket ends.
func (of *tableOf) mayHold(key store.ItemKey, t *Target) bool {
	if n, ok := of.named[key]; ok {
		first, end := n.Shards()
		return n.From < t.To && n.To > t.From && slices.ContainsFunc(of.handles, func(h sample.Handle) bool { return h.Shard() >= first && h.Shard() < end })
	}
	return key.Span < t.To && slices.ContainsFunc(of.handles, func(h sample.Handle) bool { return h.Shard() >= key.Bucket })
}

// holding calls yield with each item of the table that has samples of the target:
// of all that are there, whether a journal names them or not.
func (v *Volumes) holding(ctx context.Context, of *tableOf, t *Target, yield func(item store.Item, samples int) error) error {
	lister, ok := v.Tables.(store.Lister)
	if !ok {
		return errors.New("this store can't list what is in a table: what crashes left there can't be found")
	}
	buckets := map[sample.Shard]map[store.ItemKey]bool{}
	err := lister.Keys(ctx, of.Table, func(k store.ItemKey) bool {
		if of.mayHold(k, t) {
			if buckets[k.Bucket] == nil {
				buckets[k.Bucket] = map[store.ItemKey]bool{}
			}
			buckets[k.Bucket][k] = true
		}
		return ctx.Err() == nil
	})
	if errors.Is(err, store.ErrNoTable) {
		return nil // dropped meanwhile
	}
	if err = errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	var b block.Batch
	for bucket, keys := range buckets {
		if err := v.query(ctx, of.Table, bucket, keys, func(item store.Item) error {
			if err := block.DecodeRange(&b, item.Body, of.handles, t.From, t.To); err != nil {
				return fmt.Errorf("item %v can't be read, so it is not known whether it holds samples of the series: %w", item.Key, err)
			}
			if b.Samples() == 0 {
				return nil
			}
			return yield(item, b.Samples())
		}); err != nil {
			return err
		}
	}
	return nil
}

// query reads items of a bucket. One that is gone meanwhile was merged or swept.
func (v *Volumes) query(ctx context.Context, table string, bucket sample.Shard, keys map[store.ItemKey]bool, yield func(store.Item) error) error {
	from, to := int64(0), int64(0)
	first := true
	for k := range keys {
		if first {
			from, to, first = k.Span, k.Span, false
		}
		from, to = min(from, k.Span), max(to, k.Span)
	}
	var failed error
	err := v.Tables.Query(ctx, table, bucket, from, to, func(item store.Item) bool {
		if keys[item.Key] {
			failed = yield(item)
		}
		return failed == nil && ctx.Err() == nil
	})
	var damaged *store.Unreadable
	if errors.As(err, &damaged) && len(damaged.Keys) > 0 && !slices.ContainsFunc(damaged.Keys, func(k store.ItemKey) bool { return keys[k] }) {
		err = nil // damage of others is no matter here
	}
	if errors.Is(err, store.ErrNoTable) {
		err = nil
	}
	return errors.Join(failed, err, ctx.Err())
}

// Count reads all items that may hold samples.
func (v *Volumes) Count(ctx context.Context, t *Target, tell Tell) ([]Found, error) {
	all := []Found{{PlaceVolumes, unitSamples, 0}, {PlaceOld, unitSamples, 0}}
	err := v.each(ctx, t, tell, func(of *tableOf) error {
		return v.holding(ctx, of, t, func(item store.Item, samples int) error {
			place := 1
			if _, ok := of.named[item.Key]; ok {
				place = 0
			}
			all[place].Count += uint64(samples)
			return nil
		})
	})
	return all, err
}

// looks bounds how often a volume is looked at again: where others merge there, or
// are writing what they have not named yet.
const looks = 8

// Erase takes the samples out of each volume.
func (v *Volumes) Erase(ctx context.Context, t *Target, tell Tell) error {
	return v.each(ctx, t, tell, func(of *tableOf) error {
		for look := range looks {
			if look > 1 { // the second look finds it clean, usually
				if err := v.Pause(ctx, pause); err != nil {
					return err
				}
			}
			if look > 0 {
				record, err := v.Book.Volume(ctx, of.Week, of.Revision)
				if err != nil {
					return err
				}
				if of, err = v.look(ctx, record, t); err != nil || record.Gone() {
					return err
				}
			}
			if clean, err := v.eraseTable(ctx, of, t, look >= looks/2); clean || err != nil {
				return err
			}
		}
		return fmt.Errorf("%w: others merge there, or take it over, all the time", journal.ErrChanged)
	})
}

// eraseTable does one look: it says whether there was nothing left to do. What no
// journal names may be of a flush or a merge that is under way, and is named, or
// given up, at the next look; what stays is of a crash, or of a merge that did not
// count. Then an epoch is appended, after which nobody can name it.
func (v *Volumes) eraseTable(ctx context.Context, of *tableOf, t *Target, takeOver bool) (clean bool, err error) {
	var items []store.ItemKey
	loose := 0
	if err := v.holding(ctx, of, t, func(item store.Item, _ int) error {
		if _, ok := of.named[item.Key]; ok {
			items = append(items, item.Key)
		} else {
			loose++
		}
		return nil
	}); err != nil {
		return false, err
	}
	if len(items) > 0 {
		if err := v.replace(ctx, of, t, items); err != nil {
			return false, err
		}
	}
	if len(items)+loose == 0 {
		return true, nil
	}
	if _, err := v.Book.Expunge(ctx, of.Week, of.Revision, v.Now()); err != nil {
		return false, err
	}
	if loose == 0 || !takeOver {
		return false, nil
	}
	week, _, err := v.Book.Week(ctx, of.Week)
	if err != nil {
		return false, err
	}
	taken := map[int]bool{}
	for _, h := range of.handles {
		partition := h.Shard().Range(week.Partitions)
		if taken[partition] {
			continue
		}
		taken[partition] = true
		if err := v.Book.TakeOver(ctx, store.JournalID{Week: of.Week, Partition: partition}, "erase"); err != nil {
			return false, err
		}
	}
	_, err = v.Book.SweepOrphans(ctx, of.Week, of.Revision)
	return false, err
}

// Bounds of one merge.
const (
	mergeItems = 2_000
	mergeBytes = 16 << 20
)

// group is what one merge may replace: items of one journal, span and division.
type group struct {
	partition int
	span      int64
	length    int64
	buckets   int
}

// replace replaces items by items without the samples.
func (v *Volumes) replace(ctx context.Context, of *tableOf, t *Target, items []store.ItemKey) error {
	groups := map[group][]named{}
	for _, key := range items {
		n := of.named[key]
		g := group{n.partition, n.Key.Span, n.Length, n.Buckets}
		groups[g] = append(groups[g], n)
	}
	for g, of0 := range groups {
		for len(of0) > 0 {
			n, bytes := 0, 0
			for n < len(of0) && n < mergeItems && (n == 0 || bytes+int(of0[n].Bytes) <= mergeBytes) {
				bytes += int(of0[n].Bytes)
				n++
			}
			if err := v.merge(ctx, of, t, g, of0[:n]); err != nil {
				return err
			}
			of0 = of0[n:]
		}
	}
	return nil
}

// merge writes the new items and then the entry that names them. One that does not
// count leaves items without the samples, which are swept.
func (v *Volumes) merge(ctx context.Context, of *tableOf, t *Target, g group, olds []named) error {
	id := store.JournalID{Week: of.Week, Partition: g.partition}
	flush, ok := v.Book.NewMerge(v.Book.Journal(id))
	if !ok {
		return fmt.Errorf("journal %s names items, and nobody took it over: %w", id, journal.ErrCorrupt)
	}
	m := &rewriter{target: t, handles: of.handles, entry: &journal.Merge{Flush: flush, Revision: of.Revision, Buckets: g.buckets, Span: g.length}}
	byBucket := map[sample.Shard]map[store.ItemKey]bool{}
	places := map[store.ItemKey]*named{}
	for i := range olds {
		k := olds[i].Key
		if byBucket[k.Bucket] == nil {
			byBucket[k.Bucket] = map[store.ItemKey]bool{}
		}
		byBucket[k.Bucket][k], places[k] = true, &olds[i]
		m.entry.Replaces = append(m.entry.Replaces, k)
	}
	slices.SortFunc(m.entry.Replaces, journal.CompareKeys)
	read := 0
	for bucket, keys := range byBucket {
		if err := v.query(ctx, of.Table, bucket, keys, func(item store.Item) error {
			read++
			return m.rewrite(places[item.Key], item.Body)
		}); err != nil {
			return err
		}
	}
	if read < len(olds) {
		return nil // merged and swept meanwhile: look again
	}
	slices.SortFunc(m.entry.Items, compareItems)
	if err := v.Tables.Write(ctx, of.Table, m.items); err != nil {
		return err
	}
	_, err := v.Book.Merge(ctx, id, m.entry)
	return err
}

func compareItems(a, b journal.Item) int {
	return cmp.Or(cmp.Compare(a.Span, b.Span), cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Part, b.Part))
}

// rewriter makes the items of one merge.
type rewriter struct {
	target  *Target
	handles []sample.Handle
	entry   *journal.Merge
	items   []store.Item

	collector settle.Collector
	scratch   block.Batch
	of        settle.Division
}

// rewrite makes an item, or none where nothing is left.
func (m *rewriter) rewrite(old *named, body []byte) error {
	if err := block.Decode(&m.scratch, body); err != nil {
		return fmt.Errorf("item %v can't be read, and is left as it is: %w", old.Key, err)
	}
	m.collector.Reset()
	m.collector.Add(&m.scratch, old.Position)
	b := m.collector.Batch()
	m.entry.Overwritten += m.collector.Overwritten()
	goes := func(h sample.Handle) bool { _, ok := slices.BinarySearch(m.handles, h); return ok }
	m.of.Divide(b, goes, m.target.From, m.target.To)
	m.entry.Erased += uint64(m.of.Gone.Samples())
	if m.of.Kept.Samples() == 0 {
		return nil
	}
	return m.add(store.ItemKey{Bucket: old.Key.Bucket, Span: old.Key.Span, Flush: m.entry.Flush}, &m.of.Kept)
}

// add makes an item of a batch, or several where one is larger than the store takes.
func (m *rewriter) add(key store.ItemKey, b *block.Batch) error {
	body, err := block.EncodeSmall(nil, b)
	if err != nil {
		return err
	}
	if len(body) > store.MaxItem {
		if b.Samples() < 2 {
			return fmt.Errorf("%w: an item of %d bytes for a sample", store.ErrTooLarge, len(body))
		}
		for _, half := range settle.Halves(b) {
			if err := m.add(key, half); err != nil {
				return err
			}
		}
		return nil
	}
	for _, i := range m.items {
		if i.Key.Bucket == key.Bucket {
			key.Part++
		}
	}
	m.items = append(m.items, store.Item{Key: key, Body: body})
	m.entry.Items = append(m.entry.Items, journal.Item{
		Bucket: key.Bucket, Span: key.Span, Part: key.Part, Samples: uint32(b.Samples()), Bytes: uint32(len(body)),
	})
	return nil
}
