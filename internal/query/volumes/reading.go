package volumes

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"weir/internal/block"
	"weir/internal/journal"
	"weir/internal/query"
	"weir/internal/sample"
	"weir/internal/store"
)

// reading is one pass over the journals and items of some series.
type reading struct {
	*Source
	query.Reading
	windowing *query.Windowing // nil: samples are wanted
	cut       map[store.JournalID]journal.Snapshot
}

// result is what a task made of one series' samples: the samples, or cells.
type result struct {
	cells   []query.Cell
	columns *columns
}

// twoPlaces is how many bytes a result takes by task and by series.
const twoPlaces = 2 * 32

// size gives the bytes that the result holds.
func (r *result) size() int {
	if r.cells == nil && r.columns == nil {
		return 0
	}
	n := twoPlaces + len(r.cells)*query.CellSize
	if c := r.columns; c != nil {
		n += 8*(len(c.Times)+len(c.Bits)) + 16*len(c.Texts) + 4*len(c.Qualities)
	}
	return n
}

// read gives what all tasks made of each series, in order of time. What it
// holds is the caller's to release.
func (r *reading) read(ctx context.Context, series []query.SeriesInfo) ([][]result, error) {
	tasks, err := r.plan(ctx, series)
	if err != nil {
		return nil, err
	}
	made := make([][]result, len(tasks)) // by task, one for each of its handles
	err = sideBySide(ctx, len(tasks), func() func(context.Context, int) error {
		w := &worker{reading: r, series: series}
		return func(ctx context.Context, i int) (err error) {
			made[i], err = w.do(ctx, &tasks[i])
			return err
		}
	})
	if err != nil {
		r.release(made)
		return nil, err
	}
	return bySeries(len(series), tasks, made), nil
}

// bySeries gives each of n series the results that have something of it, in
// the order of the tasks.
func bySeries(n int, tasks []task, made [][]result) [][]result {
	counts, total := make([]int, n), 0
	each := func(do func(place int, m *result)) {
		for i := range tasks {
			t := &tasks[i]
			for k := range made[i] {
				if m := &made[i][k]; len(m.cells) > 0 || m.columns != nil {
					do(t.wanted.places[t.first+k], m)
				}
			}
		}
	}
	each(func(place int, _ *result) { counts[place]++; total++ })
	all, out := make([]result, total), make([][]result, n)
	for place, count := range counts {
		out[place], all = all[:0:count], all[count:]
	}
	each(func(place int, m *result) { out[place] = append(out[place], *m) })
	return out
}

// release gives back what results hold.
func (r *reading) release(all [][]result) {
	bytes := 0
	for _, list := range all {
		for i := range list {
			bytes += list[i].size()
		}
	}
	r.Budget.Release(bytes)
}

