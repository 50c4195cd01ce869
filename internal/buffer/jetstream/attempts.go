package jetstream

import (
	"slices"
	"sync"
)

// attempts counts the deliveries of a queue's messages that have begun, over
// restarts and crashes: never fewer than there were.
//
// The server counts the deliveries of one consumer, and each open makes a new
// one, so that what a crash left unsettled comes again at once. What remains
// is to know, after a crash, which messages the former consumers delivered. A
// consumer delivers in the order of sequences at first, so one number says
// it: the claim, a sequence at or above all that were handed out, which is
// durable before they are. A message that is there and not above the claim
// of an earlier life was delivered in that life, or counts as if it was.
// Claims are made ahead, so that most deliveries need none. Redeliveries are
// written down one by one.
//
// The file's records are lines of JSON; recordLine says what each means.
type attempts struct {
	mu   sync.Mutex
	file recordFile // what it holds is durable

	past  []pastLives       // by falling upTo
	extra map[uint64]uint64 // redeliveries in earlier lives, by sequence
	claim uint64            // of this life
	more  map[uint64]uint64 // redeliveries in this life, by sequence
	since int               // records since the file was last rewritten
}

// pastLives says that in so many lives the messages up to a sequence were
// delivered.
type pastLives struct {
	upTo  uint64
	times uint64
}

// recordFile is an append-only file of records.
type recordFile interface {
	// Append returns when the records are durable.
	Append(records []record) error
	// Rewrite replaces all records by these, durably.
	Rewrite(records []record) error
	Close() error
}

// record is one line of the file. Exactly one kind of it is set.
type record struct {
	Format int    `json:"format,omitempty"` // first line: version of this format
	Life   bool   `json:"life,omitempty"`   // a consumer begins; what was above is of earlier ones
	Claim  uint64 `json:"claim,omitempty"`  // messages up to here may be delivered from now on
	Seq    uint64 `json:"seq,omitempty"`    // this message was redelivered More times in this life
	More   uint64 `json:"more,omitempty"`
	UpTo   uint64 `json:"up_to,omitempty"` // messages up to here were delivered in Times earlier lives
	Times  uint64 `json:"times,omitempty"`
}

const (
	attemptsFormat = 1
	// claimAhead is how far a claim is ahead of what is handed out.
	claimAhead = 256
	// rewriteAfter is how many records make the file worth rewriting.
	rewriteAfter = 50_000
)

// loadAttempts makes the count for a new consumer of a stream that holds
// messages from first to last, from the records of the earlier ones.
func loadAttempts(file recordFile, records []record, first, last uint64) (*attempts, error) {
	a := &attempts{file: file, extra: map[uint64]uint64{}, more: map[uint64]uint64{}}
	for _, r := range records {
		switch {
		case r.Life:
			a.endLife()
		case r.Claim > 0:
			a.claim = max(a.claim, r.Claim)
		case r.Seq > 0:
			a.more[r.Seq] = max(a.more[r.Seq], r.More)
		case r.UpTo > 0:
			a.addPast(r.UpTo, r.Times)
		}
	}
	// What the claim was ahead is not there yet: it was not delivered.
	a.claim = min(a.claim, last)
	a.endLife()
	a.prune(first)
	if err := a.rewrite(); err != nil {
		return nil, err
	}
	return a, nil
}

// endLife makes what this life delivered the past.
func (a *attempts) endLife() {
	if a.claim > 0 {
		a.addPast(a.claim, 1)
	}
	for seq, n := range a.more {
		a.extra[seq] += n
	}
	a.claim = 0
	clear(a.more)
}

func (a *attempts) addPast(upTo, times uint64) {
	i, found := slices.BinarySearchFunc(a.past, upTo, func(p pastLives, upTo uint64) int {
		switch {
		case p.upTo > upTo:
			return -1
		case p.upTo < upTo:
			return 1
		}
		return 0
	})
	if found {
		a.past[i].times += times
		return
	}
	a.past = slices.Insert(a.past, i, pastLives{upTo, times})
}

// prune forgets what earlier lives knew of messages ahead of the stream's
// first.
func (a *attempts) prune(first uint64) {
	a.past = slices.DeleteFunc(a.past, func(p pastLives) bool { return p.upTo < first })
	for seq := range a.extra {
		if seq < first {
			delete(a.extra, seq)
		}
	}
}

func (a *attempts) rewrite() error {
	records := []record{{Format: attemptsFormat}}
	for _, p := range a.past {
		records = append(records, record{UpTo: p.upTo, Times: p.times})
	}
	for seq, n := range a.extra {
		records = append(records, record{Seq: seq, More: n})
	}
	records = append(records, record{Life: true})
	if a.claim > 0 {
		records = append(records, record{Claim: a.claim})
	}
	for seq, n := range a.more {
		records = append(records, record{Seq: seq, More: n})
	}
	a.since = 0
	return a.file.Rewrite(records)
}

// begun is a delivery that is about to be handed out.
type begun struct {
	seq       uint64
	delivered uint64 // how often this life's consumer delivered it, this time included
}

// Begin makes deliveries durable as begun and gives how often each message's
// deliveries have begun in all. After an error none may be handed out.
func (a *attempts) Begin(deliveries []begun) ([]int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var records []record
	claim := a.claim
	for _, d := range deliveries {
		claim = max(claim, d.seq)
		if d.delivered > 1 {
			records = append(records, record{Seq: d.seq, More: d.delivered - 1})
		}
	}
	if claim > a.claim {
		records = append(records, record{Claim: claim + claimAhead})
	}
	if len(records) > 0 {
		if err := a.file.Append(records); err != nil {
			return nil, err
		}
		a.since += len(records)
	}
	if claim > a.claim {
		a.claim = claim + claimAhead
	}
	counts := make([]int, len(deliveries))
	for i, d := range deliveries {
		if d.delivered > 1 {
			a.more[d.seq] = max(a.more[d.seq], d.delivered-1)
		}
		counts[i] = int(d.delivered + a.extra[d.seq] + a.lives(d.seq))
	}
	if a.since > rewriteAfter {
		if err := a.rewrite(); err != nil {
			return nil, err
		}
	}
	return counts, nil
}

// lives gives in how many earlier lives a message was delivered.
func (a *attempts) lives(seq uint64) uint64 {
	var n uint64
	for _, p := range a.past {
		if p.upTo < seq {
			break
		}
		n += p.times
	}
	return n
}

// Settle forgets the redeliveries of a message that is gone.
func (a *attempts) Settle(seq uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.extra, seq)
	delete(a.more, seq)
}

// Close closes the file.
func (a *attempts) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.file.Close()
}
