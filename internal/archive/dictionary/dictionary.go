// Package dictionary says whether a column is smaller by a dictionary of its values.
// It imports nothing of ours.
package dictionary

import "math/bits"

// Judge tells whether a column's values repeat so much that a dictionary of them is
// smaller than they are. It keeps its memory.
type Judge struct {
	slots []uint64
	used  []bool
}

const (
	// distinctMost is how many different values a dictionary has at most.
	distinctMost = 1 << 16
	// distinctLeast is how often each value is there at least, on average.
	distinctLeast = 8
)

// Repeats says whether a dictionary is smaller than the values are.
func (d *Judge) Repeats(values []uint64) bool {
	_, ok := d.count(values)
	return ok
}

// Differ says whether integers are smaller as differences (DELTA_BINARY_PACKED)
// than by dictionary: whether their differences have fewer bits than a place in it
// has, by a quarter, since places repeat and are compressed further.
func (d *Judge) Differ(values []uint64) bool {
	const together = 32 // values that share a width
	if len(values) == 0 {
		return false
	}
	wide := 0
	for start := 0; start < len(values); start += together {
		most := 0
		for i := max(start, 1); i < min(start+together, len(values)); i++ {
			difference := int64(values[i] - values[i-1])
			most = max(most, bits.Len64(uint64(difference<<1^difference>>63)))
		}
		wide += most * min(together, len(values)-start)
	}
	n, ok := d.count(values)
	return !ok || wide*4 < bits.Len(uint(n))*3*len(values)
}

// count gives how many different values there are; ok is false where they are too
// many for a dictionary.
func (d *Judge) count(values []uint64) (n int, ok bool) {
	const size = 4 * distinctMost
	if d.slots == nil {
		d.slots, d.used = make([]uint64, size), make([]bool, size)
	}
	clear(d.used)
	most, last := min(distinctMost, len(values)/distinctLeast), uint64(0)
	for i, v := range values {
		if i > 0 && v == last {
			continue
		}
		last = v
		at := v * 0x9e3779b97f4a7c15 >> (64 - 18) // 2^18 slots; Fibonacci hashing, Knuth volume 3, 6.4
		for d.used[at] && d.slots[at] != v {
			at = (at + 1) % size
		}
		if d.used[at] {
			continue
		}
		if n++; n > most {
			return n, false
		}
		d.used[at], d.slots[at] = true, v
	}
	return n, true
}
