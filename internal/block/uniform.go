package block

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"weir/internal/sample"
)

// Most messages and items are uniform: one kind and form of integers, every
// series has as many samples, all at the same times. Then nothing has to be
// looked up for each run, and a message of one sample a series is three loops
// over columns.

// uniform is what the runs of such a block have in common.
type uniform struct {
	kind  sample.Kind
	form  form
	count int
}

// readUniform reads a uniform block as a whole; ok is false, and dst empty,
// where it is none.
func (d *decoder) readUniform(dst *Batch) (ok bool, err error) {
	raw, err := d.section(sectionTable)
	if err != nil {
		return false, err
	}
	u, ok := d.findUniform(raw)
	if !ok {
		return false, nil
	}
	n := d.handles
	dst.Handles = grow(dst.Handles, n)
	if raw, err = d.section(sectionHandles); err == nil {
		err = readHandles(raw, dst.Handles, d.version == 1)
	}
	if err != nil {
		return false, err
	}
	if raw, err = d.section(sectionKeys); err != nil || len(raw) > 0 {
		return false, fmt.Errorf("%w: keys of no runs", ErrCorrupt)
	}
	dst.Kinds, dst.Ends = grow(dst.Kinds, n), grow(dst.Ends, n)
	for i := range dst.Kinds {
		dst.Kinds[i], dst.Ends[i] = u.kind, (i+1)*u.count
	}
	if err := d.readUniformTimes(dst, u); err != nil {
		return false, err
	}
	if err := d.readUniformValues(dst, u); err != nil {
		return false, err
	}
	if d.flags == 0 {
		return true, nil
	}
	d.runs = resize(d.runs, n)
	for i := range d.runs {
		d.runs[i] = run{kind: u.kind, form: u.form, count: u.count, taken: true}
	}
	return true, d.readExtras(dst)
}

// findUniform reads the table of a uniform block.
func (d *decoder) findUniform(raw []byte) (u uniform, ok bool) {
	if d.keys > 0 || d.handles == 0 || d.texts > 0 {
		return u, false
	}
	c := &cursor{data: raw}
	kind, same := constant(c, d.handles)
	u.kind = sample.Kind(kind)
	if !same || kind > math.MaxUint8 || u.kind != sample.Int64 && u.kind != sample.Float64 {
		return u, false
	}
	count, same := constant(c, d.handles)
	if u.count = int(count); !same || count == 0 || count > uint64(d.samples) || u.count*d.handles != d.samples {
		return u, false
	}
	u.form = formInt
	if u.kind == sample.Float64 {
		scale, same := constant(c, d.handles)
		if !same || scale > maxScale {
			return u, false
		}
		u.form = form(scale)
	}
	least, first, alone := c.uvarint(), c.uvarint(), c.uvarint()
	if d.handles == 1 {
		return u, c.done() && least == newVector && first == 0 && alone == 0
	}
	above, repeats := c.uvarint(), c.uvarint()
	return u, c.done() && least == sameVector && first == newVector && alone == 0 && above == 0 && repeats == uint64(d.handles)-2
}

// constant reads a run-length column of n values; same is false where they
// are not all the same.
func constant(c *cursor, n int) (v uint64, same bool) {
	v = c.uvarint() + c.uvarint()
	return v, c.uvarint() == uint64(n)-1 && !c.bad
}

func (d *decoder) readUniformTimes(dst *Batch, u uniform) error {
	begin, err := d.section(sectionTimeFirsts)
	if err != nil {
		return err
	}
	turns, err := d.section(sectionTimeTurns)
	if err != nil {
		return err
	}
	d.times = resize(d.times, u.count)
	if err := readVectors(d.times, []int{u.count}, &d.header, begin, turns); err != nil {
		return err
	}
	dst.Times = grow(dst.Times, d.samples)
	repeat(dst.Times, d.times)
	return nil
}

// repeat fills out with copies of part, whose length divides its own.
func repeat[T any](out, part []T) {
	for n := copy(out, part); n < len(out); n *= 2 {
		copy(out[n:], out[:n])
	}
}

