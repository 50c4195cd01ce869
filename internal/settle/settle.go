// Package settle brings the samples of many items together by series, and
// decides between those of one series and time by the total order (law 6).
//
// It is where merges and archives agree on what a volume holds. It refuses to
// know where items come from or go to, and imports block and sample alone.
package settle

import (
	"cmp"
	"slices"

	"weir/internal/block"
	"weir/internal/sample"
)

// Collector brings the runs of many items together by series: one run a
// series, sorted by time, one sample a time. It keeps its memory. It is not safe
// for concurrent use.
type Collector struct {
	runs        []piece
	times       []int64
	bits        []uint64
	qualities   []sample.Quality
	versions    []uint64
	positions   []uint64
	texts       []string
	qualified   bool // a quality is not Good
	overwritten uint64

	order []int // scratch of settle
	out   block.Batch
}

// piece is one item's samples of a series: [start, end) of the columns.
type piece struct {
	handle     sample.Handle
	kind       sample.Kind
	start, end int
}

// Reset forgets what was added.
func (c *Collector) Reset() {
	clear(c.texts)
	*c = Collector{
		runs: c.runs[:0], times: c.times[:0], bits: c.bits[:0], qualities: c.qualities[:0],
		versions: c.versions[:0], positions: c.positions[:0], texts: c.texts[:0],
		order: c.order, out: c.out,
	}
}

// Add takes an item's batch. position is that of the entry that names it, for
// a batch that does not say its samples' own.
func (c *Collector) Add(b *block.Batch, position uint64) {
	base := len(c.times)
	for i, h := range b.Handles {
		start, end := b.Run(i)
		if start < end {
			c.runs = append(c.runs, piece{h, b.Kinds[i], base + start, base + end})
		}
	}
	n := b.Samples()
	c.times = append(c.times, b.Times...)
	if len(b.Texts) > 0 {
		c.addTexts(b)
	} else {
		c.bits = append(c.bits, b.Bits...)
	}
	c.qualified = c.qualified || b.Qualities != nil
	c.qualities = extend(c.qualities, b.Qualities, n, sample.Good)
	c.versions = extend(c.versions, b.Versions, n, 0)
	c.positions = extend(c.positions, b.Positions, n, position)
}

// extend appends a column, or n times what stands for one that is not there.
func extend[T any](to, column []T, n int, missing T) []T {
	if column != nil {
		return append(to, column...)
	}
	to = slices.Grow(to, n)
	for range n {
		to = append(to, missing)
	}
	return to
}

// addTexts appends the values of a batch that has strings among them.
func (c *Collector) addTexts(b *block.Batch) {
	base := uint64(len(c.texts))
	c.texts = append(c.texts, b.Texts...)
	for i, kind := range b.Kinds {
		start, end := b.Run(i)
		for _, v := range b.Bits[start:end] {
			if kind == sample.String {
				v += base
			}
			c.bits = append(c.bits, v)
		}
	}
}

// Batch gives all that was added as one batch, in order of handles. It is
// valid until the next call.
func (c *Collector) Batch() *block.Batch {
	_ = c.Each(cmp.Compare[sample.Handle], len(c.times)+1, func(*block.Batch) error { return nil }) // which has no error of its own
	return &c.out
}

// Each calls yield with all that was added, in an order of handles, in batches of
// whole series that have about so many samples each, or more where one series
// has. There is one at least. A batch is valid until yield returns.
func (c *Collector) Each(compare func(a, b sample.Handle) int, samples int, yield func(*block.Batch) error) error {
	slices.SortStableFunc(c.runs, func(a, b piece) int { return compare(a.handle, b.handle) })
	c.overwritten = 0
	c.begin(samples)
	for start := 0; start < len(c.runs); {
		end := start + 1
		for end < len(c.runs) && c.runs[end].handle == c.runs[start].handle {
			end++
		}
		if c.out.Samples() >= samples {
			if err := yield(&c.out); err != nil {
				return err
			}
			c.begin(samples)
		}
		c.series(c.runs[start:end])
		start = end
	}
	return yield(&c.out)
}

// begin begins a batch, in the memory of the one before.
func (c *Collector) begin(samples int) {
	b, n := &c.out, min(samples, len(c.times))
	versions, positions, qualities := b.Versions, b.Positions, b.Qualities
	b.Reset()
	b.Versions, b.Positions = slices.Grow(versions[:0], n), slices.Grow(positions[:0], n)
	if c.qualified {
		b.Qualities = slices.Grow(qualities[:0], n)
	}
}

// Grow makes room for so many samples more.
func (c *Collector) Grow(samples int) {
	c.times, c.bits = slices.Grow(c.times, samples), slices.Grow(c.bits, samples)
	c.qualities = slices.Grow(c.qualities, samples)
	c.versions, c.positions = slices.Grow(c.versions, samples), slices.Grow(c.positions, samples)
}

// series appends one series to the batch. Pieces that follow one another in
// time, the usual case, are copied; others are sorted.
func (c *Collector) series(pieces []piece) {
	slices.SortStableFunc(pieces, func(a, b piece) int { return cmp.Compare(c.times[a.start], c.times[b.start]) })
	if c.ascending(pieces) {
		for _, p := range pieces {
			c.copy(p)
		}
	} else {
		c.sorted(pieces)
	}
	c.out.EndRun(pieces[0].handle, pieces[0].kind)
}

// ascending says whether the pieces' times ascend strictly, one after the other.
func (c *Collector) ascending(pieces []piece) bool {
	last, any := int64(0), false
	for _, p := range pieces {
		for _, t := range c.times[p.start:p.end] {
			if any && t <= last {
				return false
			}
			last, any = t, true
		}
	}
	return true
}

func (c *Collector) copy(p piece) {
	b := &c.out
	b.Times = append(b.Times, c.times[p.start:p.end]...)
	b.Versions = append(b.Versions, c.versions[p.start:p.end]...)
	b.Positions = append(b.Positions, c.positions[p.start:p.end]...)
	if c.qualified {
		b.Qualities = append(b.Qualities, c.qualities[p.start:p.end]...)
	}
	if p.kind != sample.String {
		b.Bits = append(b.Bits, c.bits[p.start:p.end]...)
		return
	}
	for _, v := range c.bits[p.start:p.end] {
		b.Bits = append(b.Bits, uint64(len(b.Texts)))
		b.Texts = append(b.Texts, c.texts[v])
	}
}

// sorted appends the samples of pieces in order of time, of each time the one
// that counts (law 6): the highest version, then the latest position. Two
// samples of one commit and series never have the same time: its flush left one.
func (c *Collector) sorted(pieces []piece) {
	order := c.order[:0]
	for _, p := range pieces {
		for i := p.start; i < p.end; i++ {
			order = append(order, i)
		}
	}
	c.order = order
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(c.times[a], c.times[b]), cmp.Compare(c.versions[a], c.versions[b]), cmp.Compare(c.positions[a], c.positions[b]))
	})
	for n, i := range order {
		if n+1 < len(order) && c.times[order[n+1]] == c.times[i] {
			c.overwritten++
			continue
		}
		c.copy(piece{kind: pieces[0].kind, start: i, end: i + 1})
	}
}

// Overwritten gives how many samples are in no batch of the last call, since others of
// their series and time counted.
func (c *Collector) Overwritten() uint64 { return c.overwritten }

// Samples gives how many samples were added.
func (c *Collector) Samples() int { return len(c.times) }
