package block

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/zeebo/xxh3"
)

const (
	version  = 2 // what is written; 1 is read
	checksum = 8
	// A reader allocates for samples, runs and unpacked bytes before it has
	// seen them, so their sum, the weight, is bounded by the block's length:
	// free + perByte * length. A block that packs better is padded.
	free    = 4 << 10
	perByte = 32
)

// Flags of the header: which optional columns there are.
const (
	flagQualities = 1 << iota
	flagVersions
	flagPositions
	flagsKnown = flagQualities | flagVersions | flagPositions
)

// The sections, in their order in the block.
const (
	sectionTable      = iota // kinds, counts, forms and time references of the runs
	sectionHandles           // registered series
	sectionKeys              // series that are not registered
	sectionTimeFirsts        // scale, step and the first time of each time vector
	sectionTimeTurns         // the other times: deltas of deltas
	sectionFirsts            // the first integer of each run
	sectionDeltas            // the other integers
	sectionPlanes            // floats that are no short decimals
	sectionBools             // bits
	sectionTexts             // the dictionary
	sectionTextRefs          // one a string sample
	sectionExtras            // qualities, versions, positions
	sectionStatistics        // of long runs
	sectionOwn               // floats whose runs are columns of their own
	sections
)

// header is what stands before the sections.
type header struct {
	version byte
	flags   byte
	handles int
	keys    int
	samples int
	texts   int
	first   int64 // least time
	span    uint64
}

// part is where a section lies in a block.
type part struct {
	stored []byte
	raw    int // unpacked length
	mode   int
}

// layout is a block taken apart, nothing unpacked.
type layout struct {
	header
	parts [sections]part
}

func (h *header) runs() int { return h.handles + h.keys }

// append appends everything that stands before the sections.
func (l *layout) append(dst []byte) []byte {
	dst = append(dst, l.version, l.flags)
	for _, n := range [...]int{l.handles, l.keys, l.samples, l.texts} {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	if l.samples > 0 {
		dst = binary.AppendVarint(dst, l.first)
		dst = binary.AppendUvarint(dst, l.span)
	}
	var present uint16
	for i, p := range &l.parts {
		if p.raw != 0 {
			present |= 1 << i
		}
	}
	dst = binary.LittleEndian.AppendUint16(dst, present)
	for _, p := range &l.parts {
		switch {
		case p.mode != packRaw:
			dst = binary.AppendUvarint(dst, uint64(len(p.stored))<<2|uint64(p.mode))
			dst = binary.AppendUvarint(dst, uint64(p.raw))
		case p.raw > 0:
			dst = binary.AppendUvarint(dst, uint64(p.raw)<<2)
		}
	}
	return dst
}

// weight is what a reader may have to allocate for, without unit.
func (l *layout) weight() int {
	w := l.runs() + l.samples
	for _, p := range &l.parts {
		w += p.raw
	}
	return w
}

// seal pads the block that begins at start and appends its checksum.
func (l *layout) seal(dst []byte, start int) []byte {
	if least := (l.weight() - free + perByte - 1) / perByte; len(dst)-start+checksum < least {
		dst = append(dst, make([]byte, least-checksum-(len(dst)-start))...)
	}
	return binary.LittleEndian.AppendUint64(dst, xxh3.Hash(dst[start:]))
}

// parse gives a block taken apart.
func parse(body []byte) (*layout, error) {
	l := new(layout)
	err := l.parse(body)
	return l, err
}

// parse checks the checksum, then the header, and takes the block apart.
func (l *layout) parse(body []byte) error {
	end := len(body) - checksum
	if end < 2 || binary.LittleEndian.Uint64(body[end:]) != xxh3.Hash(body[:end]) {
		return fmt.Errorf("%w: the checksum of its %d bytes does not match", ErrCorrupt, len(body))
	}
	if body[0] < 1 || body[0] > version {
		return fmt.Errorf("%w: %d", ErrVersion, body[0])
	}
	*l = layout{header: header{version: body[0], flags: body[1]}}
	budget := uint64(free) + perByte*uint64(len(body))
	c := &cursor{data: body[2:end]}
	for _, n := range [...]*int{&l.handles, &l.keys, &l.samples, &l.texts} {
		v := c.uvarint()
		if v > budget {
			return fmt.Errorf("%w: it counts %d of something in %d bytes", ErrCorrupt, v, len(body))
		}
		*n = int(v)
	}
	if l.samples > 0 {
		l.first, l.span = c.varint(), c.uvarint()
	}
	if l.flags&^flagsKnown != 0 || l.span > uint64(math.MaxInt64)-uint64(l.first) {
		return fmt.Errorf("%w: its header makes no sense", ErrCorrupt)
	}
	return l.locate(c, budget)
}

// locate reads the directory and finds the sections.
func (l *layout) locate(c *cursor, budget uint64) error {
	bits := c.take(2)
	if bits == nil {
		return fmt.Errorf("%w: its header is cut short", ErrCorrupt)
	}
	present := binary.LittleEndian.Uint16(bits)
	if present>>sections != 0 || l.version == 1 && present>>sectionStatistics != 0 {
		return fmt.Errorf("%w: it has sections that this version does not know", ErrCorrupt)
	}
	var stored [sections]uint64
	for i := range l.parts {
		if present>>i&1 == 0 {
			continue
		}
		v := c.uvarint()
		size, mode := v>>2, int(v&3)
		if l.version == 1 { // one bit, which said zstd
			size, mode = v>>1, int(v&1)
		}
		raw := size
		if mode != packRaw {
			raw = c.uvarint()
		}
		if raw == 0 || raw > budget {
			return fmt.Errorf("%w: section %d claims %d bytes", ErrCorrupt, i, raw)
		}
		stored[i] = size
		l.parts[i] = part{raw: int(raw), mode: mode}
	}
	for i, size := range stored {
		l.parts[i].stored = c.take(size)
	}
	if c.bad || uint64(l.weight()) > budget {
		return fmt.Errorf("%w: its sections do not fit its %d bytes", ErrCorrupt, len(c.data))
	}
	for _, b := range c.data[c.at:] {
		if b != 0 {
			return fmt.Errorf("%w: its padding is not empty", ErrCorrupt)
		}
	}
	return nil
}

// Outline is what a block says of itself.
type Outline struct {
	Registered int // runs of registered series
	Keyed      int // runs of series that were not registered
	Samples    int
	MinTime    int64 // of all samples; 0 where there are none
	MaxTime    int64
}

// Runs gives the number of runs.
func (o Outline) Runs() int { return o.Registered + o.Keyed }

// Inspect checks a block's checksum and reads its header, unpacking nothing.
func Inspect(body []byte) (Outline, error) {
	l, err := parse(body)
	if err != nil {
		return Outline{}, fmt.Errorf("inspect block: %w", err)
	}
	return Outline{
		Registered: l.handles, Keyed: l.keys, Samples: l.samples,
		MinTime: l.first, MaxTime: int64(uint64(l.first) + l.span),
	}, nil
}
