package block

import (
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/huff0"
	"github.com/klauspost/compress/zstd"
)

// How a section, or a chunk of one, is stored.
const (
	packRaw    = iota // as it is
	packZstd          // one zstd frame: finds what comes again
	packHuff          // one Huffman table and its bits: finds what comes often
	packRepeat        // one byte, which stands for all
	packs             // how many there are
)

// leastPacked is the length from which packing is tried, and leastFour that
// from which the Huffman bits are four streams, which are read at once.
const (
	leastPacked = 24
	leastFour   = 256
)

// chunk is how many raw bytes a chunk of a long column has: of as many a
// reader unpacks no more than it needs, and a Huffman table for each costs
// next to nothing.
const chunk = 32 << 10

// window is the largest window a frame may ask for; the encoder's is half.
const window = 8 << 20

// frames are safe for concurrent use and hold no state between calls.
type frames struct {
	fast, small *zstd.Encoder
	decoder     *zstd.Decoder
}

// shared gives the one set of packers: each holds megabytes of tables. They
// are used once, since they make their inner channels at the first use.
var shared = sync.OnceValue(func() frames {
	f := frames{newFrames(zstd.SpeedFastest), newFrames(zstd.SpeedBetterCompression), newUnframer()}
	for _, encoder := range []*zstd.Encoder{f.fast, f.small} {
		if _, err := f.decoder.DecodeAll(encoder.EncodeAll([]byte("w"), nil), make([]byte, 0, 1)); err != nil {
			panic(fmt.Sprintf("block: zstd does not read what it wrote: %v", err))
		}
	}
	return f
})

func newFrames(level zstd.EncoderLevel) *zstd.Encoder {
	encoder, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(level),
		// Deltas seldom repeat as strings, but are never evenly spread.
		zstd.WithAllLitEntropyCompression(true),
		zstd.WithWindowSize(window/2),
		zstd.WithEncoderCRC(false),
		zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(fmt.Sprintf("block: zstd refuses its options: %v", err))
	}
	return encoder
}

func newUnframer() *zstd.Decoder {
	decoder, err := zstd.NewReader(nil,
		zstd.WithDecoderMaxWindow(window),
		// What does not fit the declared length is refused, not allocated.
		zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderConcurrency(0))
	if err != nil {
		panic(fmt.Sprintf("block: zstd refuses its options: %v", err))
	}
	return decoder
}

// packer packs the sections of one block. It is not safe for concurrent use.
type packer struct {
	huff  huff0.Scratch
	small bool // try all that may make it smaller
	trial []byte
	// bodies are the chunks of one column.
	bodies []byte
}

// pack appends raw to dst, packed as it is smallest by what was tried, and
// says how. repeats says that the column may hold what comes again and again:
// zstd is tried, which costs most.
func (p *packer) pack(dst, raw []byte, repeats bool) ([]byte, int) {
	if len(raw) > 1 && raw[0] == raw[len(raw)-1] && allEqual(raw) {
		return append(dst, raw[0]), packRepeat
	}
	if len(raw) < leastPacked {
		return append(dst, raw...), packRaw
	}
	start := len(dst)
	dst, mode := p.entropy(dst, raw)
	if !repeats && !p.small && len(raw) <= huff0.BlockSizeMax {
		return dst, mode
	}
	frame := shared().fast
	if p.small {
		frame = shared().small
	}
	p.trial = frame.EncodeAll(raw, p.trial[:0])
	if len(p.trial) < len(dst)-start {
		return append(dst[:start], p.trial...), packZstd
	}
	return dst, mode
}

// entropy appends raw as Huffman bits, or as it is.
func (p *packer) entropy(dst, raw []byte) ([]byte, int) {
	if len(raw) > huff0.BlockSizeMax {
		return append(dst, raw...), packRaw
	}
	p.huff.Reuse = huff0.ReusePolicyNone
	compress := huff0.Compress1X
	if len(raw) >= leastFour {
		compress = huff0.Compress4X
	}
	out, _, err := compress(raw, &p.huff)
	if err != nil || len(out) >= len(raw) { // it says that it saves nothing
		return append(dst, raw...), packRaw
	}
	return append(dst, out...), packHuff
}