func (d *decoder) readUniformValues(dst *Batch, u uniform) error {
	for _, section := range [...]int{sectionPlanes, sectionBools, sectionTexts, sectionTextRefs, sectionOwn} {
		if d.parts[section].raw > 0 {
			return fmt.Errorf("%w: values of no runs", ErrCorrupt)
		}
	}
	var used [forms]bool
	used[u.form] = true
	begin, err := d.openFirsts(d.handles, used)
	if err != nil {
		return err
	}
	rest, err := d.section(sectionDeltas)
	if err != nil {
		return err
	}
	d.pairs = resize(d.pairs, (d.handles*(u.count-1)+1)/2)
	if err := d.deltas.open(rest, d.pairs, &d.unpacker, d.version == 1); err != nil {
		return err
	}
	dst.Bits = grow(dst.Bits, d.samples)
	out := dst.Bits
	if u.count == 1 {
		begin.fill(u.form, out)
	} else {
		for len(out) >= u.count {
			if err := d.deltas.read(begin.next(u.form), out[:u.count]); err != nil {
				return err
			}
			out = out[u.count:]
		}
	}
	unscale(u.form, dst.Bits)
	if !begin.from.done() || !d.deltas.end(true) {
		return fmt.Errorf("%w: the columns of integers are too short or too long", ErrCorrupt)
	}
	return nil
}

// findUniform says whether a batch is uniform and of int64: its floats may
// need a form each. It has been validated.
func (e *encoder) findUniform(b *Batch) (u uniform, ok bool) {
	n := len(b.Handles)
	if n == 0 || len(b.Keys) > 0 || b.Kinds[0] != sample.Int64 || b.Ends[0] == 0 || b.Ends[0]*n != b.Samples() {
		return u, false
	}
	u = uniform{kind: sample.Int64, form: formInt, count: b.Ends[0]}
	kinds, next := b.Kinds[:len(b.Ends)], 0 // so that no bound is checked in the loop
	for i, end := range b.Ends {
		if next += u.count; end != next || kinds[i] != u.kind {
			return u, false
		}
	}
	return u, repeated(b.Times, u.count)
}

// repeated says whether a column is copies of its first n elements.
func repeated(column []int64, n int) bool {
	if n > 1 {
		return slices.Equal(column[n:], column[:len(column)-n])
	}
	for _, v := range column {
		if v != column[0] {
			return false
		}
	}
	return true
}

// appendUniform writes the sections of a uniform batch, but the extras.
func (e *encoder) appendUniform(b *Batch, l *layout, u uniform) {
	e.times.list = append(e.times.list[:0], b.Times[:u.count])
	l.first, l.span = e.times.bounds()
	c := &e.columns
	runs := len(b.Handles)
	table := c[sectionTable]
	for _, v := range [...]uint64{uint64(u.kind), uint64(u.count)} {
		table = appendConstant(table, v, runs)
	}
	if runs == 1 {
		table = appendConstant(table, newVector, 1)
	} else {
		table = append(table, sameVector, newVector, 0, sameVector)
		table = binary.AppendUvarint(table, uint64(runs-2))
	}
	c[sectionTable] = table
	c[sectionHandles] = e.appendHandles(c[sectionHandles], b.Handles)
	c[sectionTimeFirsts], c[sectionTimeTurns] = e.times.append(c[sectionTimeFirsts], c[sectionTimeTurns], l.first)

	e.numbers, e.forms = resize(e.numbers, b.Samples()), resize(e.forms, runs)
	numbers := e.numbers[:len(b.Bits)] // so that no bound is checked in the loop
	for i, v := range b.Bits {
		numbers[i] = int64(v)
	}
	forms := e.forms
	for i := range forms {
		forms[i] = u.form
	}
	e.firsts.collectUniform(e.numbers, u)
	c[sectionFirsts] = e.appendFirsts(c[sectionFirsts])
	if u.count > 1 {
		c[sectionDeltas] = e.appendDeltas(c[sectionDeltas], b)
		c[sectionStatistics] = e.appendStatistics(c[sectionStatistics], b)
	}
}

// appendConstant appends a run-length column of one value.
func appendConstant(dst []byte, v uint64, n int) []byte {
	dst = binary.AppendUvarint(dst, v)
	dst = append(dst, 0)
	return binary.AppendUvarint(dst, uint64(n-1))
}

// collectUniform is collect for runs of one form and length.
func (f *firstsCoder) collectUniform(numbers []int64, u uniform) {
	f.used = [forms]bool{}
	f.used[u.form] = true
	f.of = f.of[:0]
	if u.count == 1 {
		f.values = append(f.values[:0], numbers...)
	} else {
		f.values = f.values[:0]
		for at := 0; at < len(numbers); at += u.count {
			f.values = append(f.values, numbers[at])
		}
	}
	least, most := f.values[0], f.values[0]
	for _, v := range f.values {
		least, most = min(least, v), max(most, v)
	}
	f.least[u.form] = least
	f.above = bits.Len64(zigzag(least)) + len(f.values)*bits.Len64(uint64(most)-uint64(least))
	f.chained = f.above // not worth a pass of its own
	f.form = u.form
}
