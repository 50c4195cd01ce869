package worker

import (
	"math"
	"time"

	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
)

// gathered is a flush's messages, with the way from each series to its runs in
// them. The samples stay where they are until their item is made.
type gathered struct {
	entries []*entry // in the order of compareMessages
	late    []uint64 // one an entry: the version of its samples; nil: all are horizon
	horizon message.Stamp
	good    bool // all samples' quality

	series *ordinals
	runs   []place // by series, and within it in the order of entries
	ends   []int   // by series: where its runs end
}

// place is where a run of a series is.
type place struct{ entry, run int32 }

// gather finds the runs of each series in entries, which are sorted by
// compareMessages; before is the journal's horizon ahead of this flush. It is
// a counting sort over the dense ordinals of the week's series, so its cost is
// linear.
func gather(entries []*entry, s *ordinals, before message.Stamp) *gathered {
	g := &gathered{entries: entries, horizon: before, good: true, series: s, ends: make([]int, s.total+1)}
	runs, late := 0, false
	for _, e := range entries {
		g.horizon = max(g.horizon, e.message.Stamp)
		late = late || e.message.Stamp <= before && e.batch.Samples() > 0
		g.good = g.good && e.batch.Qualities == nil
		runs += len(e.batch.Handles)
		for _, h := range e.batch.Handles {
			g.ends[s.index(h)+1]++
		}
	}
	for i := 1; i < len(g.ends); i++ {
		g.ends[i] += g.ends[i-1]
	}
	g.runs = make([]place, runs)
	for i, e := range entries {
		for run, h := range e.batch.Handles {
			at := &g.ends[s.index(h)] // moves from where the series' runs begin to where they end
			g.runs[*at] = place{int32(i), int32(run)}
			*at++
		}
		if late {
			g.late = append(g.late, journal.Version(e.message.Stamp, before, g.horizon))
		}
	}
	return g
}

// each calls f with each series that has runs, in the order of handles.
func (g *gathered) each(f func(sample.Handle, []place) error) error {
	start := 0
	for shard := range sample.Shard(sample.Shards) {
		first := g.series.first[shard]
		for i := first; i < g.series.first[shard+1]; i++ {
			runs := g.runs[start:g.ends[i]]
			start = g.ends[i]
			if len(runs) == 0 {
				continue
			}
			if err := f(sample.NewHandle(shard, uint32(i-first)), runs); err != nil {
				return err
			}
		}
	}
	return nil
}

// collect brings a series' samples together in c, sorted by time, and one a
// time. It gives their kind, and how many were overwritten.
func (g *gathered) collect(c *column, runs []place) (sample.Kind, uint64) {
	c.reset()
	var kind sample.Kind
	for _, p := range runs {
		b := g.entries[p.entry].batch
		kind = b.Kinds[p.run]
		from, to := b.Run(int(p.run))
		c.times = append(c.times, b.Times[from:to]...)
		if kind == sample.String {
			for _, bits := range b.Bits[from:to] {
				c.bits = append(c.bits, uint64(len(c.texts)))
				c.texts = append(c.texts, b.Texts[bits])
			}
		} else {
			c.bits = append(c.bits, b.Bits[from:to]...)
		}
		if !g.good {
			for i := from; i < to; i++ {
				c.qualities = append(c.qualities, b.Quality(i))
			}
		}
		if g.late != nil {
			for range to - from {
				c.versions = append(c.versions, g.late[p.entry])
			}
		}
	}
	before := len(c.times)
	c.settle()
	return kind, uint64(before - len(c.times))
}

// hourly counts samples by hour of their time.
type hourly struct {
	counts map[int64]*uint64
	start  int64 // of the hour that the last sample was of
	count  *uint64
}

const hour = int64(time.Hour)

// add counts samples of which the first and the last are in one hour at once:
// those between are taken to be there too.
func (h *hourly) add(times []int64) {
	for len(times) > 0 {
		h.find(times[0])
		n := len(times)
		if !h.within(times[n-1]) {
			n = 1
			for n < len(times) && h.within(times[n]) {
				n++
			}
		}
		*h.count += uint64(n)
		times = times[n:]
	}
}

// within says whether a time is in the hour at hand. The difference is taken
// without a sign: from one end of int64 to the other it has no room for one.
func (h *hourly) within(t int64) bool { return uint64(t-h.start) < uint64(hour) }

// find goes to the hour of a time.
func (h *hourly) find(t int64) {
	if h.count != nil && h.within(t) {
		return
	}
	h.start = floor(t, hour)
	if h.counts == nil {
		h.counts = map[int64]*uint64{}
	}
	if h.count = h.counts[h.start]; h.count == nil {
		h.count = new(uint64)
		h.counts[h.start] = h.count
	}
}

// floor gives the largest multiple of unit that is not above t; at the far
// end of int64, where there is none, the first time there is.
func floor(t, unit int64) int64 {
	rest := t % unit
	if rest < 0 {
		rest += unit
	}
	if t < math.MinInt64+rest {
		return math.MinInt64
	}
	return t - rest
}

// ordinals numbers a week's series densely, in the order of their handles.
type ordinals struct {
	first [sample.Shards + 1]int
	total int
}

func newOrdinals(s *journal.State) *ordinals {
	o := &ordinals{}
	s.Ordinals(func(shard sample.Shard, n int) { o.first[shard+1] = n })
	for i := 1; i < len(o.first); i++ {
		o.first[i] += o.first[i-1]
	}
	o.total = o.first[sample.Shards]
	return o
}

func (o *ordinals) index(h sample.Handle) int { return o.first[h.Shard()] + int(h.Ordinal()) }
