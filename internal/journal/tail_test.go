package journal

import (
	"errors"
	"testing"
)

func TestBookTellsOfEachEntry(t *testing.T) {
	s := unitPebble(t)
	book := NewBook(s, 4, unitRandom(1), nil)
	first := book.Changed()
	if book.Changed() != first {
		t.Error("two that wait for the same entry got different channels")
	}
	w, err := OpenWriter(t.Context(), book.Journal(unitID()), "w", unitRandom(2)) // a journal that nobody knew before
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-first:
	default:
		t.Fatal("the first entry of a new journal is not told")
	}
	second := book.Changed()
	select {
	case <-second:
		t.Fatal("an entry is told that was there before it was asked")
	default:
	}
	if err := w.Commit(t.Context(), unitCommit(w, 0, 3)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-second:
	default:
		t.Error("the second entry is not told")
	}
}

func TestBookTellsOfEntriesThatOthersAppended(t *testing.T) {
	s := unitPebble(t)
	other := NewBook(s, 4, unitRandom(1), nil)
	if _, err := OpenWriter(t.Context(), other.Journal(unitID()), "w", unitRandom(2)); err != nil {
		t.Fatal(err)
	}
	book := NewBook(s, 4, unitRandom(3), nil)
	changed := book.Changed()
	if err := book.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	default:
		t.Error("what was read of another process is not told")
	}
}

func TestEntriesAreReadAnew(t *testing.T) {
	l := &unitLog{}
	w := unitOpen(t, l, 1)
	for n := range uint64(5) {
		if err := w.Commit(t.Context(), unitCommit(w, 10*n, 10*n+9)); err != nil {
			t.Fatal(err)
		}
	}
	j := w.Journal()
	cut := j.Snapshot().Cut
	for _, c := range []struct {
		from, to uint64
		most     int
		want     int
	}{{0, cut, 100, 6}, {2, cut, 100, 4}, {2, cut, 3, 3}, {2, 4, 100, 2}, {cut, cut, 100, 0}, {5, 3, 100, 0}} {
		got, err := j.Entries(t.Context(), c.from, c.to, c.most)
		if err != nil || len(got) != c.want {
			t.Fatalf("positions [%d, %d), at most %d: %d entries, %v; want %d", c.from, c.to, c.most, len(got), err, c.want)
		}
		for i, e := range got {
			if at := c.from + uint64(i); at > 0 && e.Commit.Lives[0].Ranges[0].From != 10*(at-1) {
				t.Errorf("position %d: got commit %+v", at, e.Commit)
			}
		}
	}
	if j.Snapshot().Cut != cut {
		t.Error("reading entries applied some")
	}
}

func TestEntriesThatAreGone(t *testing.T) {
	l := &unitLog{}
	w := unitOpen(t, l, 1)
	l.entries = nil
	if _, err := w.Journal().Entries(t.Context(), 0, 1, 10); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a journal that lost its entries: %v", err)
	}
	l.entries = [][]byte{[]byte("no entry")}
	if _, err := w.Journal().Entries(t.Context(), 0, 1, 10); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a damaged entry: %v", err)
	}
	broken := errors.New("broken")
	l.reset(nil, func(int) error { return broken })
	if _, err := w.Journal().Entries(t.Context(), 0, 1, 10); !errors.Is(err, broken) {
		t.Errorf("a store that does not answer: %v", err)
	}
}
