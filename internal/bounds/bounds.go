// Package bounds keeps the Parquet library from taking more memory than what
// Weir writes needs, whatever damaged bytes ask for.
//
// It owns the limits of pages and buffers, and the decoders. It refuses to know
// what files hold, and imports nothing of ours.
package bounds

import (
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// maxAllocation bounds what one page makes the library allocate, so that a
// damaged length is an error.
const maxAllocation = 256 << 20

// Open opens a file of so many bytes and reads its footer. A column that the footer
// says is longer than the file is an error: the library allocates what it says. Of
// other damage the library may panic, which is the caller's to recover from.
func Open(of parquet.ReaderAtSeeker, size int64) (*file.Reader, error) {
	f, err := file.NewParquetReader(of, file.WithReadProps(properties()))
	if err != nil {
		return nil, err
	}
	for g := range f.NumRowGroups() {
		group := f.MetaData().RowGroup(g)
		for c := range group.NumColumns() {
			column, err := group.ColumnChunk(c)
			if err != nil {
				return nil, err
			}
			if n := column.TotalCompressedSize(); n < 0 || n > size {
				return nil, fmt.Errorf("column %d of row group %d has %d bytes in a file of %d", c, g, n, size)
			}
		}
	}
	return f, nil
}

// properties are those that a file is opened with.
func properties() *parquet.ReaderProperties {
	p := parquet.NewReaderProperties(allocator{memory.NewGoAllocator()})
	p.MaxCompressedPageSize, p.MaxUncompressedPageSize = maxAllocation, maxAllocation
	return p
}

// allocator refuses what no file needs.
type allocator struct{ memory.Allocator }

func (a allocator) Allocate(size int) []byte {
	if size > maxAllocation {
		panic(fmt.Sprintf("a buffer of %d bytes", size))
	}
	return a.Allocator.Allocate(size)
}

func (a allocator) Reallocate(size int, old []byte) []byte {
	if size > maxAllocation {
		panic(fmt.Sprintf("a buffer of %d bytes", size))
	}
	return a.Allocator.Reallocate(size, old)
}

// SetDecoders makes the library's decoders of zstd and Snappy, which are those of
// the whole process, give no more than a page's header asked for. The library's own
// take the length in the compressed bytes for right: a flipped bit there makes them
// allocate gigabytes, and that ends the process. Call it once, before any file is
// read or written.
func SetDecoders() error {
	decoder, err := zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return err
	}
	for of, decode := range map[compress.Compression]func(room, packed []byte) ([]byte, error){
		compress.Codecs.Zstd:   func(room, packed []byte) ([]byte, error) { return decoder.DecodeAll(packed, room[:0]) },
		compress.Codecs.Snappy: decodeSnappy,
	} {
		codec, err := compress.GetCodec(of)
		if err != nil {
			return err
		}
		compress.RegisterCodec(of, bounded{codec, decode})
	}
	return nil
}

func decodeSnappy(room, packed []byte) ([]byte, error) {
	if n, err := snappy.DecodedLen(packed); err != nil || n > cap(room) {
		return nil, errors.Join(err, fmt.Errorf("%d bytes of Snappy do not fit in a page of %d", n, cap(room)))
	}
	return snappy.Decode(room, packed)
}

// bounded is one of the library's codecs with a decoder that stays within the room
// that it is given.
type bounded struct {
	compress.Codec
	decode func(room, packed []byte) ([]byte, error)
}

func (b bounded) DecodeWithError(room, packed []byte) ([]byte, error) { return b.decode(room, packed) }
