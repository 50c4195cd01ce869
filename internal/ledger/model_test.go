package ledger

import (
	"cmp"
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

// place is where a message is, in truth.
type place int

const (
	unsent place = iota // numbered by a heard life, and in no queue yet
	queuedOnly
	inHead
	committed
	unacked // committed, and still in the queue
	buried
	redriven  // a dead letter still, and in a head again
	renamed   // a dead letter still, and named by a commit
	forgotten // nowhere
)

// kept is a message of the model.
type kept struct {
	message.Message
	at      place
	refused uint64 // of its samples, quarantined
}

// world is what the ledger is drawn up from, known in full.
type world struct {
	messages []kept
	heard    message.Life
	untold   uint64
	journals map[store.JournalID]journal.Snapshot
}

func (w *world) Tallies() []Tally {
	tallies := map[int]*Tally{}
	for i := range w.messages {
		m := &w.messages[i]
		if m.Life != w.heard {
			continue
		}
		t := tallies[m.Queue]
		if t == nil {
			t = &Tally{Life: m.Life, Queue: m.Queue, Instance: "here"}
			tallies[m.Queue] = t
		}
		t.Numbered, t.Accepted, t.Last = m.Number+1, m.Message.Accepted, m.Stamp
		if m.at != unsent {
			t.Durable, t.Settled = m.Number+1, m.Stamp
		}
	}
	var out []Tally
	for _, t := range tallies {
		out = append(out, *t)
	}
	return out
}

func (w *world) CatchUp(context.Context) error { return nil }
func (w *world) Untold() uint64                { return w.untold }

func (w *world) Buried(_ context.Context, yield func(message.Message)) error {
	for _, m := range w.messages {
		if m.at == buried || m.at == redriven || m.at == renamed {
			yield(m.Message)
		}
	}
	return nil
}

func (w *world) Journals(context.Context) (map[store.JournalID]journal.Snapshot, error) {
	return w.journals, nil
}

func (w *world) Queued(_ context.Context, queue int) (n uint64, oldest time.Time, err error) {
	for _, m := range w.messages {
		if m.Queue == queue && (m.at == queuedOnly || m.at == inHead || m.at == unacked || m.at == redriven) {
			if at := time.Unix(0, int64(m.Stamp)); n == 0 || at.Before(oldest) {
				oldest = at
			}
			n++
		}
	}
	return n, oldest, nil
}

// drawWorld makes lives that follow one another in one place, each crashed or
// closed but the last, which is heard.
func drawWorld(t *rapid.T, places []place) *world {
	w := &world{untold: rapid.Uint64Range(0, 3).Draw(t, "untold")}
	lives := rapid.IntRange(1, 3).Draw(t, "lives")
	stamp := message.Stamp(100)
	for life := range lives {
		w.heard = message.Life(life + 1)
		totals, next := [2]uint64{}, [2]uint64{}
		sending := [2]bool{}
		n := rapid.IntRange(2, 14).Draw(t, "messages")
		for i := range n {
			queue := i % 2
			stamp += message.Stamp(rapid.IntRange(1, 50).Draw(t, "gap"))
			m := kept{Message: message.Message{
				Role: message.Data, Life: w.heard, Number: next[queue], Queue: queue, Stamp: stamp,
				Week: sample.Week(rapid.IntRange(0, 1).Draw(t, "week")), Rejected: rapid.Uint64Range(0, 2).Draw(t, "rejected"),
				Samples: rapid.Uint64Range(1, 9).Draw(t, "samples"),
			}, at: rapid.SampledFrom(places).Draw(t, "at")}
			if next[queue] == 0 {
				m.Role, m.Samples, m.Instance = message.Start, 0, "here"
			}
			if m.at == unsent || sending[queue] {
				// A lane sends in order: after one that is unsent all are.
				sending[queue] = life == lives-1
				if m.at = queuedOnly; sending[queue] {
					m.at = unsent
				}
			}
			if m.at == committed && m.Samples > 0 {
				m.refused = rapid.Uint64Range(0, m.Samples).Draw(t, "refused")
			}
			totals[queue] += m.Samples
			m.Message.Accepted = totals[queue]
			next[queue]++
			w.messages = append(w.messages, m)
		}
	}
	w.write(t)
	return w
}

// write puts the messages into journals as a worker would: a commit names some
// of those that came one after the other.
func (w *world) write(t *rapid.T) {
	w.journals = map[store.JournalID]journal.Snapshot{}
	flushes := map[store.JournalID][]kept{}
	flush := func(id store.JournalID) {
		if len(flushes[id]) > 0 {
			s := w.journals[id]
			s.Commits = append(s.Commits, journal.Placed{Commit: commitOf(flushes[id])})
			w.journals[id] = s
			flushes[id] = nil
		}
	}
	for _, m := range w.messages {
		id := store.JournalID{Week: m.Week, Partition: m.Queue}
		switch m.at {
		case inHead, redriven:
			s := w.journals[id]
			s.Pending = append(s.Pending, journal.Pending{Message: m.Message})
			w.journals[id] = s
		case committed, unacked, renamed:
			if flushes[id] = append(flushes[id], m); rapid.IntRange(0, 2).Draw(t, "flush") == 0 {
				flush(id)
			}
		}
	}
	for id := range flushes {
		flush(id)
	}
}

func commitOf(messages []kept) *journal.Commit {
	c := &journal.Commit{}
	lives := map[message.Life]*journal.Life{}
	for _, m := range messages {
		l := lives[m.Life]
		if l == nil {
			l = &journal.Life{Life: m.Life, First: m.Stamp}
			lives[m.Life] = l
		}
		l.Ranges = journal.Numbers(l.Ranges).AddNumber(m.Number)
		l.Samples += m.Samples
		l.Last, l.Accepted = m.Stamp, m.Message.Accepted
		if m.Role == message.Start {
			l.Started, l.Instance = true, m.Instance
		}
		if m.Role == message.Close {
			l.Closed = true
		}
		if m.refused > 0 {
			c.Quarantined = append(c.Quarantined, journal.Refusal{Life: m.Life, Samples: m.refused})
		}
		c.Rejected += m.Rejected
	}
	for _, l := range lives {
		c.Lives = append(c.Lives, *l)
	}
	slices.SortFunc(c.Lives, func(a, b journal.Life) int { return cmp.Compare(a.Life, b.Life) })
	return c
}

// truth counts what can be known of the world: of a life that is not heard,
// the messages up to the highest number that shows anywhere.
func (w *world) truth() (c Counts, lost, hidden uint64) {
	shown := map[lifeID]uint64{}
	for _, m := range w.messages {
		if m.Life == w.heard || m.at != queuedOnly && m.at != forgotten {
			shown[lifeID{m.Life, m.Queue}] = m.Number + 1
		}
	}
	for _, m := range w.messages {
		if m.Number >= shown[lifeID{m.Life, m.Queue}] {
			hidden += m.Samples
			continue
		}
		c.Accepted += m.Samples
		switch m.at {
		case unsent, queuedOnly, inHead, redriven:
			c.InFlight += m.Samples
		case committed, unacked, renamed:
			c.Stored += m.Samples - m.refused
			c.Quarantined += m.refused
		case buried:
			c.DeadLettered += m.Samples
		case forgotten:
			lost += m.Samples
		}
	}
	return c, lost, hidden
}

func drawAll(t interface {
	Helper()
	Fatal(...any)
}, w *world, start, end message.Stamp) *Ledger {
	t.Helper()
	l, err := Draw(context.Background(), w, start, end)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestEverySampleIsCountedOnceWhereItIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, []place{unsent, queuedOnly, inHead, committed, committed, unacked, buried, redriven, renamed})
		l := drawAll(t, w, 0, Everything)
		want, _, _ := w.truth()
		if l.Counts != want || !l.Balanced() {
			t.Fatalf("counted %+v; want %+v", l.Counts, want)
		}
		var rejected uint64
		var lives Counts
		for _, m := range w.messages {
			if m.at != unsent && m.at != queuedOnly {
				rejected += m.Rejected
			}
		}
		for _, a := range l.Lives {
			lives.add(a.Counts)
		}
		if l.Rejected != rejected+w.untold || lives != l.Counts {
			t.Fatalf("%d rejected; want %d. The lives have %+v of %+v", l.Rejected, rejected+w.untold, lives, l.Counts)
		}
	})
}

