package block

import (
	"fmt"
	"math"
	"slices"

	"weir/internal/sample"
)

// How a column of versions or positions is written.
const (
	extrasLengths = 0 // run length over all samples: one flush has nearly one value
	extrasShared  = 1 // as vectors that runs share: series that were flushed together
)

// appendExtras appends the columns of qualities, versions and positions.
func (e *encoder) appendExtras(dst []byte, b *Batch) ([]byte, byte) {
	var flags byte
	if slices.ContainsFunc(b.Qualities, func(q sample.Quality) bool { return q != sample.Good }) {
		flags |= flagQualities
		dst = appendLengths(dst, b.Qualities)
	}
	if b.Versions != nil {
		flags |= flagVersions
		dst = e.appendExtra(dst, b, b.Versions)
	}
	if b.Positions != nil {
		flags |= flagPositions
		dst = e.appendExtra(dst, b, b.Positions)
	}
	return dst, flags
}

func (e *encoder) appendExtra(dst []byte, b *Batch, column []uint64) []byte {
	if len(column) == 0 {
		return dst
	}
	changes := 0
	for i := 1; i < len(column); i++ {
		if column[i] != column[i-1] {
			changes++
		}
	}
	if 2*changes <= b.Runs() {
		return appendLengths(append(dst, extrasLengths), column)
	}
	v := &e.extras
	v.find(b, column)
	dst = appendLengths(append(dst, extrasShared), v.refs)
	var last uint64
	for _, vector := range v.list {
		for _, n := range vector {
			dst = appendNumber(dst, zigzag(int64(n-last)))
			last = n
		}
	}
	clear(v.list)
	return dst
}

// readExtras reads qualities, versions and positions, where there are any.
func (d *decoder) readExtras(dst *Batch) error {
	raw, err := d.section(sectionExtras)
	if err != nil {
		return err
	}
	c := &cursor{data: raw}
	if d.flags&flagQualities != 0 {
		dst.Qualities = revive(dst.spare.qualities, dst.Samples())
		readLengthsOf(d, c, dst.Qualities, math.MaxUint32)
	}
	if d.flags&flagVersions != 0 {
		dst.Versions = revive(dst.spare.versions, dst.Samples())
		d.readExtra(c, dst.Versions)
	}
	if d.flags&flagPositions != 0 {
		dst.Positions = revive(dst.spare.positions, dst.Samples())
		d.readExtra(c, dst.Positions)
	}
	return checkEnd(c, "qualities, versions and positions")
}

// revive gives a column of n elements that is not nil, in spare memory.
func revive[T any](spare []T, n int) []T {
	if cap(spare) < n || spare == nil {
		return make([]T, n)
	}
	return spare[:n]
}

// readExtra reads a column of versions or positions.
func (d *decoder) readExtra(c *cursor, out []uint64) {
	mode := uint64(extrasLengths)
	if d.version > 1 && d.samples > 0 {
		mode = c.uvarint()
	}
	switch mode {
	case extrasLengths:
		readLengthsOf(d, c, out, math.MaxUint64)
	case extrasShared:
		d.readShared(c, out)
	default:
		c.fail()
	}
}

// readLengthsOf reads a run-length column that has one value a sample.
func readLengthsOf[T integer](d *decoder, c *cursor, out []T, most uint64) {
	column := readLengths(c, d.samples, most)
	for i := range d.runs {
		r := &d.runs[i]
		if !r.taken {
			column.skip(r.count)
			continue
		}
		fill(&column, out[:r.count])
		out = out[r.count:]
	}
	column.end()
}

// readShared reads a column of vectors that runs share.
func (d *decoder) readShared(c *cursor, out []uint64) {
	s := &d.shared
	total, err := s.readRefs(c, d.runs)
	if err != nil {
		c.fail()
		return
	}
	d.numbers = resize(d.numbers, total)
	var last uint64
	for i := range d.numbers {
		last += uint64(c.varint())
		d.numbers[i] = last
	}
	at := 0
	for i := range d.runs {
		r := &d.runs[i]
		if r.count == 0 {
			continue
		}
		start := s.starts[s.of[at]]
		at++
		if r.taken {
			out = out[copy(out, d.numbers[start:start+r.count]):]
		}
	}
}

// references is which of several vectors each run that has samples has.
type references struct {
	of     []int // the vector of each such run
	sizes  []int // of the vectors
	starts []int // of the vectors, one after the other
}

// readRefs reads the references of all runs that have samples, and gives how
// many elements the vectors have together.
func (v *references) readRefs(c *cursor, runs []run) (total int, err error) {
	filled := 0
	for i := range runs {
		if runs[i].count > 0 {
			filled++
		}
	}
	column := readLengths(c, filled, math.MaxUint32)
	v.of, v.sizes, v.starts = v.of[:0], v.sizes[:0], v.starts[:0]
	vector := -1
	for i := range runs {
		count := runs[i].count
		if count == 0 {
			continue
		}
		switch code := column.next(); code {
		case sameVector:
		case newVector:
			vector = len(v.sizes)
			v.sizes, v.starts = append(v.sizes, count), append(v.starts, total)
			total += count
		default:
			vector = int(code - knownVector)
		}
		if vector < 0 || vector >= len(v.sizes) || v.sizes[vector] != count {
			c.fail()
			return 0, fmt.Errorf("%w: a run refers to a vector that is not there", ErrCorrupt)
		}
		v.of = append(v.of, vector)
	}
	column.end()
	return total, nil
}
