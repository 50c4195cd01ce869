package storetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"weir/internal/sample"
	"weir/internal/store"
)

// acknowledged is what concurrent writers were told is done, until there is so
// much that the crash may come.
type acknowledged struct {
	mu      sync.Mutex
	answers int
	limit   int
	enough  chan struct{}

	items   map[store.ItemKey]store.Item
	gone    map[store.ItemKey]bool
	entries map[store.JournalID]uint64
	counts  map[string]uint64
	tables  map[string]bool // that are there, or not
}

func newAcknowledged(limit int) *acknowledged {
	return &acknowledged{
		limit: limit, enough: make(chan struct{}),
		items: map[store.ItemKey]store.Item{}, gone: map[store.ItemKey]bool{},
		entries: map[store.JournalID]uint64{}, counts: map[string]uint64{}, tables: map[string]bool{},
	}
}

// do makes a call, notes that it was answered, and says whether to go on. What
// a call takes away is not known to be there from the moment that it begins.
func (a *acknowledged) do(before func(), call func() error, after func()) bool {
	a.mu.Lock()
	if a.answers >= a.limit {
		a.mu.Unlock()
		return false
	}
	before()
	a.mu.Unlock()
	if call() != nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.answers >= a.limit { // the power is being cut
		return false
	}
	after()
	if a.answers++; a.answers >= a.limit {
		close(a.enough)
		return false
	}
	return true
}

// crashAmidWrites crashes while several write, append, put, delete, make and
// drop, and finds all of what they were told before.
func crashAmidWrites(t *testing.T, f Factory) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	source := rand.New(rand.NewPCG(seed, 0))
	rounds := 12
	if testing.Short() {
		rounds = 5
	}
	for round := range rounds {
		p := place(t, f)
		s := open(t, p)
		must(t, "ensure", s.Ensure(background(), "t"))
		a := newAcknowledged(1 + source.IntN(60*(round+1)))
		var group sync.WaitGroup
		for w := range 4 {
			order := rand.New(rand.NewPCG(seed, uint64(round*10+w+1)))
			group.Go(func() { (&crashWriter{store: s, known: a, number: w, order: order}).run() })
		}
		failed := make(chan struct{})
		go func() {
			group.Wait()
			close(failed)
		}()
		select {
		case <-a.enough:
		case <-failed:
			if a.answers < a.limit {
				t.Fatalf("all writers failed after %d answers of %d", a.answers, a.limit)
			}
		}
		must(t, "crash", p.Crash(source.Uint64()))
		group.Wait()
		a.find(t, open(t, p))
	}
}

// crashWriter writes until a call fails or it is enough. Others may be within
// a call then.
type crashWriter struct {
	store  store.Store
	known  *acknowledged
	number int
	order  *rand.Rand
	written,
	appended, put, made uint64
	items  []store.Item
	tables []string
}

func (w *crashWriter) run() {
	steps := []func() bool{w.write, w.write, w.append, w.turn, w.delete, w.make, w.drop}
	for steps[w.order.IntN(len(steps))]() {
	}
}

func nothing() {}

func (w *crashWriter) write() bool {
	var list []store.Item
	for range 1 + w.order.IntN(3) {
		size := []int{0, 500, 3000, 30_000}[w.order.IntN(4)]
		list = append(list, item(sample.Shard(w.number), int64(w.written), w.written, 0, size))
		w.written++
	}
	w.items = append(w.items, list...)
	return w.known.do(nothing,
		func() error { return w.store.Write(background(), "t", list) },
		func() {
			for _, i := range list {
				w.known.items[i.Key] = i
			}
		})
}

func (w *crashWriter) append() bool {
	id, n := store.JournalID{Week: 3, Partition: w.number}, w.appended
	w.appended++
	return w.known.do(nothing,
		func() error { return w.store.Append(background(), id, n, entry(n)) },
		func() { w.known.entries[id] = n + 1 })
}

func (w *crashWriter) turn() bool {
	key, n := fmt.Sprintf("w/%d", w.number), w.put
	w.put++
	return w.known.do(nothing,
		func() error { _, err := w.store.Put(background(), key, entry(n), n); return err },
		func() { w.known.counts[key] = n + 1 })
}

func (w *crashWriter) delete() bool {
	if len(w.items) == 0 {
		return true
	}
	first := w.order.IntN(len(w.items))
	last := min(first+1+w.order.IntN(40), len(w.items))
	keys := keysOf(w.items[first:last])
	w.items = slices.Delete(w.items, first, last)
	return w.known.do(
		func() {
			for _, key := range keys {
				delete(w.known.items, key)
			}
		},
		func() error { return w.store.Delete(background(), "t", keys) },
		func() {
			for _, key := range keys {
				w.known.gone[key] = true
			}
		})
}

func (w *crashWriter) make() bool {
	table := fmt.Sprintf("w%d_%d", w.number, w.made)
	w.made++
	w.tables = append(w.tables, table)
	return w.known.do(nothing,
		func() error { return w.store.Ensure(background(), table) },
		func() { w.known.tables[table] = true })
}

func (w *crashWriter) drop() bool {
	if len(w.tables) == 0 {
		return true
	}
	n := w.order.IntN(len(w.tables))
	table := w.tables[n]
	w.tables = slices.Delete(w.tables, n, n+1)
	return w.known.do(
		func() { delete(w.known.tables, table) },
		func() error { return w.store.Drop(background(), table) },
		func() { w.known.tables[table] = false })
}

// find finds what was acknowledged. What was not may be there or not.
func (a *acknowledged) find(t *testing.T, s store.Store) {
	t.Helper()
	for w := range sample.Shard(4) {
		there := map[store.ItemKey][]byte{}
		for _, i := range query(t, s, "t", w, 0, 1<<40) {
			there[i.Key] = i.Body
		}
		for key, i := range a.items {
			if key.Bucket == w && (there[key] == nil || !bytes.Equal(there[key], i.Body)) {
				t.Fatalf("item %+v of %d bytes was acknowledged; %d bytes are there", key, len(i.Body), len(there[key]))
			}
		}
		for key := range a.gone {
			if there[key] != nil {
				t.Fatalf("item %+v was deleted, and is there", key)
			}
		}
	}
	for id, end := range a.entries {
		entries, err := s.Read(background(), id, 0, int(end))
		if err != nil || uint64(len(entries)) != end {
			t.Fatalf("journal %s has %d entries, %v; %d were acknowledged", id, len(entries), err, end)
		}
		for n, e := range entries {
			if !bytes.Equal(e, entry(uint64(n))) {
				t.Fatalf("journal %s at %d: %q", id, n, e)
			}
		}
	}
	for key, version := range a.counts {
		r, err := s.Get(background(), key)
		if err != nil || r.Version < version {
			t.Fatalf("record %s is of version %d, %v; %d was acknowledged", key, r.Version, err, version)
		}
	}
	names, err := s.Names(background())
	must(t, "names", err)
	for table, want := range a.tables {
		if slices.Contains(names, table) != want {
			t.Fatalf("table %s is there: %v; %v was acknowledged", table, !want, want)
		}
	}
}
