package archive

// distinct tells whether a column's values repeat so much that a dictionary of
// them is smaller than they are. It keeps its memory.
type distinct struct {
	slots []uint64
	used  []bool
}

const (
	// distinctMost is how many different values a dictionary has at most.
	distinctMost = 1 << 16
	// distinctLeast is how often each value is there at least, on average.
	distinctLeast = 8
)

func (d *distinct) repeats(values []uint64) bool {
	const size = 4 * distinctMost
	if d.slots == nil {
		d.slots, d.used = make([]uint64, size), make([]bool, size)
	}
	clear(d.used)
	most, n, last := min(distinctMost, len(values)/distinctLeast), 0, uint64(0)
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
			return false
		}
		d.used[at], d.slots[at] = true, v
	}
	return true
}
