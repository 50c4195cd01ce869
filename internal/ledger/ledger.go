// Package ledger owns the proof of what became of every accepted sample:
//
//	accepted = stored + in flight + dead-lettered + quarantined
//
// What was accepted is told by the running totals that a gateway's life writes
// into its numbered messages; what became of it by the numbers that journals
// name. So the two sides are counted apart, and a message that is nowhere
// shows. Rejected samples were refused in the answer and are counted beside.
//
// It imports the core; the state of gateways and queues comes through Sources.
package ledger

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/store"
)

// Tally is what a life of this process has done in one queue.
type Tally struct {
	Life     message.Life
	Queue    int
	Instance string
	Numbered uint64 // messages numbered: 0 to Numbered-1
	Durable  uint64 // of them, those that the queue surely has
	Accepted uint64 // samples in numbered messages
	Last     message.Stamp
	Settled  message.Stamp // of the last durable message
}

// Sources is what a ledger is drawn up from. The calls are made in this
// order, so that a message that moves on meanwhile is found once at least.
type Sources interface {
	// Tallies gives the lives of this process.
	Tallies() []Tally
	// CatchUp waits until the heads hold what was acknowledged before.
	CatchUp(ctx context.Context) error
	// Buried calls yield with each dead letter that can be read.
	Buried(ctx context.Context, yield func(message.Message)) error
	// Journals gives every journal with the head that writes it.
	Journals(ctx context.Context) (map[store.JournalID]journal.Snapshot, error)
	// Queued tells how many messages a queue holds, those in heads included,
	// and when the oldest was sent.
	Queued(ctx context.Context, queue int) (messages uint64, oldest time.Time, err error)
	// Untold gives how many samples were rejected that no message tells of yet.
	Untold() uint64
}

// Counts is one side and the other of the equation, in samples.
type Counts struct {
	Accepted     uint64 `json:"accepted"`
	Stored       uint64 `json:"stored"`
	InFlight     uint64 `json:"in_flight"`
	DeadLettered uint64 `json:"dead_lettered"`
	Quarantined  uint64 `json:"quarantined"`
}

// Balanced says whether the equation holds.
func (c Counts) Balanced() bool {
	return c.Accepted == c.Stored+c.InFlight+c.DeadLettered+c.Quarantined
}

func (c *Counts) add(o Counts) {
	c.Accepted += o.Accepted
	c.Stored += o.Stored
	c.InFlight += o.InFlight
	c.DeadLettered += o.DeadLettered
	c.Quarantined += o.Quarantined
}

// Ledger is the account of a range of accept time.
type Ledger struct {
	Start message.Stamp // what the range was widened to, both ends included;
	End   message.Stamp // 0 and 0 when nothing was accepted in it
	Counts
	Rejected    uint64
	Overwritten uint64 // stored samples that lost to another of the same flush
	Unproven    int    // lives of which a queue may still hold, or lacks, messages
	Lives       []Account
}

// Account is one life's part in one queue.
type Account struct {
	Life     message.Life
	Queue    int
	Instance string
	State    State
	Counts
	Unproven string // why, or empty
}

// State is how a life stands.
type State string

// The states of a life.
const (
	Open   State = "open"   // it is heard
	Closed State = "closed" // it said that it ends
	Ended  State = "ended"  // another followed it in its place: it crashed
)

// Everything is the range of all accept times.
const Everything = message.Stamp(math.MaxUint64)

// redraws is how often a ledger that lacks messages is drawn up anew: one that
// was buried while the sources were read is found at the next look.
const redraws = 3

// Draw draws up the ledger of what was accepted from start to before end,
// widened until no flush is cut.
func Draw(ctx context.Context, from Sources, start, end message.Stamp) (*Ledger, error) {
	for attempt := 1; ; attempt++ {
		l, lacking, err := draw(ctx, from, start, end)
		if err != nil || !lacking || attempt == redraws {
			return l, err
		}
	}
}

func draw(ctx context.Context, from Sources, start, end message.Stamp) (*Ledger, bool, error) {
	b := newBooks()
	tallies, untold := from.Tallies(), from.Untold()
	if err := from.CatchUp(ctx); err != nil {
		return nil, false, err
	}
	var buried []message.Message
	if err := from.Buried(ctx, func(m message.Message) { m.Block = nil; buried = append(buried, m) }); err != nil {
		return nil, false, err
	}
	journals, err := from.Journals(ctx)
	if err != nil {
		return nil, false, err
	}
	for id, s := range journals {
		b.addJournal(id.Partition, s)
	}
	b.addBuried(buried)
	var last message.Stamp
	for _, t := range tallies {
		b.addTally(t)
		last = max(last, t.Last)
	}
	queues := map[int]queued{}
	for id := range b.accounts {
		if _, ok := queues[id.queue]; ok {
			continue
		}
		n, oldest, err := from.Queued(ctx, id.queue)
		if err != nil {
			return nil, false, err
		}
		queues[id.queue] = queued{n, oldest}
	}
	lacking := b.settle(queues)
	l := b.sum(start, end)
	if end > last { // a later message will tell of them
		l.Rejected += untold
	}
	return l, lacking, nil
}

type queued struct {
	messages uint64
	oldest   time.Time
}

// sum adds up what lies in a range after widening it.
func (b *books) sum(start, end message.Stamp) *Ledger {
	in := b.widen(start, end)
	l := &Ledger{}
	lives := map[lifeID]*Account{}
	for _, f := range in {
		if l.End == 0 || f.first < l.Start {
			l.Start = f.first
		}
		l.End = max(l.End, f.last)
		l.Rejected += f.rejected
		l.Overwritten += f.overwritten
		for id, c := range f.counts {
			if lives[id] == nil {
				a := b.accounts[id]
				lives[id] = &Account{Life: id.life, Queue: id.queue, Instance: a.instance, State: a.state, Unproven: a.unproven}
			}
			lives[id].add(*c)
			l.add(*c)
		}
	}
	for _, a := range lives {
		if a.Unproven != "" {
			l.Unproven++
		}
		l.Lives = append(l.Lives, *a)
	}
	slices.SortFunc(l.Lives, func(x, y Account) int {
		if x.Life != y.Life {
			if b.started(x.Life) < b.started(y.Life) {
				return -1
			}
			return 1
		}
		return x.Queue - y.Queue
	})
	return l
}

// widen gives the facts of a range that is widened until it cuts none: those
// of every stretch of overlapping facts that the range touches.
func (b *books) widen(start, end message.Stamp) []fact {
	slices.SortFunc(b.facts, func(x, y fact) int { return cmp.Compare(x.first, y.first) })
	var in []fact
	for i := 0; i < len(b.facts); {
		last, n := b.facts[i].last, i+1
		for n < len(b.facts) && b.facts[n].first <= last {
			last = max(last, b.facts[n].last)
			n++
		}
		if last >= start && (b.facts[i].first < end || end == Everything) {
			in = append(in, b.facts[i:n]...)
		}
		i = n
	}
	return in
}
