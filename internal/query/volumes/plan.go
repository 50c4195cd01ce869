package volumes

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"weir/internal/archive"
	"weir/internal/block"
	"weir/internal/catalog"
	"weir/internal/compute"
	"weir/internal/journal"
	"weir/internal/query"
	"weir/internal/sample"
	"weir/internal/store"
)

// wanted is the series that are read from one journal, by handle.
type wanted struct {
	handles []sample.Handle // sorted
	places  []int           // of each: its series in the request
	kinds   []sample.Kind   // and the kind of that
	ranks   map[[2]int][]int
}

// task is one part of a reading that nothing else overlaps: a stretch of time
// of some shards, with all items of one journal that may hold samples there.
// Tasks are read side by side, and two of a series never have equal times.
type task struct {
	journal  store.JournalID
	from, to int64 // its samples have from ≤ time < to
	wanted   *wanted
	first    int // the wanted handles that it is about
	end      int
	ranks    []int // of each of these: its place in the order of the request
	tables   []tableItems
	parts    []*archive.File // of archives
	pending  []pendingRun    // of all wanted series of the journal, sorted by handle; nil: none is of the task
}

// handles gives the handles of the task, sorted.
func (t *task) handles() []sample.Handle { return t.wanted.handles[t.first:t.end] }

// tableItems are items of one bucket of one table, in order of their keys.
type tableItems struct {
	table  string
	bucket sample.Shard
	items  []*journal.Named
}

// pendingRun is a run of a message that waits in a head.
type pendingRun struct {
	handle sample.Handle
	batch  *block.Batch
	run    int
	order  order
}

// plan divides the reading of some series into tasks, in order of time.
func (r *reading) plan(ctx context.Context, series []query.SeriesInfo) ([]task, error) {
	journals, err := r.divide(ctx, series)
	if err != nil {
		return nil, err
	}
	var tasks []task
	for _, id := range sortedIDs(journals) {
		w := journals[id]
		sort(w)
		snapshot, err := r.snapshot(ctx, id)
		if err == nil {
			tasks, err = r.planJournal(ctx, tasks, id, snapshot, w)
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", id, err)
		}
	}
	slices.SortStableFunc(tasks, func(a, b task) int { return cmp.Compare(a.from, b.from) })
	return tasks, nil
}

// divide gives for each journal the series that it may have samples of.
func (r *reading) divide(ctx context.Context, series []query.SeriesInfo) (map[store.JournalID]*wanted, error) {
	journals := map[store.JournalID]*wanted{}
	for i := range series {
		known, ok := series[i].Own.(*catalog.Series)
		if !ok {
			var err error
			if known, err = r.catalog.Intern(series[i].Series.AppendKey(nil)); err != nil {
				return nil, err
			}
		}
		for _, week := range series[i].Weeks {
			if week.End() <= r.Start || week.Start() >= r.End {
				continue
			}
			in, ok := known.In(week)
			if !ok {
				continue
			}
			record, ok, err := r.book.Week(ctx, week)
			if err != nil {
				return nil, err
			}
			if !ok {
				return nil, fmt.Errorf("%w: journals of week %s without its record", store.ErrCorrupt, week)
			}
			id := store.JournalID{Week: week, Partition: in.Handle.Shard().Range(record.Partitions)}
			w := journals[id]
			if w == nil {
				w = &wanted{}
				journals[id] = w
			}
			w.handles, w.places, w.kinds = append(w.handles, in.Handle), append(w.places, i), append(w.kinds, series[i].Kind)
		}
	}
	return journals, nil
}

// sort brings the handles in order.
func sort(w *wanted) {
	type pair struct {
		handle sample.Handle
		at     int
	}
	by := make([]pair, len(w.handles))
	for i, handle := range w.handles {
		by[i] = pair{handle, i}
	}
	slices.SortFunc(by, func(a, b pair) int { return cmp.Compare(a.handle, b.handle) })
	places, kinds := make([]int, len(by)), make([]sample.Kind, len(by))
	for to, from := range by {
		w.handles[to], places[to], kinds[to] = from.handle, w.places[from.at], w.kinds[from.at]
	}
	w.places, w.kinds = places, kinds
}

