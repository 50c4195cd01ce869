// Package journal owns the one source of truth of a week: an append-only log
// for each (week, partition) of who writes, which series there are, and which
// items and messages count. Nothing is believed that no journal names.
//
// It holds the laws of the design: a reader believes only what is named (1);
// items are written before the entry, and a lost answer is resolved by
// reading (2); a message is settled once it is named, and never stored twice
// (3); a merge is invisible (4); a cut never moves (5); one total order decides
// between samples of one series and time (6); the journal outlives the items
// that it names (7).
//
// It works on the store's put-if-absent and imports sample, block, message and
// store.
// The entries' format is docs/formats/journal.md.
package journal

import (
	"cmp"
	"errors"
	"fmt"

	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

// Errors of this package.
var (
	// ErrFenced means that another worker took the journal over: drop the
	// head and stop. What was not named comes again to that worker.
	ErrFenced = errors.New("journal was taken over by another worker")
	// ErrUncertain means that an append may or may not have happened. The
	// writer is of no further use; open another.
	ErrUncertain = errors.New("append to the journal has no known outcome")
	// ErrCorrupt means that an entry is not what was written.
	ErrCorrupt = errors.New("journal entry is corrupt")
	// ErrVersion means that a newer Weir wrote an entry.
	ErrVersion = errors.New("journal entry is of a version this program does not know")
	// ErrSealed means that the revision that a commit was written for has been
	// sealed: write its items anew, in the next revision's table.
	ErrSealed = errors.New("revision is sealed")
	// ErrOpen means that a volume takes items still: seal it first.
	ErrOpen = errors.New("volume is open")
	// ErrPinned means that somebody holds a cut that names what would be removed.
	ErrPinned = errors.New("volume is pinned")
	// ErrRemoved means that a cut names what a drop or a sweep has removed, or
	// is about to: take a new cut.
	ErrRemoved = errors.New("the cut names items that were removed")
)

// EntryID tells an entry from all others: a writer's random number and its count.
type EntryID struct {
	Writer   uint64
	Sequence uint64
}

// Entry is one entry. Exactly one of the parts is set.
type Entry struct {
	ID       EntryID
	Epoch    *Epoch
	Register *Register
	Commit   *Commit
	Merge    *Merge
	Seal     *Seal
}

// Epoch says that a worker takes the journal over.
type Epoch struct {
	Worker string // who, for people
}

// Register names new series. Each gets the next ordinal of its shard, in the
// order of the journal; a series that is registered already keeps what it has.
type Register struct {
	Series []Registration
}

// Registration is one series and its kind.
type Registration struct {
	Key  string // canonical form
	Kind sample.Kind
}

// Commit is one flush: what counts from here on.
type Commit struct {
	Flush    store.FlushID
	Revision int // whose table has the items; the open one where the commit stands
	Class    Class
	Buckets  int // of this flush; an item's bucket is a range of shards
	Span     int64
	Items    []Item        // sorted by span, bucket, part
	Horizon  message.Stamp // up to which the head's messages of the class were taken

	Lives       []Life    // sorted by life: the messages that this commit names
	Hours       []Hour    // sorted: the samples by hour of sample time
	Overwritten uint64    // samples that lost to another of this flush, in no item
	Quarantined []Refusal // samples that are kept apart
	Rejected    uint64    // samples refused in answers, as the messages told
}

// Class is which of a head's messages a flush takes. Each class has a horizon
// of its own, so that one may be flushed more often than the other.
type Class uint8

// The classes of messages.
const (
	Steady  Class = iota // flushed when the head is old or large
	Fast                 // messages of series that are flushed every second or two
	Classes              // how many there are
)

func (c Class) String() string {
	return [...]string{Steady: "steady", Fast: "fast"}[c]
}

// Merge says that items replace others of one revision. It counts only if all
// that it replaces is current where it stands, and no epoch later than its
// flush's stands before it (law 4): so whoever was paused in the middle of
// merging harms nothing, and two mergers of the same items are one. Nor does a
// reader see it, but for the samples that an erasure took out: they are gone from
// every cut, and the entry says how many they were.
type Merge struct {
	Flush       store.FlushID // of the new items
	Revision    int
	Buckets     int
	Span        int64
	Items       []Item          // sorted by span, bucket, part
	Replaces    []store.ItemKey // sorted by CompareKeys
	Overwritten uint64          // samples that lost to another of these items
	Erased      uint64          // samples that an erasure took out of these items
}

// Key gives the item's key.
func (m *Merge) Key(i Item) store.ItemKey {
	return store.ItemKey{Bucket: i.Bucket, Span: i.Span, Flush: m.Flush, Part: i.Part}
}

// CompareKeys orders item keys by flush, span, bucket and part.
func CompareKeys(a, b store.ItemKey) int {
	return cmp.Or(cmp.Compare(a.Flush.Epoch, b.Flush.Epoch), cmp.Compare(a.Flush.Nonce, b.Flush.Nonce),
		cmp.Compare(a.Span, b.Span), cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Part, b.Part))
}

// Seal ends a revision: what is committed after it is the next one's. A
// second seal of a revision says nothing.
type Seal struct{ Revision int }

// Item names an item of a flush. Its key is made of these and the flush's id.
type Item struct {
	Bucket  sample.Shard
	Span    int64
	Part    uint16
	Samples uint32
	Bytes   uint32
}

// Key gives the item's key.
func (c *Commit) Key(i Item) store.ItemKey {
	return store.ItemKey{Bucket: i.Bucket, Span: i.Span, Flush: c.Flush, Part: i.Part}
}

// Life tells which messages of a life a commit names, and what is known of
// the life from the latest of them.
type Life struct {
	Life    message.Life
	Ranges  []Range // sorted, not touching; they name no message of another journal
	Samples uint64  // in these messages, the quarantined included

	First    message.Stamp // the earliest stamp
	Last     message.Stamp // the latest stamp
	Accepted uint64        // the running total of the highest number
	Instance string        // where the start message is among them
	Started  bool
	Closed   bool // where the close message is among them
}

// Range is message numbers, both ends included.
type Range struct{ From, To uint64 }

// Hour counts samples whose time lies in the hour that begins at Start.
type Hour struct {
	Start   int64 // ns
	Samples uint64
}

// Refusal is samples that were accepted and then could not be stored, kept as
// an item of the quarantine's table with the reason.
type Refusal struct {
	Item    Item
	Life    message.Life
	Reason  string
	Samples uint64
}

// QuarantineTable is the table of the items that commits quarantine.
const QuarantineTable = "quarantine"

// Stored gives how many accepted samples the commit stores, those included
// that others of the same series and time overwrote.
func (c *Commit) Stored() uint64 {
	var n uint64
	for i := range c.Lives {
		n += c.Lives[i].Samples
	}
	return n - c.quarantined()
}

func (c *Commit) quarantined() uint64 {
	var n uint64
	for i := range c.Quarantined {
		n += c.Quarantined[i].Samples
	}
	return n
}

// kind numbers are part of the format.
type kind byte

const (
	kindEpoch    kind = 1
	kindRegister kind = 2
	kindCommit   kind = 3
	kindMerge    kind = 4
	kindSeal     kind = 5
)

func (e *Entry) kind() kind {
	switch {
	case e.Epoch != nil:
		return kindEpoch
	case e.Register != nil:
		return kindRegister
	case e.Commit != nil:
		return kindCommit
	case e.Merge != nil:
		return kindMerge
	case e.Seal != nil:
		return kindSeal
	}
	panic(fmt.Sprintf("journal: entry %v says nothing", e.ID))
}
