package volumes

import (
	"cmp"
	"container/heap"
	"slices"
)

// cursor is a place in a piece.
type cursor struct {
	piece *piece
	at    int   // how many samples lie behind
	by    []int // the samples in order; nil: they ascend
}

func (c *cursor) index() int {
	if c.by != nil {
		return c.by[c.at]
	}
	return c.piece.start + c.at
}

func (c *cursor) time() int64 { return c.piece.batch.Times[c.index()] }

func (c *cursor) done() bool { return c.at == c.piece.end-c.piece.start }

func compareOrders(a, b order) int {
	return cmp.Or(cmp.Compare(a.version, b.version), cmp.Compare(a.position, b.position))
}

// merge goes through pieces that overlap, by time and the order of law 6. Its
// cursors are a heap.
type merge struct{ cursors []cursor }

// makeMerge begins a merge. Of equal orders the piece of the later item counts.
func makeMerge(pieces []piece) *merge {
	m := &merge{}
	for i := range pieces {
		p := &pieces[i]
		c := cursor{piece: p}
		if !p.ascending {
			c.by = make([]int, p.end-p.start)
			for k := range c.by {
				c.by[k] = p.start + k
			}
			slices.SortStableFunc(c.by, func(a, b int) int {
				return cmp.Or(cmp.Compare(p.batch.Times[a], p.batch.Times[b]), compareOrders(p.orderOf(a), p.orderOf(b)))
			})
		}
		m.cursors = append(m.cursors, c)
	}
	heap.Init(m)
	return m
}

// next gives the sample that counts of the earliest time there is, and goes
// past all of that time.
func (m *merge) next() cursor {
	winner := m.cursors[0]
	t := winner.time()
	for len(m.cursors) > 0 && m.cursors[0].time() == t {
		winner = m.cursors[0]
		if m.cursors[0].at++; m.cursors[0].done() {
			heap.Pop(m)
		} else {
			heap.Fix(m, 0)
		}
	}
	return winner
}

func (m *merge) Len() int      { return len(m.cursors) }
func (m *merge) Swap(i, j int) { m.cursors[i], m.cursors[j] = m.cursors[j], m.cursors[i] }
func (m *merge) Push(any)      {} // heap.Interface wants it; nothing comes later

func (m *merge) Pop() any {
	m.cursors = m.cursors[:len(m.cursors)-1]
	return nil
}

// Less puts the sample that counts last among those of one time.
func (m *merge) Less(i, j int) bool {
	a, b := &m.cursors[i], &m.cursors[j]
	if x, y := a.time(), b.time(); x != y {
		return x < y
	}
	return cmp.Or(compareOrders(a.piece.orderOf(a.index()), b.piece.orderOf(b.index())), cmp.Compare(a.piece.item, b.piece.item)) < 0
}
