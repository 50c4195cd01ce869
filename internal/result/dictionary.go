package result

import (
	"math"
	"math/bits"
	"slices"
)

// dictionary is the numbers of a column that differ, and each row's place among
// them. It keeps its memory from column to column.
type dictionary struct {
	distinct []uint64 // bits, in the order in which they came
	slots    []int32  // hash table of their places + 1, at most half full; 0: free
	shift    int      // of a hash, to a slot
	index    []int32  // of each row
}

// maxDistinct is how many values a dictionary has at most: their page is to fit a
// core's cache.
const maxDistinct = 64 << 10

// firstLook is after how many rows it is given up where most of them differ.
const firstLook = 2048

// reset empties the dictionary, for n rows.
func (d *dictionary) reset(n int) {
	if d.slots == nil {
		d.slots = make([]int32, 512)
		d.grow()
	}
	d.index, d.distinct = slices.Grow(d.index[:0], n)[:n], d.distinct[:0]
	clear(d.slots)
}

// ofInts fills the dictionary, and says whether it is shorter than the numbers.
func (d *dictionary) ofInts(ints []int64) bool {
	d.reset(len(ints))
	for i, x := range ints {
		if !d.has(i, uint64(x)) && !d.add(i, uint64(x)) {
			return false
		}
	}
	return d.shorter()
}

// ofFloats is ofInts for floats.
func (d *dictionary) ofFloats(floats []float64) bool {
	d.reset(len(floats))
	for i, x := range floats {
		if !d.has(i, math.Float64bits(x)) && !d.add(i, math.Float64bits(x)) {
			return false
		}
	}
	return d.shorter()
}

// shorter says whether places and what differs are shorter than numbers.
func (d *dictionary) shorter() bool {
	n := len(d.index)
	return n > 0 && 64*len(d.distinct)+bits.Len(uint(len(d.distinct)))*n < 64*n
}

// has sets the place of row i, if its value is where it is looked for first.
func (d *dictionary) has(i int, x uint64) bool {
	place := d.slots[hash(x)>>d.shift] - 1
	if place < 0 || d.distinct[place] != x {
		return false
	}
	d.index[i] = place
	return true
}

// add sets the place of row i, and says whether it is worth to go on.
func (d *dictionary) add(i int, x uint64) bool {
	if 2*len(d.distinct) >= len(d.slots) {
		if len(d.distinct) >= maxDistinct {
			return false
		}
		d.grow()
	}
	at := d.find(x)
	if d.slots[at] == 0 {
		d.distinct = append(d.distinct, x)
		d.slots[at] = int32(len(d.distinct))
	}
	d.index[i] = d.slots[at] - 1
	return i+1 != firstLook || len(d.distinct) <= firstLook-firstLook/8
}

// find gives the slot of a value, or the one where it belongs.
func (d *dictionary) find(x uint64) int {
	for at := int(hash(x) >> d.shift); ; at = (at + 1) % len(d.slots) {
		if place := d.slots[at] - 1; place < 0 || d.distinct[place] == x {
			return at
		}
	}
}

// hash is Fibonacci hashing: the upper bits count.
func hash(x uint64) uint64 { return (x ^ x>>32) * 0x9e3779b97f4a7c15 }

// grow doubles the table.
func (d *dictionary) grow() {
	d.slots = make([]int32, 2*len(d.slots))
	d.shift = 64 - bits.Len(uint(len(d.slots)-1))
	for place, x := range d.distinct {
		d.slots[d.find(x)] = int32(place + 1)
	}
}
