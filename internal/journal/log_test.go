package journal

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"weir/internal/sample"
	"weir/internal/store"
)

// unitLog is one journal in memory whose answers a test can lose. Its two
// hooks are called under its lock, with the count of the calls from 1.
type unitLog struct {
	mu       sync.Mutex
	entries  [][]byte
	onAppend func(try int, l *unitLog, entry []byte) (keep bool, err error)
	onRead   func(try int) error
	appends  int
	reads    int
}

func (l *unitLog) Append(ctx context.Context, _ store.JournalID, position uint64, entry []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	l.appends++
	keep, err := true, error(nil)
	if l.onAppend != nil {
		keep, err = l.onAppend(l.appends, l, entry)
	}
	if keep {
		if position != uint64(len(l.entries)) {
			return fmt.Errorf("position %d: %w", position, store.ErrTaken)
		}
		l.entries = append(l.entries, slices.Clone(entry))
	}
	return err
}

func (l *unitLog) Read(ctx context.Context, _ store.JournalID, from uint64, most int) ([][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.reads++
	if l.onRead != nil {
		if err := l.onRead(l.reads); err != nil {
			return nil, err
		}
	}
	rest := l.entries[min(from, uint64(len(l.entries))):]
	return slices.Clone(rest[:min(most, len(rest))]), nil
}

func (l *unitLog) List(context.Context) ([]store.JournalID, error) {
	return []store.JournalID{unitID()}, nil
}

// put appends an entry past all hooks, as another process does between two
// calls. The caller holds the lock, or is alone.
func (l *unitLog) put(e *Entry) { l.entries = append(l.entries, e.Encode(nil)) }

// reset forgets the calls so far and sets the hooks.
func (l *unitLog) reset(onAppend func(int, *unitLog, []byte) (bool, error), onRead func(int) error) {
	l.appends, l.reads, l.onAppend, l.onRead = 0, 0, onAppend, onRead
}

// decoded gives the entries that stand.
func (l *unitLog) decoded(t *testing.T) []*Entry {
	t.Helper()
	var out []*Entry
	for _, body := range l.entries {
		e, err := DecodeEntry(body)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

func unitID() store.JournalID { return store.JournalID{Week: 2922, Partition: 1} }

func unitJournal(l store.Journals) *Journal { return newJournal(l, unitID(), nil, &signal{}) }

// unitRandom gives numbers that differ from seed to seed.
func unitRandom(seed uint64) func() uint64 { return rand.New(rand.NewPCG(seed, seed)).Uint64 }

func unitOpen(t *testing.T, l store.Journals, seed uint64) *Writer {
	t.Helper()
	w, err := OpenWriter(t.Context(), unitJournal(l), fmt.Sprint("worker-", seed), unitRandom(seed))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// unitOther gives an entry of another writer that takes nothing over.
func unitOther(n uint64) *Entry {
	key := sample.Series{Metric: fmt.Sprint("other-", n)}.Key()
	return &Entry{ID: EntryID{99, n}, Register: &Register{Series: []Registration{{key, sample.Float64}}}}
}

// unitEpoch gives an epoch of another writer.
func unitEpoch(n uint64) *Entry {
	return &Entry{ID: EntryID{77, n}, Epoch: &Epoch{Worker: "another"}}
}

// unitCommit names messages from to to of life 5.
func unitCommit(w *Writer, from, to uint64) *Commit {
	return &Commit{
		Flush: w.NewFlush(), Buckets: 1,
		Lives: []Life{{Life: 5, Ranges: []Range{{from, to}}, Samples: to - from + 1}},
	}
}

func unitCut(j *Journal) (cut uint64) {
	j.View(func(s *State) { cut = s.Cut() })
	return cut
}
