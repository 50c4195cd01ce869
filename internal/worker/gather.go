package worker

import (
	"cmp"
	"slices"

	"weir/internal/block"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
)

// gathered is the samples of a flush's messages, brought together by series
// and sorted by time, one a time: the last in the order of law 6.
type gathered struct {
	series      []gatheredSeries // sorted by handle
	times       []int64
	bits        []uint64
	texts       []string
	qualities   []sample.Quality // nil: all Good
	versions    []uint64         // nil: all are horizon
	horizon     message.Stamp
	overwritten uint64
}

type gatheredSeries struct {
	handle     sample.Handle
	kind       sample.Kind
	start, end int
}

// gather brings entries together. They are sorted by compareMessages; before
// is the journal's horizon ahead of this flush. It is a counting sort over
// the dense ordinals of the week's series, so its cost is linear.
func gather(entries []*entry, s *ordinals, before message.Stamp) *gathered {
	g := &gathered{horizon: before}
	counts := make([]int, s.total+1)
	kinds := make([]sample.Kind, s.total)
	samples, late, qualities := 0, false, false
	for _, e := range entries {
		g.horizon = max(g.horizon, e.message.Stamp)
		late = late || e.message.Stamp <= before && e.batch.Samples() > 0
		qualities = qualities || e.batch.Qualities != nil
		for i, h := range e.batch.Handles {
			from, to := e.batch.Run(i)
			counts[s.index(h)+1] += to - from
			kinds[s.index(h)] = e.batch.Kinds[i]
			samples += to - from
		}
	}
	for i := 1; i < len(counts); i++ {
		counts[i] += counts[i-1]
	}
	g.allocate(samples, late, qualities)
	g.place(entries, s, counts, before)
	// Placing moved each count to where its series ends.
	start := 0
	s.each(func(i int, h sample.Handle) {
		if end := counts[i]; end > start {
			g.series = append(g.series, gatheredSeries{h, kinds[i], start, end})
			start = end
		}
	})
	for i := range g.series {
		g.settle(&g.series[i])
	}
	return g
}

func (g *gathered) allocate(samples int, late, qualities bool) {
	g.times, g.bits = make([]int64, samples), make([]uint64, samples)
	if qualities {
		g.qualities = make([]sample.Quality, samples)
	}
	if late {
		g.versions = make([]uint64, samples)
	}
}

// place copies each run to its series' place; at[i] is where series i goes on.
func (g *gathered) place(entries []*entry, s *ordinals, at []int, before message.Stamp) {
	for _, e := range entries {
		b := e.batch
		version := journal.Version(e.message.Stamp, before, g.horizon)
		for i, h := range b.Handles {
			from, to := b.Run(i)
			k := s.index(h)
			n := at[k]
			copy(g.times[n:], b.Times[from:to])
			copy(g.bits[n:], b.Bits[from:to])
			if b.Kinds[i] == sample.String {
				for j := from; j < to; j++ {
					g.bits[n+j-from] = uint64(len(g.texts))
					g.texts = append(g.texts, b.Texts[b.Bits[j]])
				}
			}
			if b.Qualities != nil {
				copy(g.qualities[n:], b.Qualities[from:to])
			}
			if g.versions != nil {
				for j := n; j < n+to-from; j++ {
					g.versions[j] = version
				}
			}
			at[k] = n + to - from
		}
	}
}

// settle sorts a series by time and leaves one sample a time: the last placed,
// for entries come in the order of stamps, and a late one's version is its
// stamp, which is below the horizon's.
func (g *gathered) settle(s *gatheredSeries) {
	times := g.times[s.start:s.end]
	ascending := true
	for i := 1; i < len(times); i++ {
		if times[i] <= times[i-1] {
			ascending = false
			break
		}
	}
	if ascending {
		return
	}
	order := make([]int, len(times))
	for i := range order {
		order[i] = s.start + i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(g.times[a], g.times[b]) })
	kept := order[:0]
	for i, at := range order {
		if i+1 < len(order) && g.times[order[i+1]] == g.times[at] {
			g.overwritten++
			continue
		}
		kept = append(kept, at)
	}
	permute(g.times, s.start, kept)
	permute(g.bits, s.start, kept)
	permute(g.qualities, s.start, kept)
	permute(g.versions, s.start, kept)
	s.end = s.start + len(kept)
}

// permute moves column[order[i]] to start+i; a nil column stays nil.
func permute[T any](column []T, start int, order []int) {
	if column == nil {
		return
	}
	moved := make([]T, len(order))
	for i, at := range order {
		moved[i] = column[at]
	}
	copy(column[start:], moved)
}

// appendRun adds samples from to to of s to an item's batch.
func (g *gathered) appendRun(b *block.Batch, s *gatheredSeries, from, to int) {
	b.Times = append(b.Times, g.times[from:to]...)
	if s.kind == sample.String {
		for _, bits := range g.bits[from:to] {
			b.Bits = append(b.Bits, uint64(len(b.Texts)))
			b.Texts = append(b.Texts, g.texts[bits])
		}
	} else {
		b.Bits = append(b.Bits, g.bits[from:to]...)
	}
	if g.qualities != nil {
		b.Qualities = append(b.Qualities, g.qualities[from:to]...)
	}
	if g.versions != nil {
		b.Versions = append(b.Versions, g.versions[from:to]...)
	} else {
		for range to - from {
			b.Versions = append(b.Versions, uint64(g.horizon))
		}
	}
	b.EndRun(s.handle, s.kind)
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

func (o *ordinals) each(f func(int, sample.Handle)) {
	for shard := range sample.Shard(sample.Shards) {
		for i := o.first[shard]; i < o.first[shard+1]; i++ {
			f(i, sample.NewHandle(shard, uint32(i-o.first[shard])))
		}
	}
}
