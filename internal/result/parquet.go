package result

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"weir/internal/objects"
)

// Writer writes one Parquet file of a result. The same rows give the same
// bytes. It is not safe for concurrent use.
type Writer struct {
	columns []Column
	object  objects.Writer
	counted *objects.Counted
	parquet *file.Writer
	file    File

	present []int16 // scratch: of each row 1, or 0 where it is null
}

// NewWriter begins a file.
func NewWriter(ctx context.Context, to objects.Objects, name string, columns []Column) (*Writer, error) {
	root, err := schemaOf(columns)
	if err != nil {
		return nil, fmt.Errorf("parquet %s: %w", name, err)
	}
	object, err := to.Create(ctx, name)
	if err != nil {
		return nil, err
	}
	w := &Writer{columns: columns, object: object, file: File{Name: name}}
	w.counted = objects.Count(object)
	// Results are written more often than read: what is fast comes first.
	properties := []parquet.WriterProperty{
		parquet.WithCompression(compress.Codecs.Snappy), parquet.WithCreatedBy("weir"), parquet.WithDictionaryDefault(false),
	}
	for _, c := range columns {
		switch c.Type {
		case Text:
			properties = append(properties, parquet.WithDictionaryFor(c.Name, true))
		case Time, Int:
			properties = append(properties, parquet.WithEncodingFor(c.Name, parquet.Encodings.DeltaBinaryPacked))
		}
	}
	w.parquet = file.NewParquetWriter(w.counted, root, file.WithWriterProps(parquet.NewWriterProperties(properties...)))
	return w, nil
}

// schemaOf gives the Parquet types of columns, as docs/formats/result.md has them.
func schemaOf(columns []Column) (*schema.GroupNode, error) {
	var fields schema.FieldList
	for _, c := range columns {
		var logical schema.LogicalType = schema.NoLogicalType{}
		physical := map[Type]parquet.Type{
			Text: parquet.Types.ByteArray, Time: parquet.Types.Int64, Int: parquet.Types.Int64,
			Float: parquet.Types.Double, Bool: parquet.Types.Boolean,
		}[c.Type]
		switch c.Type {
		case Text:
			logical = schema.StringLogicalType{}
		case Time:
			logical = schema.NewTimestampLogicalType(true, schema.TimeUnitNanos)
		}
		node, err := schema.NewPrimitiveNodeLogical(c.Name, parquet.Repetitions.Optional, logical, physical, -1, -1)
		if err != nil {
			return nil, err
		}
		fields = append(fields, node)
	}
	return schema.NewGroupNode("schema", parquet.Repetitions.Required, fields, -1)
}

// Write writes rows as one row group. They stay the caller's.
func (w *Writer) Write(rows *Rows) error {
	if rows.Len() == 0 {
		return nil
	}
	if err := rows.check(w.columns); err != nil {
		return fmt.Errorf("parquet %s: %w", w.file.Name, err)
	}
	group, err := w.parquet.AppendRowGroupChecked()
	if err != nil {
		return fmt.Errorf("parquet %s: %w", w.file.Name, err)
	}
	for i := range rows.Columns {
		chunk, err := group.NextColumn()
		if err == nil {
			err = w.write(chunk, &rows.Columns[i], rows.Len())
		}
		if err == nil {
			err = chunk.Close()
		}
		if err != nil {
			return fmt.Errorf("parquet %s: column %s: %w", w.file.Name, w.columns[i].Name, err)
		}
	}
	if err := group.Close(); err != nil {
		return fmt.Errorf("parquet %s: %w", w.file.Name, err)
	}
	w.file.Rows += uint64(rows.Len())
	return nil
}

// Close ends the file and says what it is.
func (w *Writer) Close() (File, error) {
	defer w.object.Abort()
	if err := w.parquet.Close(); err != nil {
		return File{}, fmt.Errorf("parquet %s: %w", w.file.Name, err)
	}
	if err := w.object.Close(); err != nil {
		return File{}, err
	}
	w.file.Bytes, w.file.SHA256 = w.counted.Bytes(), w.counted.SHA256()
	return w.file, nil
}

// Abort gives up.
func (w *Writer) Abort() { w.object.Abort() }

// write writes a column of so many rows.
func (w *Writer) write(chunk file.ColumnChunkWriter, v *Values, n int) error {
	w.present = w.present[:0]
	for i := range n {
		if v.Null != nil && v.Null[i] {
			w.present = append(w.present, 0)
		} else {
			w.present = append(w.present, 1)
		}
	}
	var err error
	switch chunk := chunk.(type) {
	case *file.Int64ColumnChunkWriter:
		_, err = chunk.WriteBatch(there(v.Ints, v.Null), w.present, nil)
	case *file.Float64ColumnChunkWriter:
		_, err = chunk.WriteBatch(there(v.Floats, v.Null), w.present, nil)
	case *file.BooleanColumnChunkWriter:
		set := make([]bool, 0, n)
		for _, x := range there(v.Ints, v.Null) {
			set = append(set, x != 0)
		}
		_, err = chunk.WriteBatch(set, w.present, nil)
	case *file.ByteArrayColumnChunkWriter:
		err = w.writeTexts(chunk, v)
	default:
		panic(fmt.Sprintf("result: no column is written by %T", chunk))
	}
	return err
}

// there gives the values that are not null.
func there[T any](values []T, null []bool) []T {
	if null == nil {
		return values
	}
	out := make([]T, 0, len(values))
	for i, x := range values {
		if !null[i] {
			out = append(out, x)
		}
	}
	return out
}

// writeTexts writes texts by their places in a dictionary, so that none is
// looked up for each row that has it.
func (w *Writer) writeTexts(chunk *file.ByteArrayColumnChunkWriter, v *Values) error {
	places, distinct, known := make([]int32, len(v.Texts)), array.NewStringBuilder(memory.DefaultAllocator), map[string]int32{}
	defer distinct.Release()
	for i, text := range v.Texts {
		place, ok := known[text]
		if !ok {
			place = int32(distinct.Len())
			known[text] = place
			distinct.Append(text)
		}
		places[i] = place
	}
	index := v.Index
	if len(known) < len(v.Texts) {
		index = make([]int32, len(v.Index))
		for i, at := range v.Index {
			index[i] = places[at]
		}
	}
	var valid []bool
	if v.Null != nil {
		valid = make([]bool, len(v.Null))
		for i, null := range v.Null {
			valid[i] = !null
		}
	}
	dictionary := distinct.NewArray()
	defer dictionary.Release()
	encoder, ok := chunk.CurrentEncoder().(interface{ PutDictionary(arrow.Array) error })
	if !ok {
		panic("result: a text column has no dictionary")
	}
	if err := encoder.PutDictionary(dictionary); err != nil {
		return err
	}
	builder := array.NewInt32Builder(memory.DefaultAllocator)
	defer builder.Release()
	builder.AppendValues(index, valid)
	indices := builder.NewArray()
	defer indices.Release()
	return chunk.WriteDictIndices(indices, w.present, nil)
}
