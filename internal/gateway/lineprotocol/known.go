package lineprotocol

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"weir/internal/sample"
)

// readKnown reads a line from its fields to its end into kinds and bits, where
// its fields are these, in this order, and all of them short numbers. It gives
// where the line ends, and goes nowhere itself; false means that the line has
// to be looked at more closely, be it good or bad.
func (p *parser) readKnown(names []string) (int, bool) {
	body, pos := p.body, p.pos
	if len(names) > p.limits.MaxFields {
		return 0, false
	}
	kinds, values := slices.Grow(p.kinds[:0], len(names))[:len(names)], slices.Grow(p.bits[:0], len(names))[:len(names)]
	p.kinds, p.bits = kinds, values
	for i, name := range names {
		digits := pos + len(name)
		// The digits are read 8 bytes at a time, twice for decimals; a line
		// that is so near to the body's end is the last.
		if digits+18 > len(body) || string(body[pos:digits]) != name {
			return 0, false
		}
		kind, v, end := readWord(body, digits)
		if end == 0 || body[end] != ',' && (body[end] != ' ' || i < len(names)-1) {
			return 0, false
		}
		kinds[i], values[i] = kind, v
		pos = end + 1
	}
	if body[pos-1] != ' ' {
		return 0, false // another field comes
	}
	end, err := p.readTime(pos)
	return end, err == nil && end-p.start <= p.limits.MaxLine
}

// readWord reads a number of up to 7 digits, and up to 7 more after a decimal
// point, at pos and gives where it ends, 0 where there is none. 18 bytes from
// pos on are there. Digits are counted and read without a loop: how many there
// are changes from value to value, and a branch on it is mostly guessed wrong.
func readWord(body []byte, pos int) (sample.Kind, uint64, int) {
	negative := body[pos] == '-'
	if negative {
		pos++
	}
	whole, n := leadingDigits(binary.LittleEndian.Uint64(body[pos:]))
	if n == 0 || n == 8 {
		return 0, 0, 0
	}
	pos += n
	m := int64(whole)
	switch body[pos] {
	case 'i':
		if negative {
			m = -m
		}
		return sample.Int64, uint64(m), pos + 1
	case '.':
		fraction, n := leadingDigits(binary.LittleEndian.Uint64(body[pos+1:]))
		if n == 8 {
			return 0, 0, 0
		}
		pos += 1 + n
		// Two exact float64s: see readShort.
		f := float64(m*int64(pow10[n])+int64(fraction)) / pow10[n]
		if negative {
			f = -f
		}
		return sample.Float64, math.Float64bits(f), pos
	}
	f := float64(m)
	if negative {
		f = -f
	}
	return sample.Float64, math.Float64bits(f), pos
}

// leadingDigits reads the digits that a word begins with, the first in its
// lowest byte, and gives their number; 8 may mean more.
func leadingDigits(word uint64) (value uint64, n int) {
	const high, zeros, past = 0x8080808080808080, 0x3030303030303030, 0x7676767676767676
	digits := word ^ zeros
	// A byte is above 9 where adding 0x76 carries into its top bit, or where
	// the bit is set already. A carry out of a byte spoils those above it
	// alone, and the lowest is what is looked for.
	n = bits.TrailingZeros64((digits+past|digits)&high) >> 3
	// The digits go to the top, with zeros before them: 64 bits of shift leave 0.
	digits = digits << (64 - 8*n)
	digits = (digits * 10) + (digits >> 8)
	const mask, first, second = 0x000000FF000000FF, 0x000F424000000064, 0x0000271000000001
	return ((digits&mask)*first + (digits>>16&mask)*second) >> 32, n
}
