package block

import (
	"fmt"
	"sync"

	"weir/internal/sample"
)

// encoder is the memory that encoding one batch needs.
type encoder struct {
	columns [sections][]byte
	packed  []byte
	packer  packer
	own     ownRuns
	forms   []form
	numbers []int64
	times   times
	extras  vectors[uint64]
	firsts  firstsCoder
	pairs   []byte
	dense   []byte
	body    []byte // of the statistics
	escapes []byte

	small      []uint64          // a column of the table
	dictionary map[string]uint64 // the place of each text
	texts      []string
}

var encoders = sync.Pool{New: func() any {
	shared()
	return &encoder{dictionary: map[string]uint64{}}
}}

// Encode appends b as one block to dst. It checks b first; the error says
// what is wrong with it. The same batch gives the same bytes. b is not kept.
//
// What comes back from Decode is what b says, with two freedoms: Texts holds
// each text that a sample has once, in order of their first use, and
// Qualities is nil where all are Good.
func Encode(dst []byte, b *Batch) ([]byte, error) { return encode(dst, b, false) }

// EncodeSmall is Encode at the higher effort, for what is kept for long: merged
// runs, archives. The format is the same.
func EncodeSmall(dst []byte, b *Batch) ([]byte, error) { return encode(dst, b, true) }

func encode(dst []byte, b *Batch, small bool) ([]byte, error) {
	if err := b.Validate(); err != nil {
		return dst, fmt.Errorf("encode block: %w", err)
	}
	e := encoders.Get().(*encoder)
	defer e.release()
	for i := range e.columns {
		e.columns[i] = e.columns[i][:0]
	}
	e.packer.small = small
	l := &layout{header: header{version: version, handles: len(b.Handles), keys: len(b.Keys), samples: b.Samples()}}
	if u, ok := e.findUniform(b); ok {
		e.appendUniform(b, l, u)
	} else {
		e.appendColumns(b, l)
	}
	e.columns[sectionExtras], l.flags = e.appendExtras(e.columns[sectionExtras], b)
	l.texts = len(e.texts)
	return e.assemble(dst, l), nil
}

// release gives the memory back, without what it points to of the batch.
func (e *encoder) release() {
	clear(e.dictionary)
	clear(e.texts)
	clear(e.times.list)
	e.texts = e.texts[:0]
	encoders.Put(e)
}

// appendColumns writes the sections of any batch, but the extras.
func (e *encoder) appendColumns(b *Batch, l *layout) {
	e.times.find(b, b.Times)
	e.chooseForms(b)
	l.first, l.span = e.times.bounds()
	c := &e.columns
	c[sectionTable] = e.appendTable(c[sectionTable], b)
	c[sectionHandles] = e.appendHandles(c[sectionHandles], b.Handles)
	c[sectionKeys] = appendStrings(c[sectionKeys], b.Keys)
	c[sectionTimeFirsts], c[sectionTimeTurns] =
		e.times.append(c[sectionTimeFirsts], c[sectionTimeTurns], l.first)
	e.firsts.collect(e, b)
	c[sectionFirsts] = e.appendFirsts(c[sectionFirsts])
	c[sectionDeltas] = e.appendDeltas(c[sectionDeltas], b)
	c[sectionPlanes] = e.appendPlanes(c[sectionPlanes], b)
	c[sectionBools] = e.appendBools(c[sectionBools], b)
	c[sectionTextRefs] = e.appendTextRefs(c[sectionTextRefs], b)
	c[sectionTexts] = appendStrings(c[sectionTexts], e.texts)

	c[sectionStatistics] = e.appendStatistics(c[sectionStatistics], b)
}

// appendTable appends the run-length columns that have one value a run: all
// kinds, all counts, the forms of the float64 runs that have samples, and the
// time references of the runs that have samples.
func (e *encoder) appendTable(dst []byte, b *Batch) []byte {
	dst = appendLengths(dst, b.Kinds)
	e.small = e.small[:0]
	for i := range b.Ends {
		start, end := b.Run(i)
		e.small = append(e.small, uint64(end-start))
	}
	dst = appendLengths(dst, e.small)
	e.small = e.small[:0]
	for i, f := range e.forms {
		if start, end := b.Run(i); b.Kinds[i] == sample.Float64 && start < end {
			e.small = append(e.small, uint64(f))
		}
	}
	dst = appendLengths(dst, e.small)
	return appendLengths(dst, e.times.refs)
}

