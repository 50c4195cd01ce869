package block

import (
	"encoding/binary"
	"fmt"
)

// How the later integers of the runs are written.
const (
	deltasVarint = 0 // as varints
	deltasPairs  = 1 // two a byte, where nearly all lie close together
)

// A delta in [low, low + escape) is a nibble, so that a byte holds two, and
// Huffman bits are spent on pairs: below a bit a delta where few deltas are
// frequent, at twice the speed of coding each. Another is the nibble escape,
// and follows as a varint in a column of its own.
const escape = 15

// deltaSample is about how many deltas low is chosen by.
const deltaSample = 4096

// near bounds the deltas among which low is looked for.
const near = 128

// chooseLow gives the low that most of a sample of deltas lie close above; ok
// is false where too many do not.
func (e *encoder) chooseLow(b *Batch) (low int64, ok bool) {
	var counts [2 * near]int
	stride := max(b.Samples()/deltaSample, 1)
	total, runs := 0, 0
	for i, f := range e.forms {
		start, end := b.Run(i)
		if !f.integral() || end-start < 2 {
			continue
		}
		if runs++; runs%max(stride/16, 1) != 0 && stride > 16 {
			continue
		}
		numbers := e.numbers[start:end]
		for k := 1 + runs%min(stride, 16); k < len(numbers); k += min(stride, 16) {
			total++
			if d := numbers[k] - numbers[k-1]; d >= -near && d < near {
				counts[d+near]++
			}
		}
	}
	within, most, at := 0, -1, 0
	for i, n := range &counts {
		within += n
		if i >= escape {
			within -= counts[i-escape]
		}
		if within > most {
			most, at = within, i
		}
	}
	return int64(at-near) - (escape - 1), most*8 >= total*7
}

// appendDeltas appends the distances between neighbours within each run.
func (e *encoder) appendDeltas(dst []byte, b *Batch) []byte {
	low, ok := e.chooseLow(b)
	deltas := 0
	for i, f := range e.forms {
		if start, end := b.Run(i); f.integral() && end > start {
			deltas += end - start - 1
		}
	}
	if deltas == 0 {
		return dst
	}
	if !ok {
		dst = append(dst, deltasVarint)
		e.integers(b, func(_ form, numbers []int64) {
			dst = appendVarints(dst, numbers)
		})
		return dst
	}
	e.pairs, e.escapes = resize(e.pairs, (deltas+1)/2), e.escapes[:0]
	at := 0 // of the next nibble
	for i, f := range e.forms {
		if start, end := b.Run(i); f.integral() && end-start > 1 {
			e.putPairs(at, e.numbers[start:end], low)
			at += end - start - 1
		}
	}
	dst = append(dst, deltasPairs)
	dst = binary.AppendVarint(dst, low)
	dst = binary.AppendUvarint(dst, uint64(len(e.escapes)))
	if len(e.escapes) > 0 {
		dst = appendEscapes(dst, e.pairs, e.escapes)
	}
	return e.packer.appendChunks(dst, e.pairs, false)
}

// appendVarints appends a run's deltas as varints.
func appendVarints(dst []byte, numbers []int64) []byte {
	last := numbers[0]
	for _, n := range numbers[1:] {
		dst = appendNumber(dst, zigzag(n-last))
		last = n
	}
	return dst
}

// putPairs writes a run's deltas from a nibble on.
func (e *encoder) putPairs(at int, numbers []int64, low int64) {
	last, rest := numbers[0], numbers[1:]
	if at%2 == 1 {
		e.pairs[at/2] |= byte(e.escape(uint64(rest[0]-last-low), low) << 4)
		last, rest = rest[0], rest[1:]
		at++
	}
	out := e.pairs[at/2:]
	n := len(rest) / 2
	for i := range out[:n] {
		first, second := rest[2*i], rest[2*i+1]
		a, b := uint64(first-last-low), uint64(second-first-low)
		last = second
		if a >= escape || b >= escape {
			a, b = e.escape(a, low), e.escape(b, low)
		}
		out[i] = byte(a | b<<4)
	}
	if len(rest)%2 == 1 {
		out[n] = byte(e.escape(uint64(rest[2*n]-last-low), low))
	}
}

// escape gives the nibble of a delta less low, and escapes it where it must.
func (e *encoder) escape(above uint64, low int64) uint64 {
	if above < escape {
		return above
	}
	e.escapes = binary.AppendVarint(e.escapes, int64(above)+low)
	return escape
}

// appendEscapes appends the escaped deltas, with how many bytes of them each
// chunk has, so that a reader of one chunk finds its own.
func appendEscapes(dst, pairs, escapes []byte) []byte {
	c := &cursor{data: escapes}
	for len(pairs) > 0 {
		part := pairs[:min(chunk, len(pairs))]
		pairs = pairs[len(part):]
		from := c.at
		c.skip(countEscapes(part))
		dst = appendNumber(dst, uint64(c.at-from))
	}
	return append(dst, escapes...)
}

// countEscapes counts the escaped deltas of some pairs.
func countEscapes(pairs []byte) int {
	n := 0
	for _, p := range pairs {
		if p&escape == escape {
			n++
		}
		if p>>4 == escape {
			n++
		}
	}
	return n
}

