package result

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/klauspost/compress/s2"

	"weir/internal/objects"
)

// Writer writes one Parquet file of a result. The same rows give the same
// bytes. It is not safe for concurrent use.
//
// What lies in pages is encoded here, since columns are at hand whole: that takes
// a third of what the library's column writers take, which see value by value.
// The library frames the pages and writes the footer.
type Writer struct {
	columns    []Column
	object     objects.Writer
	counted    *objects.Counted
	properties *parquet.WriterProperties
	metadata   *metadata.FileMetaDataBuilder
	groups     int16
	file       File

	pages      pages
	compressed []byte // scratch
}

// magic begins and ends a Parquet file.
const magic = "PAR1"

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
	w := &Writer{columns: columns, object: object, counted: objects.Count(object), file: File{Name: name}}
	// Results are written more often than read: what is fast comes first.
	w.properties = parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Snappy), parquet.WithCreatedBy("weir"))
	w.metadata = metadata.NewFileMetadataBuilder(schema.NewSchema(root), w.properties, nil)
	if _, err := w.counted.Write([]byte(magic)); err != nil {
		object.Abort()
		return nil, err
	}
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
	group := w.metadata.AppendRowGroup()
	for i := range rows.Columns {
		if err := w.writeChunk(group.NextColumnChunk(), int16(i), &rows.Columns[i], rows.Len()); err != nil {
			return fmt.Errorf("parquet %s: column %s: %w", w.file.Name, w.columns[i].Name, err)
		}
	}
	group.SetNumRows(rows.Len())
	if err := group.Finish(w.counted.Bytes(), w.groups); err != nil {
		return fmt.Errorf("parquet %s: %w", w.file.Name, err)
	}
	w.groups++
	w.file.Rows += uint64(rows.Len())
	return nil
}

// position tells the library where in the file it is.
type position struct{ *objects.Counted }

// Tell gives how many bytes were written.
func (p position) Tell() int64 { return p.Bytes() }

// writeChunk writes a column of n rows: a page of what differs, if that is less,
// and one page of values or of places.
func (w *Writer) writeChunk(chunk *metadata.ColumnChunkMetaDataBuilder, ordinal int16, v *Values, n int) error {
	pager, err := file.NewPageWriter(position{w.counted}, compress.Codecs.Snappy, 0, chunk, w.groups, ordinal, memory.DefaultAllocator, false, nil, nil)
	if err != nil {
		return err
	}
	p := &w.pages
	p.encode(v, n)
	encoding := parquet.Encodings.Plain
	if p.distinct > 0 {
		encoding = parquet.Encodings.RLEDict
		page := file.NewDictionaryPage(memory.NewBufferBytes(p.dictionary), int32(p.distinct), parquet.Encodings.Plain)
		_, err := pager.WriteDictionaryPage(page)
		page.Release()
		if err != nil {
			return err
		}
	}
	w.compressed = s2.EncodeSnappy(w.compressed[:cap(w.compressed)], p.data)
	page := file.NewDataPageV1(memory.NewBufferBytes(w.compressed), int32(n), encoding, parquet.Encodings.RLE, parquet.Encodings.RLE, int32(len(p.data)))
	_, err = pager.WriteDataPage(page)
	page.Release()
	if err != nil {
		return err
	}
	chunk.SetStats(p.statistics)
	return pager.Close(p.distinct > 0, false)
}

// Close ends the file and says what it is.
func (w *Writer) Close() (File, error) {
	defer w.object.Abort()
	if err := w.writeFooter(); err != nil {
		return File{}, fmt.Errorf("parquet %s: %w", w.file.Name, err)
	}
	if err := w.object.Close(); err != nil {
		return File{}, err
	}
	w.file.Bytes, w.file.SHA256 = w.counted.Bytes(), w.counted.SHA256()
	return w.file, nil
}

func (w *Writer) writeFooter() error {
	footer, err := w.metadata.Finish()
	if err != nil {
		return err
	}
	n, err := footer.WriteTo(w.counted, nil)
	if err != nil {
		return err
	}
	_, err = w.counted.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(n)), magic...))
	return err
}

// Abort gives up.
func (w *Writer) Abort() { w.object.Abort() }
