package volumes

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"weir/internal/block"
	"weir/internal/journal"
	"weir/internal/query"
	"weir/internal/sample"
	"weir/internal/store"
)

// reading is one pass over the journals and items of some series.
type reading struct {
	*Source
	cut        map[store.JournalID]journal.Snapshot
	start, end int64
	columns    []columns // by place of the series in the request
	samples    int
	batch      block.Batch
}

// wanted is the series that are read from one journal, by handle.
type wanted struct {
	handles []sample.Handle // sorted
	place   map[sample.Handle]int
}

func (r *reading) read(ctx context.Context, series []query.SeriesInfo) error {
	journals := map[store.JournalID]*wanted{}
	for i := range series {
		known, err := r.catalog.Intern(series[i].Series.AppendKey(nil))
		if err != nil {
			return err
		}
		for _, week := range series[i].Weeks {
			if week.End() <= r.start || week.Start() >= r.end {
				continue
			}
			in, ok := known.In(week)
			if !ok {
				continue
			}
			record, ok, err := r.book.Week(ctx, week)
			if err != nil {
				return err
			}
			if !ok {
				return fmt.Errorf("%w: journals of week %s without its record", store.ErrCorrupt, week)
			}
			id := store.JournalID{Week: week, Partition: in.Handle.Shard().Range(record.Partitions)}
			if journals[id] == nil {
				journals[id] = &wanted{place: map[sample.Handle]int{}}
			}
			journals[id].handles = append(journals[id].handles, in.Handle)
			journals[id].place[in.Handle] = i
		}
	}
	ids := make([]store.JournalID, 0, len(journals))
	for id := range journals {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b store.JournalID) int {
		return cmp.Or(cmp.Compare(a.Week, b.Week), cmp.Compare(a.Partition, b.Partition))
	})
	for _, id := range ids {
		slices.Sort(journals[id].handles)
		if err := r.readJournal(ctx, id, journals[id]); err != nil {
			return fmt.Errorf("reading %s: %w", id, err)
		}
	}
	return nil
}

func (r *reading) readJournal(ctx context.Context, id store.JournalID, w *wanted) error {
	snapshot, err := r.snapshot(ctx, id)
	if err != nil {
		return err
	}
	if err := r.readItems(ctx, id.Week, snapshot.Items, w); err != nil {
		return err
	}
	for i := range snapshot.Pending {
		p := &snapshot.Pending[i]
		// What is not committed yet will stand behind all that is.
		version := journal.Version(p.Message.Stamp, snapshot.Horizons[p.Class], math.MaxUint64)
		for run, handle := range p.Batch.Handles {
			if place, ok := w.place[handle]; ok {
				if err := r.take(place, p.Batch, run, order{version, math.MaxUint64}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// readItems reads the items that count and may hold samples of the wanted
// series in range, each revision's from the table that its record names.
func (r *reading) readItems(ctx context.Context, week sample.Week, current journal.Items, w *wanted) error {
	revisions := map[int]*listing{}
	for n := range current.Overlapping(r.start, r.end) {
		if first, end := n.Shards(); !w.any(first, end) {
			continue
		}
		l := revisions[n.Revision]
		if l == nil {
			l = &listing{items: map[store.ItemKey]uint64{}, buckets: map[sample.Shard][2]int64{}}
			revisions[n.Revision] = l
		}
		l.add(n)
	}
	for revision, l := range revisions {
		volume, err := r.book.Volume(ctx, week, revision)
		if err != nil {
			return err
		}
		if volume.State == journal.VolumeDropped {
			continue
		}
		for bucket, spans := range l.buckets {
			if err := r.queryBucket(ctx, volume.Table, bucket, spans, l.items, w); err != nil {
				return err
			}
		}
		for key := range l.items {
			return fmt.Errorf("%w: table %s has no item %v, which its journal names (and %d more)", store.ErrCorrupt, volume.Table, key, len(l.items)-1)
		}
	}
	return nil
}

// listing is the items of one table that are to be read.
type listing struct {
	items   map[store.ItemKey]uint64 // with the position of what names them
	buckets map[sample.Shard][2]int64
}

func (l *listing) add(n *journal.Named) {
	l.items[n.Key] = n.Position
	spans, ok := l.buckets[n.Key.Bucket]
	if !ok {
		spans = [2]int64{n.Key.Span, n.Key.Span}
	}
	l.buckets[n.Key.Bucket] = [2]int64{min(spans[0], n.Key.Span), max(spans[1], n.Key.Span)}
}

// any says whether a wanted series is of shards [first, end).
func (w *wanted) any(first, end sample.Shard) bool {
	i, _ := slices.BinarySearch(w.handles, sample.NewHandle(first, 0))
	return i < len(w.handles) && w.handles[i].Shard() < end
}

// queryBucket reads the items of one bucket and strikes them off the list.
func (r *reading) queryBucket(ctx context.Context, table string, bucket sample.Shard, spans [2]int64, items map[store.ItemKey]uint64, w *wanted) error {
	var failed error
	err := r.tables.Query(ctx, table, bucket, spans[0], spans[1], func(i store.Item) bool {
		position, named := items[i.Key]
		if !named {
			return true // nothing names it, or it is not of this reading
		}
		delete(items, i.Key)
		failed = r.readItem(i, position, w)
		return failed == nil
	})
	if err == nil && failed != nil {
		err = fmt.Errorf("table %s: %w", table, failed)
	}
	return err
}

func (r *reading) readItem(i store.Item, position uint64, w *wanted) error {
	if err := block.DecodeSeries(&r.batch, i.Body, w.handles); err != nil {
		return fmt.Errorf("item %v: %w", i.Key, err)
	}
	for run, handle := range r.batch.Handles {
		if err := r.take(w.place[handle], &r.batch, run, order{0, position}); err != nil {
			return err
		}
	}
	return nil
}

// take copies the samples of a run that lie in range. o orders those whose
// batch does not say their version or position itself.
func (r *reading) take(place int, b *block.Batch, run int, o order) error {
	c := &r.columns[place]
	start, end := b.Run(run)
	for i := start; i < end; i++ {
		if t := b.Times[i]; t < r.start || t >= r.end {
			continue
		}
		if b.Versions != nil {
			o.version = b.Versions[i]
		}
		if b.Positions != nil {
			o.position = b.Positions[i]
		}
		c.add(b.Times[i], b.Value(b.Kinds[run], i), b.Quality(i), o)
		r.samples++
	}
	if r.samples > r.limit {
		return &query.LimitError{Limit: "max_samples", Max: r.limit, Hint: "read fewer series, or a shorter range"}
	}
	return nil
}
