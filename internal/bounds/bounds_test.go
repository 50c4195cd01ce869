package bounds

import (
	"bytes"
	"errors"
	"runtime"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// TestLengthsThatClaimTooMuch: what compressed bytes say of their length makes
// nobody allocate it.
func TestLengthsThatClaimTooMuch(t *testing.T) {
	if err := SetDecoders(); err != nil {
		t.Fatal(err)
	}
	for of, claims := range map[compress.Compression][]byte{
		// One segment, its length in four bytes: 512 MiB; and an empty last block.
		compress.Codecs.Zstd: {0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0x20, 1, 0, 0},
		// 512 MiB as a varint, and a literal of one byte.
		compress.Codecs.Snappy: {0x80, 0x80, 0x80, 0x80, 0x02, 0, 'x'},
	} {
		codec, err := compress.GetCodec(of)
		if err != nil {
			t.Fatal(err)
		}
		packed := codec.Encode(nil, []byte("some text"))
		if got, err := compress.Decode(codec, make([]byte, 9), packed); err != nil || string(got) != "some text" {
			t.Errorf("%s: read %q, %v", of, got, err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := compress.Decode(codec, make([]byte, 9), claims); err == nil {
			t.Errorf("%s: 512 MiB fit in 9 bytes", of)
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 100<<20 {
			t.Errorf("%s: %d bytes were allocated for a page of 9", of, got)
		}
	}
}

// TestBuffersThatNoPartNeeds: a size of more than a page is a panic, which readers
// of parts take for damage.
func TestBuffersThatNoPartNeeds(t *testing.T) {
	a := properties().Allocator()
	if got := a.Reallocate(20, a.Allocate(10)); len(got) != 20 {
		t.Errorf("%d bytes", len(got))
	}
	for name, ask := range map[string]func(){
		"allocate":   func() { a.Allocate(maxAllocation + 1) },
		"reallocate": func() { a.Reallocate(maxAllocation+1, nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			ask()
		}()
	}
}

// TestColumnsLongerThanTheirFile damages each byte of a file: what is opened all
// the same has no column that is longer than the file.
func TestColumnsLongerThanTheirFile(t *testing.T) {
	root := schema.MustGroup(schema.NewGroupNode("schema", parquet.Repetitions.Required, schema.FieldList{schema.NewInt64Node("n", parquet.Repetitions.Required, -1)}, -1))
	var body bytes.Buffer
	w := file.NewParquetWriter(&body, root)
	group, err := w.AppendRowGroupChecked()
	if err != nil {
		t.Fatal(err)
	}
	column, err := group.NextColumn()
	if err == nil {
		_, err = column.(*file.Int64ColumnChunkWriter).WriteBatch([]int64{1, 2, 3}, nil, nil)
	}
	if err = errors.Join(err, column.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	opened := 0
	for at := range body.Len() {
		for _, xor := range []byte{0, 1, 0x40, 0x80, 0xff} {
			damaged := bytes.Clone(body.Bytes())
			damaged[at] ^= xor
			f := tryOpen(damaged)
			if f == nil {
				continue
			}
			opened++
			for g := range f.NumRowGroups() {
				chunk, err := f.MetaData().RowGroup(g).ColumnChunk(0)
				if err != nil || chunk.TotalCompressedSize() > int64(len(damaged)) || chunk.TotalCompressedSize() < 0 {
					t.Errorf("byte %d, bits %x: a column of %d bytes in a file of %d, %v", at, xor, chunk.TotalCompressedSize(), len(damaged), err)
				}
			}
		}
	}
	if opened < body.Len() {
		t.Errorf("%d files were opened; want each that is whole", opened)
	}
}

// tryOpen gives nil for what can't be opened; the library panics on some of that.
func tryOpen(body []byte) (f *file.Reader) {
	defer func() {
		if recover() != nil {
			f = nil
		}
	}()
	f, err := Open(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return nil
	}
	return f
}
