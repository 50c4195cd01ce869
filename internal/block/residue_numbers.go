package block

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
)

// The integers that the forms of long float runs come down to, ranks and
// scaled decimals, range from a few values to 2^50. A byte-wise number gives
// neither its due: what a Huffman code can learn of wide ones is their
// magnitude, and the bits below that are noise, which no coder shortens. So
// each difference, zigzagged, is a code and raw bits, as zstd writes match
// lengths: a small one is its own code, of a wider one the code is its
// length and the bit below the highest, and the rest is raw.
//
// Differences are taken 0, 1 or 2 times, as by the fixed predictors of
// Shorten (Robinson 1994) and FLAC: noise about a level, a walk, a ramp.
const (
	// ownCodes is how many numbers are their own codes.
	ownCodes = 128
	// lastCode is that of the widest numbers, whose highest bits are 11.
	lastCode = ownCodes + 2*(64-8) + 1
	// maxOrder is how often differences are taken at most.
	maxOrder = 2
	// guesses is how many predictions are compared: order 1 has two, one of
	// them without a slope, since that of noise is noise itself.
	guesses = maxOrder + 2
	// judgedLength is how long the stretches are that an order is judged by.
	judgedLength = 128
	// medianStep is how many numbers there are for one whose median is sought.
	medianStep = 8
)

// numberCoder writes and reads columns of integers that are one run's own.
// It is memory alone: no call depends on one before.
type numberCoder struct {
	packer   packer
	unpacker unpacker
	chunks   chunks

	codes  []byte
	raw    []byte
	levels []uint64
	slopes []uint64
	counts [guesses][256]int
}

// appendNumbers appends numbers, which are signed and wrap around.
func (k *numberCoder) appendNumbers(dst []byte, numbers []uint64) []byte {
	if len(numbers) == 0 {
		return dst
	}
	order, center, slope := k.predict(numbers)
	dst = append(dst, byte(order))
	dst = binary.AppendUvarint(dst, zigzag(int64(center)))
	if order > 0 {
		dst = binary.AppendUvarint(dst, zigzag(int64(slope)))
	}
	last := center - slope
	k.codes = slices.Grow(k.codes[:0], len(numbers))[:len(numbers)]
	k.raw = k.raw[:0]
	var held uint64 // raw bits that are not yet in k.raw
	var filled uint
	for i, n := range numbers {
		difference := n - center
		if order > 0 {
			difference = n - last - slope
		}
		if order == 2 {
			slope = n - last
		}
		last = n
		u := zigzag(int64(difference))
		var width uint
		if k.codes[i], width = codeOf(u); width == 0 {
			continue
		}
		u &= 1<<width - 1
		held |= u << filled
		if filled += width; filled >= 64 {
			k.raw = binary.LittleEndian.AppendUint64(k.raw, held)
			filled -= 64
			held = u >> (width - filled)
		}
	}
	for ; filled > 0; filled -= min(filled, 8) {
		k.raw = append(k.raw, byte(held))
		held >>= 8
	}
	return append(k.packer.appendChunks(dst, k.codes, seldomChanges(k.codes)), k.raw...)
}

// seldomChanges says whether most codes are like the one before: a Huffman
// code is a bit at least, so that strings of them are worth looking for.
func seldomChanges(codes []byte) bool {
	same := 0
	for i, c := range codes[1:] {
		if c == codes[i] {
			same++
		}
	}
	return same*4 > len(codes)*3
}

// codeOf gives a zigzagged number's code and how many raw bits follow.
func codeOf(u uint64) (code byte, width uint) {
	if u < ownCodes {
		return byte(u), 0
	}
	width = uint(bits.Len64(u)) - 2
	return byte(ownCodes + 2*(width-6) + uint(u>>width&1)), width
}

