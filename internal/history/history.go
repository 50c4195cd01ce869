// Package history owns the way of bulk files into the week tables, past buffer
// and worker: `weir ingest --history`.
//
// An import is a life of its own, whose number is a hash of what is imported. It
// comes in chunks of text that are numbered from 0, cut where the sender's file
// alone says; what of a chunk is of one (week, partition) is a message, whose
// number hangs on the chunk's and the week alone. So whoever imports the same
// again names the same messages, and a message that a commit names already is
// left out (law 3).
//
// What holds when the process is killed anywhere:
//
//   - A message is stored whole or not at all: its items are written and synced,
//     then one commit names them. Items that nothing names are orphans, which go
//     once a later epoch stands in their journal.
//   - A chunk that was answered is stored; of one that was not, some messages may
//     be. The same chunk sent again stores what is missing of it, and nothing
//     twice. The ledger balances at each of these moments: a message is accepted
//     where it is committed.
//   - Finish may be called again, too: a life is closed once, a revision that is
//     sealed stays so.
//
// An import is accepted chunk by chunk, when each is committed: its samples carry
// that time as their version (law 6). So among samples of one series and time it
// wins over what was accepted before, chunks over earlier ones, and loses to what
// comes after.
//
// It writes as a guest beside the workers (journal.JoinWriter), so it may fill a
// week that is being filled live, and fences nobody. It works on the store
// through journal and catalog; decoders, and what the heads hold, come through
// Options. It imports no driver and no other service.
package history

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"weir/internal/catalog"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

// MaxChunk is the largest chunk, in bytes of text. Two chunks are in memory at a
// time, of all imports: of one all that comes of it, about ten times its text at
// most, and of the other its text and samples.
const MaxChunk = 64 << 20

// NoTime is what a decoder is given as the present time. A line without a time of its
// own gets it and is refused, or it would be another sample at each repetition.
const NoTime = int64(-9_000_000_000_000_000_000)

// Decoder reads a text and hands on what it holds, in order. Safe for concurrent
// use.
type Decoder func(text []byte, to Sink)

// Sink takes what a decoder reads.
type Sink interface {
	// Emit takes one sample. An error refuses it alone: the decoder is to tell
	// Reject.
	Emit(series *catalog.Series, s sample.Sample) error
	// Line takes the samples of a line at once, all of them Good and none of them
	// strings, or none of them: then each is to be emitted.
	Line(series []*catalog.Series, kinds []sample.Kind, bits []uint64, time int64) bool
	// Reject hears what is not kept.
	Reject(f Fault)
}

// Fault is a line, or a value of one, that was not kept, and why.
type Fault struct {
	Line   int    `json:"line"`
	Column int    `json:"column,omitempty"`
	Reason string `json:"reason"`
	Text   string `json:"text,omitempty"`
}

// Options is what an Importer works with. Nothing may be nil.
type Options struct {
	Book    *journal.Book
	Tables  store.Tables
	Catalog *catalog.Catalog // kept up by the book's registrations
	Clock   *message.Clock
	Now     func() time.Time
	Random  func() uint64
	// Decoder gives how to read a format; precision may be empty.
	Decoder func(format, precision string) (Decoder, error)
	// Commit waits until what was accepted of a week before is committed.
	Commit func(context.Context, sample.Week) error
	// Held says whether a worker of this process holds a journal.
	Held func(context.Context, store.JournalID) (bool, error)
}

// Importer takes imports. Safe for concurrent use: it stores one chunk at a time,
// and reads the next meanwhile.
type Importer struct {
	Options
	places   chan struct{} // one for each chunk in memory
	texts    sync.Pool
	columns  columnPool
	reading  chan struct{} // a place for who decodes
	turn     chan struct{} // and for who stores
	builders sync.Pool

	mu    sync.Mutex
	taken map[store.JournalID]bool // journals that an import of this process has an epoch in
	lives map[message.Life]*account
}

// ErrBusy means that other imports have all places.
var ErrBusy = errors.New("other imports are under way")

// ErrRequest is an error of who asks.
var ErrRequest = errors.New("the import can't be taken as it is")

// New makes an importer. It reads and starts nothing.
func New(o Options) *Importer {
	return &Importer{
		Options: o, places: make(chan struct{}, 2), reading: make(chan struct{}, 1), turn: make(chan struct{}, 1),
		builders: sync.Pool{New: func() any { return &builder{} }},
		taken:    map[store.JournalID]bool{}, lives: map[message.Life]*account{},
	}
}

// Import names what is imported.
type Import struct {
	Life message.Life // a hash of all of it
	Name string       // for people, such as the file's
}

// instance is how the ledger calls an import: no other is called so.
func (i Import) instance() string {
	name := strings.ToValidUTF8(i.Name[:min(len(i.Name), message.MaxInstance-32)], "")
	return fmt.Sprintf("import %s %08x", name, uint64(i.Life)>>32)
}

// Chunk is one of an import's, and how to read it.
type Chunk struct {
	Format    string
	Precision string
	Text      []byte
}

// Result is what became of a chunk, in samples; Rejected counts lines and values.
type Result struct {
	Stored   uint64  `json:"stored"`
	Repeated uint64  `json:"repeated"` // of messages that were stored before
	Rejected uint64  `json:"rejected"`
	Faults   []Fault `json:"errors"` // the first of them
}

// maxFaults is how many faults a result lists; all are counted.
const maxFaults = 1000

// weekBits is how many bits of a message's number say the week.
const weekBits = 16

// number gives the number of the message of a chunk and week.
func number(chunk uint64, w sample.Week) uint64 {
	return chunk<<weekBits | uint64(uint16(int32(w)+1<<(weekBits-1)))
}

// MaxChunks bounds the number of an import's chunks.
const MaxChunks = 1 << (64 - weekBits - 1)

// Take stores a chunk that was admitted. When it returns without an error all is
// durable and counted; after any error the same chunk may be taken again.
func (t *Ticket) Take(ctx context.Context, c Chunk) (out Result, err error) {
	im := t.importer
	if len(c.Text) > MaxChunk {
		return Result{}, fmt.Errorf("%w: a chunk of %d bytes; it has at most %d", ErrRequest, len(c.Text), MaxChunk)
	}
	decode, err := im.Decoder(c.Format, c.Precision)
	if err != nil {
		return Result{}, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	kinds, before := known{}, uint64(0)
	read, err := im.readAlone(ctx, c, decode, kinds)
	if err != nil {
		return Result{}, err
	}
	leave, err := t.await(ctx)
	if err != nil {
		return Result{}, err
	}
	defer leave()
	for try := 0; ; try++ {
		out, err := im.store(ctx, t.of, t.number, t.account, read)
		read.release(&im.columns)
		var differ *otherKinds
		if !errors.As(err, &differ) || try >= maxReads {
			out.Stored, out.Repeated = out.Stored+before, out.Repeated-min(before, out.Repeated)
			t.done = err == nil
			return out, err
		}
		maps.Copy(kinds, differ.known) // another registered them meanwhile
		before += out.Stored
		if read, err = im.readAlone(ctx, c, decode, kinds); err != nil {
			return out, err
		}
	}
}

// readAlone reads a chunk when nobody else does.
func (im *Importer) readAlone(ctx context.Context, c Chunk, decode Decoder, kinds known) (*reading, error) {
	select {
	case im.reading <- struct{}{}:
		defer func() { <-im.reading }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
	return im.read(ctx, c, decode, kinds)
}

// maxReads bounds how often a chunk is read again because series turned out to
// be of other kinds.
const maxReads = 100
