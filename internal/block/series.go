package block

import (
	"encoding/binary"
	"fmt"
	"slices"

	"weir/internal/sample"
)

// appendHandles appends handles, in their order. One in the shard of the
// handle before it is the zigzag of its distance from the next ordinal, so
// dense ordinals are zeros; one of another shard is the zigzag of the shards'
// distance and then its ordinal. The lowest bit tells them apart.
func appendHandles(dst []byte, handles []sample.Handle) []byte {
	var shard, next int64
	for _, h := range handles {
		s, ordinal := int64(h>>32), int64(h.Ordinal())
		if s == shard {
			dst = binary.AppendUvarint(dst, zigzag(ordinal-next)<<1)
		} else {
			dst = binary.AppendUvarint(dst, zigzag(s-shard)<<1|1)
			dst = binary.AppendUvarint(dst, uint64(ordinal))
		}
		shard, next = s, ordinal+1
	}
	return dst
}

// readHandles reads as many handles as out has room for.
func readHandles(raw []byte, out []sample.Handle) error {
	const half = 1 << 32
	c := &cursor{data: raw}
	var shard, next int64
	for run := range out {
		code := c.uvarint()
		distance := unzigzag(code >> 1)
		ordinal := next + distance
		if code&1 == 1 {
			shard += distance
			ordinal = int64(c.uvarint())
		}
		// One test for both: neither may be negative or need 33 bits.
		if uint64(ordinal) >= half || uint64(shard) >= half {
			return fmt.Errorf("%w: run %d has an impossible handle", ErrCorrupt, run)
		}
		next = ordinal + 1
		out[run] = sample.Handle(shard)<<32 | sample.Handle(ordinal)
	}
	return checkEnd(c, "handles")
}

// appendStrings appends strings: all lengths, then all bytes.
func appendStrings(dst []byte, texts []string) []byte {
	for _, s := range texts {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
	}
	for _, s := range texts {
		dst = append(dst, s...)
	}
	return dst
}

// readStrings appends n strings to dst. All share one allocation.
func readStrings(dst []string, raw []byte, n int) ([]string, error) {
	c := &cursor{data: raw}
	c.skip(n)
	if c.bad {
		return dst, fmt.Errorf("%w: %d strings in %d bytes", ErrCorrupt, n, len(raw))
	}
	all := string(raw[c.at:])
	c = &cursor{data: raw[:c.at]}
	dst = slices.Grow(dst, n)
	for range n {
		size := c.uvarint()
		if size > uint64(len(all)) {
			return dst, fmt.Errorf("%w: a string of %d bytes", ErrCorrupt, size)
		}
		dst = append(dst, all[:size])
		all = all[size:]
	}
	if len(all) > 0 {
		c.fail()
	}
	return dst, checkEnd(c, "strings")
}

// checkEnd gives an error unless the column was read to its end.
func checkEnd(c *cursor, what string) error {
	if !c.done() {
		return fmt.Errorf("%w: the column of %s is too short, too long or makes no sense", ErrCorrupt, what)
	}
	return nil
}
