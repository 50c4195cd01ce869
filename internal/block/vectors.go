package block

import (
	"math/bits"
	"slices"
)

// Codes of a run's reference to a vector; a higher one less knownVector is the
// number of an earlier vector.
const (
	sameVector  = 0 // the run before has the same
	newVector   = 1 // it follows
	knownVector = 2
)

// maxProbes bounds the search for an equal vector, so that times chosen to
// collide cost a sender bytes and nobody time.
const maxProbes = 8

// vectors finds the distinct vectors of a column, cut by runs: series that are
// sampled together have the same times, those that are flushed together the
// same versions. The table's size is a power of two; its entries are a
// vector's number and one, 0 for none.
type vectors[T int64 | uint64] struct {
	table []int32
	list  [][]T
	refs  []uint64 // one for each run that has samples
}

// find fills list and refs. The vectors alias the column.
func (v *vectors[T]) find(b *Batch, column []T) {
	v.list, v.refs = v.list[:0], v.refs[:0]
	var last []T
	start := 0
	for _, end := range b.Ends {
		if start == end {
			continue
		}
		vector := column[start:end]
		start = end
		switch {
		case equal(vector, last):
			v.refs = append(v.refs, sameVector)
			continue
		case last == nil:
			v.list, v.refs = append(v.list, vector), append(v.refs, newVector)
		default:
			if len(v.list) == 1 {
				v.prepare(b.Runs())
			}
			v.refs = append(v.refs, v.look(vector))
		}
		last = vector
	}
}

// equal is slices.Equal, quick where there is one element.
func equal[T int64 | uint64](a, b []T) bool {
	if len(a) == 1 && len(b) == 1 {
		return a[0] == b[0]
	}
	return slices.Equal(a, b)
}

// prepare empties the table and puts the first vector into it.
func (v *vectors[T]) prepare(runs int) {
	size := 1 << bits.Len(uint(2*runs))
	v.table = resize(v.table, size)
	clear(v.table)
	v.table[hashOf(v.list[0])&uint64(size-1)] = 1
}

// look gives the reference to an equal vector or makes a new one.
func (v *vectors[T]) look(vector []T) uint64 {
	mask := uint64(len(v.table) - 1)
	slot := hashOf(vector) & mask
	for range maxProbes {
		known := v.table[slot]
		if known == 0 {
			v.table[slot] = int32(len(v.list) + 1)
			break
		}
		if equal(v.list[known-1], vector) {
			return knownVector + uint64(known-1)
		}
		slot = (slot + 1) & mask
	}
	v.list = append(v.list, vector)
	return newVector
}

func hashOf[T int64 | uint64](vector []T) uint64 {
	const odd = 0x9E3779B97F4A7C15 // 2^64 over the golden ratio
	h := uint64(len(vector))
	for _, t := range vector {
		h = bits.RotateLeft64(h^uint64(t), 29) * odd
	}
	return h ^ h>>32
}