func allEqual(raw []byte) bool {
	return !slices.ContainsFunc(raw, func(b byte) bool { return b != raw[0] })
}

// appendChunks appends a long column in chunks: how each is stored, then all.
func (p *packer) appendChunks(dst, raw []byte, repeats bool) []byte {
	bodies := p.bodies[:0]
	for part := range slices.Chunk(raw, chunk) {
		start := len(bodies)
		var mode int
		bodies, mode = p.pack(bodies, part, repeats)
		dst = appendNumber(dst, uint64(len(bodies)-start)<<2|uint64(mode))
	}
	p.bodies = bodies
	return append(dst, bodies...)
}

// unpacker unpacks the sections of one block. It is not safe for concurrent use.
type unpacker struct{ huff *huff0.Scratch }

// unpack unpacks into dst, whose length must be what it unpacks to.
func (u *unpacker) unpack(dst, packed []byte, mode int) error {
	var out []byte
	var err error
	switch mode {
	case packRaw:
		if len(packed) == len(dst) {
			copy(dst, packed)
			return nil
		}
		out = packed
	case packRepeat:
		if len(packed) == 1 {
			for i := range dst {
				dst[i] = packed[0]
			}
			return nil
		}
		out = packed
	case packZstd:
		out, err = shared().decoder.DecodeAll(packed, dst[:0:len(dst)])
	case packHuff:
		return u.unhuff(dst, packed)
	}
	if err != nil {
		return fmt.Errorf("%w: section: %w", ErrCorrupt, err)
	}
	if len(out) != len(dst) {
		return fmt.Errorf("%w: a section unpacks to %d bytes, not %d", ErrCorrupt, len(out), len(dst))
	}
	return nil
}

func (u *unpacker) unhuff(dst, packed []byte) error {
	if len(dst) > huff0.BlockSizeMax {
		return fmt.Errorf("%w: %d bytes of Huffman bits", ErrCorrupt, len(dst))
	}
	if u.huff == nil {
		u.huff = &huff0.Scratch{}
	}
	scratch, bits, err := huff0.ReadTable(packed, u.huff)
	if err == nil {
		u.huff = scratch
		var out []byte
		if len(dst) >= leastFour {
			out, err = scratch.Decoder().Decompress4X(dst[:0:len(dst)], bits)
		} else {
			out, err = scratch.Decoder().Decompress1X(dst[:0:len(dst)], bits)
		}
		if err == nil && len(out) != len(dst) {
			err = fmt.Errorf("%d bytes, not %d", len(out), len(dst))
		}
	}
	if err != nil {
		return fmt.Errorf("%w: section: %w", ErrCorrupt, err)
	}
	return nil
}

// chunks reads a column that appendChunks wrote, as far as it is asked for.
type chunks struct {
	unpacker *unpacker
	raw      []byte // the column; what was not unpacked is rubbish
	modes    []uint64
	bodies   [][]byte
	done     []bool
}

// open reads how a column of len(raw) bytes is stored, and skips it.
func (c *chunks) open(from *cursor, raw []byte, u *unpacker) {
	n := (len(raw) + chunk - 1) / chunk
	c.unpacker, c.raw = u, raw
	c.modes, c.bodies, c.done = c.modes[:0], c.bodies[:0], c.done[:0]
	for range n {
		c.modes = append(c.modes, from.uvarint())
		c.done = append(c.done, false)
	}
	for _, m := range c.modes {
		c.bodies = append(c.bodies, from.take(m>>2))
	}
}

// need unpacks what holds the bytes [from, to).
func (c *chunks) need(from, to int) error {
	for i := from / chunk; i*chunk < to; i++ {
		if c.done[i] {
			continue
		}
		part := c.raw[i*chunk : min((i+1)*chunk, len(c.raw))]
		if err := c.unpacker.unpack(part, c.bodies[i], int(c.modes[i]&3)); err != nil {
			return err
		}
		c.done[i] = true
	}
	return nil
}
