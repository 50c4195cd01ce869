package result

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// pages is one column chunk as it lies in a Parquet file, before compression. It
// keeps its memory from chunk to chunk. The encodings are those of
// https://github.com/apache/parquet-format/blob/master/Encodings.md: PLAIN, and
// RLE_DICTIONARY where that is shorter.
type pages struct {
	dictionary []byte // PLAIN values that differ
	distinct   int    // how many; 0: there is no dictionary
	data       []byte // definition levels, then values, or their places
	statistics metadata.EncodedStatistics

	numbers dictionary
	levels  []int32 // scratch
}

// encode encodes a column of n rows.
func (p *pages) encode(v *Values, n int) {
	p.dictionary, p.distinct, p.data = p.dictionary[:0], 0, p.data[:0]
	nulls := p.appendLevels(v.Null, n)
	p.statistics = metadata.EncodedStatistics{Signed: true}
	p.statistics.SetNullCount(int64(nulls))
	switch v.Type {
	case Text:
		p.encodeTexts(v)
	case Bool:
		p.data = appendBools(p.data, there(v.Ints, v.Null))
	case Float:
		floats := there(v.Floats, v.Null)
		p.boundFloats(floats)
		if p.numbers.ofFloats(floats) {
			p.encodePlaces()
			return
		}
		for _, x := range floats {
			p.data = binary.LittleEndian.AppendUint64(p.data, math.Float64bits(x))
		}
	case Int, Time:
		ints := there(v.Ints, v.Null)
		p.boundInts(ints)
		if p.numbers.ofInts(ints) {
			p.encodePlaces()
			return
		}
		for _, x := range ints {
			p.data = binary.LittleEndian.AppendUint64(p.data, uint64(x))
		}
	}
}

// appendLevels appends who is there: 1, or 0 for null, behind their length. It
// gives how many are null.
func (p *pages) appendLevels(null []bool, n int) (nulls int) {
	p.levels = slices.Grow(p.levels[:0], n)[:n]
	for i := range p.levels {
		p.levels[i] = 1
		if null != nil && null[i] {
			p.levels[i] = 0
			nulls++
		}
	}
	p.data = append(p.data, 0, 0, 0, 0)
	p.data = appendHybrid(p.data, p.levels, 1)
	binary.LittleEndian.PutUint32(p.data, uint32(len(p.data)-4))
	return nulls
}

// there gives the values that are not null.
func there[T any](values []T, null []bool) []T {
	if null == nil {
		return values
	}
	out := make([]T, 0, len(values))
	for i, x := range values {
		if !null[i] {
			out = append(out, x)
		}
	}
	return out
}

// encodePlaces encodes numbers by the dictionary.
func (p *pages) encodePlaces() {
	d := &p.numbers
	for _, x := range d.distinct {
		p.dictionary = binary.LittleEndian.AppendUint64(p.dictionary, x)
	}
	p.distinct = len(d.distinct)
	p.appendPlaces(d.index)
}

func (p *pages) appendPlaces(index []int32) {
	width := max(bits.Len(uint(p.distinct-1)), 1)
	p.data = append(p.data, byte(width))
	p.data = appendHybrid(p.data, index, width)
}

// encodeTexts encodes texts by a dictionary, so that none is looked up for each
// row that has it.
func (p *pages) encodeTexts(v *Values) {
	places, known := make([]int32, len(v.Texts)), make(map[string]int32, len(v.Texts))
	for i, text := range v.Texts {
		place, ok := known[text]
		if !ok {
			place = int32(len(known))
			known[text] = place
			p.dictionary = binary.LittleEndian.AppendUint32(p.dictionary, uint32(len(text)))
			p.dictionary = append(p.dictionary, text...)
		}
		places[i] = place
	}
	p.distinct = len(known)
	index := there(v.Index, v.Null)
	if len(known) < len(v.Texts) {
		index = slices.Clone(index)
		for i, at := range index {
			index[i] = places[at]
		}
	}
	p.appendPlaces(index)
}

// boundFloats says the least and the greatest of them, as Parquet asks for: NaN
// is passed over, and 0 is taken for -0 or 0, whichever makes the bounds wider.
func (p *pages) boundFloats(floats []float64) {
	low, high := math.Inf(1), math.Inf(-1)
	for _, x := range floats {
		if x < low {
			low = x
		}
		if x > high {
			high = x
		}
	}
	if low > high {
		return
	}
	if low == 0 {
		low = math.Copysign(0, -1)
	}
	if high == 0 {
		high = 0
	}
	p.bound(math.Float64bits(low), math.Float64bits(high))
}

func (p *pages) boundInts(ints []int64) {
	if len(ints) > 0 {
		p.bound(uint64(slices.Min(ints)), uint64(slices.Max(ints)))
	}
}

func (p *pages) bound(low, high uint64) {
	p.statistics.SetMin(binary.LittleEndian.AppendUint64(nil, low)).SetMax(binary.LittleEndian.AppendUint64(nil, high))
}

// appendBools appends bits, the first the lowest.
func appendBools(to []byte, values []int64) []byte {
	for i, x := range values {
		if i%8 == 0 {
			to = append(to, 0)
		}
		if x != 0 {
			to[len(to)-1] |= 1 << (i % 8)
		}
	}
	return to
}

// appendHybrid appends numbers below 2^width: runs of at least eight that are equal
// as a number and how often, others packed by eights.
func appendHybrid(to []byte, numbers []int32, width int) []byte {
	for len(numbers) > 0 {
		if n := runOf(numbers); n >= 8 || n == len(numbers) {
			to = binary.AppendUvarint(to, uint64(n)<<1)
			for at := 0; at < width; at += 8 {
				to = append(to, byte(numbers[0]>>at))
			}
			numbers = numbers[n:]
			continue
		}
		groups := 1
		for 8*groups < len(numbers) && runOf(numbers[8*groups:]) < 8 {
			groups++
		}
		to = binary.AppendUvarint(to, uint64(groups)<<1|1)
		n := min(8*groups, len(numbers))
		to = appendPacked(to, numbers[:n], width)
		numbers = numbers[n:]
	}
	return to
}

// runOf gives how many of the first numbers are equal.
func runOf(numbers []int32) int {
	n := 1
	for n < len(numbers) && numbers[n] == numbers[0] {
		n++
	}
	return n
}

// appendPacked appends the bits of numbers, the first the lowest, and zeros up to
// a multiple of eight numbers.
func appendPacked(to []byte, numbers []int32, width int) []byte {
	end := len(to) + (len(numbers)+7)/8*width
	to = slices.Grow(to, end-len(to)+8)
	held, filled := uint64(0), 0
	for _, x := range numbers {
		held |= uint64(uint32(x)) << filled
		if filled += width; filled >= 32 {
			to = binary.LittleEndian.AppendUint32(to, uint32(held))
			held >>= 32
			filled -= 32
		}
	}
	for len(to) < end {
		to = append(to, byte(held))
		held >>= 8
	}
	return to[:end]
}
