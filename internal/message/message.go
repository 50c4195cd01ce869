// Package message owns what travels through the buffer: an envelope of
// identity, accept stamp and running totals around one block.
//
// A gateway life numbers its messages in each queue without gaps, from 0, its
// start message. Identity and stamp never change, however often a message is
// delivered, buried or redriven. The format is docs/formats/message.md.
//
// It imports sample alone: the block inside stays closed.
package message

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/zeebo/xxh3"

	"weir/internal/sample"
)

// Errors that Decode wraps.
var (
	// ErrCorrupt means that the bytes are not what Encode wrote.
	ErrCorrupt = errors.New("message is corrupt")
	// ErrVersion means that a newer Weir wrote the message. Leave it to one.
	ErrVersion = errors.New("message is of a version this program does not know")
)

// ID is a message's identity within its queue.
type ID struct {
	Life   Life
	Number uint64
}

// Life is one run of one gateway, from its start to its end: a random number.
type Life uint64

// String gives the life as 16 hex digits.
func (l Life) String() string { return fmt.Sprintf("%016x", uint64(l)) }

// ParseLife is the inverse of Life.String.
func ParseLife(s string) (Life, error) {
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil || len(s) != 16 {
		return 0, fmt.Errorf("gateway life %q: want 16 hex digits", s)
	}
	return Life(n), nil
}

// HasSamples says whether messages of the role carry samples.
func (r Role) HasSamples() bool { return r == Data || r == Fast }

// Stamp is a reading of a hybrid logical clock: ns since 1970 UTC, moved on
// so that one gateway never gives it twice and never goes back.
type Stamp uint64

// Role says what a message is for.
type Role uint8

// The roles. Their numbers are part of the format.
const (
	Data  Role = 1 // carries samples
	Start Role = 2 // opens a life in a queue: number 0
	Beat  Role = 3 // an idle life is still there
	Close Role = 4 // the life's last message in this queue
	Fast  Role = 5 // carries samples of series that are flushed every second or two
)

// Message is one message. Messages without samples have an empty Block; their
// week is that of their stamp.
type Message struct {
	Role     Role
	Life     Life
	Number   uint64 // within life and queue, without gaps
	Stamp    Stamp
	Queue    int // and so the partition of the week's journals
	Week     sample.Week
	Instance string // of Start: the gateway's place of work, where one life follows another

	Samples  uint64 // in Block
	Accepted uint64 // running total: samples of this life in this queue, this message's included
	Rejected uint64 // samples refused in answers since the life's message before, in any queue

	Block []byte
}

// ID gives the message's identity.
func (m *Message) ID() ID { return ID{m.Life, m.Number} }

// version is of messages but those that are Fast, which a program that does not
// know them is to leave alone.
const (
	version     = 1
	versionFast = 2
)

// version gives that of the message.
func (r Role) version() byte {
	if r == Fast {
		return versionFast
	}
	return version
}

var magic = [2]byte{'W', 'm'}

// Limits of what Decode takes.
const (
	MaxInstance = 256
	maxQueue    = sample.Shards
)

// Append appends m's encoding to dst.
func (m *Message) Append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, magic[0], magic[1], m.Role.version(), byte(m.Role))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Life))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Stamp))
	for _, v := range [...]uint64{m.Number, uint64(m.Queue), m.Samples, m.Accepted, m.Rejected} {
		dst = binary.AppendUvarint(dst, v)
	}
	dst = binary.AppendVarint(dst, int64(m.Week))
	dst = binary.AppendUvarint(dst, uint64(len(m.Instance)))
	dst = append(dst, m.Instance...)
	dst = append(dst, m.Block...)
	dst = append(dst, make([]byte, checksum)...)
	seal(dst[start:])
	return dst
}

// seal writes the checksum into the last bytes of a message.
func seal(body []byte) {
	end := len(body) - checksum
	binary.LittleEndian.PutUint64(body[end:], xxh3.Hash(body[:end]))
}

const (
	fixed    = 4 + 8 + 8
	checksum = 8
)

// Decode reads a message. Its Block points into body.
func Decode(body []byte) (Message, error) {
	var m Message
	if len(body) < fixed+checksum || body[0] != magic[0] || body[1] != magic[1] {
		return m, fmt.Errorf("%w: %d bytes that do not begin as a message", ErrCorrupt, len(body))
	}
	end := len(body) - checksum
	if binary.LittleEndian.Uint64(body[end:]) != xxh3.Hash(body[:end]) {
		return m, fmt.Errorf("%w: its checksum does not match", ErrCorrupt)
	}
	if body[2] < version || body[2] > versionFast {
		return m, fmt.Errorf("%w: %d", ErrVersion, body[2])
	}
	m.Role = Role(body[3])
	m.Life = Life(binary.LittleEndian.Uint64(body[4:]))
	m.Stamp = Stamp(binary.LittleEndian.Uint64(body[12:]))
	rest := body[fixed:end]
	var numbers [5]uint64
	for i := range numbers {
		v, w := binary.Uvarint(rest)
		if w <= 0 {
			return m, fmt.Errorf("%w: field %d is cut short", ErrCorrupt, i)
		}
		numbers[i], rest = v, rest[w:]
	}
	week, w := binary.Varint(rest)
	if w <= 0 || int64(sample.Week(week)) != week {
		return m, fmt.Errorf("%w: no week", ErrCorrupt)
	}
	rest = rest[w:]
	n, w := binary.Uvarint(rest)
	if w <= 0 || n > MaxInstance || n > uint64(len(rest)-w) {
		return m, fmt.Errorf("%w: no instance", ErrCorrupt)
	}
	if m.Role < Data || m.Role > Fast || m.Role.version() != body[2] || numbers[1] >= maxQueue {
		return m, fmt.Errorf("%w: role %d, queue %d", ErrCorrupt, m.Role, numbers[1])
	}
	m.Number, m.Queue = numbers[0], int(numbers[1])
	m.Samples, m.Accepted, m.Rejected = numbers[2], numbers[3], numbers[4]
	m.Week = sample.Week(week)
	m.Instance = string(rest[w : w+int(n)])
	m.Block = rest[w+int(n):]
	return m, nil
}

// Claimed gives the identity that a message says it has, also where its
// checksum does not match: good for telling who waits for it that it is
// damaged, never for believing what it holds. ok is false where it has none.
func Claimed(body []byte) (id ID, ok bool) {
	m, err := Decode(body)
	if errors.Is(err, ErrCorrupt) && len(body) >= checksum {
		again := bytes.Clone(body)
		seal(again)
		m, err = Decode(again)
	}
	return m.ID(), err == nil
}