// between gives the places of the handles of shards [first, end).
func (w *wanted) between(first, end sample.Shard) (from, to int) {
	from, _ = slices.BinarySearch(w.handles, sample.NewHandle(first, 0))
	to, _ = slices.BinarySearch(w.handles, sample.NewHandle(end, 0))
	return from, to
}

// ranksOf gives of each of the handles [first, end) how many of them are of
// series that come before its own in the request.
func (w *wanted) ranksOf(first, end int) []int {
	at := [2]int{first, end}
	if ranks, ok := w.ranks[at]; ok {
		return ranks
	}
	places := w.places[first:end]
	least, most := slices.Min(places), slices.Max(places)
	before := make([]int, most-least+1) // by place: 1 where it is wanted, then how many are up to there
	for _, place := range places {
		before[place-least] = 1
	}
	n := 0
	for i, wanted := range before {
		n += wanted
		before[i] = n
	}
	ranks := make([]int, len(places))
	for i, place := range places {
		ranks[i] = before[place-least] - 1
	}
	if w.ranks == nil {
		w.ranks = map[[2]int][]int{}
	}
	w.ranks[at] = ranks
	return ranks
}

// area is what an item, or a run of a head, may hold: times of shards.
type area struct {
	from, to   int64
	first, end sample.Shard
	item       *journal.Named // nil: something of an archive, or of the head
	part       *archive.File
}

func (r *reading) planJournal(ctx context.Context, tasks []task, id store.JournalID, s journal.Snapshot, w *wanted) ([]task, error) {
	tables, archives, err := r.sourcesOf(ctx, id, &s)
	if err != nil {
		return nil, err
	}
	pending, areas := r.pending(s, w)
	for i := range archives {
		held, err := r.archived(ctx, &archives[i], id, w)
		if err != nil {
			return nil, err
		}
		areas = append(areas, held...)
	}
	for n := range s.Items.Overlapping(r.Start, r.End) {
		if _, ok := tables[n.Revision]; !ok {
			continue // dropped
		}
		first, end := n.Shards()
		if from, to := w.between(first, end); from < to {
			areas = append(areas, area{from: n.From, to: n.To, first: first, end: end, item: n})
		}
	}
	for _, stretch := range apart(areas, func(a area) (int64, int64) { return a.from, a.to }) {
		for _, part := range apart(stretch, func(a area) (int64, int64) { return int64(a.first), int64(a.end) }) {
			t := task{journal: id, from: math.MaxInt64, to: math.MinInt64, wanted: w, first: math.MaxInt}
			for _, a := range part {
				t.from, t.to = min(t.from, a.from), max(t.to, a.to)
				from, to := w.between(a.first, a.end)
				t.first, t.end = min(t.first, from), max(t.end, to)
				if a.item == nil && a.part == nil {
					t.pending = pending
				}
			}
			t.from, t.to = max(t.from, r.Start), min(t.to, r.End)
			t.ranks = w.ranksOf(t.first, t.end)
			t.tables, t.parts = byTable(part, tables), partsOf(part)
			tasks = append(tasks, t)
		}
	}
	return tasks, nil
}

// sourcesOf reads the records of the volumes that have items to be read, before
// any item is, and gives the tables and archives that serve them (law 5). One
// that was discarded is left out.
func (r *reading) sourcesOf(ctx context.Context, id store.JournalID, s *journal.Snapshot) (tables map[int]string, archives []journal.VolumeRecord, err error) {
	tables = map[int]string{}
	seen := map[int]bool{}
	for n := range s.Items.Overlapping(r.Start, r.End) {
		if seen[n.Revision] {
			continue
		}
		seen[n.Revision] = true
		volume, err := r.book.Volume(ctx, id.Week, n.Revision)
		if err != nil {
			return nil, nil, err
		}
		switch volume.ServesAt(id.Partition, s.Cut) {
		case journal.FromTable:
			tables[n.Revision] = volume.Table
		case journal.FromArchive:
			if r.archives != nil {
				archives = append(archives, volume)
			}
		default:
			if volume.State == journal.VolumeEnded {
				if r.past && !volume.EndedBefore(id.Partition, s.Cut) {
					return nil, nil, fmt.Errorf("%w: week %s, revision %d, ended at %s, after the run took its cut: rerun it", compute.ErrInput, id.Week, n.Revision, volume.Ended.At.Format(time.RFC3339))
				}
			} else if volume.Archive != nil {
				return nil, nil, &missingError{id, n, fmt.Errorf("the volume was dropped: its archive serves no cut before %d", volume.Archive.Sealed)}
			}
		}
	}
	return tables, archives, nil
}