// deltas reads what appendDeltas wrote.
type deltas struct {
	pairs   bool
	low     uint64
	varints cursor
	at      int // of the next run's first nibble

	chunks  chunks
	escapes []cursor // by chunk
	counted int      // up to which nibble those of the chunk at hand are passed
	current int      // the chunk
}

// open reads the head of the section. space is as long as the pairs of all
// deltas are, if they are pairs. Version 1 had varints only.
func (d *deltas) open(raw, space []byte, u *unpacker, old bool) error {
	*d = deltas{chunks: d.chunks, escapes: d.escapes[:0], varints: cursor{data: raw}}
	c := &d.varints
	if old || len(space) == 0 {
		return nil
	}
	switch c.uvarint() {
	case deltasVarint:
		return nil
	case deltasPairs:
	default:
		return fmt.Errorf("%w: deltas of an unknown kind", ErrCorrupt)
	}
	d.pairs, d.low = true, uint64(c.varint())
	if left := c.uvarint(); left > 0 {
		var sizes []uint64
		for range (len(space) + chunk - 1) / chunk {
			sizes = append(sizes, c.uvarint())
			left -= sizes[len(sizes)-1]
		}
		for _, n := range sizes {
			d.escapes = append(d.escapes, cursor{data: c.take(n)})
		}
		if left != 0 {
			c.fail()
		}
	}
	d.chunks.open(c, space, u)
	if !c.done() {
		return fmt.Errorf("%w: the column of deltas is too short or too long", ErrCorrupt)
	}
	return nil
}

// skip passes over a run of n integers.
func (d *deltas) skip(n int) {
	if d.pairs {
		d.at += n - 1
	} else {
		d.varints.skip(n - 1)
	}
}

// read reads one run of integers, of which there is at least one.
func (d *deltas) read(first int64, out []uint64) error {
	if !d.pairs {
		readDeltas(&d.varints, first, out)
		return nil
	}
	at := d.at
	d.at += len(out) - 1
	out[0] = uint64(first)
	out = out[1:]
	if len(out) == 0 {
		return nil
	}
	if err := d.chunks.need(at/2, (d.at+1)/2); err != nil {
		return err
	}
	if len(d.escapes) > 0 {
		return d.escaped(uint64(first), at, out)
	}
	return d.plain(uint64(first), at, out)
}

// plain reads a run where nothing is escaped.
func (d *deltas) plain(last uint64, at int, out []uint64) error {
	low, bad := d.low, false
	if at%2 == 1 {
		n := d.chunks.raw[at/2] >> 4
		bad = n == escape
		last += uint64(n) + low
		out[0] = last
		out = out[1:]
		at++
	}
	pairs := d.chunks.raw[at/2:][:(len(out)+1)/2]
	for ; len(out) >= 2 && len(pairs) > 0; out = out[2:] {
		p := pairs[0]
		pairs = pairs[1:]
		bad = bad || p >= escape<<4 || p&escape == escape
		a := last + uint64(p&15) + low
		last = a + uint64(p>>4) + low
		out[0], out[1] = a, last
	}
	if len(out) == 1 {
		n := pairs[0] & 15
		bad = bad || n == escape
		out[0] = last + uint64(n) + low
	}
	if bad {
		return fmt.Errorf("%w: a delta that is not there", ErrCorrupt)
	}
	return nil
}

// escaped reads a run that begins at a nibble.
func (d *deltas) escaped(last uint64, at int, out []uint64) error {
	d.seek(at)
	for i := range out {
		p := d.chunks.raw[(at+i)/2]
		if (at+i)%(2*chunk) == 0 {
			d.current = (at + i) / (2 * chunk)
			d.escapes[d.current].at = 0
		}
		n := p >> (4 * ((at + i) % 2)) & 15
		delta := uint64(n) + d.low
		if n == escape {
			delta = uint64(d.escapes[d.current].varint())
		}
		last += delta
		out[i] = last
	}
	d.counted = at + len(out)
	if d.escapes[d.current].bad {
		return fmt.Errorf("%w: a delta that is not there", ErrCorrupt)
	}
	return nil
}

// seek passes over the escaped deltas ahead of a nibble: from the last place in
// its chunk that was read, or from the chunk's beginning.
func (d *deltas) seek(at int) {
	start := at / (2 * chunk)
	if start != d.current || d.counted > at {
		d.current, d.counted = start, start*2*chunk
		d.escapes[start].at = 0
	}
	n := 0
	for i := d.counted; i < at; i++ {
		if d.chunks.raw[i/2]>>(4*(i%2))&15 == escape {
			n++
		}
	}
	d.escapes[start].skip(n)
	d.counted = at
}

// end says whether the column was read to its end, as far as all of it was.
func (d *deltas) end(whole bool) bool {
	if !d.pairs {
		return d.varints.done()
	}
	for i := range d.escapes {
		if c := &d.escapes[i]; c.bad || whole && !c.done() {
			return false
		}
	}
	return !whole || d.at%2 == 0 || d.chunks.raw[d.at/2]>>4 == 0
}
