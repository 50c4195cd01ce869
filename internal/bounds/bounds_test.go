package bounds

import (
	"runtime"
	"testing"

	"github.com/apache/arrow-go/v18/parquet/compress"
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
