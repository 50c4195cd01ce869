package block

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"

	"github.com/klauspost/compress/huff0"
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
	// judgedLength is how long the stretches are that an order is judged by.
	judgedLength = 128
	// medianStep is how many numbers there are for one whose median is sought.
	medianStep = 8
	// codesInChunk is how many codes share a Huffman table.
	codesInChunk = 1 << 16
	// A chunk of fewer codes is one Huffman stream, not four.
	codesInFour = 512
)

// How a chunk of codes is written, in the lowest two bits of what precedes
// it; above them is the length of what follows.
const (
	codesPlain = iota
	codesEqual // the one code that all are
	codesHuffman
	codesPacked // a zstd frame
)

// numberCoder writes and reads columns of integers that are one run's own.
// It is memory alone: no call depends on one before.
type numberCoder struct {
	huffman huff0.Scratch
	codes   []byte
	raw     []byte
	frame   []byte
	sample  []uint64
	counts  [maxOrder + 1][256]int
}

// appendNumbers appends numbers, which are signed and wrap around.
func (k *numberCoder) appendNumbers(dst []byte, numbers []uint64) []byte {
	if len(numbers) == 0 {
		return dst
	}
	order, center := k.predict(numbers)
	dst = append(dst, byte(order))
	dst = binary.AppendUvarint(dst, zigzag(int64(center)))
	var last, slope uint64
	if order == maxOrder {
		slope = numbers[min(1, len(numbers)-1)] - numbers[0]
		last -= slope
		dst = binary.AppendUvarint(dst, zigzag(int64(slope)))
	}
	k.codes = slices.Grow(k.codes[:0], len(numbers))[:len(numbers)]
	k.raw = k.raw[:0]
	var held uint64 // raw bits that are not yet in k.raw
	var filled uint
	for i, n := range numbers {
		n -= center
		difference := n
		switch order {
		case 1:
			difference -= last
		case 2:
			difference -= last + slope
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
	for chunk := range slices.Chunk(k.codes, codesInChunk) {
		dst = k.appendCodes(dst, chunk)
	}
	return append(dst, k.raw...)
}

// codeOf gives a zigzagged number's code and how many raw bits follow.
func codeOf(u uint64) (code byte, width uint) {
	if u < ownCodes {
		return byte(u), 0
	}
	width = uint(bits.Len64(u)) - 2
	return byte(ownCodes + 2*(width-6) + uint(u>>width&1)), width
}

// appendCodes appends one chunk of codes.
func (k *numberCoder) appendCodes(dst, codes []byte) []byte {
	compress := huff0.Compress4X
	if len(codes) < codesInFour {
		compress = huff0.Compress1X
	}
	k.huffman.Reuse = huff0.ReusePolicyNone
	packed, _, err := compress(codes, &k.huffman)
	mode := uint64(codesHuffman)
	switch {
	case errors.Is(err, huff0.ErrUseRLE):
		packed, mode = codes[:1], codesEqual
	case err != nil:
		packed, mode = codes, codesPlain
	case len(packed) < len(codes)/5:
		// A Huffman code is a bit at least; where one code is most of them,
		// strings of it are worth looking for.
		if frame, ok := packFrame(k.frame[:0], codes); ok && len(frame) < len(packed) {
			k.frame, packed, mode = frame, frame, codesPacked
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(packed))<<2|mode)
	return append(dst, packed...)
}

// predict gives the order whose differences need the fewest bits, judged by
// stretches of the numbers, and what is taken off all numbers first.
func (k *numberCoder) predict(numbers []uint64) (order int, center uint64) {
	k.sample = k.sample[:0]
	for part := range stretches(numbers, judgedLength) {
		for i := 0; i < len(part); i += medianStep {
			k.sample = append(k.sample, part[i])
		}
	}
	slices.SortFunc(k.sample, func(a, b uint64) int { return cmp.Compare(int64(a), int64(b)) })
	center = k.sample[len(k.sample)/2]
	k.counts = [maxOrder + 1][256]int{}
	var costs [maxOrder + 1]int
	for part := range stretches(numbers, judgedLength) {
		for i := maxOrder; i < len(part); i++ {
			n, last, before := part[i], part[i-1], part[i-2]
			for order, difference := range [...]uint64{n - center, n - last, n - 2*last + before} {
				code, width := codeOf(zigzag(int64(difference)))
				k.counts[order][code]++
				costs[order] += 256 * int(width)
			}
		}
	}
	for i := range costs {
		if costs[i] += entropy(&k.counts[i]); costs[i] < costs[order] {
			order = i
		}
	}
	if order > 0 {
		center = numbers[0]
	}
	return order, center
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
	if order == maxOrder {
		slope = uint64(from.varint())
	}
	k.codes = resize(k.codes, len(out))
	for chunk := range slices.Chunk(k.codes, codesInChunk) {
		k.readCodes(from, chunk)
	}
	if order > maxOrder || from.bad {
		from.fail()
		return
	}
	readDifferences(from, k.codes, out)
	if order == 0 {
		for i := range out {
			out[i] += center
		}
		return
	}
	if order == maxOrder {
		out[0] += slope
		sum(out)
		out[0] -= slope
	}
	out[0] += center
	sum(out)
}

// sum replaces differences by what they are the differences of.
func sum(out []uint64) {
	var last uint64
	for i, n := range out {
		last += n
		out[i] = last
	}
}

// readCodes reads one chunk of codes.
func (k *numberCoder) readCodes(from *cursor, codes []byte) {
	head := from.uvarint()
	packed := from.take(head >> 2)
	ok := false
	switch head & 3 {
	case codesPlain:
		ok = len(packed) == len(codes)
		copy(codes, packed)
	case codesEqual:
		if ok = len(packed) == 1; ok {
			for i := range codes {
				codes[i] = packed[0]
			}
		}
	case codesHuffman:
		ok = k.readHuffman(packed, codes)
	case codesPacked:
		ok = unpackFrame(codes, packed) == nil
	}
	if !ok {
		from.fail()
	}
}

// readHuffman unpacks a Huffman block that must hold len(codes) codes.
func (k *numberCoder) readHuffman(packed, codes []byte) bool {
	scratch, streams, err := huff0.ReadTable(packed, &k.huffman)
	if err != nil {
		return false
	}
	var out []byte
	into := codes[:0:len(codes)]
	if len(codes) < codesInFour {
		out, err = scratch.Decoder().Decompress1X(into, streams)
	} else {
		out, err = scratch.Decoder().Decompress4X(into, streams)
	}
	return err == nil && len(out) == len(codes)
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
