package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"weir/internal/store"
)

func journalCases() []testCase {
	return []testCase{
		with("Dense", denseJournal),
		with("Pages", journalPages),
		with("Sizes", entrySizes),
		with("List", listJournals),
		with("OneWinsEachPosition", oneWins),
		{name: "Gap", run: gapInJournal},
	}
}

func denseJournal(t *testing.T, s store.Store) {
	id := store.JournalID{Week: 2924, Partition: 3}
	other := store.JournalID{Week: 2924, Partition: 4}
	for n := range uint64(20) {
		must(t, "append", s.Append(background(), id, n, entry(n)))
		for _, taken := range []uint64{n, 0} {
			err := s.Append(background(), id, taken, []byte("another"))
			if !errors.Is(err, store.ErrTaken) {
				t.Fatalf("append at %d of %d: %v; want ErrTaken", taken, n+1, err)
			}
		}
	}
	entries, err := s.Read(background(), id, 0, 100)
	must(t, "read", err)
	if len(entries) != 20 {
		t.Fatalf("%d entries; want 20", len(entries))
	}
	for n, e := range entries {
		if !bytes.Equal(e, entry(uint64(n))) {
			t.Errorf("entry %d is %q: what was refused must not be stored", n, e)
		}
	}
	if entries, err := s.Read(background(), other, 0, 10); err != nil || len(entries) != 0 {
		t.Errorf("the other partition has %d entries, %v", len(entries), err)
	}
	for _, partition := range []int{-1, 1 << 16} {
		if err := s.Append(background(), store.JournalID{Partition: partition}, 0, nil); err == nil {
			t.Errorf("partition %d: want an error", partition)
		}
		if _, err := s.Read(background(), store.JournalID{Partition: partition}, 0, 1); err == nil {
			t.Errorf("read of partition %d: want an error", partition)
		}
	}
}

func journalPages(t *testing.T, s store.Store) {
	id := store.JournalID{Week: 1}
	for n := range uint64(50) {
		must(t, "append", s.Append(background(), id, n, entry(n)))
	}
	var all [][]byte
	for {
		page, err := s.Read(background(), id, uint64(len(all)), 7)
		must(t, "read", err)
		if len(page) > 7 {
			t.Fatalf("a page of %d entries; want at most 7", len(page))
		}
		all = append(all, page...)
		if len(page) < 7 {
			break
		}
	}
	if len(all) != 50 {
		t.Fatalf("%d entries; want 50", len(all))
	}
	for n, e := range all {
		if !bytes.Equal(e, entry(uint64(n))) {
			t.Errorf("entry %d is %q", n, e)
		}
	}
	all[0][0] = 'X' // entries are the caller's to keep
	again, err := s.Read(background(), id, 0, 1)
	if err != nil || !bytes.Equal(again[0], entry(0)) {
		t.Errorf("entry 0 became %q, %v", again, err)
	}
	for from, max := range map[uint64]int{50: 5, 51: 5, math.MaxUint64: math.MaxInt, 3: 0} {
		if page, err := s.Read(background(), id, from, max); err != nil || len(page) != 0 {
			t.Errorf("read of %d from %d: %d entries, %v; want none", max, from, len(page), err)
		}
	}
	if page, err := s.Read(background(), id, 49, math.MaxInt); err != nil || len(page) != 1 {
		t.Errorf("read of all from 49: %d entries, %v; want one", len(page), err)
	}
}

func entrySizes(t *testing.T, s store.Store) {
	id := store.JournalID{Week: 2}
	sizes := []int{0, 1, 5000, store.MaxEntry}
	for n, size := range sizes {
		must(t, "append", s.Append(background(), id, uint64(n), bodyOf(store.ItemKey{Span: int64(n)}, size)))
	}
	err := s.Append(background(), id, uint64(len(sizes)), make([]byte, store.MaxEntry+1))
	if !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("an entry that is too large: %v; want ErrTooLarge", err)
	}
	entries, err := s.Read(background(), id, 0, 10)
	if err != nil || len(entries) != len(sizes) {
		t.Fatalf("%d entries, %v; want %d", len(entries), err, len(sizes))
	}
	for n, size := range sizes {
		if !bytes.Equal(entries[n], bodyOf(store.ItemKey{Span: int64(n)}, size)) {
			t.Errorf("entry of %d bytes came back as another of %d", size, len(entries[n]))
		}
	}
}

