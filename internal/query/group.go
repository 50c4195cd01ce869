package query

import (
	"cmp"
	"slices"

	"weir/internal/sample"
)

// group holds the cells of one line of an aggregate's answer.
type group struct {
	series sample.Series
	kind   sample.Kind // in which its series are combined
	cells  []Cell      // one a window, in the order in which they came
	// index leads from a window's start to its cell. It is made when cells
	// first come out of order.
	index map[int64]int
	next  int   // where the next window of the series is, if the series are alike
	last  int64 // the latest start there is
}

// reset empties the group and keeps its memory.
func (g *group) reset(kind sample.Kind) {
	*g = group{series: g.series, kind: kind, cells: g.cells[:0]}
}

// add combines the cells of one more series, which are over values of a kind.
// It stops and gives false when that takes more than a number of new cells.
func (g *group) add(f Function, kind sample.Kind, cells []Cell, most int) bool {
	g.next = 0
	if len(g.cells) == 0 {
		g.cells = slices.Grow(g.cells, min(len(cells), max(most, 0)))
	}
	made := 0
	for _, c := range cells {
		f.convert(&c, kind, g.kind)
		if had := g.find(c.start); had != nil {
			f.combine(g.kind, had, &c)
			continue
		}
		if made++; made > most {
			return false
		}
		g.append(c)
	}
	return true
}

// find gives the cell of the window that begins at start, nil when there is none.
func (g *group) find(start int64) *Cell {
	if g.next < len(g.cells) && g.cells[g.next].start == start {
		g.next++
		return &g.cells[g.next-1]
	}
	if len(g.cells) == 0 || start > g.last {
		return nil
	}
	if g.index == nil {
		g.index = make(map[int64]int, len(g.cells))
		for i := range g.cells {
			g.index[g.cells[i].start] = i
		}
	}
	at, ok := g.index[start]
	if !ok {
		return nil
	}
	g.next = at + 1
	return &g.cells[at]
}

func (g *group) append(c Cell) {
	if len(g.cells) == 0 || c.start > g.last {
		g.last = c.start
	}
	if g.index != nil {
		g.index[c.start] = len(g.cells)
	}
	g.cells = append(g.cells, c)
	g.next = len(g.cells)
}

// write gives the group's cells as Points, in the order of time, in the
// memory that out has.
func (g *group) write(f Function, out *Points) error {
	if g.index != nil { // cells came out of order
		slices.SortFunc(g.cells, func(x, y Cell) int { return cmp.Compare(x.start, y.start) })
	}
	return f.write(g.kind, g.cells, out)
}

// write gives cells over values of a kind as Points, in the memory that out has.
func (f Function) write(kind sample.Kind, cells []Cell, out *Points) error {
	out.Info.Kind = f.outputKind(kind)
	out.Times, out.Bits, out.Texts = out.Times[:0], out.Bits[:0], out.Texts[:0]
	for i := range cells {
		c := &cells[i]
		value, ok := f.finish(kind, c)
		if !ok {
			return &OverflowError{Series: out.Info.Series, Start: c.start}
		}
		out.Times = append(out.Times, c.start)
		if out.Info.Kind == sample.String {
			out.Texts = append(out.Texts, *c.text)
		} else {
			out.Bits = append(out.Bits, value)
		}
	}
	return nil
}
