// Package store is the port of what is kept: week tables of items, journals
// beside them, and small records that are turned by conditional writes.
//
// It owns the contract and its errors, and the keys. Drivers are its
// children; storetest is the suite that each must pass. It imports sample
// alone: to a store, items and entries are bytes.
//
// # What holds after a crash at any point
//
// What a call that returned nil wrote is there after a power cut. A call that
// did not return, or failed, may have done all, nothing, or (Write and Delete
// only) some whole items: never a part of an item, entry or record. All calls but
// Append and Put are idempotent; those two are conditional, and who lost the
// answer reads what is there.
//
// # DynamoDB
//
// A table a volume (hash key bucket, range key span, flush and part), one
// table of journals (hash key week and partition, range key position) and one
// of records (hash key: its first segment, range key: all of it). 2026: a
// write unit is 1 KB, 0.625 $ a million; a read unit 4 KB strong, 0.125 $.
package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"weir/internal/sample"
)

// Errors that drivers wrap, so that errors.Is tells what to do.
var (
	// ErrTaken means that the journal has an entry at that position: read it.
	ErrTaken = errors.New("journal position is taken")
	// ErrConflict means that the record is not of that version: read it.
	ErrConflict = errors.New("record has changed")
	// ErrNotFound means that there is no such record.
	ErrNotFound = errors.New("no such record")
	// ErrNoTable means that there is no such table: it was never made, or dropped.
	ErrNoTable = errors.New("no such table")
	// ErrUnavailable means that the store did not answer, or not surely, or
	// has no room. Retry with backoff.
	ErrUnavailable = errors.New("store is unavailable")
	// ErrTooLarge means that the item or entry will never fit. Do not retry.
	ErrTooLarge = errors.New("too large for the store")
	// ErrCorrupt means that what is stored cannot be read. It is left as it
	// is, or set aside under another name; never deleted.
	ErrCorrupt = errors.New("stored data is corrupt")
	// ErrVersion means that a newer Weir wrote the data.
	ErrVersion = errors.New("data is of a version this program does not know")
	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("store is closed")
)

// Error says which operation failed, on what, and how to mend it.
type Error struct {
	Op   string // "write", "append", …
	Key  string // table, journal or record
	Hint string // what the operator can do; may be empty
	Err  error
}

func (e *Error) Error() string {
	s := fmt.Sprintf("store: %s %s: %v", e.Op, e.Key, e.Err)
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// FlushID names one attempt to flush: the last epoch that the writer had read
// in the journal and a random number, so that no two attempts share one.
type FlushID struct {
	Epoch uint64 // journal position of the epoch
	Nonce uint64
}

func (f FlushID) String() string { return fmt.Sprintf("%d-%016x", f.Epoch, f.Nonce) }

// ItemKey names an item within its table. Bucket is the first shard of the
// bucket, so that buckets of different counts never clash. Span is the start
// of the aligned time span that the item's samples lie in, in ns.
type ItemKey struct {
	Bucket sample.Shard
	Span   int64
	Flush  FlushID
	Part   uint16
}

// KeySize is the length of an encoded ItemKey.
const KeySize = 2 + 8 + 8 + 8 + 2

// Append appends the key so that bytes sort as bucket, span, flush, part do.
func (k ItemKey) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(k.Bucket))
	dst = binary.BigEndian.AppendUint64(dst, uint64(k.Span)^1<<63)
	dst = binary.BigEndian.AppendUint64(dst, k.Flush.Epoch)
	dst = binary.BigEndian.AppendUint64(dst, k.Flush.Nonce)
	return binary.BigEndian.AppendUint16(dst, k.Part)
}

