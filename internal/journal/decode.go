package journal

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/zeebo/xxh3"

	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

// maxRevision bounds revisions, so that a volume's record has a name.
const maxRevision = 10_000

// DecodeEntry reads an entry. It keeps nothing of body.
func DecodeEntry(body []byte) (*Entry, error) {
	if len(body) < headerSize+checksumSize || body[0] != magic[0] || body[1] != magic[1] {
		return nil, fmt.Errorf("%w: %d bytes that do not begin as an entry", ErrCorrupt, len(body))
	}
	end := len(body) - checksumSize
	if binary.LittleEndian.Uint64(body[end:]) != xxh3.Hash(body[:end]) {
		return nil, fmt.Errorf("%w: its checksum does not match", ErrCorrupt)
	}
	version := body[2]
	if version < 1 || version > formatVersion {
		return nil, fmt.Errorf("%w: version %d", ErrVersion, version)
	}
	r := &reader{rest: body[4:end], version: version}
	e := &Entry{}
	e.ID.Writer = r.fixed()
	e.ID.Sequence = r.uvarint()
	switch kind(body[3]) {
	case kindEpoch:
		e.Epoch = &Epoch{Worker: r.text()}
	case kindRegister:
		e.Register = r.register()
	case kindCommit:
		e.Commit = r.commit()
	case kindMerge:
		e.Merge = r.merge()
	case kindSeal:
		e.Seal = &Seal{Revision: r.revision()}
	default:
		return nil, fmt.Errorf("%w: kind %d", ErrVersion, body[3])
	}
	if version == 1 && kind(body[3]) > kindCommit || version > 2 && kind(body[3]) != kindMerge {
		r.fail("kind %d in version %d", body[3], version)
	}
	if r.err == nil && len(r.rest) > 0 {
		r.fail("%d bytes too many", len(r.rest))
	}
	if r.err != nil {
		return nil, r.err
	}
	return e, nil
}

// reader takes an entry apart; the first error stays and all reads after it
// give zero.
type reader struct {
	rest    []byte
	version byte
	err     error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...)
	}
	r.rest = nil
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail("cut short")
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail("cut short")
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) fixed() uint64 {
	if len(r.rest) < 8 {
		r.fail("cut short")
		return 0
	}
	v := binary.LittleEndian.Uint64(r.rest)
	r.rest = r.rest[8:]
	return v
}

func (r *reader) byte() byte {
	if len(r.rest) < 1 {
		r.fail("cut short")
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) text() string {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.fail("a text of %d bytes in %d", n, len(r.rest))
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

// below reads a number that must be under limit.
func (r *reader) below(limit uint64, what string) uint64 {
	v := r.uvarint()
	if v >= limit {
		r.fail("%s %d; the limit is %d", what, v, limit)
		return 0
	}
	return v
}

// count reads how many parts follow, each of at least size bytes, so that a
// wrong count cannot make the reader allocate.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.rest)/size) {
		r.fail("%d parts in %d bytes", n, len(r.rest))
		return 0
	}
	return int(n)
}

func (r *reader) register() *Register {
	out := &Register{Series: make([]Registration, r.count(2))}
	for i := range out.Series {
		k := sample.Kind(r.byte())
		if !k.Valid() {
			r.fail("series of kind %d", k)
		}
		out.Series[i] = Registration{Kind: k, Key: r.text()}
	}
	return out
}

func (r *reader) commit() *Commit {
	c := &Commit{Flush: r.flush()}
	if r.version > 1 { // before it there was one revision, and one class
		c.Revision = r.revision()
		if c.Class = Class(r.byte()); c.Class >= Classes {
			r.fail("class %d", c.Class)
		}
	}
	c.Buckets = int(r.below(sample.Shards+1, "bucket count"))
	c.Span = r.varint()
	c.Horizon = message.Stamp(r.uvarint())
	c.Overwritten = r.uvarint()
	c.Rejected = r.uvarint()
	c.Items = r.items()
	c.Hours = r.hours()
	c.Lives = make([]Life, r.count(13))
	for i := range c.Lives {
		c.Lives[i] = r.life()
	}
	c.Quarantined = make([]Refusal, r.count(15))
	for i := range c.Quarantined {
		items := r.items()
		if len(items) != 1 {
			r.fail("%d items of one refusal", len(items))
			break
		}
		c.Quarantined[i] = Refusal{Item: items[0], Life: message.Life(r.fixed()), Reason: r.text(), Samples: r.uvarint()}
	}
	return c
}

func (r *reader) flush() store.FlushID {
	return store.FlushID{Epoch: r.uvarint(), Nonce: r.fixed()}
}

func (r *reader) revision() int { return int(r.below(maxRevision, "revision")) }

func (r *reader) merge() *Merge {
	m := &Merge{
		Flush: r.flush(), Revision: r.revision(), Buckets: int(r.below(sample.Shards+1, "bucket count")),
		Span: r.varint(), Overwritten: r.uvarint(),
	}
	if r.version > 2 { // before it nothing was erased
		if m.Erased = r.uvarint(); m.Erased == 0 {
			r.fail("a merge of version 3 that erases nothing")
		}
	}
	m.Items, m.Replaces = r.items(), r.replaced()
	return m
}

func (r *reader) replaced() []store.ItemKey {
	var keys []store.ItemKey
	for range r.count(10) {
		flush := r.flush()
		for _, i := range r.items() {
			keys = append(keys, store.ItemKey{Bucket: i.Bucket, Span: i.Span, Flush: flush, Part: i.Part})
		}
	}
	if !slices.IsSortedFunc(keys, CompareKeys) {
		r.fail("replaced items are not in order")
		return nil
	}
	return keys
}

func (r *reader) items() []Item {
	out := make([]Item, r.count(5))
	var last Item
	for i := range out {
		last.Span += r.varint()
		bucket := int64(last.Bucket) + r.varint()
		if bucket < 0 || bucket >= sample.Shards {
			r.fail("bucket %d", bucket)
			break
		}
		last.Bucket = sample.Shard(bucket)
		last.Part = uint16(r.below(math.MaxUint16+1, "part"))
		last.Samples = uint32(r.below(math.MaxUint32+1, "sample count"))
		last.Bytes = uint32(r.below(math.MaxUint32+1, "size"))
		out[i] = last
	}
	return out
}

func (r *reader) hours() []Hour {
	out := make([]Hour, r.count(2))
	var last int64
	for i := range out {
		last += r.varint()
		out[i] = Hour{Start: last, Samples: r.uvarint()}
	}
	return out
}

func (r *reader) life() Life {
	l := Life{
		Life: message.Life(r.fixed()), Samples: r.uvarint(),
		First: message.Stamp(r.uvarint()), Last: message.Stamp(r.uvarint()),
		Accepted: r.uvarint(), Instance: r.text(),
		Started: r.byte() != 0, Closed: r.byte() != 0,
	}
	l.Ranges = make([]Range, r.count(2))
	var last uint64
	for i := range l.Ranges {
		from := last + r.uvarint()
		to := from + r.uvarint()
		if from < last || to < from || (i > 0 && from == last) {
			r.fail("message range %d to %d after %d", from, to, last)
			break
		}
		l.Ranges[i] = Range{from, to}
		last = to
	}
	return l
}
