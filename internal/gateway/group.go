package gateway

import (
	"cmp"
	"slices"

	"weir/internal/block"
	"weir/internal/catalog"
	"weir/internal/sample"
)

// pending is one accepted sample that is not in a message yet.
type pending struct {
	series *catalog.Series
	sample sample.Sample
}

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
	order  []int32
	batch  block.Batch
}

// other finds the run of a series that came with more than one kind.
type other struct {
	series *catalog.Series
	kind   sample.Kind
}

// build makes the batch of a week's samples: registered series first, sorted
// by handle, then the others by key. It is valid until the next call.
func (g *grouping) build(week sample.Week, groups [][]pending) *block.Batch {
	g.reset()
	total := 0
	for _, group := range groups {
		for i := range group {
			g.runs[g.find(week, &group[i])].count++
		}
		total += len(group)
	}
	g.sortRuns()
	b := &g.batch
	b.Times, b.Bits = slices.Grow(b.Times, total)[:total], slices.Grow(b.Bits, total)[:total]
	at := 0
	for _, slot := range g.order {
		r := &g.runs[slot]
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
	for _, group := range groups {
		for i := range group {
			g.place(&group[i], g.find(week, &group[i]), total)
		}
	}
	return b
}

func (g *grouping) reset() {
	for i := range g.runs {
		g.slots[g.runs[i].series.Index] = 0
	}
	clear(g.others)
	clear(g.runs)
	g.runs, g.order = g.runs[:0], g.order[:0]
	g.batch.Reset()
}

// find gives the run of a sample, and makes it at the first one.
func (g *grouping) find(week sample.Week, p *pending) int32 {
	index := int(p.series.Index)
	if index >= len(g.slots) {
		g.slots = append(g.slots, make([]int32, max(index+1-len(g.slots), len(g.slots), 1024))...)
	}
	kind := p.sample.Value.Kind
	if slot := g.slots[index]; slot != 0 {
		if g.runs[slot-1].kind == kind {
			return slot - 1
		}
		if slot, ok := g.others[other{p.series, kind}]; ok {
			return slot
		}
	}
	slot := int32(len(g.runs))
	in, known := p.series.In(week)
	g.runs = append(g.runs, run{series: p.series, kind: kind, in: in, known: known})
	if g.slots[index] == 0 {
		g.slots[index] = slot + 1
	} else {
		if g.others == nil {
			g.others = map[other]int32{}
		}
		g.others[other{p.series, kind}] = slot
	}
	return slot
}

func (g *grouping) sortRuns() {
	for i := range g.runs {
		g.order = append(g.order, int32(i))
	}
	slices.SortFunc(g.order, func(a, b int32) int {
		x, y := &g.runs[a], &g.runs[b]
		switch {
		case x.known != y.known:
			if x.known {
				return -1
			}
			return 1
		case x.known:
			return cmp.Or(cmp.Compare(x.in.Handle, y.in.Handle), cmp.Compare(x.kind, y.kind))
		}
		return cmp.Or(cmp.Compare(x.series.Key, y.series.Key), cmp.Compare(x.kind, y.kind))
	})
}

func (g *grouping) place(p *pending, slot int32, total int) {
	b, r := &g.batch, &g.runs[slot]
	b.Times[r.at] = p.sample.Time
	b.Bits[r.at] = p.sample.Value.Bits
	if p.sample.Value.Kind == sample.String {
		b.Bits[r.at] = uint64(len(b.Texts))
		b.Texts = append(b.Texts, p.sample.Value.Text)
	}
	if p.sample.Quality != sample.Good {
		if b.Qualities == nil {
			b.Qualities = make([]sample.Quality, total)
		}
		b.Qualities[r.at] = p.sample.Quality
	}
	r.at++
}
