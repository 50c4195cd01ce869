package feed

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"

	"weir/internal/sample"
)

// Cut is a position in each journal: the events before them were given. A
// journal that it does not name is read from its beginning; so it is one week
// after the other that a cut grows, by some bytes each. Not safe for
// concurrent use.
type Cut struct{ positions map[Journal]uint64 }

// Position gives how far a journal was read.
func (c *Cut) Position(j Journal) uint64 { return c.positions[j] }

// Set says how far a journal was read.
func (c *Cut) Set(j Journal, position uint64) {
	if c.positions == nil {
		c.positions = map[Journal]uint64{}
	}
	c.positions[j] = position
}

// Journals gives the journals of which something was read, in order.
func (c *Cut) Journals() []Journal {
	return slices.SortedFunc(maps.Keys(c.positions), func(a, b Journal) int {
		return cmp.Or(cmp.Compare(a.Week, b.Week), cmp.Compare(a.Partition, b.Partition))
	})
}

// Clone gives a cut of its own.
func (c *Cut) Clone() *Cut { return &Cut{maps.Clone(c.positions)} }

// prefix begins a token and says its version.
const prefix = "w1."

// Token gives the cut as a text, for a file or a URL: see
// docs/formats/token.md.
func (c *Cut) Token() string {
	var body []byte
	journals := slices.DeleteFunc(c.Journals(), func(j Journal) bool { return c.positions[j] == 0 })
	week := sample.Week(0)
	for len(journals) > 0 {
		of := journals[:1]
		for len(of) < len(journals) && journals[len(of)].Week == of[0].Week {
			of = journals[:len(of)+1]
		}
		journals = journals[len(of):]
		body = binary.AppendVarint(body, int64(of[0].Week)-int64(week))
		week = of[0].Week
		partitions := of[len(of)-1].Partition + 1
		body = binary.AppendUvarint(body, uint64(partitions))
		for p := range partitions {
			body = binary.AppendUvarint(body, c.positions[Journal{week, p}])
		}
	}
	body = binary.LittleEndian.AppendUint32(body, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	return prefix + base64.RawURLEncoding.EncodeToString(body)
}

// ParseToken is the inverse of Token. Its errors wrap ErrToken or ErrVersion.
func ParseToken(text string) (*Cut, error) {
	encoded, ok := strings.CutPrefix(text, prefix)
	if !ok {
		if version, _, ok := strings.Cut(text, "."); ok && len(version) > 1 && len(version) < 6 && version[0] == 'w' {
			return nil, fmt.Errorf("%w: %s", ErrVersion, version)
		}
		return nil, fmt.Errorf("%w: it does not begin with %s; give one as `weir tail` or /api/v1/tail gave it", ErrToken, prefix)
	}
	body, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err == nil && strings.ContainsAny(encoded, "\r\n") { // which it passes over
		err = errors.New("it has a line break")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: it is cut short or changed: %w", ErrToken, err)
	}
	end := len(body) - 4
	if end < 0 || binary.LittleEndian.Uint32(body[end:]) != crc32.Checksum(body[:end], crc32.MakeTable(crc32.Castagnoli)) {
		return nil, fmt.Errorf("%w: its checksum does not match; it is cut short or changed", ErrToken)
	}
	c := &Cut{}
	if !c.parse(body[:end]) {
		return nil, fmt.Errorf("%w: its weeks cannot be read", ErrToken)
	}
	return c, nil
}

// parse reads what lies between prefix and checksum, and says whether it could.
// It takes only what Token writes: a week once, in order, and no more
// partitions of it than have a position.
func (c *Cut) parse(body []byte) bool {
	week := int64(0)
	for first := true; len(body) > 0; first = false {
		delta, n := binary.Varint(body)
		if n <= 0 || !first && delta <= 0 {
			return false
		}
		week += delta
		partitions, k := binary.Uvarint(body[n:])
		if body = body[n+max(k, 0):]; k <= 0 || partitions < 1 || partitions > sample.Shards || int64(sample.Week(week)) != week {
			return false
		}
		for p := range int(partitions) {
			position, n := binary.Uvarint(body)
			if n <= 0 || position == 0 && p == int(partitions)-1 {
				return false
			}
			body = body[n:]
			if position > 0 {
				c.Set(Journal{sample.Week(week), p}, position)
			}
		}
	}
	return true
}
