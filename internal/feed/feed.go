// Package feed is the port of the stream of committed samples: what bridges
// and `weir tail` read. It owns the contract, its events, and the cut by which
// a reader goes on where it stopped.
//
// It imports sample alone.
package feed

import (
	"context"
	"errors"
	"time"

	"weir/internal/sample"
)

// Errors of this package.
var (
	// ErrToken means that a resume token cannot be used: it is damaged, or of
	// another instance, or of one that was set back since.
	ErrToken = errors.New("resume token cannot be used")
	// ErrVersion means that a newer Weir made the token.
	ErrVersion = errors.New("resume token is of a version this program does not know")
)

// Feed is the commits of all journals as they happen. Safe for concurrent use.
type Feed interface {
	// Tail calls yield with what is committed behind the request's cut, and
	// then with each commit as it happens, until ctx ends or yield gives an
	// error; that, or ctx's, is returned.
	//
	// Events of one journal come in the order of its commits; those of several
	// come in any order. Who resumes from an event's cut sees every commit
	// behind it once, and sees it again where the cut was kept and the event
	// was not. Whatever happens in between (restarts, seals, merges, sweeps,
	// new weeks), a commit is either given or a Gap says why not. One thing is
	// not told: a sample that another of its series and time had overwritten,
	// and merging left out, before it was read. The other is given, or was.
	//
	// A reader that is slow holds nothing up and has nothing kept for it: it
	// reads later what the journals name. MaxLag lets it go on with what is new.
	Tail(ctx context.Context, r Request, yield func(*Event) error) error
}

// Request says what is read.
type Request struct {
	// Match says which series; nil: all.
	Match func(sample.Series) bool
	// After is where to go on. Nil: what is committed from now on, or with
	// Oldest all that there is.
	After  *Cut
	Oldest bool
	// MaxLag is how old a commit may be when it is read; older ones are passed
	// over, and a Gap tells it. 0: all are read, however late.
	MaxLag time.Duration
}

// Event is one commit's samples, or what is missing, or neither: that says that
// all that was committed by now is read. It comes each time that is so, and from
// time to time while nothing is committed.
//
// It and all that it holds are valid only during the call.
type Event struct {
	Journal  Journal
	Position uint64    // of the commit in its journal
	Accepted time.Time // when the last of its messages was accepted
	Series   []Points  // of series that match, in the order of their handles
	Gap      *Gap
	Cut      *Cut // behind this event
}

// Journal names a week's journal.
type Journal struct {
	Week      sample.Week
	Partition int
}

// Points are samples of one series, in columns. Times ascend strictly.
type Points struct {
	Series sample.Series
	Kind   sample.Kind
	Times  []int64
	// Bits are the values as in sample.Value; unused when the kind is String.
	Bits []uint64
	// Texts are the values when the kind is String, else nil.
	Texts []string
	// Qualities is nil when all are Good.
	Qualities []sample.Quality
}

// Gap is commits of a journal that were not read, at positions [From, To).
type Gap struct {
	Reason   Reason
	From, To uint64
	Commits  int
	Samples  uint64 // that they stored, of all series
}

// Reason says why commits were not read.
type Reason string

// The reasons.
const (
	Dropped Reason = "dropped" // their volume was, before they were read
	Slow    Reason = "slow"    // they were older than MaxLag
	Damaged Reason = "damaged" // the store cannot read some of their items
)
