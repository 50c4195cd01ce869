package journal

import (
	"encoding/binary"

	"github.com/zeebo/xxh3"

	"weir/internal/store"
)

const (
	formatVersion  = 3             // that is read
	writtenVersion = 2             // of entries that say nothing of an erasure: older programs read them
	headerSize     = 2 + 1 + 1 + 8 // magic, version, kind, writer
	checksumSize   = 8
)

var magic = [2]byte{'W', 'j'}

// Encode appends e's encoding to dst.
func (e *Entry) Encode(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, magic[0], magic[1], e.version(), byte(e.kind()))
	dst = binary.LittleEndian.AppendUint64(dst, e.ID.Writer)
	dst = binary.AppendUvarint(dst, e.ID.Sequence)
	switch e.kind() {
	case kindEpoch:
		dst = appendText(dst, e.Epoch.Worker)
	case kindRegister:
		dst = e.Register.encode(dst)
	case kindCommit:
		dst = e.Commit.encode(dst)
	case kindMerge:
		dst = e.Merge.encode(dst)
	case kindSeal:
		dst = binary.AppendUvarint(dst, uint64(e.Seal.Revision))
	}
	dst = append(dst, make([]byte, checksumSize)...)
	seal(dst[start:])
	return dst
}

// version is the lowest that says all that the entry does.
func (e *Entry) version() byte {
	if e.Merge != nil && e.Merge.Erased > 0 {
		return formatVersion
	}
	return writtenVersion
}

// seal writes the checksum into the last bytes of an entry.
func seal(entry []byte) {
	end := len(entry) - checksumSize
	binary.LittleEndian.PutUint64(entry[end:], xxh3.Hash(entry[:end]))
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func (r *Register) encode(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(r.Series)))
	for _, s := range r.Series {
		dst = append(dst, byte(s.Kind))
		dst = appendText(dst, s.Key)
	}
	return dst
}

func (c *Commit) encode(dst []byte) []byte {
	dst = appendFlush(dst, c.Flush)
	dst = binary.AppendUvarint(dst, uint64(c.Revision))
	dst = append(dst, byte(c.Class))
	dst = binary.AppendUvarint(dst, uint64(c.Buckets))
	dst = binary.AppendVarint(dst, c.Span)
	dst = binary.AppendUvarint(dst, uint64(c.Horizon))
	dst = binary.AppendUvarint(dst, c.Overwritten)
	dst = binary.AppendUvarint(dst, c.Rejected)
	dst = encodeItems(dst, c.Items)
	dst = encodeHours(dst, c.Hours)
	dst = binary.AppendUvarint(dst, uint64(len(c.Lives)))
	for i := range c.Lives {
		dst = c.Lives[i].encode(dst)
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.Quarantined)))
	for i := range c.Quarantined {
		q := &c.Quarantined[i]
		dst = encodeItems(dst, []Item{q.Item})
		dst = binary.LittleEndian.AppendUint64(dst, uint64(q.Life))
		dst = appendText(dst, q.Reason)
		dst = binary.AppendUvarint(dst, q.Samples)
	}
	return dst
}

func appendFlush(dst []byte, f store.FlushID) []byte {
	dst = binary.AppendUvarint(dst, f.Epoch)
	return binary.LittleEndian.AppendUint64(dst, f.Nonce)
}

func (m *Merge) encode(dst []byte) []byte {
	dst = appendFlush(dst, m.Flush)
	dst = binary.AppendUvarint(dst, uint64(m.Revision))
	dst = binary.AppendUvarint(dst, uint64(m.Buckets))
	dst = binary.AppendVarint(dst, m.Span)
	dst = binary.AppendUvarint(dst, m.Overwritten)
	if m.Erased > 0 {
		dst = binary.AppendUvarint(dst, m.Erased)
	}
	dst = encodeItems(dst, m.Items)
	return encodeReplaced(dst, m.Replaces)
}

// encodeReplaced writes a flush's id once for all its items that follow.
func encodeReplaced(dst []byte, keys []store.ItemKey) []byte {
	flushes := 0
	for i, k := range keys {
		if i == 0 || k.Flush != keys[i-1].Flush {
			flushes++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(flushes))
	for start := 0; start < len(keys); {
		end := start
		var items []Item
		for end < len(keys) && keys[end].Flush == keys[start].Flush {
			items = append(items, Item{Span: keys[end].Span, Bucket: keys[end].Bucket, Part: keys[end].Part})
			end++
		}
		dst = appendFlush(dst, keys[start].Flush)
		dst = encodeItems(dst, items)
		start = end
	}
	return dst
}

// encodeItems writes spans and buckets as differences to the item before, so
// that the thousands of items of a large flush take a few bytes each.
func encodeItems(dst []byte, items []Item) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(items)))
	var last Item
	for _, i := range items {
		dst = binary.AppendVarint(dst, i.Span-last.Span)
		dst = binary.AppendVarint(dst, int64(i.Bucket)-int64(last.Bucket))
		dst = binary.AppendUvarint(dst, uint64(i.Part))
		dst = binary.AppendUvarint(dst, uint64(i.Samples))
		dst = binary.AppendUvarint(dst, uint64(i.Bytes))
		last = i
	}
	return dst
}

func encodeHours(dst []byte, hours []Hour) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(hours)))
	var last int64
	for _, h := range hours {
		dst = binary.AppendVarint(dst, h.Start-last)
		dst = binary.AppendUvarint(dst, h.Samples)
		last = h.Start
	}
	return dst
}

func (l *Life) encode(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(l.Life))
	dst = binary.AppendUvarint(dst, l.Samples)
	dst = binary.AppendUvarint(dst, uint64(l.First))
	dst = binary.AppendUvarint(dst, uint64(l.Last))
	dst = binary.AppendUvarint(dst, l.Accepted)
	dst = appendText(dst, l.Instance)
	dst = appendBool(dst, l.Started)
	dst = appendBool(dst, l.Closed)
	dst = binary.AppendUvarint(dst, uint64(len(l.Ranges)))
	var last uint64
	for _, r := range l.Ranges {
		dst = binary.AppendUvarint(dst, r.From-last)
		dst = binary.AppendUvarint(dst, r.To-r.From)
		last = r.To
	}
	return dst
}
