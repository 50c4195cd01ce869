package bounds

import (
	"errors"
	"testing"

	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/klauspost/compress/zstd"
)

// TestFrameThatClaimsTooMuch: what a frame says of its length makes nobody
// allocate it.
func TestFrameThatClaimsTooMuch(t *testing.T) {
	if err := SetDecoder(); err != nil {
		t.Fatal(err)
	}
	codec, err := compress.GetCodec(compress.Codecs.Zstd)
	if err != nil {
		t.Fatal(err)
	}
	packed := codec.Encode(nil, []byte("some text"))
	if got, err := compress.Decode(codec, make([]byte, 9), packed); err != nil || string(got) != "some text" {
		t.Errorf("read %q, %v", got, err)
	}
	// One segment, its length in four bytes: 512 MiB; and an empty last block.
	claims := []byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0x20, 1, 0, 0}
	if _, err := compress.Decode(codec, make([]byte, 9), claims); !errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		t.Errorf("a frame of 512 MiB for 9 bytes: %v; want ErrDecoderSizeExceeded", err)
	}
}

// TestBuffersThatNoPartNeeds: a size of more than a page is a panic, which readers
// of parts take for damage.
func TestBuffersThatNoPartNeeds(t *testing.T) {
	a := Properties().Allocator()
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
