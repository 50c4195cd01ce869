package block

import (
	"encoding/binary"
	"math"
)

// cursor reads a column's bytes. Its first failure sticks, and what it gives
// from then on is zero, so that loops, whose lengths the header bounds, need
// no error of their own; whoever used it asks done at the end.
type cursor struct {
	data []byte
	at   int
	bad  bool
}

func (c *cursor) uvarint() uint64 {
	if c.at < len(c.data) && c.data[c.at] < 0x80 {
		c.at++
		return uint64(c.data[c.at-1])
	}
	return c.long()
}

// long reads a number of several bytes.
func (c *cursor) long() uint64 {
	v, n := binary.Uvarint(c.data[c.at:])
	if n <= 0 {
		c.fail()
		return 0
	}
	c.at += n
	return v
}

func (c *cursor) varint() int64 { return unzigzag(c.uvarint()) }

// take gives the next n bytes.
func (c *cursor) take(n uint64) []byte {
	if n > uint64(len(c.data)-c.at) {
		c.fail()
		return nil
	}
	c.at += int(n)
	return c.data[c.at-int(n) : c.at]
}

// skip passes over n numbers.
func (c *cursor) skip(n int) {
	at := c.at
	for ; n > 0; at++ {
		if at >= len(c.data) {
			c.fail()
			return
		}
		if c.data[at] < 0x80 {
			n--
		}
	}
	c.at = at
}

func (c *cursor) fail() { c.at, c.bad = len(c.data), true }

// done says whether the column was read to its end without failure.
func (c *cursor) done() bool { return !c.bad && c.at == len(c.data) }

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// integer is what a run-length column may hold.
type integer interface {
	~int | ~uint8 | ~uint32 | ~uint64
}

// appendLengths appends values as a run-length column: the least value, then
// pairs of a value above the least and how often it is repeated.
func appendLengths[T integer](dst []byte, values []T) []byte {
	if len(values) == 0 {
		return dst
	}
	base := values[0]
	for _, v := range values {
		base = min(base, v)
	}
	dst = binary.AppendUvarint(dst, uint64(base))
	for start := 0; start < len(values); {
		v, end := values[start], start+1
		for end < len(values) && values[end] == v {
			end++
		}
		dst = binary.AppendUvarint(dst, uint64(v-base))
		dst = binary.AppendUvarint(dst, uint64(end-start-1))
		start = end
	}
	return dst
}

// lengths reads a run-length column of a known number of values.
type lengths struct {
	from *cursor
	base uint64
	most uint64 // a value above it is a failure

	value uint64
	left  uint64 // how often value still comes
}

// readLengths begins to read a column of n values, none above most.
func readLengths(from *cursor, n int, most uint64) lengths {
	l := lengths{from: from, most: most}
	if n > 0 {
		l.base = from.uvarint()
	}
	return l
}

// turn reads the next pair.
func (l *lengths) turn() {
	above, repeats := l.from.uvarint(), l.from.uvarint()
	l.value, l.left = l.base+above, repeats+1
	if l.value < above || l.value > l.most || l.left == 0 {
		l.from.fail()
		l.value, l.left = 0, math.MaxUint64
	}
}

// next gives the next value.
func (l *lengths) next() uint64 {
	if l.left == 0 {
		l.turn()
	}
	l.left--
	return l.value
}

// skip passes over n values.
func (l *lengths) skip(n int) {
	for n > 0 {
		if l.left == 0 {
			l.turn()
		}
		part := min(l.left, uint64(n))
		l.left -= part
		n -= int(part)
	}
}

// end is called after the last value: a pair must not reach past it.
func (l *lengths) end() {
	if l.left != 0 {
		l.from.fail()
	}
}

// fill reads len(out) values.
func fill[T integer](l *lengths, out []T) {
	for len(out) > 0 {
		if l.left == 0 {
			l.turn()
		}
		part := min(l.left, uint64(len(out)))
		for i := range out[:part] {
			out[i] = T(l.value)
		}
		l.left -= part
		out = out[part:]
	}
}