func TestWhatIsNowhereIsUnprovenAndUnbalances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Nothing is in a queue but what the heads have, so nothing excuses.
		w := drawWorld(t, []place{inHead, committed, committed, buried, forgotten})
		l := drawAll(t, w, 0, Everything)
		want, lost, _ := w.truth()
		if l.Counts != want || l.Balanced() != (lost == 0) || (l.Unproven > 0) != (lost > 0) {
			t.Fatalf("counted %+v, %d unproven; want %+v and %d samples lost", l.Counts, l.Unproven, want, lost)
		}
	})
}

func TestRangesCutNoFlushAndAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, []place{unsent, queuedOnly, inHead, committed, committed, buried})
		all := drawAll(t, w, 0, Everything)
		var sum Counts
		rejected, lives := uint64(0), 0
		for start := message.Stamp(0); ; {
			end := start + message.Stamp(rapid.IntRange(1, 400).Draw(t, "width"))
			if rapid.IntRange(0, 9).Draw(t, "rest") == 0 || start > all.End {
				end = Everything
			}
			l := drawAll(t, w, start, end)
			checkRange(t, w, l, start, end)
			sum.add(l.Counts)
			rejected += l.Rejected
			lives += len(l.Lives)
			if end == Everything {
				break
			}
			start = max(end, l.End+1)
		}
		if sum != all.Counts || rejected < all.Rejected || lives < len(all.Lives) {
			t.Fatalf("the ranges add up to %+v, %d rejected; all is %+v, %d", sum, rejected, all.Counts, all.Rejected)
		}
	})
}

// checkRange wants every message that is found alone, and every commit, to
// lie in the answer's range or outside it, and in it where the asked one says.
func checkRange(t *rapid.T, w *world, l *Ledger, start, end message.Stamp) {
	within := func(first, last message.Stamp, what string) {
		in := l.End != 0 && first >= l.Start && last <= l.End
		out := l.End == 0 || last < l.Start || first > l.End
		if !in && !out {
			t.Fatalf("range %d to %d cuts a %s of %d to %d", l.Start, l.End, what, first, last)
		}
		if out && last >= start && (first < end || end == math.MaxUint64) {
			t.Fatalf("range %d to %d of %d to %d lacks a %s of %d to %d", l.Start, l.End, start, end, what, first, last)
		}
	}
	for _, s := range w.journals {
		for _, c := range s.Commits {
			first, last := message.Stamp(math.MaxUint64), message.Stamp(0)
			for _, life := range c.Commit.Lives {
				first, last = min(first, life.First), max(last, life.Last)
			}
			within(first, last, "commit")
		}
		for _, p := range s.Pending {
			within(p.Message.Stamp, p.Message.Stamp, "message in a head")
		}
	}
}
