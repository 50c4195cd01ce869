package block

import (
	"encoding/binary"
	"fmt"
	"slices"

	"weir/internal/sample"
)

// How handles are written.
const (
	handlesListed = 0 // each on its own
	handlesDense  = 1 // how many each shard has, all of them from ordinal 0 on
)

// denseMost is how many series of a shard the dense mode can say.
const denseMost = 255

// appendHandles appends handles, in their order. What brings the whole of a
// fleet at once, as most messages and items do, is a byte a shard.
func (e *encoder) appendHandles(dst []byte, handles []sample.Handle) []byte {
	if len(handles) == 0 {
		return dst
	}
	var ok bool
	if e.dense, ok = appendDense(e.dense[:0], handles); ok {
		dst = append(dst, handlesDense)
		dst = binary.AppendUvarint(dst, uint64(handles[0]>>32))
		return append(dst, e.dense...)
	}
	return listHandles(append(dst, handlesListed), handles)
}

// appendDense appends how many series each shard has, from the first on; ok is
// false where they do not ascend, or a shard lacks one ahead of its last.
func appendDense(dst []byte, handles []sample.Handle) (counts []byte, ok bool) {
	next, shard := sample.Handle(0), handles[0]>>32
	most := 2*len(handles) + 16 // more shards than that are better listed
	for _, h := range handles {
		if h == next && len(dst) > 0 {
			if dst[len(dst)-1] == denseMost {
				return dst, false
			}
			dst[len(dst)-1]++
			next++
			continue
		}
		s := h >> 32
		if uint32(h) != 0 || len(dst) > 0 && s < shard+1 || s-shard > sample.Handle(most) {
			return dst, false
		}
		for ; len(dst) > 0 && shard+1 < s; shard++ {
			dst = append(dst, 0)
		}
		dst, shard, next = append(dst, 1), s, h+1
	}
	return dst, len(dst) <= most
}

// listHandles appends each handle. One in the shard of the handle before it is
// the zigzag of its distance from the next ordinal, so dense ordinals are
// zeros; one of another shard is the zigzag of the shards' distance and then
// its ordinal. The lowest bit tells them apart.
func listHandles(dst []byte, handles []sample.Handle) []byte {
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

// readHandles reads as many handles as out has room for. Version 1 had them
// listed only.
func readHandles(raw []byte, out []sample.Handle, old bool) error {
	c := &cursor{data: raw}
	if !old && len(out) > 0 {
		switch c.uvarint() {
		case handlesListed:
		case handlesDense:
			return readDense(c, out)
		default:
			return fmt.Errorf("%w: handles in an unknown mode", ErrCorrupt)
		}
	}
	const half = 1 << 32
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

// readDense reads handles that are dense in each shard.
func readDense(c *cursor, out []sample.Handle) error {
	shard := c.uvarint()
	counts := c.data[c.at:]
	if c.bad || shard > 1<<32-1-min(uint64(len(counts)), 1<<32-1) {
		return fmt.Errorf("%w: handles of an impossible shard", ErrCorrupt)
	}
	for _, n := range counts {
		if int(n) > len(out) {
			return fmt.Errorf("%w: its shards have more series than it has", ErrCorrupt)
		}
		first := sample.Handle(shard) << 32
		for ordinal := range out[:n] {
			out[ordinal] = first + sample.Handle(ordinal)
		}
		out = out[n:]
		shard++
	}
	if len(out) > 0 {
		return fmt.Errorf("%w: its shards have fewer series than it has", ErrCorrupt)
	}
	return nil
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