// sideBySide does n things on all cores. Each core calls start once, and what
// that gives for one thing after the other. The first error ends it.
func sideBySide(ctx context.Context, n int, start func() func(context.Context, int) error) error {
	cores := min(runtime.GOMAXPROCS(0), n)
	if cores <= 1 {
		do := start()
		for i := range n {
			if err := do(ctx, i); err != nil {
				return err
			}
		}
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	for range cores {
		group.Go(func() {
			do := start()
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// worker reads tasks, one after the other, in memory that it keeps.
type worker struct {
	*reading
	series  []query.SeriesInfo
	bodies  []body
	arena   []byte        // of the bodies
	batches []block.Batch // by body
	said    []block.Summary
	known   []query.Statistics
	needed  [][]sample.Handle // by body: what is to be decoded yet
	lists   [][]piece         // by handle of the task
	spare   columns
	room    []query.Cell // for cells of results
	held    int
}

// moreRoom is for how many cells room is made at once.
const moreRoom = 128

// body is an item as it is stored.
type body struct {
	item       *journal.Named
	start, end int // in the arena
}

// do reads a task and gives what it made for each of the task's handles.
func (w *worker) do(ctx context.Context, t *task) ([]result, error) {
	defer func() {
		w.Budget.Release(w.held)
		w.held = 0
	}()
	w.bodies, w.arena = w.bodies[:0], w.arena[:0]
	for i := range t.tables {
		if err := w.fetch(ctx, t.journal, &t.tables[i]); err != nil {
			return nil, err
		}
	}
	handles := t.handles()
	w.lists = slices.Grow(w.lists[:0], len(handles))[:len(handles)]
	for i := range w.lists {
		w.lists[i] = w.lists[i][:0]
	}
	for len(w.batches) < len(w.bodies) {
		w.batches = append(w.batches, block.Batch{})
	}
	made := make([]result, len(handles))
	done, err := w.single(t, handles, made)
	if err == nil && !done {
		err = w.list(ctx, t, handles)
	}
	for i := 0; err == nil && i < len(w.lists); i++ {
		if len(w.lists[i]) > 0 {
			err = w.make(&made[i], w.infoOf(t, i), w.lists[i], t)
		}
	}
	bytes := 0
	for i := range made {
		bytes += made[i].size()
	}
	if e := w.Budget.Hold(bytes); err == nil {
		err = e
	}
	if err != nil {
		w.Budget.Release(bytes)
		return nil, err
	}
	return made, nil
}

// infoOf gives the series of one of the task's handles.
func (w *worker) infoOf(t *task, at int) *query.SeriesInfo {
	return &w.series[t.wanted.places[t.first+at]]
}

// hold counts bytes that are held until the task is done.
func (w *worker) hold(bytes int) error {
	w.held += bytes
	return w.Budget.Hold(bytes)
}

// fetch reads items from the store.
func (w *worker) fetch(ctx context.Context, of store.JournalID, t *tableItems) error {
	var failed error
	left := t.items
	err := w.tables.Query(ctx, t.table, t.bucket, left[0].Key.Span, left[len(left)-1].Key.Span, func(i store.Item) bool {
		if c := compareKeys(i.Key, left[0].Key); c != 0 {
			return c < 0 // nothing names it, or it is not of this reading; or one is missing
		}
		if failed = w.hold(len(i.Body)); failed != nil {
			return false
		}
		start := len(w.arena)
		w.arena = append(w.arena, i.Body...)
		w.bodies = append(w.bodies, body{left[0], start, len(w.arena)})
		left = left[1:]
		return len(left) > 0
	})
	switch {
	case errors.Is(err, store.ErrNoTable):
		return &missingError{of, left[0], err}
	case err != nil:
		return err
	case failed != nil:
		return failed
	case len(left) > 0:
		return &missingError{of, left[0], fmt.Errorf("%w: table %s has no item %v, which its journal names (and %d more were not read)",
			store.ErrCorrupt, t.table, left[0].Key, len(left)-1)}
	}
	return nil
}

// list puts the runs of all items and of the head on the lists of their
// handles: their samples, or their statistics where those will do.
func (w *worker) list(ctx context.Context, t *task, handles []sample.Handle) error {
	w.known = w.known[:0]
	summarized := false
	for i := range w.bodies {
		known, err := w.summarize(t, i, handles)
		if err == nil && !known {
			err = w.decode(t, i, handles, handles)
		}
		if err != nil {
			return fmt.Errorf("item %v: %w", w.bodies[i].item.Key, err)
		}
		summarized = summarized || known
	}
	if err := w.addPending(t, handles); err != nil {
		return err
	}
	if err := w.addArchived(ctx, t, handles); err != nil || !summarized {
		return err
	}
	for i, wanted := range w.undecided(handles) {
		if len(wanted) == 0 {
			continue
		}
		if err := w.decode(t, i, wanted, handles); err != nil {
			return fmt.Errorf("item %v: %w", w.bodies[i].item.Key, err)
		}
	}
	return nil
}

// decode decodes the wanted runs of an item, as far as they lie in range.
func (w *worker) decode(t *task, item int, wanted, handles []sample.Handle) error {
	b, batch := w.bodies[item], &w.batches[item]
	if err := block.DecodeRange(batch, w.arena[b.start:b.end], wanted, t.from, t.to); err != nil {
		return err
	}
	if err := w.hold(sizeOf(batch)); err != nil {
		return err
	}
	at := 0
	for run, handle := range batch.Handles {
		at = find(handles, handle, at)
		if err := w.add(t, at, batch, run, origin{item, order{0, b.item.Position}}); err != nil {
			return err
		}
	}
	return nil
}

// find gives the place of a handle, which is mostly a little behind another's.
func find(handles []sample.Handle, h sample.Handle, at int) int {
	for most := at + 8; at < min(most, len(handles)); at++ {
		if handles[at] == h {
			return at
		}
	}
	at, _ = slices.BinarySearch(handles, h)
	return at
}

// sizeOf gives the bytes of a batch's columns.
func sizeOf(b *block.Batch) int {
	n := 8 * (len(b.Times) + len(b.Bits) + len(b.Versions) + len(b.Positions))
	n += 4*len(b.Qualities) + 16*len(b.Texts)
	for _, text := range b.Texts {
		n += len(text)
	}
	return n
}

// add puts the samples of a run that lie in range on the list of a handle.
func (w *worker) add(t *task, at int, b *block.Batch, run int, from origin) error {
	p, ok := cut(b, run, t.from, t.to)
	if !ok {
		return nil
	}
	p.origin = from
	w.lists[at] = append(w.lists[at], p)
	return w.Budget.Read(p.end - p.start)
}

// addPending puts what the head holds on the lists, behind the items.
func (w *worker) addPending(t *task, handles []sample.Handle) error {
	runs := t.pending
	if len(runs) == 0 {
		return nil
	}
	for at, handle := range handles {
		from, _ := slices.BinarySearchFunc(runs, handle, func(p pendingRun, h sample.Handle) int {
			if p.handle < h {
				return -1
			}
			return 1
		})
		for i := from; i < len(runs) && runs[i].handle == handle; i++ {
			if err := w.add(t, at, runs[i].batch, runs[i].run, origin{len(w.bodies) + i, runs[i].order}); err != nil {
				return err
			}
		}
	}
	return nil
}

// make makes a result of the pieces of one series.
func (w *worker) make(out *result, info *query.SeriesInfo, list []piece, t *task) error {
	if w.windowing == nil {
		out.columns = &columns{}
		out.columns.reset(info)
		out.columns.grow(list)
		return stretches(list, func(s []piece) error { return out.columns.settle(s, t.from, t.to) })
	}
	var err error
	w.giveRoom(out, func(cells []query.Cell) []query.Cell {
		err = stretches(list, func(s []piece) (err error) {
			cells, err = w.makeCells(cells, info, s, t)
			return err
		})
		return cells
	})
	return err
}

// giveRoom gives room for cells, and the result those that are made there.
func (w *worker) giveRoom(out *result, fill func([]query.Cell) []query.Cell) {
	if len(w.room) == 0 {
		w.room = make([]query.Cell, moreRoom)
	}
	cells := fill(w.room[:0])
	if n := len(cells); n <= len(w.room) { // else they have moved elsewhere
		w.room = w.room[n:]
	}
	out.cells = cells[:len(cells):len(cells)]
}

// makeCells appends the cells of a stretch.
func (w *worker) makeCells(cells []query.Cell, info *query.SeriesInfo, stretch []piece, t *task) ([]query.Cell, error) {
	p := &stretch[0]
	if p.batch == nil {
		return w.windowing.Run(cells, p.kind, &w.known[p.known]), nil
	}
	if plain(stretch) && p.kind == info.Kind && p.kind != sample.String {
		view := query.Points{Info: info, Times: p.batch.Times[p.start:p.end], Bits: p.batch.Bits[p.start:p.end]}
		return w.windowing.Samples(cells, &view), nil
	}
	w.spare.reset(info)
	if err := w.spare.settle(stretch, t.from, t.to); err != nil {
		return cells, err
	}
	return w.windowing.Samples(cells, &w.spare.Points), nil
}
