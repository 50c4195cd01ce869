package block

import (
	"encoding/binary"
	"fmt"
)

// times is the time vectors of a batch.
type times struct{ vectors[int64] }

// bounds gives the least time and the distance to the greatest.
func (v *times) bounds() (first int64, span uint64) {
	if len(v.list) == 0 {
		return 0, 0
	}
	least, most := v.list[0][0], v.list[0][0]
	for _, times := range v.list {
		for _, t := range times {
			least, most = min(least, t), max(most, t)
		}
	}
	return least, uint64(most) - uint64(least)
}

// scale gives the greatest common divisor of all distances from first.
func (v *times) scale(first int64) uint64 {
	var divisor uint64
	for _, times := range v.list {
		for _, t := range times {
			distance := uint64(t) - uint64(first)
			if divisor != 0 && distance%divisor == 0 {
				continue
			}
			if divisor = greatestDivisor(divisor, distance); divisor == 1 {
				return 1
			}
		}
	}
	return max(divisor, 1)
}

func greatestDivisor(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// append appends the columns of times. All numbers are distances from first
// in units of the scale, and wrap around.
func (v *times) append(firsts, turns []byte, first int64) ([]byte, []byte) {
	if len(v.list) == 0 {
		return firsts, turns
	}
	scale := v.scale(first)
	place := func(t int64) uint64 { return (uint64(t) - uint64(first)) / scale }
	var step uint64 // the batch's own: what each vector is expected to begin with
	for _, times := range v.list {
		if len(times) > 1 {
			step = place(times[1]) - place(times[0])
			break
		}
	}
	firsts = binary.AppendUvarint(firsts, scale)
	firsts = binary.AppendUvarint(firsts, zigzag(int64(step)))
	var before uint64 // the vector's before first time
	for _, times := range v.list {
		last, expected := place(times[0]), step
		firsts = binary.AppendUvarint(firsts, zigzag(int64(last-before)))
		before = last
		for _, t := range times[1:] {
			now := place(t)
			delta := now - last
			turns = appendNumber(turns, zigzag(int64(delta-expected)))
			last, expected = now, delta
		}
	}
	return firsts, turns
}

// appendNumber is binary.AppendUvarint, quick where one byte does.
func appendNumber(dst []byte, v uint64) []byte {
	if v < 0x80 {
		return append(dst, byte(v))
	}
	return binary.AppendUvarint(dst, v)
}

// readVectors reads the vectors, whose lengths are given, one after the other
// into out, and checks that the header's bounds are met.
func readVectors(out []int64, sizes []int, h *header, begin, rest []byte) error {
	firsts, turns := &cursor{data: begin}, &cursor{data: rest}
	if len(sizes) == 0 {
		if !firsts.done() || !turns.done() {
			return fmt.Errorf("%w: times of no samples", ErrCorrupt)
		}
		return nil
	}
	scale := firsts.uvarint()
	step := uint64(firsts.varint())
	var before, most uint64
	least := ^uint64(0)
	for _, size := range sizes {
		vector := out[:size]
		out = out[size:]
		last := before + uint64(firsts.varint())
		before = last
		distance := last * scale
		least, most = min(least, distance), max(most, distance)
		vector[0] = int64(uint64(h.first) + distance)
		delta := step
		for i := range vector[1:] {
			delta += uint64(turns.varint())
			last += delta
			distance = last * scale
			least, most = min(least, distance), max(most, distance)
			vector[1+i] = int64(uint64(h.first) + distance)
		}
	}
	if !firsts.done() || !turns.done() {
		return fmt.Errorf("%w: the columns of times are too short or too long", ErrCorrupt)
	}
	if least != 0 || most != h.span {
		return fmt.Errorf("%w: its times are not those that its header says", ErrCorrupt)
	}
	return nil
}
