package volumes

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"weir/internal/analysis"
	"weir/internal/block"
	"weir/internal/journal"
	"weir/internal/query"
	"weir/internal/sample"
	"weir/internal/store"
)

// stream reads series one after the other, on one core, in memory that it
// keeps: all their items are decoded, and then each series is brought together.
// It reads no heads.
type stream struct {
	worker
	from   []source // of each body
	places [][]int  // of each body: the series of each run of its batch

	archived []archivedBatch // with versions
	versions bool            // of all samples are wanted

	division division
	words    words
}

// division is which series each journal may have: that of the stretch before
// mostly holds for the next one.
type division struct {
	series      []query.SeriesInfo
	first, last sample.Week
	journals    map[store.JournalID]*wanted // in order
}

// words is the series of a slice in the words of a row: its stretches come one
// after the other.
type words struct {
	series []query.SeriesInfo
	of     []*analysis.Series
}

// same says whether two lists are one.
func same(a, b []query.SeriesInfo) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// source says for whom an item is decoded.
type source struct {
	wanted     *wanted
	first, end int  // the wanted handles that its shards may have
	versioned  bool // versions are read too
}

// read calls yield for each of the series that has samples in range, with its
// place among them. What it gives is valid only during the call.
func (st *stream) read(ctx context.Context, r *reading, series []query.SeriesInfo, yield func(int, *query.Points) error) error {
	st.reading, st.series = r, series
	st.bodies, st.arena, st.from = st.bodies[:0], st.arena[:0], st.from[:0]
	defer func() {
		r.Budget.Release(st.held)
		st.held, st.archived = 0, nil
	}()
	if err := st.fetchAll(ctx); err != nil {
		return err
	}
	for len(st.batches) < len(st.bodies) {
		st.batches = append(st.batches, block.Batch{})
		st.places = append(st.places, nil)
	}
	for i := range st.bodies {
		st.from[i].versioned = st.versions
		if err := st.unpack(i); err != nil {
			return err
		}
	}
	st.gather()
	if again := st.overlapping(); len(again) > 0 {
		// Between samples of one time versions decide, which few need.
		for _, i := range again {
			st.from[i].versioned = true
			if err := st.unpack(i); err != nil {
				return err
			}
		}
		st.gather()
	}
	for i, list := range st.lists {
		if len(list) == 0 {
			continue
		}
		points, err := st.bring(&series[i], list)
		if err == nil && len(points.Times) > 0 {
			err = yield(i, points)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fetchAll reads the items of all journals that may have samples of the series.
func (st *stream) fetchAll(ctx context.Context) error {
	journals, err := st.divided(ctx)
	if err != nil {
		return err
	}
	for _, id := range sortedIDs(journals) {
		w := journals[id]
		snapshot, err := st.snapshot(ctx, id)
		if err == nil {
			err = st.fetchJournal(ctx, id, snapshot, w)
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", id, err)
		}
	}
	return nil
}

// divided gives for each journal the series that it may have samples of.
func (st *stream) divided(ctx context.Context) (map[store.JournalID]*wanted, error) {
	d := &st.division
	first, last := sample.WeekOf(st.Start), sample.WeekOf(st.End-1)
	if d.journals != nil && d.first == first && d.last == last && same(d.series, st.series) {
		return d.journals, nil
	}
	journals, err := st.divide(ctx, st.series)
	if err != nil {
		return nil, err
	}
	for _, w := range journals {
		sort(w)
	}
	*d = division{st.series, first, last, journals}
	return journals, nil
}

// at gives one of the series in the words of a row.
func (w *words) at(series []query.SeriesInfo, i int) *analysis.Series {
	if !same(w.series, series) {
		w.series, w.of = series, make([]*analysis.Series, len(series))
	}
	if w.of[i] == nil {
		w.of[i] = analysis.NewSeries(series[i].Series, series[i].ID, series[i].Kind)
	}
	return w.of[i]
}

func sortedIDs(journals map[store.JournalID]*wanted) []store.JournalID {
	ids := make([]store.JournalID, 0, len(journals))
	for id := range journals {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b store.JournalID) int {
		return cmp.Or(cmp.Compare(a.Week, b.Week), cmp.Compare(a.Partition, b.Partition))
	})
	return ids
}

func (st *stream) fetchJournal(ctx context.Context, id store.JournalID, s journal.Snapshot, w *wanted) error {
	tables, archives, err := st.sourcesOf(ctx, id, &s)
	if err != nil {
		return err
	}
	var areas []area
	for n := range s.Items.Overlapping(st.Start, st.End) {
		if _, ok := tables[n.Revision]; !ok {
			continue // dropped
		}
		first, end := n.Shards()
		if from, to := w.between(first, end); from < to {
			areas = append(areas, area{from: n.From, to: n.To, first: first, end: end, item: n})
		}
	}
	alone := len(archives) == 1 && len(areas) == 0
	if err := st.fetchArchived(ctx, id, archives, w, !alone); err != nil {
		return err
	}
	items := byTable(areas, tables)
	for i := range items {
		had := len(st.bodies)
		if err := st.fetch(ctx, id, &items[i]); err != nil {
			return err
		}
		for _, b := range st.bodies[had:] {
			from, to := w.between(b.item.Shards())
			st.from = append(st.from, source{wanted: w, first: from, end: to})
		}
	}
	return nil
}

// unpack decodes an item, and says which series its runs are of.
func (st *stream) unpack(i int) error {
	b, batch, from := st.bodies[i], &st.batches[i], &st.from[i]
	handles := from.wanted.handles[from.first:from.end]
	decode := block.DecodeValues
	if from.versioned {
		decode = block.DecodeRange
	}
	if err := decode(batch, st.arena[b.start:b.end], handles, st.Start, st.End); err != nil {
		return fmt.Errorf("item %v: %w", b.item.Key, err)
	}
	places, at := st.places[i][:0], 0
	for _, handle := range batch.Handles {
		at = find(handles, handle, at)
		places = append(places, from.wanted.places[from.first+at])
	}
	st.places[i] = places
	return st.hold(sizeOf(batch))
}

// gather puts the runs of all items on the lists of their series.
func (st *stream) gather() {
	st.lists = slices.Grow(st.lists[:0], len(st.series))[:len(st.series)]
	for i := range st.lists {
		st.lists[i] = st.lists[i][:0]
	}
	for i := range st.bodies {
		for run, place := range st.places[i] {
			if p, ok := cut(&st.batches[i], run, st.Start, st.End); ok {
				p.origin = origin{i, order{0, st.bodies[i].item.Position}}
				st.lists[place] = append(st.lists[place], p)
			}
		}
	}
	st.gatherArchived()
}

// overlapping gives the items whose versions are needed and not read.
func (st *stream) overlapping() []int {
	var out []int
	for _, list := range st.lists {
		_ = stretches(list, func(stretch []piece) error {
			if plain(stretch) {
				return nil
			}
			for i := range stretch {
				if item := stretch[i].item; item < len(st.from) && !st.from[item].versioned {
					out = append(out, item)
				}
			}
			return nil
		})
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// bring gives the samples of one series.
func (st *stream) bring(info *query.SeriesInfo, list []piece) (*query.Points, error) {
	c := &st.spare
	c.ordered = st.versions
	c.reset(info)
	if points, ok := c.view(list); ok && !st.versions {
		return points, nil
	}
	c.grow(list)
	err := stretches(list, func(s []piece) error { return c.settle(s, st.Start, st.End) })
	return &c.Points, err
}
