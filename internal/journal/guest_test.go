package journal

import (
	"errors"
	"math/rand/v2"
	"testing"

	"weir/internal/message"
	"weir/internal/sample"
)

func TestAGuestFencesNobodyAndIsFenced(t *testing.T) {
	l := &unitLog{}
	worker := unitOpen(t, l, 1)
	j := worker.Journal()
	guest, err := JoinWriter(t.Context(), j, "guest", rand.Uint64)
	if err != nil {
		t.Fatal(err)
	}
	if len(l.entries) != 1 || guest.NewFlush().Epoch != worker.NewFlush().Epoch {
		t.Errorf("%d entries; want the worker's epoch alone, shared by the guest", len(l.entries))
	}
	key := sample.Series{Metric: "m"}.Key()
	for _, w := range []*Writer{guest, worker} {
		if err := w.Register(t.Context(), []Registration{{key, sample.Bool}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := guest.Commit(t.Context(), unitCommit(guest, 0, 3)); err != nil {
		t.Fatal(err)
	}
	// What the one has named the other can't.
	if err := worker.Commit(t.Context(), unitCommit(worker, 3, 5)); err == nil || worker.Broken() {
		t.Errorf("message 3 is named twice: %v, broken %v", err, worker.Broken())
	}
	if err := worker.Commit(t.Context(), unitCommit(worker, 4, 5)); err != nil {
		t.Fatal(err)
	}
	l.put(unitEpoch(1))
	if err := guest.Commit(t.Context(), unitCommit(guest, 6, 6)); !errors.Is(err, ErrFenced) || !guest.Broken() {
		t.Errorf("behind another's epoch: %v; want ErrFenced", err)
	}
	if guest, err = JoinWriter(t.Context(), j, "guest", rand.Uint64); err != nil {
		t.Fatal(err)
	}
	if err := guest.Commit(t.Context(), unitCommit(guest, 6, 6)); err != nil {
		t.Errorf("joined anew: %v", err)
	}
	if err := worker.Confirm(t.Context()); !errors.Is(err, ErrFenced) {
		t.Errorf("the worker whose journal was taken over: %v", err)
	}
}

func TestAGuestOfAJournalThatNobodyHasTakesItOver(t *testing.T) {
	l := &unitLog{}
	l.put(unitOther(1))
	guest, err := JoinWriter(t.Context(), unitJournal(l), "guest", rand.Uint64)
	if err != nil {
		t.Fatal(err)
	}
	if all := l.decoded(t); len(all) != 2 || all[1].Epoch == nil || all[1].Epoch.Worker != "guest" {
		t.Errorf("%d entries; want an epoch as the second", len(all))
	}
	c := unitCommit(guest, 0, 3)
	c.Lives[0].Last = 77
	if err := guest.Commit(t.Context(), c); err != nil || c.Flush.Epoch != 1 {
		t.Errorf("%v, flush %s", err, c.Flush)
	}
	s := guest.Journal().Snapshot()
	if s.Horizons.Latest() >= 77 || s.Latest() != 77 {
		t.Errorf("the horizon is %d, the latest stamp %d; want 77 for that alone", s.Horizons.Latest(), s.Latest())
	}
	guest.Journal().View(func(s *State) {
		if !s.Named(message.ID{Life: 5, Number: 3}) {
			t.Error("the message is not named")
		}
	})
}
