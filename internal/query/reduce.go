package query

import (
	"math"
	"strings"

	"weir/internal/exact"
	"weir/internal/sample"
)

// Cell is what a function has made of the samples of one window so far: of
// single ones or of whole runs, in whatever order. Which fields mean something
// depends on the function.
type Cell struct {
	start int64
	count int64
	bits  uint64    // the value; of an int64 sum the lower half of 128 bits
	high  int64     // the upper half of an int64 sum; of First and Last the sample's time
	sum   exact.Sum // of float64 values
	text  *string   // the value when the kind is String
}

// CellSize is how many bytes a Cell takes.
const CellSize = 64

// windowOf gives the first and last ns of the window that holds t. Windows are
// aligned to the epoch; what int64 can't say is cut off at its ends.
func windowOf(t, window int64) (first, last int64) {
	offset := t % window
	if offset < 0 {
		offset += window
	}
	first, last = math.MinInt64, math.MaxInt64
	if t >= math.MinInt64+offset {
		first = t - offset
	}
	if left := window - offset - 1; t <= math.MaxInt64-left {
		last = t + left
	}
	return first, last
}

// reduce makes a cell of the samples i to j-1, which lie in one window.
func (f Function) reduce(p *Points, i, j int) Cell {
	c := Cell{count: int64(j - i)}
	kind := p.Info.Kind
	switch f {
	case First, Last:
		at := i
		if f == Last {
			at = j - 1
		}
		c.high = p.Times[at]
		if kind == sample.String {
			text := strings.Clone(p.Texts[at]) // the Points it lies in are not ours to keep
			c.text = &text
		} else {
			c.bits = p.Bits[at]
		}
	case Sum, Mean:
		if kind == sample.Float64 {
			c.sum.Add(p.Bits[i:j])
		} else {
			c.bits, c.high = exact.SumInts(p.Bits[i:j])
		}
	case Min, Max:
		c.bits = f.best(kind, p.Bits[i:j])
	}
	return c
}

// best gives the value that Min or Max takes of some.
func (f Function) best(kind sample.Kind, values []uint64) uint64 {
	had := values[0]
	if kind == sample.Int64 {
		least, most := int64(had), int64(had)
		for _, b := range values[1:] {
			least, most = min(least, int64(b)), max(most, int64(b))
		}
		if f == Max {
			return uint64(most)
		}
		return uint64(least)
	}
	for _, b := range values[1:] {
		if f.prefers(kind, b, had) {
			had = b
		}
	}
	return had
}

// prefers says whether Min or Max takes a value rather than the one it has.
func (f Function) prefers(kind sample.Kind, value, had uint64) bool {
	if f == Max {
		value, had = had, value
	}
	switch kind {
	case sample.Int64:
		return int64(value) < int64(had)
	case sample.Bool:
		return value < had
	}
	x, y := math.Float64frombits(value), math.Float64frombits(had)
	if f == Max && math.IsNaN(x) {
		return !math.IsNaN(y) // x is the one it has
	}
	if f == Min && math.IsNaN(y) {
		return !math.IsNaN(x)
	}
	return x < y || x == y && math.Signbit(x) && !math.Signbit(y)
}

// convert turns a cell over values of one kind into one over another: of int64
// into float64, and of bool, whose sum is an int64 already, into either.
func (f Function) convert(c *Cell, from, to sample.Kind) {
	if from == to || to != sample.Float64 {
		return
	}
	if f == Sum || f == Mean {
		c.sum.AddWide(c.bits, c.high)
		c.bits, c.high = 0, 0
		return
	}
	c.bits = math.Float64bits(float64(int64(c.bits)))
}

// combine adds to a cell what else there is in its window: of the same series,
// or of a later one of its group.
func (f Function) combine(kind sample.Kind, c, more *Cell) {
	c.count += more.count
	switch f {
	case First:
		if more.high < c.high {
			c.high, c.bits, c.text = more.high, more.bits, more.text
		}
	case Last:
		if more.high >= c.high {
			c.high, c.bits, c.text = more.high, more.bits, more.text
		}
	case Sum, Mean:
		if kind == sample.Float64 {
			c.sum.Join(more.sum)
		} else {
			c.bits, c.high = exact.AddInts(c.bits, c.high, more.bits, more.high)
		}
	case Min, Max:
		if f.prefers(kind, more.bits, c.bits) {
			c.bits = more.bits
		}
	}
}

// finish gives the bits of the function's value, and false where that is a sum
// past int64.
func (f Function) finish(kind sample.Kind, c *Cell) (uint64, bool) {
	switch f {
	case Count:
		return uint64(c.count), true
	case Mean, Sum:
		if f == Sum && kind != sample.Float64 {
			return c.bits, c.high == int64(c.bits)>>63
		}
		var sum float64
		if kind == sample.Float64 {
			sum = c.sum.Value()
		} else {
			sum = exact.Float(c.bits, c.high)
		}
		if f == Mean {
			sum /= float64(c.count)
		}
		return math.Float64bits(sum), true
	}
	return c.bits, true
}
