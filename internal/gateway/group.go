package gateway

import (
	"slices"
	"strings"

	"weir/internal/block"
	"weir/internal/catalog"
	"weir/internal/sample"
)

// grouping brings the samples of many requests together by series, for one
// block. It keeps its scratch space; it is not safe for concurrent use.
//
// Most of its work is one look-up and one count for each sample, so what those
// touch lies in small columns.
type grouping struct {
	slots  []int32            // by series index: 1 + its run, 0 for none
	names  []name             // by series index
	others map[uint32][]int32 // further runs of series that came with several kinds
	places []int32            // one a sample: its run, and then its place in the batch

	// One a run.
	series []uint32 // catalog.Series.Index
	kinds  []sample.Kind
	at     []int32 // how many samples it has, and then where the next one goes

	known   []ordered // runs of registered series
	scratch []ordered
	unknown []int32 // the others
	batch   block.Batch

	pace   []pace      // by series index
	parted block.Batch // what divide gives
}

// name is what a week calls a series. Once it is registered there that never
// changes, so it is asked for once and not in each message.
type name struct {
	week   sample.Week
	known  bool
	handle sample.Handle
}

// ordered is a run with its handle at hand.
type ordered struct {
	handle sample.Handle
	run    int32
}

// build makes the batch of a week's samples: registered series first, sorted
// by handle, then the others by key. all is the series by their index. The
// batch is valid until the next call.
func (g *grouping) build(all []*catalog.Series, week sample.Week, of []*bundle) *block.Batch {
	g.reset()
	if missing := len(all) - len(g.slots); missing > 0 {
		g.slots = append(g.slots, make([]int32, missing)...)
		g.names = append(g.names, make([]name, missing)...)
	}
	for _, u := range of {
		g.count(u)
	}
	g.order(all, week)
	total := len(g.places)
	b := &g.batch
	b.Times, b.Bits = slices.Grow(b.Times, total)[:total], slices.Grow(b.Bits, total)[:total]
	places := g.places
	for _, u := range of {
		g.place(u, places[:u.samples()])
		places = places[u.samples():]
	}
	return b
}

func (g *grouping) reset() {
	for _, index := range g.series {
		g.slots[index] = 0
	}
	clear(g.others)
	g.places, g.series, g.kinds, g.at = g.places[:0], g.series[:0], g.kinds[:0], g.at[:0]
	g.known, g.unknown = g.known[:0], g.unknown[:0]
	g.batch.Reset()
}

// count finds the run of each sample of a bundle.
func (g *grouping) count(u *bundle) {
	n, k := len(g.places), u.samples()
	g.places = slices.Grow(g.places, k)[:n+k]
	places, singles := g.places[n:], u.singles
	for i := range u.lines {
		if s := u.lines[i].of; s != nil {
			for j, t := range s.targets { // as run does: too often to call it
				run := g.slots[t.series] - 1
				if run < 0 || g.kinds[run] != t.kind {
					run = g.find(t.series, t.kind)
				}
				g.at[run]++
				places[j] = run
			}
			places = places[len(s.targets):]
			continue
		}
		places[0] = g.run(singles[0].series, singles[0].kind)
		places, singles = places[1:], singles[1:]
	}
}

// run counts a sample of a series and kind and gives its run.
func (g *grouping) run(index uint32, kind sample.Kind) int32 {
	run := g.slots[index] - 1
	if run < 0 || g.kinds[run] != kind {
		run = g.find(index, kind)
	}
	g.at[run]++
	return run
}

// find gives the run of a series and kind that is not the series' first, and
// makes it where it is new.
func (g *grouping) find(index uint32, kind sample.Kind) int32 {
	for _, run := range g.others[index] {
		if g.kinds[run] == kind {
			return run
		}
	}
	run := int32(len(g.series))
	g.series, g.kinds, g.at = append(g.series, index), append(g.kinds, kind), append(g.at, 0)
	if g.slots[index] == 0 {
		g.slots[index] = run + 1
		return run
	}
	if g.others == nil {
		g.others = map[uint32][]int32{}
	}
	g.others[index] = append(g.others[index], run)
	return run
}

