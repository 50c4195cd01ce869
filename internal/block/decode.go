package block

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"weir/internal/sample"
)

// run is what the table says of one run.
type run struct {
	count  int
	vector int // of times
	kind   sample.Kind
	form   form
	taken  bool // it goes to the batch
}

// decoder is the memory that decoding one block needs.
type decoder struct {
	*layout
	runs    []run
	sizes   []int // of the time vectors
	starts  []int // of the time vectors in times
	times   []int64
	buffers [sections][]byte
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// Decode empties dst and reads a block into it. Columns keep their capacity;
// Keys share one allocation, and so do Texts. body is not kept. After an
// error dst is empty.
func Decode(dst *Batch, body []byte) error {
	return decode(dst, body, func(sample.Handle) bool { return true }, true)
}

// DecodeSeries is Decode for the runs of some registered series only. handles
// is sorted; the runs come in the order of the block, and those of series
// that have no run there are missing.
func DecodeSeries(dst *Batch, body []byte, handles []sample.Handle) error {
	return decode(dst, body, func(h sample.Handle) bool {
		_, found := slices.BinarySearch(handles, h)
		return found
	}, false)
}

func decode(dst *Batch, body []byte, want func(sample.Handle) bool, all bool) error {
	dst.Reset()
	d := decoders.Get().(*decoder)
	defer func() {
		d.layout = nil
		decoders.Put(d)
	}()
	err := d.decode(dst, body, want, all)
	if err != nil {
		dst.Reset()
		return fmt.Errorf("decode block: %w", err)
	}
	return nil
}

func (d *decoder) decode(dst *Batch, body []byte, want func(sample.Handle) bool, all bool) error {
	var err error
	if d.layout, err = parse(body); err != nil {
		return err
	}
	if err := d.readTable(); err != nil {
		return err
	}
	if err := d.readSeries(dst, want, all); err != nil {
		return err
	}
	if dst.Runs() == 0 && !all {
		return nil
	}
	for _, read := range []func(*Batch) error{
		d.readTimes, d.readIntegers, d.readPlanes, d.readBools, d.readTexts, d.readExtras,
	} {
		if err := read(dst); err != nil {
			return err
		}
	}
	return nil
}

// section gives a section's raw bytes, unpacked where they are packed.
func (d *decoder) section(i int) ([]byte, error) {
	p := d.parts[i]
	if !p.packed {
		return p.stored, nil
	}
	d.buffers[i] = resize(d.buffers[i], p.raw)
	return d.buffers[i], unpack(d.buffers[i], p.stored)
}

// readTable reads what is known of each run.
func (d *decoder) readTable() error {
	raw, err := d.section(sectionTable)
	if err != nil {
		return err
	}
	c := &cursor{data: raw}
	d.runs = resize(d.runs, d.header.runs())
	kinds := readLengths(c, len(d.runs), math.MaxUint8)
	for i := range d.runs {
		kind := sample.Kind(kinds.next())
		if !kind.Valid() {
			return fmt.Errorf("%w: run %d is of unknown kind %d", ErrCorrupt, i, kind)
		}
		d.runs[i] = run{kind: kind, form: formOf(kind)}
	}
	kinds.end()
	counts := readLengths(c, len(d.runs), uint64(d.samples))
	sum, floats, filled := 0, 0, 0
	for i := range d.runs {
		r := &d.runs[i]
		r.count = int(counts.next())
		if sum += r.count; sum > d.samples {
			break
		}
		if r.count > 0 {
			filled++
			if r.kind == sample.Float64 {
				floats++
			}
		}
	}
	counts.end()
	if sum != d.samples {
		return fmt.Errorf("%w: its runs do not hold its %d samples", ErrCorrupt, d.samples)
	}
	d.readForms(c, floats)
	d.readReferences(c, filled)
	return checkEnd(c, "runs")
}

// readForms reads the forms of the float64 runs that have samples.
func (d *decoder) readForms(c *cursor, floats int) {
	column := readLengths(c, floats, uint64(formPlanes))
	for i := range d.runs {
		if r := &d.runs[i]; r.count > 0 && r.kind == sample.Float64 {
			r.form = form(column.next())
		}
	}
	column.end()
}

// readReferences reads which time vector each run that has samples has.
func (d *decoder) readReferences(c *cursor, filled int) {
	column := readLengths(c, filled, math.MaxUint32)
	d.sizes, d.starts = d.sizes[:0], d.starts[:0]
	last, total := -1, 0
	for i := range d.runs {
		r := &d.runs[i]
		if r.count == 0 {
			continue
		}
		switch code := column.next(); code {
		case sameVector:
			r.vector = last
		case newVector:
			r.vector = len(d.sizes)
			d.sizes, d.starts = append(d.sizes, r.count), append(d.starts, total)
			total += r.count
		default:
			r.vector = int(code - knownVector)
		}
		if r.vector < 0 || r.vector >= len(d.sizes) || d.sizes[r.vector] != r.count {
			c.fail()
			return
		}
		last = r.vector
	}
	column.end()
	d.times = resize(d.times, total)
}

// readSeries reads handles and keys and decides which runs are taken: those
// that are wanted, and where all is set the keyed ones too.
func (d *decoder) readSeries(dst *Batch, want func(sample.Handle) bool, all bool) error {
	raw, err := d.section(sectionHandles)
	if err != nil {
		return err
	}
	if all {
		dst.Handles = slices.Grow(dst.Handles, d.handles)
		dst.Kinds = slices.Grow(dst.Kinds, len(d.runs))
		dst.Ends = slices.Grow(dst.Ends, len(d.runs))
	}
	end := 0
	take := func(r *run) {
		r.taken = true
		end += r.count
		dst.Kinds, dst.Ends = append(dst.Kinds, r.kind), append(dst.Ends, end)
	}
	err = readHandles(raw, d.handles, func(i int, h sample.Handle) {
		if want(h) {
			dst.Handles = append(dst.Handles, h)
			take(&d.runs[i])
		}
	})
	if err != nil {
		return err
	}
	if all {
		if raw, err = d.section(sectionKeys); err != nil {
			return err
		}
		if dst.Keys, err = readStrings(dst.Keys, raw, d.keys); err != nil {
			return err
		}
		for i := d.handles; i < len(d.runs); i++ {
			take(&d.runs[i])
		}
	}
	dst.Times = grow(dst.Times, end)
	dst.Bits = grow(dst.Bits, end)
	return nil
}

// grow is resize for a column of the caller's.
func grow[T any](column []T, n int) []T { return slices.Grow(column[:0], n)[:n] }

// readTimes reads the time vectors and gives each run its own.
func (d *decoder) readTimes(dst *Batch) error {
	begin, err := d.section(sectionTimeFirsts)
	if err != nil {
		return err
	}
	turns, err := d.section(sectionTimeTurns)
	if err != nil {
		return err
	}
	if err := readVectors(d.times, d.sizes, &d.header, begin, turns); err != nil {
		return err
	}
	out := dst.Times
	for i := range d.runs {
		if r := &d.runs[i]; r.taken && r.count > 0 {
			start := d.starts[r.vector]
			out = out[copy(out, d.times[start:start+r.count]):]
		}
	}
	return nil
}

// readExtras reads qualities, versions and positions, where there are any.
func (d *decoder) readExtras(dst *Batch) error {
	raw, err := d.section(sectionExtras)
	if err != nil {
		return err
	}
	c := &cursor{data: raw}
	if d.flags&flagQualities != 0 {
		dst.Qualities = make([]sample.Quality, dst.Samples())
		readExtra(d, c, dst.Qualities, math.MaxUint32)
	}
	if d.flags&flagVersions != 0 {
		dst.Versions = make([]uint64, dst.Samples())
		readExtra(d, c, dst.Versions, math.MaxUint64)
	}
	if d.flags&flagPositions != 0 {
		dst.Positions = make([]uint64, dst.Samples())
		readExtra(d, c, dst.Positions, math.MaxUint64)
	}
	return checkEnd(c, "qualities, versions and positions")
}

// readExtra reads a run-length column that has one value a sample.
func readExtra[T integer](d *decoder, c *cursor, out []T, most uint64) {
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
