package archive

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"

	"github.com/zeebo/xxh3"

	"weir/internal/block"
	"weir/internal/sample"
)

// Checksum is the sum, modulo 2^128, of the 128-bit xxh3 of each sample's
// canonical form: whatever the order in which samples are added, and however
// they are divided, the same samples give the same sum. The form is in
// docs/formats/archive.md.
type Checksum struct {
	high, low uint64
	form      []byte // scratch
}

// canonical form: series, time, kind, quality, version, position, value.
const formHead = 16 + 8 + 1 + 4 + 8 + 8

func (c *Checksum) add(id *sample.SeriesID, kind sample.Kind, b *block.Batch, i int) {
	form := c.form[:0]
	form = append(form, id[:]...)
	form = binary.LittleEndian.AppendUint64(form, uint64(b.Times[i]))
	form = append(form, byte(kind))
	form = binary.LittleEndian.AppendUint32(form, uint32(b.Quality(i)))
	form = binary.LittleEndian.AppendUint64(form, b.Versions[i])
	form = binary.LittleEndian.AppendUint64(form, b.Positions[i])
	if kind == sample.String {
		text := b.Texts[b.Bits[i]]
		form = binary.LittleEndian.AppendUint32(form, uint32(len(text)))
		form = append(form, text...)
	} else {
		form = binary.LittleEndian.AppendUint64(form, b.Bits[i])
	}
	c.form = form
	sum := xxh3.Hash128(form)
	var carry uint64
	c.low, carry = bits.Add64(c.low, sum.Lo, 0)
	c.high, _ = bits.Add64(c.high, sum.Hi, carry)
}

// Merge adds what another was made of.
func (c *Checksum) Merge(o *Checksum) {
	var carry uint64
	c.low, carry = bits.Add64(c.low, o.low, 0)
	c.high, _ = bits.Add64(c.high, o.high, carry)
}

// Remove takes away what another was made of.
func (c *Checksum) Remove(o *Checksum) {
	var borrow uint64
	c.low, borrow = bits.Sub64(c.low, o.low, 0)
	c.high, _ = bits.Sub64(c.high, o.high, borrow)
}

// parseChecksum reads what String gave.
func parseChecksum(text string) (*Checksum, error) {
	sum, err := hex.DecodeString(text)
	if err != nil || len(sum) != 16 {
		return nil, fmt.Errorf("%w: checksum %q", ErrCorrupt, text)
	}
	return &Checksum{high: binary.BigEndian.Uint64(sum), low: binary.BigEndian.Uint64(sum[8:])}, nil
}

// String gives the sum as 32 hex digits.
func (c *Checksum) String() string {
	var sum [16]byte
	binary.BigEndian.PutUint64(sum[:8], c.high)
	binary.BigEndian.PutUint64(sum[8:], c.low)
	return hex.EncodeToString(sum[:])
}

// tally is what is counted of samples, in whatever order they come.
type tally struct {
	rows        uint64
	checksum    Checksum
	hours       map[int64]uint64 // by the hour's start
	first, last int64            // times; of no rows: nothing
}

const hour = int64(3600e9)

func newTally() *tally { return &tally{hours: map[int64]uint64{}} }

// add counts a batch whose runs are of the series that ids gives.
func (t *tally) add(b *block.Batch, id func(sample.Handle) *sample.SeriesID) {
	t.checksum.form = append(t.checksum.form[:0], make([]byte, formHead)...)
	for run, handle := range b.Handles {
		start, end := b.Run(run)
		of := id(handle)
		for i := start; i < end; {
			begin := b.Times[i] - (b.Times[i]%hour+hour)%hour
			n := i
			for ; n < end && b.Times[n]-begin < hour; n++ {
				t.checksum.add(of, b.Kinds[run], b, n)
			}
			t.hours[begin] += uint64(n - i)
			i = n
		}
		if start < end {
			if t.rows == 0 {
				t.first, t.last = b.Times[start], b.Times[start]
			}
			t.first, t.last = min(t.first, b.Times[start]), max(t.last, b.Times[end-1])
		}
		t.rows += uint64(end - start)
	}
}

// merge adds what another has counted.
func (t *tally) merge(o *tally) {
	if o.rows == 0 {
		return
	}
	if t.rows == 0 {
		t.first, t.last = o.first, o.last
	}
	t.first, t.last = min(t.first, o.first), max(t.last, o.last)
	t.rows += o.rows
	t.checksum.Merge(&o.checksum)
	for start, n := range o.hours {
		t.hours[start] += n
	}
}

// The ends of time: a selection of all of it.
const (
	minTime = -1 << 63
	maxTime = 1<<63 - 1
)
