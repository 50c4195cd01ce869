package block

import (
	"fmt"

	"weir/internal/sample"
)

// Summary is what a block says of one run without its values being read.
type Summary struct {
	Handle      sample.Handle
	Kind        sample.Kind
	Count       int
	First, Last int64 // least and greatest time; meaningless where Count is 0
	Ascending   bool  // the times ascend strictly

	// Known says that the statistics are there; else the run has to be
	// decoded. They are left out for strings, for short runs, where the times
	// do not ascend strictly, where a float is not finite or a negative zero,
	// and where the sum is not exactly a Sum.
	Known               bool
	Min, Max            uint64 // bits of the least and the greatest value
	FirstBits, LastBits uint64 // the values at First and at Last
	Sum                 Sum
}

// Summarize appends to dst a summary of each run of the wanted series, in the
// order of the block. handles is sorted; nil means all registered series.
// After an error dst is as it was.
func Summarize(dst []Summary, body []byte, handles []sample.Handle) ([]Summary, error) {
	d := decoders.Get().(*decoder)
	defer func() {
		d.layout, d.space = nil, layout{} // it points into the body
		decoders.Put(d)
	}()
	out, err := d.summarize(dst, body, handles)
	if err != nil {
		return dst, fmt.Errorf("summarize block: %w", err)
	}
	return out, nil
}

func (d *decoder) summarize(dst []Summary, body []byte, handles []sample.Handle) ([]Summary, error) {
	d.layout = &d.space
	if err := d.parse(body); err != nil {
		return nil, err
	}
	if err := d.open(); err != nil {
		return nil, err
	}
	if err := d.readHandles(); err != nil {
		return nil, err
	}
	d.choose(selection{all: handles == nil, handles: handles})
	begin, err := d.openFirsts(d.usedForms())
	if err != nil {
		return nil, err
	}
	raw, err := d.section(sectionStatistics)
	if err != nil {
		return nil, err
	}
	from, bounds := &cursor{data: raw}, d.boundVectors()
	d.readKnown(from, bounds)
	next := d.known
	var passed Summary // of runs that are not wanted
	for i := range d.runs {
		r, s := &d.runs[i], &passed
		if r.taken && i < d.handles {
			dst = append(dst, Summary{Handle: d.handleList[i], Kind: r.kind, Count: r.count})
			s = &dst[len(dst)-1]
		}
		if r.count == 0 {
			continue
		}
		v := &bounds[r.vector]
		s.First, s.Last, s.Ascending = v.first, v.last, v.ascending
		var first int64
		if r.form.integral() {
			first = begin.next(r.form)
		}
		if len(next) > 0 && summed(r.kind, r.count, v.ascending) {
			s.Known, next = next[0] == 1, next[1:]
			if s.Known {
				s.read(from, r.form, r.count, first)
			}
		}
	}
	if !begin.from.done() {
		return nil, fmt.Errorf("%w: the column of first integers is too short or too long", ErrCorrupt)
	}
	return dst, checkEnd(from, "statistics")
}

// readKnown reads which of the runs that may have statistics have them.
func (d *decoder) readKnown(from *cursor, bounds []bound) {
	eligible := 0
	for i := range d.runs {
		if r := &d.runs[i]; r.count > 0 && summed(r.kind, r.count, bounds[r.vector].ascending) {
			eligible++
		}
	}
	if d.version == 1 { // it had none
		eligible = 0
	}
	column := readLengths(from, eligible, 1)
	d.known = resize(d.known, eligible)
	fill(&column, d.known)
	column.end()
}

// bound is the times of one vector.
type bound struct {
	first, last int64
	ascending   bool
}

// boundVectors gives the bounds of the block's time vectors.
func (d *decoder) boundVectors() []bound {
	d.bounds = d.bounds[:0]
	for i, start := range d.vectors.starts {
		times := d.times[start : start+d.vectors.sizes[i]]
		b := bound{first: times[0], last: times[0], ascending: true}
		for k, t := range times {
			b.ascending = b.ascending && (k == 0 || t > times[k-1])
			b.first, b.last = min(b.first, t), max(b.last, t)
		}
		d.bounds = append(d.bounds, b)
	}
	return d.bounds
}
