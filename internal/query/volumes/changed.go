package volumes

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"weir/internal/block"
	"weir/internal/journal"
	"weir/internal/query"
	"weir/internal/sample"
	"weir/internal/store"
)

// Changed says whether a sample of the series with start ≤ time < end counts now
// that was committed since a cut: whether who read them as of the cut would read
// something else now. What waits in heads is not seen. One that came and lost to
// another of its time (law 6) is taken for a change until the two are merged.
//
// Where no commit since then counts samples in these hours, nothing is read.
func (s *Source) Changed(ctx context.Context, sel query.Selector, start, end int64, cut func(store.JournalID) uint64) (bool, error) {
	touched := map[store.JournalID]journal.Snapshot{}
	from, to := sample.WeekOf(start), sample.WeekOf(end-1)
	for _, j := range s.book.Journals() {
		id := j.ID()
		if id.Week < from || id.Week > to {
			continue
		}
		if err := j.Refresh(ctx); err != nil {
			return false, err
		}
		if snapshot := j.Snapshot(); countsSince(snapshot.Commits, cut(id), start, end) {
			touched[id] = snapshot
		}
	}
	if len(touched) == 0 {
		return false, nil
	}
	now := s.At(func(id store.JournalID) uint64 { return touched[id].Cut })
	now.past = false // where the journals stand now, and without heads
	series, err := now.Series(ctx, sel, start, end)
	if err != nil || len(series) == 0 {
		return false, err
	}
	budget := query.NewBudget(changedLimits())
	c := &change{cut: cut}
	c.series = series
	c.reading = &reading{Source: now, Reading: query.Reading{Series: series, Start: start, End: end, Budget: budget}, cut: touched}
	return c.look(ctx, series)
}

// changedLimits bound what a look at changes holds: the items of one bucket.
func changedLimits() query.Limits {
	l := query.DefaultLimits()
	l.MaxSamples = 1 << 62
	return l
}

// countsSince says whether a commit at or behind a position counts samples in
// these hours.
func countsSince(commits []journal.Placed, position uint64, start, end int64) bool {
	const hour = int64(3600e9)
	from, _ := slices.BinarySearchFunc(commits, position, func(c journal.Placed, p uint64) int {
		if c.Position < p {
			return -1
		}
		return 1
	})
	for _, c := range commits[from:] {
		for _, h := range c.Hours {
			if h.Start < end && h.Start > start-hour {
				return true
			}
		}
	}
	return false
}

// change looks for samples that were committed since a cut.
type change struct {
	worker
	cut func(store.JournalID) uint64
}

func (c *change) look(ctx context.Context, series []query.SeriesInfo) (bool, error) {
	journals, err := c.divide(ctx, series)
	if err != nil {
		return false, err
	}
	for _, id := range sortedIDs(journals) {
		snapshot, ok := c.reading.cut[id]
		if !ok {
			continue
		}
		w := journals[id]
		sort(w)
		found, err := c.lookInto(ctx, id, &snapshot, w)
		if found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// lookInto looks into a journal's items and archives.
func (c *change) lookInto(ctx context.Context, id store.JournalID, s *journal.Snapshot, w *wanted) (bool, error) {
	tables, archives, err := c.sourcesOf(ctx, id, s)
	if err != nil {
		return false, err
	}
	archives = slices.DeleteFunc(archives, func(v journal.VolumeRecord) bool {
		return v.Archive.Sealed[id.Partition] <= c.cut(id) // all of it was there before
	})
	st := &stream{worker: worker{reading: c.reading, series: c.series}}
	if err := st.fetchArchived(ctx, id, archives, w, true); err != nil {
		return false, err
	}
	for _, of := range st.archived {
		if slices.ContainsFunc(of.batch.Positions, func(p uint64) bool { return p >= c.cut(id) }) {
			return true, nil
		}
	}
	var areas []area
	for n := range s.Items.Overlapping(c.Start, c.End) {
		first, end := n.Shards()
		if from, to := w.between(first, end); from < to && tables[n.Revision] != "" && (n.Merged || n.Position >= c.cut(id)) {
			areas = append(areas, area{from: n.From, to: n.To, first: first, end: end, item: n})
		}
	}
	for _, t := range byTable(areas, tables) {
		if found, err := c.lookAt(ctx, id, w, &t); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// lookAt looks at the items of one bucket.
func (c *change) lookAt(ctx context.Context, id store.JournalID, w *wanted, t *tableItems) (bool, error) {
	c.bodies, c.arena = c.bodies[:0], c.arena[:0]
	defer func() {
		c.Budget.Release(c.held)
		c.held = 0
	}()
	if err := c.fetch(ctx, id, t); err != nil {
		if missing := (*missingError)(nil); errors.As(err, &missing) {
			return false, fmt.Errorf("%w: what was read was merged or dropped meanwhile: %w", query.ErrUnavailable, err)
		}
		return false, err
	}
	if len(c.batches) == 0 {
		c.batches = make([]block.Batch, 1)
	}
	b := &c.batches[0]
	for _, body := range c.bodies {
		from, to := w.between(body.item.Shards())
		if err := block.DecodeRange(b, c.arena[body.start:body.end], w.handles[from:to], c.Start, c.End); err != nil {
			return false, fmt.Errorf("item %v: %w", body.item.Key, err)
		}
		if b.Positions == nil {
			if b.Samples() > 0 && body.item.Position >= c.cut(id) {
				return true, nil
			}
			continue
		}
		if slices.ContainsFunc(b.Positions, func(p uint64) bool { return p >= c.cut(id) }) {
			return true, nil
		}
	}
	return false, nil
}
