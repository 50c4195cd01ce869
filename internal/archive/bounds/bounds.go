// Package bounds keeps the Parquet library from taking more memory than a part
// of an archive needs, whatever damaged bytes ask for.
//
// It owns the limits of pages and buffers, and the decoder of zstd. It refuses to
// know what a part holds, and imports nothing of ours.
package bounds

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/klauspost/compress/zstd"
)

// maxAllocation bounds what one page makes the library allocate, so that a
// damaged length is an error.
const maxAllocation = 256 << 20

// Properties are those that a part is opened with.
func Properties() *parquet.ReaderProperties {
	p := parquet.NewReaderProperties(allocator{memory.NewGoAllocator()})
	p.MaxCompressedPageSize, p.MaxUncompressedPageSize = maxAllocation, maxAllocation
	return p
}

// allocator refuses what no part needs.
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

// SetDecoder makes the library's decoder of zstd, which is one for the whole
// process, give no more than a page's header asked for. The library's own takes
// the length in the compressed frame for right: a flipped bit there makes it
// allocate gigabytes, and that ends the process. Call it once, before any part is
// read or written.
func SetDecoder() error {
	codec, err := compress.GetCodec(compress.Codecs.Zstd)
	if err != nil {
		return err
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return err
	}
	compress.RegisterCodec(compress.Codecs.Zstd, boundedZstd{codec, decoder})
	return nil
}

// boundedZstd is the library's zstd with a decoder that stays within the room
// that it is given.
type boundedZstd struct {
	compress.Codec
	decoder *zstd.Decoder
}

func (z boundedZstd) DecodeWithError(room, packed []byte) ([]byte, error) {
	return z.decoder.DecodeAll(packed, room[:0])
}
