package lineprotocol

import (
	"slices"

	"weir/internal/sample"
)

// readKnown reads a line from its fields to its end into kinds and bits, where
// its fields are those of an entry, in their order, and all of them short
// numbers. It gives where the line ends, and goes nowhere itself; false means
// that the line has to be looked at more closely, be it good or bad.
//
// Digits read eight at a time were tried: short as they are, they take longer
// than the plain loop of readShort, which the processor runs ahead of.
func (p *parser) readKnown(names []string, expected []sample.Kind) (int, bool) {
	body, pos := p.body, p.pos
	if len(names) > p.limits.MaxFields {
		return 0, false
	}
	kinds, values := slices.Grow(p.kinds[:0], len(names))[:len(names)], slices.Grow(p.bits[:0], len(names))[:len(names)]
	expected = expected[:len(names)]
	p.kinds, p.bits, p.otherKinds = kinds, values, false
	for i, name := range names {
		digits := pos + len(name)
		if digits > len(body) || string(body[pos:digits]) != name {
			return 0, false
		}
		kind, v, end := readShort(body, digits)
		if end == 0 || body[end] == ' ' && i < len(names)-1 {
			return 0, false
		}
		kinds[i], values[i] = kind, v
		p.otherKinds = p.otherKinds || kind != expected[i]
		pos = end + 1
	}
	if body[pos-1] != ' ' {
		return 0, false // another field comes
	}
	end, err := p.readTime(pos)
	return end, err == nil && end-p.start <= p.limits.MaxLine
}
