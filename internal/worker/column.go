package worker

import (
	"cmp"
	"slices"
	"sort"

	"weir/internal/block"
	"weir/internal/sample"
)

// column is the samples of one series. It is filled, settled and emptied for
// each series of a flush, and keeps its memory: a series' samples of a flush
// mostly fit the processor's nearest cache.
type column struct {
	times     []int64
	bits      []uint64 // of a string its place in texts
	texts     []string
	qualities []sample.Quality // empty: all Good
	versions  []uint64         // empty: all are the flush's horizon

	order, tail []int32 // scratch of sorting
	numbers     []uint64
	moved       []int64
	grades      []sample.Quality
}

func (c *column) reset() {
	clear(c.texts)
	c.times, c.bits, c.texts = c.times[:0], c.bits[:0], c.texts[:0]
	c.qualities, c.versions = c.qualities[:0], c.versions[:0]
}

// settle sorts by time and leaves one sample a time: the last placed, for
// entries come in the order of stamps, and a late one's version is its stamp,
// which is below the horizon's.
func (c *column) settle() {
	sorted := 1 // how many of the first are in order, each time once
	for sorted < len(c.times) && c.times[sorted] > c.times[sorted-1] {
		sorted++
	}
	if sorted >= len(c.times) {
		return
	}
	c.sortFrom(sorted)
	kept := c.order[:0]
	for i, at := range c.order {
		if i+1 < len(c.order) && c.times[c.order[i+1]] == c.times[at] {
			continue // overwritten
		}
		kept = append(kept, at)
	}
	c.times, c.moved = permute(c.moved, c.times, kept)
	c.bits, c.numbers = permute(c.numbers, c.bits, kept)
	if len(c.versions) > 0 {
		c.versions, c.numbers = permute(c.numbers, c.versions, kept)
	}
	if len(c.qualities) > 0 {
		c.qualities, c.grades = permute(c.grades, c.qualities, kept)
	}
}

// mergeCost is how many places a sample may be moved by merging, on average,
// before sorting anew is cheaper.
const mergeCost = 16

// sortFrom puts the places of all samples into order, stably by time, where
// the first so many are sorted. Messages come in nearly the right order: most
// of a series is a few ascending stretches that overtook one another, so each
// stretch is merged with the end of what is before it.
func (c *column) sortFrom(sorted int) {
	n := len(c.times)
	c.order = slices.Grow(c.order[:0], n)[:n]
	for i := range c.order {
		c.order[i] = int32(i)
	}
	for budget := mergeCost * n; sorted < n; {
		end := sorted + 1
		for end < n && c.times[end] >= c.times[end-1] {
			end++
		}
		first := c.times[sorted]
		from := sort.Search(sorted, func(i int) bool { return c.times[c.order[i]] > first })
		if budget -= end - from; budget < 0 {
			slices.SortStableFunc(c.order, func(a, b int32) int {
				return cmp.Or(cmp.Compare(c.times[a], c.times[b]), cmp.Compare(a, b))
			})
			return
		}
		c.merge(from, sorted, end)
		sorted = end
	}
}

// merge merges order's places from to middle with those from middle to end,
// both of them sorted.
func (c *column) merge(from, middle, end int) {
	c.tail = append(c.tail[:0], c.order[from:middle]...)
	at, next := from, middle
	for _, place := range c.tail {
		for next < end && c.times[c.order[next]] < c.times[place] {
			c.order[at] = c.order[next]
			at, next = at+1, next+1
		}
		c.order[at] = place
		at++
	}
}

// permute gives column in an order, in the memory of scratch, and column's own
// memory as the next scratch.
func permute[T any](scratch, column []T, order []int32) (ordered, rest []T) {
	scratch = slices.Grow(scratch[:0], len(column))[:len(order)]
	for i, at := range order {
		scratch[i] = column[at]
	}
	return scratch, column[:0]
}

// appendTo adds samples from to to to an item's batch, but for the end of
// their run. horizon is the version of those that have none of their own.
func (c *column) appendTo(b *block.Batch, kind sample.Kind, from, to int, horizon uint64) {
	b.Times = append(b.Times, c.times[from:to]...)
	if kind == sample.String {
		for _, bits := range c.bits[from:to] {
			b.Bits = append(b.Bits, uint64(len(b.Texts)))
			b.Texts = append(b.Texts, c.texts[bits])
		}
	} else {
		b.Bits = append(b.Bits, c.bits[from:to]...)
	}
	if len(c.qualities) > 0 {
		b.Qualities = append(b.Qualities, c.qualities[from:to]...)
	}
	if len(c.versions) > 0 {
		b.Versions = append(b.Versions, c.versions[from:to]...)
		return
	}
	n := len(b.Versions)
	b.Versions = slices.Grow(b.Versions, to-from)[:n+to-from]
	for i := n; i < len(b.Versions); i++ {
		b.Versions[i] = horizon
	}
}
