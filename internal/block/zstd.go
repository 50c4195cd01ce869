package block

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// leastPacked is the length from which packing a section is tried.
const leastPacked = 24

// window is the largest window a frame may ask for; the encoder's is half.
const window = 8 << 20

// packers are safe for concurrent use and hold no state between calls.
type packers struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

// shared gives the one pair of packers: each holds megabytes of tables.
var shared = sync.OnceValue(func() packers {
	encoder, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		// Deltas seldom repeat as strings, but are never evenly spread.
		zstd.WithAllLitEntropyCompression(true),
		zstd.WithWindowSize(window/2),
		zstd.WithEncoderCRC(false),
		zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(fmt.Sprintf("block: zstd refuses its options: %v", err))
	}
	decoder, err := zstd.NewReader(nil,
		zstd.WithDecoderMaxWindow(window),
		// What does not fit the declared length is refused, not allocated.
		zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderConcurrency(0))
	if err != nil {
		panic(fmt.Sprintf("block: zstd refuses its options: %v", err))
	}
	return packers{encoder, decoder}
})

// pack appends raw, packed as one zstd frame, to dst. ok is false, and dst as
// it was, where that saves nothing.
func pack(dst, raw []byte) (out []byte, ok bool) {
	if len(raw) < leastPacked {
		return dst, false
	}
	out = shared().encoder.EncodeAll(raw, dst)
	if len(out)-len(dst) >= len(raw) {
		return out[:len(dst)], false
	}
	return out, true
}

// unpack unpacks a frame into dst, whose length must be what it unpacks to.
func unpack(dst, packed []byte) error {
	out, err := shared().decoder.DecodeAll(packed, dst[:0:len(dst)])
	if err != nil {
		return fmt.Errorf("%w: section: %w", ErrCorrupt, err)
	}
	if len(out) != len(dst) {
		return fmt.Errorf("%w: a section unpacks to %d bytes, not %d", ErrCorrupt, len(out), len(dst))
	}
	return nil
}
