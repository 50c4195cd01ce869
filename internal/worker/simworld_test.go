package worker

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/zeebo/xxh3"

	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

// outcome is what becomes of one port call of a simulated process.
type outcome int

const (
	succeed     outcome = iota
	fail                // nothing is done, and the answer is an error
	lose                // it is done, but the answer is an error
	defers              // of an append: the answer is an error, and it may arrive later
	crashBefore         // the process dies, and nothing is done
	crashAfter          // it is done, and the process dies
)

// noAnswer is the error of a call that got none, and what became of the call.
type noAnswer struct {
	done     bool
	deferred bool
	dead     bool // the process had died before
}

func (noAnswer) Error() string { return "simulated silence" }
func (noAnswer) Unwrap() error { return store.ErrUnavailable }

// silence gives what became of a call that got no answer.
func silence(err error) (n noAnswer, silent bool) {
	silent = errors.As(err, &n)
	return n, silent
}

// breakage is what is broken on purpose, at the boundary of the ports or in
// the reader, to show that a law's test fails when its law does.
type breakage struct {
	believeAll    bool // the reader takes items that nothing names
	lazyWrite     bool // Write answers before it stores; a crash forgets
	repeatBlindly bool // an append without answer is repeated further on
	unconditional bool // an append at a taken position goes to the end
	shortRegister bool // a registration is answered, but its last series is not kept
	ackAtReceive  bool // the queue forgets what it delivers
	hideNamed     bool // a worker is not told which messages others' commits name
	oneVersion    bool // late samples are written as if they had come in time
	reversed      bool // the reader takes earlier commits for later ones
}

// world is what outlives a process: a naive store and a naive queue, whose
// every call goes the way the schedule wants, and what was sent. Exactly one
// goroutine runs at a time: the schedule's or a process'.
type world struct {
	mu      sync.Mutex // for processes without a schedule, which have goroutines
	rng     *rand.Rand
	broken  breakage
	tables  map[string]map[store.ItemKey][]byte
	records map[string]store.Record
	book    map[store.JournalID]*naiveJournal
	late    []lateAppend
	queue   []*queued
	dead    []*queued
	truths  map[message.ID]*truth
	entries map[journal.EntryID]string          // accepted, and where
	flushes map[store.FlushID]string            // named, and where
	named   map[message.ID]string               // and where
	bodies  map[string]map[store.ItemKey][]byte // of named items, when they were named
	newest  message.Stamp
	actor   *process       // whose call is carried out
	counts  map[string]int // of what the interleaving brought about

	violations map[int]string // the first of each law
}

// lateAppend is an append whose caller got an error, still on its way.
type lateAppend struct {
	id       store.JournalID
	position uint64
	entry    []byte
}

func newWorld(rng *rand.Rand, broken breakage) *world {
	return &world{
		rng: rng, broken: broken,
		tables: map[string]map[store.ItemKey][]byte{}, records: map[string]store.Record{},
		book: map[store.JournalID]*naiveJournal{}, truths: map[message.ID]*truth{},
		entries: map[journal.EntryID]string{}, flushes: map[store.FlushID]string{}, named: map[message.ID]string{},
		bodies: map[string]map[store.ItemKey][]byte{}, counts: map[string]int{}, violations: map[int]string{},
	}
}

func (w *world) violate(law int, format string, args ...any) {
	if w.violations[law] == "" {
		w.violations[law] = fmt.Sprintf(format, args...)
	}
}

func (w *world) journal(id store.JournalID) *naiveJournal {
	if w.book[id] == nil {
		w.book[id] = newNaiveJournal(id)
	}
	return w.book[id]
}

// journals gives the journals in order, so that a seed always does the same.
func (w *world) journals() []*naiveJournal {
	ids := slices.SortedFunc(maps.Keys(w.book), func(a, b store.JournalID) int { return int(a.Week) - int(b.Week) })
	out := make([]*naiveJournal, len(ids))
	for i, id := range ids {
		out[i] = w.book[id]
	}
	return out
}

// append is put-if-absent, and where the laws of the journal are watched.
func (w *world) append(id store.JournalID, position uint64, entry []byte) error {
	j := w.journal(id)
	n := uint64(len(j.raw))
	if position != n && !(position < n && w.broken.unconditional) {
		return fmt.Errorf("%w: simulated", store.ErrTaken)
	}
	entry = bytes.Clone(entry)
	if w.broken.shortRegister {
		entry = shorten(entry)
	}
	w.accept(j, entry)
	return nil
}

// shorten leaves the last series out of a register entry.
func shorten(entry []byte) []byte {
	e, err := journal.DecodeEntry(entry)
	if err != nil || e.Register == nil {
		return entry
	}
	e.Register.Series = e.Register.Series[:len(e.Register.Series)-1]
	return e.Encode(nil)
}

// arrive carries out one of the appends that are on their way, or none.
func (w *world) arrive() {
	if len(w.late) == 0 {
		return
	}
	i := w.rng.IntN(len(w.late))
	l := w.late[i]
	w.late = slices.Delete(w.late, i, i+1)
	w.actor = nil // its caller is long gone
	if w.append(l.id, l.position, l.entry) == nil {
		w.counts["appends that arrive after their error"]++
	}
}

