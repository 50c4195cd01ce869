package block

import (
	"encoding/binary"
	"fmt"

	"weir/internal/sample"
)

// From how many samples on a run of floats may be a column of its own, with
// tables of its own: at the fast effort, and at the higher one.
const (
	leastOwn      = 128
	leastOwnSmall = 24
)

// How many bits a value make it worth comparing with planes, and at the fast
// effort, which compares nothing, make planes the guess: noise is best left
// as it is.
const (
	doubtfulBits = 24
	noiseBits    = 48
)

// sharing is the part that a short run saves, about, whose tables are shared.
const sharing = 4

// ownRuns is the memory for runs that are columns of their own.
type ownRuns struct {
	coder       dictionaryCoder
	body, other []byte
}

// chooseOwn gives runs of floats a form that makes them columns of their own,
// and writes them, where the form that they have, of planes or decimals, is
// not better. Decimals whose distances suit pairs keep theirs: nothing beats
// those in speed.
func (e *encoder) chooseOwn(b *Batch) {
	least, choose := leastOwn, e.ownFast
	if e.packer.small {
		least, choose = leastOwnSmall, e.ownSmall
	}
	var low int64
	known := false
	for i, f := range e.forms {
		start, end := b.Run(i)
		if b.Kinds[i] != sample.Float64 || end-start < least {
			continue
		}
		values, numbers := b.Bits[start:end], e.numbers[start:end]
		if f != formPlanes {
			if !known {
				low, _ = e.chooseLow(b)
				known = true
			}
			if arePairs(numbers, low) {
				continue
			}
		}
		body, own := choose(values, numbers, f)
		if own == f {
			continue
		}
		e.forms[i] = own
		column := binary.AppendUvarint(e.columns[sectionOwn], uint64(len(body)))
		e.columns[sectionOwn] = append(column, body...)
	}
}

// arePairs says whether nearly all distances of neighbours lie close above low.
func arePairs(numbers []int64, low int64) bool {
	near, last := 0, numbers[0]
	for _, n := range numbers[1:] {
		if uint64(n-last-low) < escape {
			near++
		}
		last = n
	}
	return near*8 >= (len(numbers)-1)*7
}

// ownFast takes the first form that looks good.
func (e *encoder) ownFast(values []uint64, _ []int64, f form) (body []byte, own form) {
	o := &e.own
	d := decimals{scale: int(f)}
	if f == formPlanes {
		var ok bool
		if o.body, ok = o.coder.appendDictionary(o.body[:0], values, repeatsFast); ok {
			return o.body, formDictionary
		}
		var each int
		if d, each = chooseDecimals(values, glance); each > noiseBits {
			return nil, f
		}
	}
	o.body = o.coder.appendResidues(o.body[:0], values, d)
	return o.body, formResidues
}

// ownSmall takes the smallest.
func (e *encoder) ownSmall(values []uint64, numbers []int64, f form) (body []byte, own form) {
	o := &e.own
	d := decimals{scale: int(f)}
	if f == formPlanes {
		d, _ = chooseDecimals(values, study)
	}
	o.body = o.coder.appendResidues(o.body[:0], values, d)
	body, own = o.body, formResidues
	var ok bool
	if o.other, ok = o.coder.appendDictionary(o.other[:0], values, repeatsSmall); ok && len(o.other) < len(body) {
		o.body, o.other = o.other, o.body
		body, own = o.body, formDictionary
	}
	if f == formPlanes {
		if len(body)*8 < doubtfulBits*len(values) {
			return body, own
		}
		o.other = resize(o.other, 8*len(values))
		putPlanes(o.other, len(values), values)
	} else {
		o.other = appendVarints(o.other[:0], numbers)
	}
	e.packed, _ = e.packer.pack(e.packed[:0], o.other, f != formPlanes)
	most := len(e.packed)
	if len(values) < leastOwn {
		most -= most / sharing
	}
	if len(body) >= most {
		return nil, f
	}
	return body, own
}

// readOwn reads the runs that are columns of their own.
func (d *decoder) readOwn(dst *Batch) error {
	raw, err := d.section(sectionOwn)
	if err != nil {
		return err
	}
	from, out := &cursor{data: raw}, dst.Bits
	for i := range d.runs {
		r := &d.runs[i]
		if r.form.own() && r.count > 0 {
			body := &cursor{data: from.take(from.uvarint())}
			switch {
			case !r.taken:
			case r.form == formResidues:
				d.own.readResidues(body, out[:r.count])
			default:
				d.own.readDictionary(body, out[:r.count])
			}
			if r.taken && !body.done() {
				return fmt.Errorf("%w: run %d of floats is too short or too long", ErrCorrupt, i)
			}
		}
		if r.taken {
			out = out[r.count:]
		}
	}
	return checkEnd(from, "runs of floats")
}