// ParseItemKey is the inverse of Append.
func ParseItemKey(b []byte) (ItemKey, error) {
	if len(b) != KeySize {
		return ItemKey{}, fmt.Errorf("%w: an item key of %d bytes; want %d", ErrCorrupt, len(b), KeySize)
	}
	return ItemKey{
		Bucket: sample.Shard(binary.BigEndian.Uint16(b)),
		Span:   int64(binary.BigEndian.Uint64(b[2:]) ^ 1<<63),
		Flush:  FlushID{binary.BigEndian.Uint64(b[10:]), binary.BigEndian.Uint64(b[18:])},
		Part:   binary.BigEndian.Uint16(b[26:]),
	}, nil
}

// Item is one item of a week table. Items are written once, never updated.
type Item struct {
	Key  ItemKey
	Body []byte
}

// Tables is the week tables. Table names are lower-case letters, digits and
// underscores, at most 64. All methods are safe for concurrent use.
type Tables interface {
	// Ensure makes a table unless it is there. DynamoDB: CreateTable, and
	// waiting until it is ACTIVE; at most 2,500 tables an account.
	Ensure(ctx context.Context, table string) error

	// Names lists the tables, sorted. DynamoDB: ListTables, 100 a page.
	Names(ctx context.Context) ([]string, error)

	// Drop removes a table and all in it; one that is not there is no error.
	// DynamoDB: DeleteTable.
	Drop(ctx context.Context, table string) error

	// Write stores items and returns when all are durable. An item that is
	// there already, with the same key, is replaced: by the same bytes, but for
	// items of the quarantine, from which an erasure takes samples. Bodies stay
	// the caller's and are not kept. An error is *Unwritten where some
	// items may be there.
	//
	// DynamoDB: BatchWriteItem, 25 items and 16 MB a call, a unit a KB of
	// each; UnprocessedItems are retried by the driver with backoff. An item
	// has at most MaxItem bytes.
	Write(ctx context.Context, table string, items []Item) error

	// Query calls yield for the items of a bucket whose span lies in
	// [from, to], in the order of their keys, until it returns false. The
	// item's body is valid only during the call. Items that nothing names are
	// among them (journal law 1). Items that cannot be read are passed over:
	// all others are given, and the error is *Unreadable. Other errors end it
	// where they come.
	//
	// DynamoDB: Query on one hash key, 1 MB a page, half a unit for each 4 KB
	// of a page where eventual reads will do; Weir reads strongly.
	Query(ctx context.Context, table string, bucket sample.Shard, from, to int64, yield func(Item) bool) error

	// Delete removes items and returns when that is durable; one that is not
	// there is no error. A Query that runs meanwhile gives each of them whole
	// or not at all. Their room comes back in time, not at once. An error is
	// *Undeleted where some items may be gone: delete those keys again.
	//
	// DynamoDB: BatchWriteItem, 25 items a call, a unit a KB of each item that
	// is deleted and one for each that is not there; UnprocessedItems are
	// retried by the driver with backoff. So to delete an item costs what it
	// cost to write it: a whole table is dropped instead, which is free.
	Delete(ctx context.Context, table string, keys []ItemKey) error
}

// Sizer is an optional ability of Tables: how many bytes a table has at rest.
// DynamoDB's DescribeTable tells with a delay of six hours.
type Sizer interface {
	Size(ctx context.Context, table string) (uint64, error)
}

// Lister is an optional ability of Tables: to list the keys of a table without
// the items' bodies, those that nothing names included. keys are yielded in
// their order until yield returns false. DynamoDB has no cheap way to do it.
type Lister interface {
	Keys(ctx context.Context, table string, yield func(ItemKey) bool) error
}

// MaxItem is the largest body of an item, in bytes: under DynamoDB's 400 KB
// with room for the key.
const MaxItem = 380 << 10

// Unwritten is the error of a Write of which some items may be stored.
type Unwritten struct {
	Keys []ItemKey // those not known to be stored
	Err  error
}

func (u *Unwritten) Error() string {
	return fmt.Sprintf("%d items not known to be stored: %v", len(u.Keys), u.Err)
}

