package block

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// A sensor has a resolution. Scaled, calibrated and stored as a float, its
// steps are any numbers, but there are few of them: 126 to 1,031 in two years
// of hours of a transformer's loads. Parquet and its like number the distinct
// values as they come and so forget that neighbours are alike. Here they are
// sorted, so that a value's rank is the sensor's own reading, and ranks have
// the small differences that the readings had. The sorted values are a run
// with residues themselves (residue.go); there are few of them.

// How often each distinct value must occur, on average: at the fast effort,
// where that settles it, and at the higher one, which compares sizes.
const (
	repeatsFast  = 8
	repeatsSmall = 3
)

// dictionaryProbes bounds the search for a value, so that values chosen to
// collide cost a sender bytes and nobody time.
const dictionaryProbes = 32

// dictionaryCoder is the memory that runs with a dictionary need.
type dictionaryCoder struct {
	residueCoder
	table    []uint32 // number of a distinct value and one; 0 is free; a power of two of them
	distinct []uint64 // keys, in order of first use
	sorted   []uint64
	ranks    []uint64 // of each distinct value, then of each value
	places   []uint32 // each value's number in distinct
}

// appendDictionary appends a run's floats as ranks among their distinct
// values. It says false, and dst is as it was, unless they occur so many
// times each, on average.
func (k *dictionaryCoder) appendDictionary(dst []byte, values []uint64, repeats int) (out []byte, ok bool) {
	if !k.collect(values, len(values)/repeats) {
		return dst, false
	}
	k.sorted = append(k.sorted[:0], k.distinct...)
	slices.Sort(k.sorted)
	k.ranks = resize(k.ranks, len(k.distinct)+len(values))
	of, ranks := k.ranks[:len(k.distinct)], k.ranks[len(k.distinct):]
	for i, key := range k.distinct {
		rank, _ := slices.BinarySearch(k.sorted, key)
		of[i] = uint64(rank)
	}
	for i, place := range k.places {
		ranks[i] = of[place]
	}
	for i, key := range k.sorted {
		k.sorted[i] = unorderKey(key)
	}
	dst = binary.AppendUvarint(dst, uint64(len(k.sorted)))
	d, _ := chooseDecimals(k.sorted, study)
	dst = k.appendResidues(dst, k.sorted, d)
	return k.appendNumbers(dst, ranks), true
}

// collect fills distinct and places, unless there are more than most.
func (k *dictionaryCoder) collect(values []uint64, most int) bool {
	const odd = 0x9E3779B97F4A7C15 // 2^64 over the golden ratio
	width := bits.Len(uint(4 * most))
	k.table = resize(k.table, 1<<width)
	clear(k.table)
	k.distinct = k.distinct[:0]
	k.places = resize(k.places, len(values))
	mask := uint64(len(k.table) - 1)
	for i, v := range values {
		key := orderKey(v)
		slot, probes := key*odd>>(64-width)&mask, 0
		for k.table[slot] != 0 && k.distinct[k.table[slot]-1] != key {
			if probes++; probes > dictionaryProbes {
				return false
			}
			slot = (slot + 1) & mask
		}
		if k.table[slot] == 0 {
			if len(k.distinct) == most {
				return false
			}
			k.distinct = append(k.distinct, key)
			k.table[slot] = uint32(len(k.distinct))
		}
		k.places[i] = k.table[slot] - 1
	}
	return true
}

// orderKey turns the bits of floats into integers of the same order.
func orderKey(v uint64) uint64 { return v ^ (uint64(int64(v)>>63) | 1<<63) }

// unorderKey is the inverse of orderKey.
func unorderKey(key uint64) uint64 { return key ^ (^uint64(int64(key)>>63) | 1<<63) }

// readDictionary reads a run of len(out) floats.
func (k *dictionaryCoder) readDictionary(from *cursor, out []uint64) {
	size := from.uvarint()
	if size > uint64(len(out)) {
		from.fail()
		return
	}
	k.sorted = resize(k.sorted, int(size))
	k.readResidues(from, k.sorted)
	k.readNumbers(from, out)
	for i, rank := range out {
		if rank >= uint64(len(k.sorted)) {
			from.fail()
			return
		}
		out[i] = k.sorted[rank]
	}
}
