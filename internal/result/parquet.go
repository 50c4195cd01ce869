package result

import (
	"context"
	"fmt"

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
	root    *schema.GroupNode
	object  objects.Writer
	counted *objects.Counted
	parquet *file.Writer // nil before the first rows
	file    File

	memory     *recycler
	properties *parquet.WriterProperties
	dictionary dictionary
	ones       []int16 // scratch: of each row 1, as it is there
	present    []int16 // scratch: of each row 1, or 0 where it is null
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
	return &Writer{columns: columns, root: root, object: object, counted: objects.Count(object), memory: &recycler{}, file: File{Name: name}}, nil
}

// begin begins the file. How its columns are written hangs on its first rows.
// Results are written more often than read: what is fast comes first.
func (w *Writer) begin(first *Rows) {
	properties := []parquet.WriterProperty{
		parquet.WithCompression(compress.Codecs.Snappy), parquet.WithCreatedBy("weir"), parquet.WithDictionaryDefault(false),
		parquet.WithBatchSize(encodedRows), parquet.WithAllocator(w.memory),
	}
	for i, c := range w.columns {
		switch {
		case c.Type == Text:
			properties = append(properties, parquet.WithDictionaryFor(c.Name, true))
		case w.dictionary.suits(&first.Columns[i]):
			// Packed places hardly become smaller.
			properties = append(properties, parquet.WithDictionaryFor(c.Name, true), parquet.WithCompressionFor(c.Name, compress.Codecs.Uncompressed))
		case c.Type == Time, c.Type == Int:
			properties = append(properties, parquet.WithEncodingFor(c.Name, parquet.Encodings.DeltaBinaryPacked))
		}
	}
	w.properties = parquet.NewWriterProperties(properties...)
	w.parquet = file.NewParquetWriter(w.counted, w.root, file.WithWriterProps(w.properties))
}

// encodedRows is how many rows of a column are encoded at once.
const encodedRows = 16 << 10

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
	if w.parquet == nil {
		w.begin(rows)
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
	if w.parquet == nil {
		w.begin(NewRows(w.columns))
	}
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
	present := w.presence(v.Null, n)
	if places, ok := chunk.(dictionaryWriter); ok && w.properties.DictionaryEnabledFor(chunk.Descr().Name()) {
		if v.Type == Text {
			distinct, index := textDictionary(v)
			return writePlaces(places, distinct, index, v.Null, present)
		}
		if w.dictionary.of(v) {
			return writePlaces(places, w.dictionary.array(v.Type), w.dictionary.index, nil, present)
		}
	}
	var err error
	switch chunk := chunk.(type) {
	case *file.Int64ColumnChunkWriter:
		_, err = chunk.WriteBatch(there(v.Ints, v.Null), present, nil)
	case *file.Float64ColumnChunkWriter:
		_, err = chunk.WriteBatch(there(v.Floats, v.Null), present, nil)
	case *file.BooleanColumnChunkWriter:
		set := make([]bool, 0, n)
		for _, x := range there(v.Ints, v.Null) {
			set = append(set, x != 0)
		}
		_, err = chunk.WriteBatch(set, present, nil)
	default:
		panic(fmt.Sprintf("result: no column is written by %T", chunk))
	}
	return err
}

// presence gives the definition level of each of n rows.
func (w *Writer) presence(null []bool, n int) []int16 {
	if null == nil {
		for len(w.ones) < n {
			w.ones = append(w.ones, 1)
		}
		return w.ones[:n]
	}
	w.present = w.present[:0]
	for _, isNull := range null {
		if isNull {
			w.present = append(w.present, 0)
		} else {
			w.present = append(w.present, 1)
		}
	}
	return w.present
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