func (u *Unwritten) Unwrap() error { return u.Err }

// Unreadable is the error of a Query that gave all items but some that are
// damaged. It wraps ErrCorrupt.
type Unreadable struct {
	Keys []ItemKey // as far as the keys could be read
	Err  error     // why the first could not
}

func (u *Unreadable) Error() string {
	if len(u.Keys) == 0 {
		return fmt.Sprintf("some items cannot be read: %v", u.Err)
	}
	k := u.Keys[0]
	return fmt.Sprintf("%d items cannot be read, the first that of bucket %d, span %d, flush %s, part %d: %v",
		len(u.Keys), k.Bucket, k.Span, k.Flush, k.Part, u.Err)
}

func (u *Unreadable) Unwrap() error { return u.Err }

// Undeleted is the error of a Delete of which some items may be gone.
type Undeleted struct {
	Keys []ItemKey // those not known to be deleted
	Err  error
}

func (u *Undeleted) Error() string {
	return fmt.Sprintf("%d items not known to be deleted: %v", len(u.Keys), u.Err)
}

func (u *Undeleted) Unwrap() error { return u.Err }

// JournalID names the journal of one partition of one week.
type JournalID struct {
	Week      sample.Week
	Partition int
}

func (id JournalID) String() string { return fmt.Sprintf("%s/%d", id.Week, id.Partition) }

// Journals is the append-only logs. Positions are dense, from 0. All methods
// are safe for concurrent use, also by several processes.
type Journals interface {
	// Append puts an entry at a position, on condition that the position
	// before it is taken and this one is not; ErrTaken else. After any other
	// error the entry may be there: read the position. The entry stays the
	// caller's.
	//
	// DynamoDB: PutItem on condition attribute_not_exists, a unit a KB. The
	// caller knows the position before it, so that is not checked again.
	// Entries have at most MaxEntry bytes.
	Append(ctx context.Context, id JournalID, position uint64, entry []byte) error

	// Read gives up to max entries from a position on; fewer, or none, means
	// that the journal ends there. Entries are the caller's to keep.
	//
	// DynamoDB: Query with ConsistentRead, a unit for each 4 KB.
	Read(ctx context.Context, id JournalID, from uint64, max int) ([][]byte, error)

	// List gives the journals that have an entry, in order of week and
	// partition. DynamoDB: they are told from the weeks' records.
	List(ctx context.Context) ([]JournalID, error)
}

// MaxEntry is the largest entry of a journal, in bytes.
const MaxEntry = 380 << 10

// Record is a small value that is turned by conditional writes.
type Record struct {
	Key     string
	Value   []byte
	Version uint64 // 1 at first; each Put adds one
}

// Records is the records. Keys are segments of lower-case letters, digits,
// '-' and '.', joined by '/'. All methods are safe for concurrent use, also
// by several processes.
type Records interface {
	// Get reads a record, or gives ErrNotFound. DynamoDB: GetItem, strong.
	Get(ctx context.Context, key string) (Record, error)

	// Put writes a record on condition that its version is still the given
	// one, 0 for one that must not be there; ErrConflict else. It returns the
	// record as written. After any other error it may be written: read it.
	// DynamoDB: PutItem on condition of the version.
	Put(ctx context.Context, key string, value []byte, version uint64) (Record, error)

	// Remove removes a record on condition that its version is still the given one;
	// ErrConflict else, and where it is not there. After any other error it may be
	// removed: read it. DynamoDB: DeleteItem on condition of the version.
	Remove(ctx context.Context, key string, version uint64) error

	// Scan lists the records whose keys begin with a prefix that ends in '/',
	// sorted. DynamoDB: Query, begins_with.
	Scan(ctx context.Context, prefix string) ([]Record, error)
}

// Store is one driver's three parts.
type Store interface {
	Tables
	Journals
	Records
	// Close releases what the store holds. It may be called twice.
	Close() error
}