// simStore is the store as one process sees it.
type simStore struct{ p *process }

var _ store.Store = simStore{}

func (s simStore) Close() error { return nil }

func (s simStore) Ensure(_ context.Context, table string) error {
	return s.p.call(func(w *world) error {
		if w.tables[table] == nil {
			w.tables[table] = map[store.ItemKey][]byte{}
		}
		return nil
	})
}

func (s simStore) Names(context.Context) ([]string, error) { panic("no worker lists tables") }
func (s simStore) Drop(context.Context, string) error      { panic("no worker drops tables") }
func (s simStore) Delete(context.Context, string, []store.ItemKey) error {
	panic("no worker deletes items")
}
func (s simStore) List(context.Context) ([]store.JournalID, error) { panic("no worker lists journals") }
func (s simStore) Remove(context.Context, string, uint64) error    { panic("no worker removes records") }
func (s simStore) Scan(context.Context, string) ([]store.Record, error) {
	panic("no worker scans records")
}

func (s simStore) Query(context.Context, string, sample.Shard, int64, int64, func(store.Item) bool) error {
	panic("no worker reads items")
}

func (s simStore) Write(_ context.Context, table string, items []store.Item) error {
	items = slices.Clone(items)
	slices.SortFunc(items, func(a, b store.Item) int { return bytes.Compare(a.Key.Append(nil), b.Key.Append(nil)) })
	write := func(w *world) error {
		if w.tables[table] == nil {
			return store.ErrNoTable
		}
		for _, i := range items {
			w.put(table, i)
		}
		return nil
	}
	if s.p.world.broken.lazyWrite {
		s.p.lazy = append(s.p.lazy, write)
		return s.p.call(func(*world) error { return nil })
	}
	err := s.p.call(write)
	if n, silent := silence(err); silent && !n.done && !n.dead {
		s.p.world.mu.Lock()
		defer s.p.world.mu.Unlock()
		for _, i := range items { // a call that failed may have written some
			if s.p.world.tables[table] != nil && s.p.world.rng.IntN(3) == 0 {
				s.p.world.put(table, i)
			}
		}
	}
	return err
}

func (w *world) put(table string, i store.Item) {
	body := bytes.Clone(i.Body)
	if w.broken.oneVersion && table != journal.QuarantineTable {
		body = withVersion(body, uint64(w.newest))
	}
	if old, ok := w.tables[table][i.Key]; ok && !bytes.Equal(old, body) {
		w.violate(2, "item %v of table %s is written twice with other bytes", i.Key, table)
	}
	w.tables[table][i.Key] = body
}

func (s simStore) Append(_ context.Context, id store.JournalID, position uint64, entry []byte) error {
	p := s.p
	err := p.call(func(w *world) error {
		err := w.append(id, position, entry)
		if w.broken.repeatBlindly && err != nil && bytes.Equal(p.unanswered, entry) {
			err = w.append(id, uint64(len(w.journal(id).raw)), entry)
		}
		return err
	})
	n, _ := silence(err)
	if n.done {
		p.world.counts["appends whose answer is lost"]++
		p.unanswered, p.hidden = bytes.Clone(entry), true
	}
	if n.deferred {
		p.world.late = append(p.world.late, lateAppend{id, position, bytes.Clone(entry)})
	}
	return err
}

func (s simStore) Read(_ context.Context, id store.JournalID, from uint64, most int) ([][]byte, error) {
	var out [][]byte
	err := s.p.call(func(w *world) error {
		raw := w.journal(id).raw
		if w.broken.repeatBlindly && s.p.hidden {
			s.p.hidden = false // as if the append without answer had not happened
			return nil
		}
		for at := from; at < uint64(len(raw)) && len(out) < most; at++ {
			out = append(out, bytes.Clone(raw[at]))
			if w.broken.hideNamed {
				out[len(out)-1] = withoutLives(raw[at])
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// withoutLives takes out of a commit which messages it names.
func withoutLives(entry []byte) []byte {
	e, err := journal.DecodeEntry(entry)
	if err != nil || e.Commit == nil {
		return entry
	}
	e.Commit.Lives, e.Commit.Quarantined = nil, nil
	return e.Encode(nil)
}

func (s simStore) Get(_ context.Context, key string) (r store.Record, err error) {
	err = s.p.call(func(w *world) error {
		var ok bool
		if r, ok = w.records[key]; !ok {
			return store.ErrNotFound
		}
		return nil
	})
	return r, err
}

func (s simStore) Put(_ context.Context, key string, value []byte, version uint64) (r store.Record, err error) {
	err = s.p.call(func(w *world) error {
		if w.records[key].Version != version {
			return store.ErrConflict
		}
		r = store.Record{Key: key, Value: bytes.Clone(value), Version: version + 1}
		w.records[key] = r
		return nil
	})
	return r, err
}

// sealed writes the checksum of an entry anew.
func sealed(entry []byte) []byte {
	end := len(entry) - 8
	binary.LittleEndian.PutUint64(entry[end:], xxh3.Hash(entry[:end]))
	return entry
}
