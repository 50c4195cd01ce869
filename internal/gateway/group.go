package gateway

import (
	"cmp"
	"slices"
	"strings"

	"weir/internal/block"
	"weir/internal/catalog"
	"weir/internal/sample"
)

// run is the samples of one series and kind within a group.
type run struct {
	series *catalog.Series
	kind   sample.Kind
	in     catalog.InWeek
	known  bool // registered in the group's week: named by its handle
	count  int
	at     int // where its next sample goes
}

// grouping brings the samples of many requests together by series, for one
// block. It keeps its scratch space; it is not safe for concurrent use.
type grouping struct {
	slots  []int32 // by series index: 1 + its run, 0 for none
	others map[other]int32
	runs   []run
	order  []ordered
	places []int32 // one a sample: its run
	batch  block.Batch
}

// other finds the run of a series that came with more than one kind.
type other struct {
	series *catalog.Series
	kind   sample.Kind
}

// ordered is a run with its handle at hand, so that sorting the registered
// ones, nearly all, touches nothing else.
type ordered struct {
	handle sample.Handle
	slot   int32
	kind   sample.Kind
	known  bool
}

// build makes the batch of a week's samples: registered series first, sorted
// by handle, then the others by key. It is valid until the next call.
func (g *grouping) build(week sample.Week, of []*bundle) *block.Batch {
	g.reset()
	for _, u := range of {
		for i := range u.list {
			slot := g.find(week, u.list[i].series, u.list[i].kind)
			g.runs[slot].count++
			g.places = append(g.places, slot)
		}
	}
	total := len(g.places)
	g.sortRuns()
	b := &g.batch
	b.Times, b.Bits = slices.Grow(b.Times, total)[:total], slices.Grow(b.Bits, total)[:total]
	at := 0
	for _, o := range g.order {
		r := &g.runs[o.slot]
		r.at = at
		at += r.count
		b.Kinds = append(b.Kinds, r.kind)
		b.Ends = append(b.Ends, at)
		if r.known {
			b.Handles = append(b.Handles, r.in.Handle)
		} else {
			b.Keys = append(b.Keys, r.series.Key)
		}
	}
	places := g.places
	for _, u := range of {
		for i := range u.list {
			g.place(u, i, &g.runs[places[i]])
		}
		places = places[len(u.list):]
	}
	return b
}

func (g *grouping) reset() {
	for i := range g.runs {
		g.slots[g.runs[i].series.Index] = 0
	}
	clear(g.others)
	clear(g.runs)
	g.runs, g.order, g.places = g.runs[:0], g.order[:0], g.places[:0]
	g.batch.Reset()
}

// find gives the run of a series and kind, and makes it at the first sample.
func (g *grouping) find(week sample.Week, series *catalog.Series, kind sample.Kind) int32 {
	index := int(series.Index)
	if index >= len(g.slots) {
		g.slots = append(g.slots, make([]int32, max(index+1-len(g.slots), len(g.slots), 1024))...)
	}
	if slot := g.slots[index]; slot != 0 {
		if g.runs[slot-1].kind == kind {
			return slot - 1
		}
		if slot, ok := g.others[other{series, kind}]; ok {
			return slot
		}
	}
	slot := int32(len(g.runs))
	in, known := series.In(week)
	g.runs = append(g.runs, run{series: series, kind: kind, in: in, known: known})
	if g.slots[index] == 0 {
		g.slots[index] = slot + 1
	} else {
		if g.others == nil {
			g.others = map[other]int32{}
		}
		g.others[other{series, kind}] = slot
	}
	return slot
}

func (g *grouping) sortRuns() {
	for i := range g.runs {
		r := &g.runs[i]
		g.order = append(g.order, ordered{r.in.Handle, int32(i), r.kind, r.known})
	}
	slices.SortFunc(g.order, func(a, b ordered) int {
		switch {
		case a.known != b.known:
			if a.known {
				return -1
			}
			return 1
		case !a.known:
			if c := strings.Compare(g.runs[a.slot].series.Key, g.runs[b.slot].series.Key); c != 0 {
				return c
			}
		case a.handle != b.handle:
			return cmp.Compare(a.handle, b.handle)
		}
		return cmp.Compare(a.kind, b.kind)
	})
}

// place writes sample i of a bundle into the columns of its run.
func (g *grouping) place(u *bundle, i int, r *run) {
	b, p := &g.batch, &u.list[i]
	b.Times[r.at] = p.time
	b.Bits[r.at] = p.bits
	if p.kind == sample.String {
		b.Bits[r.at] = uint64(len(b.Texts))
		b.Texts = append(b.Texts, u.texts[p.bits])
	}
	if p.quality != sample.Good {
		if b.Qualities == nil {
			b.Qualities = make([]sample.Quality, len(b.Times))
		}
		b.Qualities[r.at] = p.quality
	}
	r.at++
}
