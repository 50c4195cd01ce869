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
	space       layout // what layout points to while decoding
	unpacker    unpacker
	own         dictionaryCoder
	runs        []run
	handleList  []sample.Handle
	vectors     references // of times
	shared      references // of versions or positions
	times       []int64
	numbers     []uint64 // scratch
	deltas      deltas
	firstValues []uint64
	plane       []byte
	firsts      firsts
	bounds      []bound
	known       []byte
	planeChunks chunks
	pairs       []byte
	buffers     [sections][]byte
}

var decoders = sync.Pool{New: func() any {
	shared()
	return new(decoder)
}}

// Decode empties dst and reads a block into it. Columns keep their capacity;
// Keys share one allocation, and so do Texts. body is not kept. After an
// error dst is empty.
func Decode(dst *Batch, body []byte) error {
	return decode(dst, body, selection{all: true})
}

// DecodeSeries is Decode for the runs of some registered series only. handles
// is sorted; the runs come in the order of the block, and those of series
// that have no run there are missing.
func DecodeSeries(dst *Batch, body []byte, handles []sample.Handle) error {
	return decode(dst, body, selection{handles: handles, from: math.MinInt64, to: math.MaxInt64})
}

// DecodeRange is DecodeSeries for the samples with from ≤ time < to only; runs
// that have none are missing.
func DecodeRange(dst *Batch, body []byte, handles []sample.Handle, from, to int64) error {
	return decode(dst, body, selection{handles: handles, from: from, to: to, cut: true})
}

// DecodeValues is DecodeRange without versions and positions, for whoever finds
// that no two samples have one series and time.
func DecodeValues(dst *Batch, body []byte, handles []sample.Handle, from, to int64) error {
	return decode(dst, body, selection{handles: handles, from: from, to: to, cut: true, unversioned: true})
}

// selection is what is wanted of a block.
type selection struct {
	all         bool
	handles     []sample.Handle // sorted
	cut         bool            // only what lies in range
	some        bool            // only runs that have samples
	from, to    int64
	unversioned bool
}

func decode(dst *Batch, body []byte, want selection) error {
	dst.Reset()
	d := decoders.Get().(*decoder)
	defer func() {
		d.layout, d.space = nil, layout{} // it points into the body
		decoders.Put(d)
	}()
	err := d.decode(dst, body, want)
	if err != nil {
		dst.Reset()
		return fmt.Errorf("decode block: %w", err)
	}
	return nil
}

func (d *decoder) decode(dst *Batch, body []byte, want selection) error {
	d.layout = &d.space
	if err := d.parse(body); err != nil {
		return err
	}
	if want.all {
		if ok, err := d.readUniform(dst); ok || err != nil {
			return err
		}
	}
	if want.cut && d.first >= want.from && int64(uint64(d.first)+d.span) < want.to {
		want.cut, want.some = false, true // all of it lies in range
	}
	if err := d.open(); err != nil {
		return err
	}
	if err := d.readSeries(dst, want); err != nil {
		return err
	}
	if err := d.readTimes(dst, want); err != nil {
		return err
	}
	if dst.Runs() == 0 && !want.all {
		return nil
	}
	for _, read := range [...]func(*Batch) error{
		d.readIntegers, d.readPlanes, d.readOwn, d.readBools, d.readTexts,
	} {
		if err := read(dst); err != nil {
			return err
		}
	}
	if !want.unversioned || d.flags&flagQualities != 0 {
		if err := d.readExtras(dst); err != nil {
			return err
		}
	}
	if want.unversioned {
		dst.forgetVersions()
	}
	if want.cut {
		cutRange(dst, want.from, want.to)
	}
	return nil
}

// open reads what there is of each run, and all times.
func (d *decoder) open() error {
	if err := d.readTable(); err != nil {
		return err
	}
	begin, err := d.section(sectionTimeFirsts)
	if err != nil {
		return err
	}
	turns, err := d.section(sectionTimeTurns)
	if err != nil {
		return err
	}
	return readVectors(d.times, d.vectors.sizes, &d.header, begin, turns)
}

// section gives a section's raw bytes, unpacked where they are packed.
func (d *decoder) section(i int) ([]byte, error) {
	p := &d.parts[i]
	if p.mode == packRaw {
		return p.stored, nil
	}
	d.buffers[i] = resize(d.buffers[i], p.raw)
	return d.buffers[i], d.unpacker.unpack(d.buffers[i], p.stored, p.mode)
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
	sum, floats := 0, 0
	for i := range d.runs {
		r := &d.runs[i]
		r.count = int(counts.next())
		if sum += r.count; sum > d.samples {
			break
		}
		if r.count > 0 && r.kind == sample.Float64 {
			floats++
		}
	}
	counts.end()
	if sum != d.samples {
		return fmt.Errorf("%w: its runs do not hold its %d samples", ErrCorrupt, d.samples)
	}
	d.readForms(c, floats)
	total, err := d.vectors.readRefs(c, d.runs)
	if err != nil {
		return err
	}
	d.times = resize(d.times, total)
	at := 0
	for i := range d.runs {
		if r := &d.runs[i]; r.count > 0 {
			r.vector = d.vectors.of[at]
			at++
		}
	}
	return checkEnd(c, "runs")
}

