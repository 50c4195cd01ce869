package sample

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/zeebo/xxh3"
)

// Tag is one name and value of a series.
type Tag struct{ Name, Value string }

// Series names what is measured: a metric and tags sorted by name. Make one
// with NewSeries, so that equal series have equal keys.
type Series struct {
	Metric string
	Tags   []Tag
}

// Limits of a series' parts, in bytes. A key is the canonical form.
const (
	MaxMetric = 1 << 10
	MaxTags   = 128
	MaxKey    = 16 << 10
)

// NewSeries checks the parts and sorts the tags; it takes the slice over.
// A tag with an empty value is the same as no such tag, as in Prometheus'
// data model, and is left out.
func NewSeries(metric string, tags []Tag) (Series, error) {
	tags = slices.DeleteFunc(tags, func(t Tag) bool { return t.Value == "" })
	slices.SortFunc(tags, func(a, b Tag) int { return strings.Compare(a.Name, b.Name) })
	switch {
	case metric == "":
		return Series{}, errors.New("the metric's name is empty")
	case len(metric) > MaxMetric:
		return Series{}, fmt.Errorf("the metric's name has %d bytes; the limit is %d", len(metric), MaxMetric)
	case !utf8.ValidString(metric):
		return Series{}, errors.New("the metric's name is not valid UTF-8")
	case len(tags) > MaxTags:
		return Series{}, fmt.Errorf("%d tags; the limit is %d", len(tags), MaxTags)
	}
	size := len(metric)
	for i, t := range tags {
		switch {
		case t.Name == "":
			return Series{}, fmt.Errorf("tag %d has an empty name", i+1)
		case i > 0 && tags[i-1].Name == t.Name:
			return Series{}, fmt.Errorf("tag %q is given twice", t.Name)
		case !utf8.ValidString(t.Name) || !utf8.ValidString(t.Value):
			return Series{}, fmt.Errorf("tag %q is not valid UTF-8", t.Name)
		}
		size += len(t.Name) + len(t.Value)
	}
	if size > MaxKey-8*(len(tags)+1) {
		return Series{}, fmt.Errorf("metric and tags have %d bytes; the limit is about %d", size, MaxKey)
	}
	return Series{Metric: metric, Tags: tags}, nil
}

// AppendKey appends the canonical form: the metric and then each tag's name
// and value, each as its length (unsigned varint) and bytes.
func (s Series) AppendKey(dst []byte) []byte {
	dst = appendText(dst, s.Metric)
	for _, t := range s.Tags {
		dst = appendText(dst, t.Name)
		dst = appendText(dst, t.Value)
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// Key gives the canonical form as a string.
func (s Series) Key() string { return string(s.AppendKey(nil)) }

// ID gives the identity of s.
func (s Series) ID() SeriesID { return KeyID(s.AppendKey(nil)) }

// Tag gives a tag's value, "" when there is none.
func (s Series) Tag(name string) string {
	for _, t := range s.Tags {
		if t.Name == name {
			return t.Value
		}
	}
	return ""
}

// Compare orders series by metric, then by tags, name before value.
func (s Series) Compare(other Series) int {
	if c := strings.Compare(s.Metric, other.Metric); c != 0 {
		return c
	}
	for i := range min(len(s.Tags), len(other.Tags)) {
		a, b := &s.Tags[i], &other.Tags[i]
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		if c := strings.Compare(a.Value, b.Value); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(s.Tags), len(other.Tags))
}

// String writes s as metric{name="value",…}.
func (s Series) String() string {
	var b strings.Builder
	b.WriteString(s.Metric)
	if len(s.Tags) == 0 {
		return b.String()
	}
	for i, t := range s.Tags {
		b.WriteByte("{,"[min(i, 1)])
		fmt.Fprintf(&b, "%s=%q", t.Name, t.Value)
	}
	b.WriteByte('}')
	return b.String()
}

// ParseKey reads a canonical form back. What it accepts is exactly what
// AppendKey of a NewSeries writes.
func ParseKey(key []byte) (Series, error) {
	var parts []string
	for rest := key; len(rest) > 0; {
		n, w := binary.Uvarint(rest)
		if w <= 0 || n > uint64(len(rest)-w) {
			return Series{}, fmt.Errorf("series key: part %d does not fit its %d bytes", len(parts)+1, len(key))
		}
		parts = append(parts, string(rest[w:w+int(n)]))
		rest = rest[w+int(n):]
	}
	if len(parts)%2 == 0 {
		return Series{}, fmt.Errorf("series key: %d parts; want a metric and pairs of name and value", len(parts))
	}
	tags := make([]Tag, 0, len(parts)/2)
	for i := 1; i < len(parts); i += 2 {
		tags = append(tags, Tag{parts[i], parts[i+1]})
	}
	s, err := NewSeries(parts[0], tags)
	if err != nil {
		return Series{}, fmt.Errorf("series key: %w", err)
	}
	if string(s.AppendKey(nil)) != string(key) {
		return Series{}, errors.New("series key: tags are not sorted, or a length is written too long")
	}
	return s, nil
}

// SeriesID is the 128-bit xxh3 of the canonical form, big endian. All
// division of work is by prefix of it.
type SeriesID [16]byte

// KeyID gives the identity of the series with this canonical form.
func KeyID(key []byte) SeriesID { return xxh3.Hash128(key).Bytes() }

// String gives the identity as 32 hex digits.
func (id SeriesID) String() string { return hex.EncodeToString(id[:]) }

// Shards is the number of shards: the finest division there is.
const Shards = 1024

// Shard is the top ten bits of a SeriesID.
type Shard uint16

// Shard gives the shard of id.
func (id SeriesID) Shard() Shard { return Shard(binary.BigEndian.Uint16(id[:2]) >> 6) }

// Range gives which of n equal ranges of shards s lies in: a bucket of a
// table, a partition of the stream, a slice of a job. n is 1 to Shards.
func (s Shard) Range(n int) int { return int(s) * n / Shards }

// FirstShard gives the first shard of the r-th of n equal ranges.
func FirstShard(r, n int) Shard { return Shard((r*Shards + n - 1) / n) }

// Handle names a registered series within a week: its shard (upper 32 bits)
// and its ordinal within shard and week (lower 32 bits).
type Handle uint64

// NewHandle puts a handle together.
func NewHandle(s Shard, ordinal uint32) Handle { return Handle(s)<<32 | Handle(ordinal) }

// Shard gives the handle's shard.
func (h Handle) Shard() Shard { return Shard(h >> 32) }

// Ordinal gives the handle's ordinal.
func (h Handle) Ordinal() uint32 { return uint32(h) }
