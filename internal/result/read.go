package result

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"weir/internal/bounds"
	"weir/internal/objects"
)

// batchRows is how many rows are read at once.
const batchRows = 64 << 10

// Read gives the rows of a result in order, some at a time. They are valid only
// during the call. Each file is checked against the manifest first; an error of
// yield ends it and is returned.
func Read(ctx context.Context, from objects.Objects, m *Manifest, yield func(*Rows) error) error {
	for i := range m.Files {
		if err := readFile(ctx, from, m.Columns, &m.Files[i], yield); err != nil {
			return err
		}
	}
	return nil
}

// Check says whether a file is what a manifest says, reading all of it.
func (f *File) Check(r objects.Reader) error {
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(r, 0, r.Size())); err != nil {
		return fmt.Errorf("read %s: %w", f.Name, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); r.Size() != f.Bytes || got != f.SHA256 {
		return fmt.Errorf("%w: %s has %d bytes with the SHA-256 %s; the manifest says %d and %s; run the step again",
			ErrCorrupt, f.Name, r.Size(), got, f.Bytes, f.SHA256)
	}
	return nil
}

func sectionOf(object objects.Reader) *io.SectionReader {
	return io.NewSectionReader(object, 0, object.Size())
}

func readFile(ctx context.Context, from objects.Objects, columns []Column, f *File, yield func(*Rows) error) (err error) {
	object, err := from.Open(ctx, f.Name)
	if err != nil {
		return err
	}
	defer func() { _ = object.Close() }()
	if err := f.Check(object); err != nil {
		return err
	}
	// What the hash does not tell was written wrong; the library's readers panic
	// on some of that.
	inYield := false
	defer func() {
		if r := recover(); r != nil && !inYield {
			err = fmt.Errorf("%w: %s: %v", ErrCorrupt, f.Name, r)
		} else if r != nil {
			panic(r)
		}
	}()
	reader, err := bounds.Open(sectionOf(object), object.Size())
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, f.Name, err)
	}
	if reader.NumRows() != int64(f.Rows) {
		return fmt.Errorf("%w: %s has %d rows; the manifest says %d", ErrCorrupt, f.Name, reader.NumRows(), f.Rows)
	}
	if err := checkColumns(reader, columns); err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	rows, read := NewRows(columns), uint64(0)
	for i := range reader.NumRowGroups() {
		group := reader.RowGroup(i)
		if err := readGroup(ctx, group, f.Name, columns, rows, func(r *Rows) error {
			read += uint64(r.Len())
			inYield = true
			err := yield(r)
			inYield = false
			return err
		}); err != nil {
			return err
		}
	}
	if read != f.Rows {
		return fmt.Errorf("%w: %s has %d rows in its groups; the manifest says %d", ErrCorrupt, f.Name, read, f.Rows)
	}
	return nil
}

// readGroup gives the rows of a row group, in memory that it is given.
func readGroup(ctx context.Context, g *file.RowGroupReader, name string, columns []Column, rows *Rows, yield func(*Rows) error) (err error) {
	chunks := make([]file.ColumnChunkReader, len(columns))
	for i := range chunks {
		if chunks[i], err = g.Column(i); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrCorrupt, name, err)
		}
	}
	for left := g.NumRows(); left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(left, batchRows)
		rows.Reset()
		for i := range columns {
			if err := rows.Columns[i].read(chunks[i], n); err != nil {
				return fmt.Errorf("%w: %s: column %s: %w", ErrCorrupt, name, columns[i].Name, err)
			}
		}
		rows.n = int(n)
		left -= n
		if err := yield(rows); err != nil {
			return err
		}
	}
	return nil
}

// checkColumns says whether a file has the columns of a manifest.
func checkColumns(reader *file.Reader, columns []Column) error {
	root, err := schemaOf(columns)
	if err != nil {
		return err
	}
	got, want := reader.MetaData().Schema, schema.NewSchema(root)
	if !got.Equals(want) {
		return fmt.Errorf("%w: its columns are %s; the manifest says %s", ErrCorrupt, got, want)
	}
	return nil
}

// read appends n rows of a column chunk.
func (v *Values) read(chunk file.ColumnChunkReader, n int64) error {
	switch chunk := chunk.(type) {
	case *file.Int64ColumnChunkReader:
		return readValues(chunk.ReadBatch, n, v.Int, v.None)
	case *file.Float64ColumnChunkReader:
		return readValues(chunk.ReadBatch, n, v.Float, v.None)
	case *file.BooleanColumnChunkReader:
		return readValues(chunk.ReadBatch, n, v.Bool, v.None)
	case *file.ByteArrayColumnChunkReader:
		return readValues(chunk.ReadBatch, n, func(b parquet.ByteArray) {
			if k := len(v.Texts); k == 0 || v.Texts[k-1] != string(b) {
				v.Text(string(b))
				return
			}
			v.Text(v.Texts[len(v.Texts)-1])
		}, v.None)
	}
	return fmt.Errorf("it is read by %T", chunk)
}

// readValues reads n rows and calls add for each value, none for each null.
func readValues[T any](batch func(int64, []T, []int16, []int16) (int64, int, error), n int64, add func(T), none func()) error {
	values, present := make([]T, n), make([]int16, n)
	for n > 0 {
		rows, _, err := batch(n, values, present, nil)
		if err != nil {
			return err
		}
		if rows == 0 {
			return fmt.Errorf("%d rows are missing", n)
		}
		at := 0
		for _, there := range present[:rows] {
			if there == 0 {
				none()
				continue
			}
			add(values[at])
			at++
		}
		n -= rows
	}
	return nil
}
