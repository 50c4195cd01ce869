package archive

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"

	"weir/internal/archive/dictionary"
	"weir/internal/block"
	"weir/internal/sample"
)

// partWriter writes a part: batches whose runs are in order of their series'
// ids, their samples in order of time. It keeps a row group in memory.
type partWriter struct {
	sink     io.Writer
	place    *Place
	to       *file.Writer // nil: there was no row group yet
	identify func(sample.Handle) (*Identity, error)
	rows     int64

	group    group
	distinct dictionary.Judge
	texts    []parquet.ByteArray // scratch
	bools    []bool
	some     []uint64
	level    []int16
	indices  []int32
}

// group is the rows of a row group, by column.
type group struct {
	runs      []groupRun
	times     []int64
	bits      []uint64
	texts     []string
	qualities []int32
	versions  []uint64
	positions []uint64
}

type groupRun struct {
	identity *Identity
	hex      string
	kind     sample.Kind
	end      int
}

func newPartWriter(to io.Writer, place *Place, identify func(sample.Handle) (*Identity, error)) *partWriter {
	return &partWriter{sink: to, place: place, identify: identify}
}

// open begins the file, by what the first row group is like: the library has one
// encoding of a column for all of them.
func (w *partWriter) open() error {
	if w.to != nil {
		return nil
	}
	root, err := partSchema()
	if err != nil {
		return err
	}
	byDifference := w.distinct.Differ(w.bitsOf(sample.Int64))
	if w.to, err = file.NewParquetWriterWithError(w.sink, root, file.WithWriterProps(properties(byDifference))); err != nil {
		return err
	}
	metadata := w.place.metadata()
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		if err := w.to.AppendKeyValueMetadata(key, metadata[key]); err != nil {
			return err
		}
	}
	return nil
}