// readForms reads the forms of the float64 runs that have samples.
func (d *decoder) readForms(c *cursor, floats int) {
	most := formDictionary
	if d.version == 1 {
		most = formPlanes
	}
	column := readLengths(c, floats, uint64(most))
	for i := range d.runs {
		if r := &d.runs[i]; r.count > 0 && r.kind == sample.Float64 {
			r.form = form(column.next())
		}
	}
	column.end()
}

// readSeries reads handles and keys and decides which runs are taken: those
// that are wanted, and where all are the keyed ones too.
func (d *decoder) readSeries(dst *Batch, want selection) error {
	if err := d.readHandles(); err != nil {
		return err
	}
	d.choose(want)
	if want.all {
		dst.Handles = append(dst.Handles, d.handleList...)
		raw, err := d.section(sectionKeys)
		if err == nil {
			dst.Keys, err = readStrings(dst.Keys, raw, d.keys)
		}
		return err
	}
	for i, h := range d.handleList {
		if d.runs[i].taken {
			dst.Handles = append(dst.Handles, h)
		}
	}
	return nil
}

func (d *decoder) readHandles() error {
	raw, err := d.section(sectionHandles)
	if err != nil {
		return err
	}
	d.handleList = resize(d.handleList, d.handles)
	return readHandles(raw, d.handleList, d.version == 1)
}

// choose marks the runs of wanted series that may have samples in range.
func (d *decoder) choose(want selection) {
	if want.all {
		for i := range d.runs {
			d.runs[i].taken = true
		}
		return
	}
	wanted := want.handles
	var last sample.Handle
	for i, h := range d.handleList {
		if h < last { // out of order, which a block may be: look from the start
			wanted = want.handles
		}
		last = h
		for len(wanted) > 0 && wanted[0] < h {
			wanted = wanted[1:]
		}
		if len(wanted) > 0 && wanted[0] == h {
			r := &d.runs[i]
			r.taken = !want.cut && !want.some || r.count > 0 && (!want.cut || d.overlaps(r, want))
		}
	}
}

// overlaps says whether a time of the run lies in range.
func (d *decoder) overlaps(r *run, want selection) bool {
	start := d.vectors.starts[r.vector]
	for _, t := range d.times[start : start+r.count] {
		if t >= want.from && t < want.to {
			return true
		}
	}
	return false
}

// grow is resize for a column of the caller's.
func grow[T any](column []T, n int) []T { return slices.Grow(column[:0], n)[:n] }

// readTimes gives each taken run its times, and makes room for its values.
func (d *decoder) readTimes(dst *Batch, want selection) error {
	taken, end := 0, 0
	for i := range d.runs {
		if d.runs[i].taken {
			taken, end = taken+1, end+d.runs[i].count
		}
	}
	dst.Kinds, dst.Ends = grow(dst.Kinds, taken), grow(dst.Ends, taken)
	dst.Times, dst.Bits = grow(dst.Times, end), grow(dst.Bits, end)
	at, run := 0, 0
	for i := range d.runs {
		r := &d.runs[i]
		if !r.taken {
			continue
		}
		if r.count > 0 {
			start := d.vectors.starts[r.vector]
			copy(dst.Times[at:], d.times[start:start+r.count])
		}
		at += r.count
		dst.Kinds[run], dst.Ends[run] = r.kind, at
		run++
	}
	return nil
}

// cutRange leaves of each run the samples in range.
func cutRange(b *Batch, from, to int64) {
	at, start := 0, 0
	for run, end := range b.Ends {
		for i := start; i < end; i++ {
			if t := b.Times[i]; t < from || t >= to {
				continue
			}
			b.Times[at], b.Bits[at] = b.Times[i], b.Bits[i]
			if b.Qualities != nil {
				b.Qualities[at] = b.Qualities[i]
			}
			if b.Versions != nil {
				b.Versions[at] = b.Versions[i]
			}
			if b.Positions != nil {
				b.Positions[at] = b.Positions[i]
			}
			at++
		}
		start, b.Ends[run] = end, at
	}
	b.Times, b.Bits = b.Times[:at], b.Bits[:at]
	if b.Qualities != nil {
		b.Qualities = b.Qualities[:at]
	}
	if b.Versions != nil {
		b.Versions = b.Versions[:at]
	}
	if b.Positions != nil {
		b.Positions = b.Positions[:at]
	}
}