// apart divides areas into lists, in order, of which no two overlap.
func apart(areas []area, bounds func(area) (from, to int64)) [][]area {
	slices.SortFunc(areas, func(a, b area) int {
		x, _ := bounds(a)
		y, _ := bounds(b)
		return cmp.Compare(x, y)
	})
	var out [][]area
	begin, reach := 0, int64(math.MinInt64)
	for i, a := range areas {
		from, to := bounds(a)
		if i > begin && from >= reach {
			out, begin, reach = append(out, areas[begin:i]), i, math.MinInt64
		}
		reach = max(reach, to)
	}
	if begin < len(areas) {
		out = append(out, areas[begin:])
	}
	return out
}

// byTable gives the items of areas by table and bucket.
func byTable(areas []area, tables map[int]string) []tableItems {
	var items []*journal.Named
	for _, a := range areas {
		if a.item != nil {
			items = append(items, a.item)
		}
	}
	slices.SortFunc(items, func(a, b *journal.Named) int {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision), compareKeys(a.Key, b.Key))
	})
	var out []tableItems
	for i, n := range items {
		if i == 0 || n.Revision != items[i-1].Revision || n.Key.Bucket != items[i-1].Key.Bucket {
			out = append(out, tableItems{table: tables[n.Revision], bucket: n.Key.Bucket})
		}
		last := &out[len(out)-1]
		last.items = append(last.items, n)
	}
	return out
}

// compareKeys orders keys as the store does.
func compareKeys(a, b store.ItemKey) int {
	return cmp.Or(cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Span, b.Span),
		cmp.Compare(a.Flush.Epoch, b.Flush.Epoch), cmp.Compare(a.Flush.Nonce, b.Flush.Nonce), cmp.Compare(a.Part, b.Part))
}

// pending gives the runs of the head that are of wanted series and in range,
// sorted by handle, and what times of which shards they are, to the hour: so a
// head that holds a year makes no task of a year.
func (r *reading) pending(s journal.Snapshot, w *wanted) ([]pendingRun, []area) {
	const hour = int64(3600e9)
	var runs []pendingRun
	type place struct {
		hour  int64
		shard sample.Shard
	}
	seen := map[place]bool{}
	var areas []area
	for i := range s.Pending {
		p := &s.Pending[i]
		// What is not committed yet will stand behind all that is.
		version := journal.Version(p.Message.Stamp, s.Horizons[p.Class], math.MaxUint64)
		for run, handle := range p.Batch.Handles {
			if _, ok := slices.BinarySearch(w.handles, handle); !ok {
				continue
			}
			any := false
			start, end := p.Batch.Run(run)
			for _, t := range p.Batch.Times[start:end] {
				if t < r.Start || t >= r.End {
					continue
				}
				any = true
				at := place{t - (t%hour+hour)%hour, handle.Shard()}
				if !seen[at] {
					seen[at] = true
					areas = append(areas, area{from: at.hour, to: at.hour + hour, first: at.shard, end: at.shard + 1})
				}
			}
			if any {
				runs = append(runs, pendingRun{handle, p.Batch, run, order{version, math.MaxUint64}})
			}
		}
	}
	slices.SortStableFunc(runs, func(a, b pendingRun) int { return cmp.Compare(a.handle, b.handle) })
	return runs, areas
}