// write adds a batch. Its columns of versions and positions must be there.
func (w *partWriter) write(b *block.Batch) error {
	for run, handle := range b.Handles {
		identity, err := w.identify(handle)
		if err != nil {
			return err
		}
		start, end := b.Run(run)
		for start < end {
			n := min(end-start, groupRows-len(w.group.times))
			w.group.add(b, run, start, start+n, identity)
			start += n
			if len(w.group.times) == groupRows {
				if err := w.flush(); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (g *group) add(b *block.Batch, run, start, end int, identity *Identity) {
	g.times = append(g.times, b.Times[start:end]...)
	if b.Kinds[run] == sample.String {
		for _, at := range b.Bits[start:end] {
			g.bits = append(g.bits, uint64(len(g.texts)))
			g.texts = append(g.texts, b.Texts[at])
		}
	} else {
		g.bits = append(g.bits, b.Bits[start:end]...)
	}
	for i := start; i < end; i++ {
		g.qualities = append(g.qualities, int32(b.Quality(i)))
	}
	g.versions = append(g.versions, b.Versions[start:end]...)
	g.positions = append(g.positions, b.Positions[start:end]...)
	g.runs = append(g.runs, groupRun{identity, identity.ID.String(), b.Kinds[run], len(g.times)})
}

func (g *group) reset() {
	clear(g.runs)
	clear(g.texts)
	*g = group{
		runs: g.runs[:0], times: g.times[:0], bits: g.bits[:0], texts: g.texts[:0],
		qualities: g.qualities[:0], versions: g.versions[:0], positions: g.positions[:0],
	}
}

// signed and floats see the same bits as another type: Parquet has no unsigned
// physical types, and a float's bits must not change.
func signed(v []uint64) []int64 {
	return unsafe.Slice((*int64)(unsafe.Pointer(unsafe.SliceData(v))), len(v))
}

func floats(v []uint64) []float64 {
	return unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(v))), len(v))
}

// flush writes the rows that are there as a row group.
func (w *partWriter) flush() error {
	g := &w.group
	if len(g.times) == 0 {
		return nil
	}
	if err := w.open(); err != nil {
		return err
	}
	to, err := w.to.AppendRowGroupChecked()
	if err != nil {
		return err
	}
	for column := range columns {
		c, err := to.NextColumn()
		if err == nil {
			err = w.column(c, column)
		}
		if err == nil {
			err = c.Close()
		}
		if err != nil {
			return fmt.Errorf("column %d: %w", column, err)
		}
	}
	if err := to.Close(); err != nil {
		return err
	}
	w.rows += int64(len(g.times))
	g.reset()
	return nil
}

func (w *partWriter) column(to file.ColumnChunkWriter, column int) (err error) {
	g := &w.group
	switch c := to.(type) {
	case *file.ByteArrayColumnChunkWriter:
		if column == columnText {
			_, err = c.WriteBatch(w.textsOf(), w.levels(sample.String), nil)
		} else {
			err = w.writeNames(c, column)
		}
	case *file.Float64ColumnChunkWriter:
		values := w.bitsOf(sample.Float64)
		if !w.distinct.Repeats(values) || !exactInDictionary(values) {
			c.FallbackToPlain()
		}
		_, err = c.WriteBatch(floats(values), w.levels(sample.Float64), nil)
	case *file.BooleanColumnChunkWriter:
		w.bools = w.bools[:0]
		for _, v := range w.bitsOf(sample.Bool) {
			w.bools = append(w.bools, v != 0)
		}
		_, err = c.WriteBatch(w.bools, w.levels(sample.Bool), nil)
	case *file.Int32ColumnChunkWriter:
		_, err = c.WriteBatch(g.qualities, nil, nil)
	case *file.Int64ColumnChunkWriter:
		err = w.writeIntegers(c, column)
	}
	return err
}

func (w *partWriter) writeIntegers(to *file.Int64ColumnChunkWriter, column int) (err error) {
	var levels []int16
	var values []uint64
	switch column {
	case columnTime:
		_, err = to.WriteBatch(w.group.times, nil, nil)
		return err
	case columnInt:
		levels, values = w.levels(sample.Int64), w.bitsOf(sample.Int64)
	case columnVersion:
		values = w.group.versions
	default:
		values = w.group.positions
	}
	if !w.distinct.Repeats(values) {
		to.FallbackToPlain()
	}
	_, err = to.WriteBatch(signed(values), levels, nil)
	return err
}

// exactInDictionary says whether no value is one that the library's dictionary
// takes for another: NaNs, and zeros of both signs.
func exactInDictionary(values []uint64) bool {
	const infinity = 0x7ff << 52
	for _, v := range values {
		if v&infinity == infinity && v<<12 != 0 || v == 1<<63 {
			return false
		}
	}
	return true
}

// writeNames writes what is the same on each row of a run: a dictionary of them,
// and which each row has.
func (w *partWriter) writeNames(to *file.ByteArrayColumnChunkWriter, column int) error {
	names := array.NewStringBuilder(memory.DefaultAllocator)
	defer names.Release()
	known := map[string]int32{}
	w.indices = slices.Grow(w.indices[:0], len(w.group.times))
	for i := range w.group.runs {
		r := &w.group.runs[i]
		name := [columns]string{columnSeries: r.hex, columnMetric: r.identity.Metric, columnTags: r.identity.Tags}[column]
		at, ok := known[name]
		if !ok {
			at = int32(len(known))
			known[name] = at
			names.Append(name)
		}
		for len(w.indices) < r.end {
			w.indices = append(w.indices, at)
		}
	}
	dictionary := names.NewArray()
	defer dictionary.Release()
	if err := to.CurrentEncoder().(interface{ PutDictionary(arrow.Array) error }).PutDictionary(dictionary); err != nil {
		return err
	}
	if statistics, ok := to.PageStatistics().(*metadata.ByteArrayStatistics); ok && statistics != nil {
		if err := statistics.UpdateFromArrow(dictionary, false); err != nil {
			return err
		}
	}
	data := array.NewData(arrow.PrimitiveTypes.Int32, len(w.indices), []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(w.indices))}, nil, 0, 0)
	defer data.Release()
	indices := array.NewInt32Data(data)
	defer indices.Release()
	return to.WriteDictIndices(indices, nil, nil)
}

// levels says which rows have a value of a kind.
func (w *partWriter) levels(kind sample.Kind) []int16 {
	w.level = w.level[:0]
	start := 0
	for i := range w.group.runs {
		r := &w.group.runs[i]
		level := int16(0)
		if r.kind == kind {
			level = 1
		}
		for ; start < r.end; start++ {
			w.level = append(w.level, level)
		}
	}
	return w.level
}

// bitsOf gives the values of a kind, without the rows between.
func (w *partWriter) bitsOf(kind sample.Kind) []uint64 {
	w.some = w.some[:0]
	start := 0
	for i := range w.group.runs {
		if r := &w.group.runs[i]; r.kind == kind {
			w.some = append(w.some, w.group.bits[start:r.end]...)
		}
		start = w.group.runs[i].end
	}
	return w.some
}

func (w *partWriter) textsOf() []parquet.ByteArray {
	w.texts = w.texts[:0]
	for _, at := range w.bitsOf(sample.String) {
		text := w.group.texts[at]
		w.texts = append(w.texts, unsafe.Slice(unsafe.StringData(text), len(text)))
	}
	return w.texts
}

// close writes what is left and the footer.
func (w *partWriter) close() error {
	if err := errors.Join(w.flush(), w.open()); err != nil {
		return err
	}
	return w.to.Close()
}
