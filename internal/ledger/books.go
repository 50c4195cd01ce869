package ledger

import (
	"fmt"
	"time"

	"weir/internal/journal"
	"weir/internal/message"
)

// lifeID is one life in one queue.
type lifeID struct {
	life  message.Life
	queue int
}

// fact is what became of some messages whose stamps lie from first to last: a
// commit, a message in a head, a dead letter, or what is still in a queue.
type fact struct {
	first, last message.Stamp
	counts      map[lifeID]*Counts
	rejected    uint64
	overwritten uint64
}

// account gathers what is known of one life in one queue.
type account struct {
	instance string
	state    State
	numbers  journal.Numbers // of messages that are accounted for
	first    message.Stamp
	last     message.Stamp
	highest  uint64 // of numbers, or of what the life numbered
	accepted uint64 // the running total of the highest
	counted  uint64 // samples of messages that are accounted for
	pending  uint64 // messages in heads
	durable  uint64 // messages, from 0 on, that a heard life has sent
	settled  message.Stamp
	heard    bool
	unproven string
}

// books is a ledger being drawn up.
type books struct {
	accounts map[lifeID]*account
	facts    []fact
	starts   map[message.Life]message.Stamp
	places   map[message.Life]string  // the lives' instances
	latest   map[string]message.Stamp // by instance: its latest life's start
}

func newBooks() *books {
	return &books{
		accounts: map[lifeID]*account{}, starts: map[message.Life]message.Stamp{},
		places: map[message.Life]string{}, latest: map[string]message.Stamp{},
	}
}

func (b *books) account(id lifeID) *account {
	a := b.accounts[id]
	if a == nil {
		a = &account{state: Open, first: Everything}
		b.accounts[id] = a
	}
	return a
}

func (b *books) started(l message.Life) message.Stamp { return b.starts[l] }

func (b *books) start(l message.Life, instance string, at message.Stamp) {
	if known, ok := b.starts[l]; !ok || at < known {
		b.starts[l] = at
	}
	b.places[l] = instance
	b.latest[instance] = max(b.latest[instance], at)
}

// count takes note of messages that are found somewhere.
func (a *account) count(ranges []journal.Range, samples uint64, first, last message.Stamp, accepted uint64) {
	for _, r := range ranges {
		a.numbers = a.numbers.Add(r)
		a.highest = max(a.highest, r.To)
	}
	a.accepted = max(a.accepted, accepted)
	a.counted += samples
	a.first, a.last = min(a.first, first), max(a.last, last)
}

func (b *books) addJournal(queue int, s journal.Snapshot) {
	for _, c := range s.Commits {
		b.addCommit(queue, c.Commit)
	}
	for _, p := range s.Pending {
		m := p.Message
		a := b.addMessage(&m)
		a.pending++
		b.facts = append(b.facts, messageFact(&m, Counts{
			Accepted: m.Samples, InFlight: m.Samples,
		}))
	}
}

func (b *books) addCommit(queue int, c *journal.Commit) {
	f := fact{first: Everything, counts: map[lifeID]*Counts{}, rejected: c.Rejected, overwritten: c.Overwritten}
	for i := range c.Lives {
		l := &c.Lives[i]
		id := lifeID{l.Life, queue}
		a := b.account(id)
		a.count(l.Ranges, l.Samples, l.First, l.Last, l.Accepted)
		if l.Started {
			a.instance = l.Instance
			b.start(l.Life, l.Instance, l.First)
		}
		if l.Closed {
			a.state = Closed
		}
		f.first, f.last = min(f.first, l.First), max(f.last, l.Last)
		f.counts[id] = &Counts{Accepted: l.Samples, Stored: l.Samples}
	}
	for i := range c.Quarantined {
		q := &c.Quarantined[i]
		counts := f.counts[lifeID{q.Life, queue}]
		if counts == nil {
			continue // the life is not among the commit's: nothing of it was counted
		}
		counts.Stored -= q.Samples
		counts.Quarantined += q.Samples
	}
	if len(f.counts) > 0 {
		b.facts = append(b.facts, f)
	}
}

func (b *books) addMessage(m *message.Message) *account {
	a := b.account(lifeID{m.Life, m.Queue})
	a.count([]journal.Range{{From: m.Number, To: m.Number}}, m.Samples, m.Stamp, m.Stamp, m.Accepted)
	if m.Role == message.Start {
		a.instance = m.Instance
		b.start(m.Life, m.Instance, m.Stamp)
	}
	if m.Role == message.Close {
		a.state = Closed
	}
	return a
}

func messageFact(m *message.Message, c Counts) fact {
	return fact{first: m.Stamp, last: m.Stamp, rejected: m.Rejected, counts: map[lifeID]*Counts{{m.Life, m.Queue}: &c}}
}

// addBuried counts dead letters that are neither named nor in a head: one
// that was redriven, or was never acked, counts where it went.
func (b *books) addBuried(messages []message.Message) {
	for i := range messages {
		m := &messages[i]
		if b.account(lifeID{m.Life, m.Queue}).numbers.Has(m.Number) {
			continue
		}
		b.addMessage(m)
		b.facts = append(b.facts, messageFact(m, Counts{Accepted: m.Samples, DeadLettered: m.Samples}))
	}
}

func (b *books) addTally(t Tally) {
	if t.Numbered == 0 {
		return
	}
	a := b.account(lifeID{t.Life, t.Queue})
	a.instance, a.heard = t.Instance, true
	a.durable, a.settled = t.Durable, t.Settled
	a.highest = max(a.highest, t.Numbered-1)
	a.accepted = max(a.accepted, t.Accepted)
	a.first, a.last = min(a.first, t.Last), max(a.last, t.Last)
	if _, ok := b.starts[t.Life]; !ok {
		b.start(t.Life, t.Instance, a.first)
	}
}

// settle says how each life stands, and what of it is not found anywhere: in
// the gateway that is still sending it, in the queue as long as that holds
// more than the heads do, else unproven; then something is lacking.
func (b *books) settle(queues map[int]queued) (lacking bool) {
	inHeads := map[int]uint64{}
	for id, a := range b.accounts {
		inHeads[id.queue] += a.pending
	}
	for id, a := range b.accounts {
		a.instance = b.places[id.life]
		successor := b.latest[a.instance]
		if a.state == Open && !a.heard && b.starts[id.life] < successor {
			a.state = Ended
		}
		q := queues[id.queue]
		more := q.messages > inHeads[id.queue]
		if a.accepted > a.counted {
			lacking = b.settleMissing(id, a, more) || lacking
		}
		if a.state == Ended && a.unproven == "" && more && !q.oldest.After(time.Unix(0, int64(successor))) {
			a.unproven = "the life ended by a crash, and the queue still holds messages as old"
		}
	}
	return lacking
}

// settleMissing counts the samples of a life that were found nowhere; more
// says that the queue holds messages that no head has. It says whether
// something is lacking.
func (b *books) settleMissing(id lifeID, a *account, more bool) (lacking bool) {
	missing := a.accepted - a.counted
	c := Counts{Accepted: missing, InFlight: missing}
	first := a.first
	switch {
	case a.heard && a.numbers.Through() >= a.durable:
		// All that was durable is found; the rest is being sent, or was taken
		// on while the sources were read.
		first = min(a.settled+1, a.last)
	case !more:
		c.InFlight, lacking = 0, true
		a.unproven = fmt.Sprintf("%d samples of messages up to number %d are neither named nor in the queue", missing, a.highest)
	}
	b.facts = append(b.facts, fact{first: first, last: a.last, counts: map[lifeID]*Counts{id: &c}})
	return lacking
}
