package block

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
)

// How the first integers of the runs are written.
const (
	firstsChained = 0 // as the distance from that of the last run of the same form
	firstsAbove   = 1 // as the distance from the least of the same form
	firstsPlanes  = 2 // as firstsAbove, in byte planes: the first bytes of all, and so on
)

// leastPlanes is the number of runs from which planes are worth their head.
const leastPlanes = 16

// appendFirsts appends the first integers of the runs, in the mode that needs
// fewer bits.
func (e *encoder) appendFirsts(dst []byte) []byte {
	f := &e.firsts
	if len(f.values) == 0 {
		return dst
	}
	if f.chained < f.above {
		var last [forms]int64
		dst = append(dst, firstsChained)
		for i, v := range f.values {
			of := f.formOf(i)
			dst = appendNumber(dst, zigzag(v-last[of]))
			last[of] = v
		}
		return dst
	}
	if len(f.values) >= leastPlanes {
		return e.appendPlanesOf(append(dst, firstsPlanes))
	}
	dst = append(dst, firstsAbove)
	var used [forms]bool
	for i, v := range f.values {
		of := f.formOf(i)
		if !used[of] {
			used[of] = true
			dst = binary.AppendUvarint(dst, zigzag(f.least[of]))
		}
		dst = appendNumber(dst, uint64(v)-uint64(f.least[of]))
	}
	return dst
}

// firstsCoder is the memory that writing first integers needs.
type firstsCoder struct {
	values []int64 // of the runs of integral form that have samples
	of     []form  // of each, or empty: form is of all
	form   form
	least  [forms]int64
	used   [forms]bool

	chained, above int // the bits that the modes need, about
	plane          []byte
}

func (f *firstsCoder) formOf(i int) form {
	if len(f.of) == 0 {
		return f.form
	}
	return f.of[i]
}

// collect takes the first integers of a batch.
func (f *firstsCoder) collect(e *encoder, b *Batch) {
	f.values, f.of = f.values[:0], f.of[:0]
	f.used = [forms]bool{}
	start := 0
	for i, end := range b.Ends {
		if of := e.forms[i]; of.integral() && start < end {
			v := e.numbers[start]
			f.values, f.of = append(f.values, v), append(f.of, of)
			if !f.used[of] || v < f.least[of] {
				f.least[of], f.used[of] = v, true
			}
		}
		start = end
	}
	f.chained, f.above = 0, 0
	var last [forms]int64
	for i, v := range f.values {
		of := f.of[i]
		f.chained += bits.Len64(zigzag(v - last[of]))
		f.above += bits.Len64(uint64(v) - uint64(f.least[of]))
		last[of] = v
	}
	for of, used := range f.used {
		if used {
			f.above += bits.Len64(zigzag(f.least[of]))
		}
	}
}

// appendPlanesOf appends the least of each form that is used, in order of
// forms, the number of planes, and the planes, each packed on its own: bytes
// of one place are of one kind.
func (e *encoder) appendPlanesOf(dst []byte) []byte {
	f := &e.firsts
	for of, used := range f.used {
		if used {
			dst = binary.AppendUvarint(dst, zigzag(f.least[of]))
		}
	}
	var all uint64
	if len(f.of) == 0 {
		least, values := f.least[f.form], f.values
		for i, v := range values {
			values[i] = v - least
			all |= uint64(v - least)
		}
	}
	for i, of := range f.of {
		f.values[i] -= f.least[of]
		all |= uint64(f.values[i])
	}
	planes := (bits.Len64(all) + 7) / 8
	dst = append(dst, byte(planes))
	f.plane = resize(f.plane, len(f.values))
	plane := f.plane[:len(f.values)] // so that no bound is checked in the loop
	for p := planes - 1; p >= 0; p-- {
		shift := 8 * p & 63
		for i, v := range f.values {
			plane[i] = byte(uint64(v) >> shift)
		}
		dst = e.packer.appendChunks(dst, plane, false)
	}
	return dst
}

// firsts reads what appendFirsts wrote.
type firsts struct {
	mode   uint64
	from   cursor
	used   [forms]bool
	last   [forms]int64 // the form's least, unless chained
	values []uint64     // of planes, those that were not given yet
}

// usedForms gives how many runs have a first integer, and of which forms.
func (d *decoder) usedForms() (n int, used [forms]bool) {
	for i := range d.runs {
		if r := &d.runs[i]; r.form.integral() && r.count > 0 {
			used[r.form] = true
			n++
		}
	}
	return n, used
}

// openFirsts opens the column of n runs' first integers.
func (d *decoder) openFirsts(n int, used [forms]bool) (*firsts, error) {
	raw, err := d.section(sectionFirsts)
	if err != nil {
		return nil, err
	}
	f := &d.firsts
	*f = firsts{from: cursor{data: raw}}
	if len(raw) == 0 {
		return f, nil
	}
	if f.mode = f.from.uvarint(); f.mode > firstsPlanes || f.mode == firstsPlanes && d.version == 1 {
		return nil, fmt.Errorf("%w: first integers in an unknown mode", ErrCorrupt)
	}
	if f.mode == firstsPlanes {
		f.used = used
		err = d.readFirstPlanes(f, n)
	}
	return f, err
}

func (d *decoder) readFirstPlanes(f *firsts, n int) error {
	for of := range f.used {
		if f.used[of] {
			f.last[of] = f.from.varint()
		}
	}
	planes := f.from.uvarint()
	if planes > 8 || f.from.bad {
		return fmt.Errorf("%w: %d planes of first integers", ErrCorrupt, planes)
	}
	d.firstValues, d.plane = resize(d.firstValues, n), resize(d.plane, n)
	clear(d.firstValues)
	for range planes {
		d.planeChunks.open(&f.from, d.plane, &d.unpacker)
		if f.from.bad {
			break
		}
		if err := d.planeChunks.need(0, n); err != nil {
			return err
		}
		for i, b := range d.plane {
			d.firstValues[i] = d.firstValues[i]<<8 | uint64(b)
		}
	}
	f.values = d.firstValues
	return nil
}

// fill gives the first integers of as many runs, all of one form.
func (f *firsts) fill(of form, out []uint64) {
	if f.mode != firstsPlanes || len(f.values) != len(out) {
		for i := range out {
			out[i] = uint64(f.next(of))
		}
		return
	}
	base := uint64(f.last[of])
	for i, v := range f.values {
		out[i] = base + v
	}
	f.values = nil
}

// next gives the first integer of the next run.
func (f *firsts) next(of form) int64 {
	switch f.mode {
	case firstsChained:
		f.last[of] += f.from.varint()
		return f.last[of]
	case firstsPlanes:
		if len(f.values) == 0 {
			f.from.fail()
			return math.MinInt64
		}
		v := f.values[0]
		f.values = f.values[1:]
		return f.last[of] + int64(v)
	}
	if !f.used[of] {
		f.used[of] = true
		f.last[of] = f.from.varint()
	}
	return f.last[of] + int64(f.from.uvarint())
}
