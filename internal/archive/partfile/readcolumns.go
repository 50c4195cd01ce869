package partfile

import (
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"

	"weir/internal/sample"
)

var errShort = errors.New("a column ends before its rows do")

// column is what the library's readers of one physical type have in common.
type column[T any] interface {
	Skip(rows int64) (int64, error)
	ReadBatch(rows int64, values []T, levels, repeated []int16) (int64, int, error)
}

// readRequired appends the wanted rows of a column that has no nulls.
func readRequired[T any](c column[T], ranges []rowRange, to []T) ([]T, error) {
	at := 0
	for _, want := range ranges {
		if want.start > at {
			if _, err := c.Skip(int64(want.start - at)); err != nil {
				return to, err
			}
		}
		n := want.end - want.start
		had := len(to)
		to = slices.Grow(to, n)[:had+n]
		for n > 0 {
			_, read, err := c.ReadBatch(int64(n), to[len(to)-n:], nil, nil)
			if err != nil {
				return to, err
			}
			if read == 0 {
				return to, errShort
			}
			n -= read
		}
		at = want.end
	}
	return to, nil
}

func open[C any](g *file.RowGroupReader, at int) (c C, err error) {
	opened, err := g.Column(at)
	if err != nil {
		return c, err
	}
	c, ok := opened.(C)
	if !ok {
		return c, fmt.Errorf("column %d is of another type", at)
	}
	return c, nil
}

func readInts(r *Reader, g *file.RowGroupReader, at int, to []int64) ([]int64, error) {
	c, err := open[*file.Int64ColumnChunkReader](g, at)
	if err != nil {
		return to, err
	}
	return readRequired(c, r.ranges, to)
}

// readOrder reads versions or positions, which are of one commit at times.
func (r *Reader) readOrder(g *file.RowGroupReader, at int, spare []uint64) ([]uint64, error) {
	n := len(r.batch.Times)
	out := slices.Grow(spare[:0], n)
	if s, ok := statistics[*metadata.Int64Statistics](g, at); ok && s.HasMinMax() && s.Min() == s.Max() {
		for range n {
			out = append(out, uint64(s.Min()))
		}
		return out, nil
	}
	read, err := readInts(r, g, at, signed(out[:0:cap(out)]))
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(read))), len(read)), err
}

func (r *Reader) readQualities(g *file.RowGroupReader) error {
	if s, ok := statistics[*metadata.Int32Statistics](g, columnQuality); ok && s.HasMinMax() && s.Min() == 0 && s.Max() == 0 {
		return nil
	}
	c, err := open[*file.Int32ColumnChunkReader](g, columnQuality)
	if err != nil {
		return err
	}
	if r.words, err = readRequired(c, r.ranges, r.words[:0]); err != nil {
		return err
	}
	for _, q := range r.words {
		if q != 0 {
			for _, q := range r.words {
				r.batch.Qualities = append(r.batch.Qualities, sample.Quality(q))
			}
			return nil
		}
	}
	return nil
}

// readValues reads the values of all kinds, and tells the kind of each run: one
// whose column has a value on each of its rows.
func (r *Reader) readValues(g *file.RowGroupReader) error {
	b := &r.batch
	n := len(b.Times)
	b.Bits = slices.Grow(b.Bits[:0], n)[:n]
	for _, of := range []struct {
		kind sample.Kind
		read func(*file.RowGroupReader, bool) error
	}{{sample.Float64, r.readFloats}, {sample.Int64, r.readIntegers}, {sample.Bool, r.readBools}, {sample.String, r.readTexts}} {
		nulls := nullsOf(g, of.kind)
		if nulls == g.NumRows() {
			continue
		}
		if err := of.read(g, nulls == 0); err != nil {
			return err
		}
		if nulls == 0 && of.kind <= sample.Int64 { // all values were there, or it is an error
			for i := range b.Kinds {
				b.Kinds[i] = of.kind
			}
			return nil
		}
		if err := r.tellKinds(of.kind); err != nil {
			return err
		}
	}
	for i, kind := range b.Kinds {
		if kind == 0 {
			return fmt.Errorf("run %d has no values", i)
		}
	}
	return nil
}

func columnOf(kind sample.Kind) int { return columnFloat + int(kind-sample.Float64) }