func listJournals(t *testing.T, s store.Store) {
	if ids, err := s.List(background()); err != nil || len(ids) != 0 {
		t.Fatalf("a new store lists %v, %v", ids, err)
	}
	want := []store.JournalID{
		{Week: math.MinInt32, Partition: 0}, {Week: -2, Partition: 9}, {Week: -1, Partition: 0}, {Week: 0, Partition: 0},
		{Week: 0, Partition: 1}, {Week: 0, Partition: 256}, {Week: 2924, Partition: 65_535}, {Week: math.MaxInt32, Partition: 1},
	}
	for _, n := range []int{5, 0, 7, 2, 3, 6, 1, 4} {
		for p := range uint64(3) {
			must(t, "append", s.Append(background(), want[n], p, entry(p)))
		}
	}
	if _, err := s.Read(background(), store.JournalID{Week: 77}, 0, 1); err != nil {
		t.Fatal(err) // reading makes no journal
	}
	ids, err := s.List(background())
	must(t, "list", err)
	if !slices.Equal(ids, want) {
		t.Fatalf("list is %v; want %v", ids, want)
	}
}

// oneWins lets many append at each position of two journals: one is told that
// it did, the others that it is taken, and then the winner's entry is there.
func oneWins(t *testing.T, s store.Store) {
	const positions, callers = 30, 6
	ids := []store.JournalID{{Week: 5}, {Week: 5, Partition: 1}}
	var wins [2][positions]atomic.Int64
	var group sync.WaitGroup
	for c := range callers {
		group.Go(func() {
			for n := range uint64(positions) {
				for j, id := range ids {
					mine := fmt.Appendf(nil, "%d by %d", n, c)
					err := s.Append(background(), id, n, mine)
					there, readErr := s.Read(background(), id, n, 1)
					switch {
					case readErr != nil || len(there) != 1:
						t.Errorf("read of %s at %d after append: %d entries, %v", id, n, len(there), readErr)
					case err == nil:
						wins[j][n].Add(1)
						if !bytes.Equal(there[0], mine) {
							t.Errorf("%s at %d: the winner's entry is %q; want %q", id, n, there[0], mine)
						}
					case !errors.Is(err, store.ErrTaken):
						t.Errorf("append to %s at %d: %v", id, n, err)
					}
				}
			}
		})
	}
	group.Wait()
	for j := range ids {
		for n := range positions {
			if got := wins[j][n].Load(); got != 1 {
				t.Errorf("journal %d, position %d has %d winners", j, n, got)
			}
		}
	}
}

func gapInJournal(t *testing.T, f Factory) {
	if !f.Gaps {
		t.Skip("the driver leaves it to the caller to know the position before")
	}
	s := open(t, place(t, f))
	id := store.JournalID{Week: 6}
	for _, position := range []uint64{1, 2, math.MaxUint64} {
		err := s.Append(background(), id, position, entry(position))
		if err == nil || errors.Is(err, store.ErrTaken) {
			t.Errorf("append at %d of an empty journal: %v; want an error that is not ErrTaken", position, err)
		}
	}
	must(t, "append", s.Append(background(), id, 0, entry(0)))
	if err := s.Append(background(), id, 2, entry(2)); err == nil {
		t.Error("append at 2 of a journal of one: want an error")
	}
	entries, err := s.Read(background(), id, 0, 10)
	if err != nil || len(entries) != 1 {
		t.Errorf("%d entries, %v; want one", len(entries), err)
	}
}
