package block

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// Many floats were decimals once and are none any more by a few units in the
// last place: they were parsed by a reader that rounds more than once (the
// right way is Clinger's, "How to Read Floating Point Numbers Accurately",
// 1990), were means or conversions of units, or passed through a float32.
// ALP (Afroozeh, Kuffo, Boncz 2023) and PDE (Kuschewski and others, BtrBlocks
// 2023) scale decimals that come back bit by bit and set aside all others
// whole; where one in five is others, that is dear. Here each float is the
// decimal nearest to it, and its residue: what its bits are above those that
// the decimal gives. Most residues are 0, and the others are patches, which
// cost their distance from the patch before and their few bits. NaN and what
// else is no decimal is 0 with a large residue, so every bit pattern fits.

// residueBits is what a patch costs beyond its own bits, about.
const residueBits = 5

// residueCoder is the memory that runs with residues need.
type residueCoder struct {
	numberCoder
	numbers []uint64
	gaps    []uint64
	patches []uint64
}

// decimals says how integers stand for floats: divided by ten to the scale
// and, where narrow, rounded to a float32 on the way.
type decimals struct {
	scale  int
	narrow bool
}

// split gives the integer that is nearest to a float, and the residue.
func (d decimals) split(value uint64) (n, residue uint64) {
	const (
		limit   = 1 << 51
		rounder = 3 << 51 // adding and subtracting it rounds what is below the limit
	)
	x := float64(math.Float64frombits(value) * powers[d.scale])
	if x > -limit && x < limit {
		n = uint64(int64(float64(x+rounder) - rounder))
	}
	return n, value - d.join(n)
}

// join gives the bits that an integer stands for.
func (d decimals) join(n uint64) uint64 {
	x := float64(int64(n)) / powers[d.scale]
	if d.narrow {
		x = float64(float32(x))
	}
	return math.Float64bits(x)
}

// cost gives the bits that some values need, about.
func (d decimals) cost(values []uint64) (numbers, patches int) {
	var last uint64
	for i, v := range values {
		n, residue := d.split(v)
		if i > 0 {
			numbers += bits.Len64(zigzag(int64(n - last)))
		}
		if last = n; residue != 0 {
			patches += residueBits + bits.Len64(zigzag(int64(residue)))
		}
	}
	return numbers, patches
}

// How long the stretches are that decimals are chosen by: at the fast effort
// and at the higher one.
const (
	glance = 4
	study  = 16
)

// chooseDecimals gives the decimals in which a run's floats need the fewest
// bits, and how many that is for each value, about, judged by stretches of
// some length.
func chooseDecimals(values []uint64, length int) (best decimals, each int) {
	judged := 0
	for part := range stretches(values, length) {
		judged += len(part)
	}
	least, patched := math.MaxInt, true
	for _, narrow := range [...]bool{false, true} {
		for scale := 0; patched && scale <= maxScale; scale++ {
			d := decimals{scale, narrow}
			numbers, patches := 0, 0
			for part := range stretches(values, length) {
				n, p := d.cost(part)
				numbers, patches = numbers+n, patches+p
			}
			if numbers+patches < least {
				best, least = d, numbers+patches
			}
			patched = patches > 0 // else more digits make it longer only
			if numbers > least {
				break
			}
		}
	}
	return best, least / max(judged, 1)
}

// appendResidues appends a run's floats as decimals and residues.
func (k *residueCoder) appendResidues(dst []byte, values []uint64, d decimals) []byte {
	k.numbers = resize(k.numbers, len(values))
	k.gaps, k.patches = k.gaps[:0], k.patches[:0]
	next := 0
	for i, v := range values {
		n, residue := d.split(v)
		k.numbers[i] = n
		if residue != 0 {
			k.gaps = append(k.gaps, uint64(i-next))
			k.patches = append(k.patches, residue)
			next = i + 1
		}
	}
	head := uint64(d.scale) << 1
	if d.narrow {
		head |= 1
	}
	dst = binary.AppendUvarint(dst, head)
	dst = binary.AppendUvarint(dst, uint64(len(k.patches)))
	dst = k.appendNumbers(dst, k.numbers)
	dst = k.appendNumbers(dst, k.gaps)
	return k.appendNumbers(dst, k.patches)
}

// readResidues reads a run of len(out) floats.
func (k *residueCoder) readResidues(from *cursor, out []uint64) {
	head, patched := from.uvarint(), from.uvarint()
	if head>>1 > maxScale || patched > uint64(len(out)) {
		from.fail()
		return
	}
	k.readNumbers(from, out)
	d := decimals{int(head >> 1), head&1 == 1}
	if d.narrow {
		for i, n := range out {
			out[i] = d.join(n)
		}
	} else {
		power := powers[d.scale]
		for i, n := range out {
			out[i] = math.Float64bits(float64(int64(n)) / power)
		}
	}
	k.gaps = resize(k.gaps, int(patched))
	k.readNumbers(from, k.gaps)
	k.patches = resize(k.patches, int(patched))
	k.readNumbers(from, k.patches)
	left := out
	for i, gap := range k.gaps {
		if gap >= uint64(len(left)) {
			from.fail()
			return
		}
		left[gap] += k.patches[i]
		left = left[gap+1:]
	}
}
