package block

import "fmt"

// readIntegers reads the runs of integral form: int64 and scaled floats.
func (d *decoder) readIntegers(dst *Batch) error {
	begin, err := d.openIntegers()
	if err != nil {
		return err
	}
	out, whole := dst.Bits, true
	for i := range d.runs {
		r := &d.runs[i]
		if r.form.integral() && r.count > 0 {
			first := begin.next(r.form)
			switch {
			case !r.taken:
				d.deltas.skip(r.count)
				whole = false
			default:
				if err := d.deltas.read(first, out[:r.count]); err != nil {
					return err
				}
			}
			if r.taken {
				unscale(r.form, out[:r.count])
			}
		}
		if r.taken {
			out = out[r.count:]
		}
	}
	if !begin.from.done() || !d.deltas.end(whole) {
		return fmt.Errorf("%w: the columns of integers are too short or too long", ErrCorrupt)
	}
	return nil
}

// openIntegers opens the columns of integers.
func (d *decoder) openIntegers() (*firsts, error) {
	begin, err := d.openFirsts(d.usedForms())
	if err != nil {
		return nil, err
	}
	size := 0
	for i := range d.runs {
		if r := &d.runs[i]; r.form.integral() && r.count > 0 {
			size += r.count - 1
		}
	}
	rest, err := d.section(sectionDeltas)
	if err != nil {
		return nil, err
	}
	d.pairs = resize(d.pairs, (size+1)/2)
	return begin, d.deltas.open(rest, d.pairs, &d.unpacker, d.version == 1)
}

// readDeltas reads one run of integers, of which there is at least one.
func readDeltas(from *cursor, first int64, out []uint64) {
	last := uint64(first)
	out[0] = last
	data, at := from.data, from.at
	for i := 1; i < len(out); i++ {
		var code uint64
		if at < len(data) && data[at] < 0x80 {
			code = uint64(data[at])
			at++
		} else {
			from.at = at
			code = from.long()
			at = from.at
		}
		last += uint64(unzigzag(code))
		out[i] = last
	}
	from.at = at
}

// unscale turns integers into the bits of the floats that they stand for.
func unscale(f form, values []uint64) {
	if f > maxScale {
		return
	}
	for i, v := range values {
		values[i] = unscaleOne(int64(v), int(f))
	}
}

// readPlanes reads the floats that are no short decimals.
func (d *decoder) readPlanes(dst *Batch) error {
	raw, err := d.section(sectionPlanes)
	if err != nil {
		return err
	}
	n := d.count(formPlanes)
	if len(raw) != 8*n {
		return fmt.Errorf("%w: %d bytes for %d floats", ErrCorrupt, len(raw), n)
	}
	d.each(dst, formPlanes, func(at int, out []uint64) {
		clear(out)
		for p := range 8 {
			plane := raw[p*n+at:][:len(out)]
			for i, b := range plane {
				out[i] = out[i]<<8 | uint64(b)
			}
		}
		for i := 1; i < len(out); i++ {
			out[i] ^= out[i-1]
		}
	})
	return nil
}

// readBools reads the bools.
func (d *decoder) readBools(dst *Batch) error {
	raw, err := d.section(sectionBools)
	if err != nil {
		return err
	}
	n := d.count(formBool)
	if len(raw) != (n+7)/8 || n%8 != 0 && raw[n/8]>>(n%8) != 0 {
		return fmt.Errorf("%w: %d bytes for %d bools", ErrCorrupt, len(raw), n)
	}
	d.each(dst, formBool, func(at int, out []uint64) {
		for i := range out {
			out[i] = uint64(raw[(at+i)/8] >> ((at + i) % 8) & 1)
		}
	})
	return nil
}

// readTexts reads the dictionary and the places of the string samples in it,
// unless no run of strings is taken.
func (d *decoder) readTexts(dst *Batch) error {
	taken := 0
	d.each(dst, formText, func(int, []uint64) { taken++ })
	if taken == 0 && dst.Runs() < len(d.runs) {
		return nil
	}
	raw, err := d.section(sectionTexts)
	if err != nil {
		return err
	}
	if dst.Texts, err = readStrings(dst.Texts, raw, d.texts); err != nil {
		return err
	}
	if raw, err = d.section(sectionTextRefs); err != nil {
		return err
	}
	c, read := &cursor{data: raw}, 0
	d.each(dst, formText, func(at int, out []uint64) {
		c.skip(at - read)
		read = at + len(out)
		for i := range out {
			if out[i] = c.uvarint(); out[i] >= uint64(d.texts) {
				c.fail()
			}
		}
	})
	c.skip(d.count(formText) - read)
	return checkEnd(c, "strings' places")
}

// count gives the number of samples of a form, those not taken too.
func (d *decoder) count(f form) int {
	n := 0
	for i := range d.runs {
		if d.runs[i].form == f {
			n += d.runs[i].count
		}
	}
	return n
}

// each calls yield for the taken runs of a form that have samples, with the
// place of the first among all samples of the form and where they go.
func (d *decoder) each(dst *Batch, f form, yield func(at int, out []uint64)) {
	at, out := 0, dst.Bits
	for i := range d.runs {
		r := &d.runs[i]
		if r.form == f {
			if r.taken && r.count > 0 {
				yield(at, out[:r.count])
			}
			at += r.count
		}
		if r.taken {
			out = out[r.count:]
		}
	}
}
