package worker

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"weir/internal/block"
	"weir/internal/buffer"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/store"
)

// head is the messages of one (week, partition) that no commit names yet.
// The runner adds, it or its flush removes; readers take snapshots.
type head struct {
	id     store.JournalID
	writer *journal.Writer

	mu      sync.Mutex // guards what follows
	entries []*entry   // in the order they came
	byID    map[message.ID]*entry
	waiting loads // what the entries come to
}

// entry is one message in a head. Once it is in the head its batch never
// changes, so readers may go on with it after it has left.
type entry struct {
	message  message.Message // without its block
	batch    *block.Batch    // registered series only; what fits their kinds
	refused  []refusal
	received time.Time

	// Guarded by the head's mu while the entry is in it, then whose takes it
	// out.
	deliveries []buffer.Delivery // all of this message
	extended   time.Time
}

// refusal is the runs of a message that cannot be stored, by reason.
type refusal struct {
	reason string
	batch  *block.Batch
}

func newHead(id store.JournalID, w *journal.Writer) *head {
	return &head{id: id, writer: w, byID: map[message.ID]*entry{}}
}

// join lets a delivery wait with the first of its message, if one waits.
func (h *head) join(id message.ID, d buffer.Delivery) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.byID[id]
	if e != nil {
		e.deliveries = append(e.deliveries, d)
	}
	return e != nil
}

// heldSince gives the deliveries of entries that were last extended at or
// before a time, and marks them as extended now.
func (h *head) heldSince(at, now time.Time) []buffer.Delivery {
	h.mu.Lock()
	defer h.mu.Unlock()
	var held []buffer.Delivery
	for _, e := range h.entries {
		if !e.extended.After(at) {
			e.extended = now
			held = append(held, e.deliveries...)
		}
	}
	return held
}

func (h *head) add(e *entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.entries = append(h.entries, e)
	h.byID[e.message.ID()] = e
	h.waiting.add(e)
}

func (e *entry) class() journal.Class {
	if e.message.Role == message.Fast {
		return journal.Fast
	}
	return journal.Steady
}

// all gives the entries in the order they came.
func (h *head) all() []*entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.entries)
}

// of gives the entries of a class in the order they came.
func (h *head) of(c journal.Class) []*entry {
	return slices.DeleteFunc(h.all(), func(e *entry) bool { return e.class() != c })
}

// removeNamed takes out what the journal names and returns it.
func (h *head) removeNamed() []*entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	var named []*entry
	h.writer.Journal().View(func(s *journal.State) {
		left := h.entries[:0:0]
		h.waiting = loads{}
		for _, e := range h.entries {
			if s.Named(e.message.ID()) {
				named = append(named, e)
			} else {
				left = append(left, e)
				h.waiting.add(e)
			}
		}
		h.entries = left
	})
	for _, e := range named {
		delete(h.byID, e.message.ID())
	}
	return named
}

// revision gives the one that is open, as far as this process has read.
func (h *head) revision() (open int) {
	h.writer.Journal().View(func(s *journal.State) { open = s.Revision() })
	return open
}

// load is how much waits, and since when.
type load struct {
	entries, samples int
	oldest           time.Time // when the first was received; zero when nothing waits
}

// loads is how much waits by class.
type loads [journal.Classes]load

func (l *loads) add(e *entry) {
	l[e.class()].join(load{1, int(e.message.Samples), e.received})
}

func (l *load) join(other load) {
	if other.entries > 0 && (l.entries == 0 || other.oldest.Before(l.oldest)) {
		l.oldest = other.oldest
	}
	l.entries += other.entries
	l.samples += other.samples
}

// all gives how much waits of all classes.
func (l *loads) all() (sum load) {
	for _, of := range l {
		sum.join(of)
	}
	return sum
}

// loads gives what waits in the head.
func (h *head) loads() loads {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waiting
}

// snapshot takes head and journal position in one step (law 5).
func (h *head) snapshot() journal.Snapshot {
	var out journal.Snapshot
	h.mu.Lock()
	h.writer.Journal().View(func(s *journal.State) {
		out = s.Snapshot()
		for _, e := range h.entries {
			if !s.Named(e.message.ID()) {
				out.Pending = append(out.Pending, e.pending())
			}
		}
	})
	h.mu.Unlock()
	slices.SortFunc(out.Pending, func(a, b journal.Pending) int { return compareMessages(&a.Message, &b.Message) })
	return out
}

func (e *entry) pending() journal.Pending {
	p := journal.Pending{Message: e.message, Batch: e.batch, Class: e.class()}
	for _, r := range e.refused {
		p.Refused += uint64(r.batch.Samples())
	}
	return p
}

// compareMessages orders messages within a flush: by stamp, life, number.
func compareMessages(a, b *message.Message) int {
	return cmp.Or(cmp.Compare(a.Stamp, b.Stamp), cmp.Compare(a.Life, b.Life), cmp.Compare(a.Number, b.Number))
}