// predict gives the order whose differences need the fewest bits, judged by
// stretches of the numbers, and what they begin with: for order 0 the level
// that they are about, else the first number, and the slope that it goes on
// with, which for order 1 is that of all.
func (k *numberCoder) predict(numbers []uint64) (order int, center, slope uint64) {
	k.levels, k.slopes = k.levels[:0], k.slopes[:0]
	for part := range stretches(numbers, judgedLength) {
		for i := 0; i < len(part); i += medianStep {
			k.levels = append(k.levels, part[i])
			k.slopes = append(k.slopes, part[i]-part[max(i-1, 0)])
		}
	}
	center, slope = median(k.levels), median(k.slopes)
	k.counts = [guesses][256]int{}
	var costs [guesses]int
	for part := range stretches(numbers, judgedLength) {
		for i := maxOrder; i < len(part); i++ {
			n, last, before := part[i], part[i-1], part[i-2]
			for guess, difference := range [guesses]uint64{n - center, n - last, n - last - slope, n - 2*last + before} {
				code, width := codeOf(zigzag(int64(difference)))
				k.counts[guess][code]++
				costs[guess] += 256 * int(width)
			}
		}
	}
	best := 0
	for i := range costs {
		if costs[i] += entropy(&k.counts[i]); costs[i] < costs[best] {
			best = i
		}
	}
	switch best {
	case 0:
		return 0, center, 0
	case 1:
		return 1, numbers[0], 0
	case 2:
		return 1, numbers[0], slope
	}
	return maxOrder, numbers[0], numbers[1] - numbers[0]
}

// median gives the middle of some signed numbers, which it sorts.
func median(numbers []uint64) uint64 {
	slices.SortFunc(numbers, func(a, b uint64) int { return cmp.Compare(int64(a), int64(b)) })
	return numbers[len(numbers)/2]
}

// entropy gives what codes that occur so often need, in 1/256 bits.
func entropy(counts *[256]int) int {
	total, saved := 0, 0
	for _, n := range counts {
		total += n
		saved += n * logarithm(n)
	}
	return total*logarithm(total) - saved
}

// logarithm gives 256 times the binary logarithm of n, about, and 0 of 0. It
// is in integers so that all machines write the same bytes.
func logarithm(n int) int {
	whole := max(bits.Len(uint(n)), 1) - 1
	return 256*whole + max(256*n>>whole-256, 0)
}

// stretches gives what a run is judged by: the whole of a short one, else
// parts of some length, evenly spread.
func stretches(values []uint64, length int) func(yield func([]uint64) bool) {
	const parts = 8
	return func(yield func([]uint64) bool) {
		if len(values) <= parts*length {
			yield(values)
			return
		}
		for i := range parts {
			start := (len(values) - length) / (parts - 1) * i
			if !yield(values[start : start+length]) {
				return
			}
		}
	}
}

// readNumbers reads len(out) numbers.
func (k *numberCoder) readNumbers(from *cursor, out []uint64) {
	if len(out) == 0 {
		return
	}
	order, center := from.uvarint(), uint64(from.varint())
	var slope uint64
	if order > 0 {
		slope = uint64(from.varint())
	}
	k.codes = resize(k.codes, len(out))
	k.chunks.open(from, k.codes, &k.unpacker)
	if order > maxOrder || from.bad || k.chunks.need(0, len(out)) != nil {
		from.fail()
		return
	}
	readDifferences(from, k.codes, out)
	last := center - slope
	for i, difference := range out {
		switch order {
		case 0:
			last = center + difference
		case 1:
			last += slope + difference
		case 2:
			slope += difference
			last += slope
		}
		out[i] = last
	}
}

// readDifferences reads the raw bits and puts each difference together.
func readDifferences(from *cursor, codes []byte, out []uint64) {
	raw, at := from.data[from.at:], uint(0) // at counts bits
	var widest byte
	for i, c := range codes {
		u := uint64(c)
		if c >= ownCodes {
			// The masks change nothing of a code that there is; without them
			// each shift would be tested.
			width := uint(c-ownCodes)/2 + 6
			u = (2|u&1)<<(width&63) | rawBits(raw, at)&(1<<(width&63)-1)
			at += width
			widest = max(widest, c)
		}
		out[i] = uint64(unzigzag(u))
	}
	if tail := at % 8; widest > lastCode || tail != 0 && at/8 < uint(len(raw)) && raw[at/8]>>tail != 0 {
		from.fail()
	}
	from.take(uint64(at+7) / 8)
}

// rawBits gives the 64 bits that begin at bit at; past the end are zeros.
func rawBits(raw []byte, at uint) uint64 {
	start, shift := at/8, at%8
	if start+8 >= uint(len(raw)) {
		var tail [9]byte
		copy(tail[:], raw[min(start, uint(len(raw))):])
		raw, start = tail[:], 0
	}
	return binary.LittleEndian.Uint64(raw[start:])>>shift | uint64(raw[start+8])<<1<<(63-shift)
}
