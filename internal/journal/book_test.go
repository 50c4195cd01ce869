package journal

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"weir/internal/sample"
	"weir/internal/store"
	"weir/internal/store/pebble"
)

// unitStore is the real store, but for the calls that fail is asked about and
// names an error for.
type unitStore struct {
	store.Store
	fail func(call, key string) error
}

func (s *unitStore) asked(call, key string) error {
	if s.fail == nil {
		return nil
	}
	return s.fail(call, key)
}

func (s *unitStore) Ensure(ctx context.Context, table string) error {
	if err := s.asked("ensure", table); err != nil {
		return err
	}
	return s.Store.Ensure(ctx, table)
}

func (s *unitStore) Read(ctx context.Context, id store.JournalID, from uint64, most int) ([][]byte, error) {
	if err := s.asked("read", id.String()); err != nil {
		return nil, err
	}
	return s.Store.Read(ctx, id, from, most)
}

func (s *unitStore) List(ctx context.Context) ([]store.JournalID, error) {
	if err := s.asked("list", ""); err != nil {
		return nil, err
	}
	return s.Store.List(ctx)
}

func (s *unitStore) Get(ctx context.Context, key string) (store.Record, error) {
	if err := s.asked("get", key); err != nil {
		return store.Record{}, err
	}
	return s.Store.Get(ctx, key)
}

func (s *unitStore) Put(ctx context.Context, key string, value []byte, version uint64) (store.Record, error) {
	if err := s.asked("put", key); err != nil {
		return store.Record{}, err
	}
	return s.Store.Put(ctx, key, value, version)
}

func (s *unitStore) Scan(ctx context.Context, prefix string) ([]store.Record, error) {
	if err := s.asked("scan", prefix); err != nil {
		return nil, err
	}
	return s.Store.Scan(ctx, prefix)
}

func unitPebble(t *testing.T) *unitStore {
	t.Helper()
	cfg := pebble.Default()
	cfg.Dir = t.TempDir()
	s, err := pebble.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &unitStore{Store: s}
}

// unitWrite opens a writer of a book's journal and registers a series there.
func unitWrite(t *testing.T, b *Book, id store.JournalID, metric string) {
	t.Helper()
	w, err := OpenWriter(t.Context(), b.Journal(id), "w", unitRandom(uint64(id.Week)*100+uint64(id.Partition)))
	if err != nil {
		t.Fatal(err)
	}
	key := sample.Series{Metric: metric}.Key()
	if err := w.Register(t.Context(), []Registration{{key, sample.Float64}}); err != nil {
		t.Fatal(err)
	}
}

func TestABookLoadsAllJournals(t *testing.T) {
	s := unitPebble(t)
	ids := []store.JournalID{{Week: 10, Partition: 0}, {Week: 10, Partition: 2}, {Week: 11, Partition: 1}}
	written := NewBook(s, 4, unitRandom(7), nil)
	for _, i := range []int{2, 0, 1} {
		unitWrite(t, written, ids[i], ids[i].String())
	}
	var mu sync.Mutex
	told := map[store.JournalID][]Registered{}
	b := NewBook(s, 4, unitRandom(7), func(id store.JournalID, news []Registered) {
		mu.Lock()
		defer mu.Unlock()
		told[id] = append(told[id], news...)
	})
	if err := b.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, j := range b.Journals() {
		if j.ID() != ids[i] || unitCut(j) != 2 || b.Journal(ids[i]) != j {
			t.Errorf("journal %d is %s, read up to %d; want %s", i, j.ID(), unitCut(j), ids[i])
		}
		if news := told[ids[i]]; len(news) != 1 || !strings.Contains(news[0].Key, ids[i].String()) {
			t.Errorf("of %s the book told %v", ids[i], news)
		}
	}
	if len(b.Journals()) != len(ids) {
		t.Errorf("%d journals; want %d", len(b.Journals()), len(ids))
	}
}

func TestAJournalThatCannotBeReadLeavesTheOthersReadable(t *testing.T) {
	s := unitPebble(t)
	ids := []store.JournalID{{Week: 10}, {Week: 11}, {Week: 12}}
	written := NewBook(s, 1, unitRandom(7), nil)
	for _, id := range ids {
		unitWrite(t, written, id, "m")
	}
	if err := s.Append(t.Context(), ids[0], 2, []byte("no entry")); err != nil {
		t.Fatal(err)
	}
	s.fail = func(call, key string) error {
		if call == "read" && key == ids[1].String() {
			return store.ErrUnavailable
		}
		return nil
	}
	b := NewBook(s, 1, unitRandom(7), nil)
	err := b.Load(t.Context())
	if errors.Is(err, ErrCorrupt) || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("load: %v; want the error of the one that may be read later", err)
	}
	for weeks, damaged := range map[[2]sample.Week]bool{{10, 10}: true, {9, 11}: true, {11, 12}: false, {0, 9}: false} {
		if err := b.Damaged(weeks[0], weeks[1]); errors.Is(err, ErrCorrupt) != damaged || damaged && !strings.Contains(err.Error(), ids[0].String()) {
			t.Errorf("damage of weeks %v: %v", weeks, err)
		}
	}
	for i, want := range []uint64{2, 0, 2} {
		if got := unitCut(b.Journal(ids[i])); got != want {
			t.Errorf("journal %s is read up to %d; want %d", ids[i], got, want)
		}
	}
	s.fail = func(call, _ string) error {
		if call == "list" {
			return store.ErrUnavailable
		}
		return nil
	}
	if err := b.Load(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("load without a list: %v", err)
	}
}

// TestASnapshotStandsStill: what a reader was given does not change with the
// commits that come later.
func TestASnapshotStandsStill(t *testing.T) {
	w := unitOpen(t, &unitLog{}, 1)
	c := unitCommit(w, 0, 0)
	c.Horizon = 7
	if err := w.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	s := w.Journal().Snapshot()
	if err := w.Commit(t.Context(), unitCommit(w, 1, 1)); err != nil {
		t.Fatal(err)
	}
	if len(s.Commits) != 1 || s.Horizons[Steady] != 7 || s.Cut != 2 || len(s.Pending) != 0 || s.Commits[0].Position != 1 || s.Commits[0].Flush != c.Flush {
		t.Errorf("the snapshot holds %+v", s)
	}
	key := c.Key(Item{Bucket: 3, Span: 4, Part: 5})
	if key != (store.ItemKey{Bucket: 3, Span: 4, Flush: c.Flush, Part: 5}) {
		t.Errorf("the item's key is %+v", key)
	}
}
