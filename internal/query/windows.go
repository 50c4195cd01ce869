package query

import (
	"weir/internal/sample"
)

// Windowing says how samples are brought together: those of a window, by a
// function.
type Windowing struct {
	Function Function
	Window   int64 // ns, above 0
}

// Statistics are what is known of the samples of a run of one series without
// looking at each: enough for every function.
type Statistics struct {
	Count               int
	First, Last         int64  // the least and the greatest time
	FirstBits, LastBits uint64 // the values then
	Min, Max            uint64 // bits of the least and greatest value; -0 lies below 0, and NaN is none
	// Sum is exact: of int64 and bool values an integer of 128 bits, of float64
	// values two whose sum it is, High the rounded one.
	Sum struct{ Low, High uint64 }
}

// Covers says whether the times from first to last, both of them included, lie
// in one window.
func (w Windowing) Covers(first, last int64) bool {
	_, end := windowOf(first, w.Window)
	return last <= end
}

// Samples appends the cells of samples that lie behind all that cells has, all
// of one series: its last cell may get more.
func (w Windowing) Samples(cells []Cell, p *Points) []Cell {
	for i := 0; i < len(p.Times); {
		first, last := windowOf(p.Times[i], w.Window)
		j := len(p.Times)
		if p.Times[j-1] > last {
			for j = i + 1; p.Times[j] <= last; j++ {
			}
		}
		c := w.Function.reduce(p, i, j)
		c.start = first
		cells = w.add(cells, p.Info.Kind, &c)
		i = j
	}
	return cells
}

// Run is Samples for a run that lies in one window, by its statistics.
func (w Windowing) Run(cells []Cell, kind sample.Kind, s *Statistics) []Cell {
	c := Cell{count: int64(s.Count)}
	c.start, _ = windowOf(s.First, w.Window)
	switch w.Function {
	case First:
		c.high, c.bits = s.First, s.FirstBits
	case Last:
		c.high, c.bits = s.Last, s.LastBits
	case Min:
		c.bits = s.Min
	case Max:
		c.bits = s.Max
	case Sum, Mean:
		switch {
		case kind != sample.Float64:
			c.bits, c.high = s.Sum.Low, int64(s.Sum.High)
		case s.Min == 1<<63 && s.Max == 1<<63: // nothing but -0
			c.sum.Add([]uint64{1 << 63})
		default:
			c.sum.Add([]uint64{s.Sum.High, s.Sum.Low, 0})
		}
	}
	return w.add(cells, kind, &c)
}

// Join is Samples for cells: more lies behind cells, so that its first window
// alone may be theirs.
func (w Windowing) Join(cells []Cell, kind sample.Kind, more []Cell) []Cell {
	if len(more) == 0 {
		return cells
	}
	return append(w.add(cells, kind, &more[0]), more[1:]...)
}

func (w Windowing) add(cells []Cell, kind sample.Kind, c *Cell) []Cell {
	if n := len(cells); n > 0 && cells[n-1].start == c.start {
		w.Function.combine(kind, &cells[n-1], c)
		return cells
	}
	return append(cells, *c)
}