// order names and sorts the runs and gives each its place in the batch.
func (g *grouping) order(all []*catalog.Series, week sample.Week) {
	for i, index := range g.series {
		n := &g.names[index]
		if !n.known || n.week != week {
			in, known := all[index].In(week)
			*n = name{week, known, in.Handle}
		}
		if n.known {
			g.known = append(g.known, ordered{n.handle, int32(i)})
		} else {
			g.unknown = append(g.unknown, int32(i))
		}
	}
	g.sortKnown()
	slices.SortStableFunc(g.unknown, func(a, b int32) int { return strings.Compare(all[g.series[a]].Key, all[g.series[b]].Key) })
	end := int32(0)
	for _, o := range g.known {
		g.batch.Handles = append(g.batch.Handles, o.handle)
		end = g.endRun(o.run, end)
	}
	for _, run := range g.unknown {
		g.batch.Keys = append(g.batch.Keys, all[g.series[run]].Key)
		end = g.endRun(run, end)
	}
}

// endRun adds a run that begins at start to the batch and gives where it ends.
func (g *grouping) endRun(run, start int32) int32 {
	end := start + g.at[run]
	g.at[run] = start
	g.batch.Kinds = append(g.batch.Kinds, g.kinds[run])
	g.batch.Ends = append(g.batch.Ends, int(end))
	return end
}

// sortKnown sorts the registered runs by handle, with one pass for each byte
// in which handles differ: three or four of the eight, for shard and ordinal.
func (g *grouping) sortKnown() {
	if len(g.known) == 0 {
		return
	}
	var differ sample.Handle
	for _, o := range g.known {
		differ |= o.handle ^ g.known[0].handle
	}
	from, to := g.known, slices.Grow(g.scratch[:0], len(g.known))[:len(g.known)]
	for shift := 0; differ>>shift != 0; shift += 8 {
		if differ>>shift&0xff == 0 {
			continue
		}
		var starts [256]int32
		for _, o := range from {
			starts[o.handle>>shift&0xff]++
		}
		start := int32(0)
		for i := range starts {
			start, starts[i] = start+starts[i], start
		}
		for _, o := range from {
			s := &starts[o.handle>>shift&0xff]
			to[*s] = o
			*s++
		}
		from, to = to, from
	}
	g.known, g.scratch = from, to
}

// place writes a bundle's samples into the columns of their runs.
func (g *grouping) place(u *bundle, places []int32) {
	b := &g.batch
	next, times, bits, values := g.at, b.Times, b.Bits, u.bits[:len(places)]
	n := 0
	for i := range u.lines {
		end := n + 1
		if s := u.lines[i].of; s != nil {
			end = n + len(s.targets)
		}
		time := u.lines[i].time
		for ; n < end; n++ {
			run := places[n]
			at := next[run]
			next[run] = at + 1
			times[at], bits[at] = time, values[n]
			places[n] = at
		}
	}
	if len(u.texts) > 0 {
		g.placeTexts(u, places)
	}
	if u.qualities != nil {
		if b.Qualities == nil {
			b.Qualities = make([]sample.Quality, len(b.Times))
		}
		for i, at := range places {
			b.Qualities[at] = u.qualities[i]
		}
	}
}

// placeTexts adds a bundle's texts; places is where its samples went.
func (g *grouping) placeTexts(u *bundle, places []int32) {
	b, singles := &g.batch, u.singles
	first := uint64(len(b.Texts))
	b.Texts = append(b.Texts, u.texts...)
	n := 0
	for i := range u.lines {
		if s := u.lines[i].of; s != nil {
			n += len(s.targets)
			continue
		}
		if singles[0].kind == sample.String {
			b.Bits[places[n]] += first
		}
		n, singles = n+1, singles[1:]
	}
}