// nullsOf gives how many rows have no value of a kind, -1 where that is not told.
func nullsOf(g *file.RowGroupReader, kind sample.Kind) int64 {
	chunk, err := g.MetaData().ColumnChunk(columnOf(kind))
	if err != nil {
		return -1
	}
	if set, err := chunk.StatsSet(); err != nil || !set {
		return -1
	}
	s, err := chunk.Statistics()
	if err != nil || !s.HasNullCount() {
		return -1
	}
	return s.NullCount()
}

// tellKinds looks at the levels that were read: a run has a value of the kind on
// each of its rows, or on none.
func (r *Reader) tellKinds(kind sample.Kind) error {
	b := &r.batch
	for i := range b.Kinds {
		start, end := b.Run(i)
		levels := r.levels[start:end]
		for _, level := range levels {
			if level != levels[0] {
				return fmt.Errorf("run %d has values of %s on some rows only", i, kind)
			}
		}
		switch {
		case levels[0] == 0:
		case b.Kinds[i] != 0:
			return fmt.Errorf("run %d has values of %s and %s", i, b.Kinds[i], kind)
		default:
			b.Kinds[i] = kind
		}
	}
	return nil
}

// readOptional reads the wanted rows of a column that may have nulls: levels of
// all of them, and values without the nulls, which put is told of by row.
func readOptional[T any](r *Reader, c column[T], put func(row int, v T)) error {
	n := len(r.batch.Times)
	r.levels = slices.Grow(r.levels[:0], n)[:n]
	const page = 16 << 10
	values := make([]T, min(page, n))
	at, row := 0, 0
	for _, want := range r.ranges {
		if want.start > at {
			if _, err := c.Skip(int64(want.start - at)); err != nil {
				return err
			}
		}
		for at = want.start; at < want.end; {
			levels := r.levels[row : row+min(len(values), want.end-at)]
			total, read, err := c.ReadBatch(int64(len(levels)), values, levels, nil)
			if err != nil {
				return err
			}
			if total == 0 {
				return errShort
			}
			next := 0
			for i, level := range levels[:total] {
				if level > 0 {
					if next == read {
						return errShort
					}
					put(row+i, values[next])
					next++
				}
			}
			at, row = at+int(total), row+int(total)
		}
	}
	return nil
}

// readWhole reads the wanted rows of a column of which none is null. The levels
// are read all the same: the library wants room for them.
func readWhole[T any](r *Reader, c column[T], to []T) error {
	at, row := 0, 0
	for _, want := range r.ranges {
		if want.start > at {
			if _, err := c.Skip(int64(want.start - at)); err != nil {
				return err
			}
		}
		for at = want.start; at < want.end; {
			n := want.end - at
			r.levels = slices.Grow(r.levels[:0], n)[:n]
			total, read, err := c.ReadBatch(int64(n), to[row:], r.levels, nil)
			if err != nil {
				return err
			}
			if total == 0 || int64(read) != total {
				return errShort
			}
			at, row = at+read, row+read
		}
	}
	return nil
}

func (r *Reader) readFloats(g *file.RowGroupReader, whole bool) error {
	c, err := open[*file.Float64ColumnChunkReader](g, columnFloat)
	if err != nil {
		return err
	}
	bits := floats(r.batch.Bits)
	if whole {
		return readWhole(r, c, bits)
	}
	return readOptional(r, c, func(row int, v float64) { bits[row] = v })
}

func (r *Reader) readIntegers(g *file.RowGroupReader, whole bool) error {
	c, err := open[*file.Int64ColumnChunkReader](g, columnInt)
	if err != nil {
		return err
	}
	bits := signed(r.batch.Bits)
	if whole {
		return readWhole(r, c, bits)
	}
	return readOptional(r, c, func(row int, v int64) { bits[row] = v })
}

func (r *Reader) readBools(g *file.RowGroupReader, _ bool) error {
	c, err := open[*file.BooleanColumnChunkReader](g, columnBool)
	if err != nil {
		return err
	}
	return readOptional(r, c, func(row int, v bool) {
		r.batch.Bits[row] = 0
		if v {
			r.batch.Bits[row] = 1
		}
	})
}

func (r *Reader) readTexts(g *file.RowGroupReader, _ bool) error {
	c, err := open[*file.ByteArrayColumnChunkReader](g, columnText)
	if err != nil {
		return err
	}
	b := &r.batch
	return readOptional(r, c, func(row int, v parquet.ByteArray) {
		if n := len(b.Texts); n == 0 || b.Texts[n-1] != string(v) {
			b.Texts = append(b.Texts, string(v))
		}
		b.Bits[row] = uint64(len(b.Texts) - 1)
	})
}