// appendPlanes appends the floats that are no short decimals, each XORed with
// the one before it in its run: first the highest byte of all, then the next
// lower, down to the lowest.
func (e *encoder) appendPlanes(dst []byte, b *Batch) []byte {
	n := 0
	for i, f := range e.forms {
		if f == formPlanes {
			start, end := b.Run(i)
			n += end - start
		}
	}
	dst = resize(dst, 8*n)
	at := 0
	for i, f := range e.forms {
		if f != formPlanes {
			continue
		}
		start, end := b.Run(i)
		putPlanes(dst[at:], n, b.Bits[start:end])
		at += end - start
	}
	return dst
}

// putPlanes writes a run's floats into the planes, which are n bytes each.
func putPlanes(dst []byte, n int, values []uint64) {
	var last uint64
	for i, v := range values {
		x := v ^ last
		last = v
		for p := range 8 {
			dst[p*n+i] = byte(x >> (56 - 8*p))
		}
	}
}

// appendBools appends the bools as bits, the first in the lowest bit.
func (e *encoder) appendBools(dst []byte, b *Batch) []byte {
	n := 0
	for i, f := range e.forms {
		if f != formBool {
			continue
		}
		start, end := b.Run(i)
		for _, v := range b.Bits[start:end] {
			if n%8 == 0 {
				dst = append(dst, 0)
			}
			dst[n/8] |= byte(v) << (n % 8)
			n++
		}
	}
	return dst
}

// appendTextRefs collects the distinct texts and appends their places.
func (e *encoder) appendTextRefs(dst []byte, b *Batch) []byte {
	var last string
	var place uint64
	for i, f := range e.forms {
		if f != formText {
			continue
		}
		start, end := b.Run(i)
		for _, v := range b.Bits[start:end] {
			if text := b.Texts[v]; len(e.texts) == 0 || text != last {
				last = text
				var known bool
				if place, known = e.dictionary[text]; !known {
					place = uint64(len(e.texts))
					e.dictionary[text] = place
					e.texts = append(e.texts, text)
				}
			}
			dst = appendNumber(dst, place)
		}
	}
	return dst
}

// repeats says whether a section may hold what comes again and again.
func repeats(section int) bool {
	switch section {
	case sectionKeys, sectionTexts, sectionTextRefs, sectionTimeTurns, sectionDeltas:
		return true
	}
	return false
}

// packsItself says whether a section's parts are packed already.
func packsItself(section int, raw []byte) bool {
	switch section {
	case sectionFirsts:
		return len(raw) > 0 && raw[0] == firstsPlanes
	case sectionDeltas:
		return len(raw) > 0 && raw[0] == deltasPairs
	case sectionOwn:
		return true
	}
	return false
}

// assemble packs the sections and puts the block together.
func (e *encoder) assemble(dst []byte, l *layout) []byte {
	e.packed = e.packed[:0]
	var ends [sections]int
	for i, raw := range e.columns {
		p := &l.parts[i]
		p.raw = len(raw)
		switch {
		case packsItself(i, raw):
			e.packed = append(e.packed, raw...)
		case len(raw) > 0:
			e.packed, p.mode = e.packer.pack(e.packed, raw, repeats(i))
		}
		ends[i] = len(e.packed)
	}
	start := 0
	for i := range e.columns {
		l.parts[i].stored = e.packed[start:ends[i]]
		start = ends[i]
	}
	begin := len(dst)
	dst = l.append(dst)
	for _, p := range &l.parts {
		dst = append(dst, p.stored...)
	}
	return l.seal(dst, begin)
}

// resize gives a slice of n elements, in the memory of s where it is enough.
// What the elements hold is not said.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
