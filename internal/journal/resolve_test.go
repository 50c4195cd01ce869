package journal

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"weir/internal/store"
)

func TestALostAnswerIsResolvedByReading(t *testing.T) {
	for name, keep := range map[string]bool{"appended": true, "not appended": false} {
		l := &unitLog{}
		w := unitOpen(t, l, 1)
		l.reset(func(try int, _ *unitLog, _ []byte) (bool, error) {
			if try > 1 {
				return true, nil
			}
			return keep, store.ErrUnavailable
		}, nil)
		if err := w.Commit(t.Context(), unitCommit(w, 0, 0)); err != nil || w.Broken() {
			t.Errorf("%s: %v, broken %v", name, err, w.Broken())
		}
		if len(l.entries) != 2 || unitCut(w.Journal()) != 2 {
			t.Errorf("%s: %d entries, of which the writer knows %d; want 2", name, len(l.entries), unitCut(w.Journal()))
		}
	}
}

// TestALostAnswerIsResolvedOverSeveralPages loses the connection once the
// page with the writer's own entry is read.
func TestALostAnswerIsResolvedOverSeveralPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &unitLog{}
		w := unitOpen(t, l, 1)
		l.reset(func(_ int, l *unitLog, entry []byte) (bool, error) {
			l.entries = append(l.entries, entry)
			for n := range uint64(readPage) {
				l.put(unitOther(n))
			}
			l.onAppend = nil
			return false, store.ErrUnavailable
		}, func(try int) error {
			if try == 2 {
				return store.ErrUnavailable
			}
			return nil
		})
		if err := w.Commit(t.Context(), unitCommit(w, 0, 0)); err != nil || w.Broken() {
			t.Errorf("%v, broken %v", err, w.Broken())
		}
		if len(l.entries) != 2+readPage {
			t.Errorf("%d entries; want %d", len(l.entries), 2+readPage)
		}
	})
}

func TestAStoreThatNeverAnswersLeavesTheWriterBroken(t *testing.T) {
	failed := func(int, *unitLog, []byte) (bool, error) { return false, store.ErrUnavailable }
	cases := map[string]struct {
		onAppend func(int, *unitLog, []byte) (bool, error)
		onRead   func(int) error
	}{
		"neither append nor read":   {failed, func(int) error { return store.ErrUnavailable }},
		"reads show nothing":        {failed, nil},
		"taken, and nothing stands": {func(int, *unitLog, []byte) (bool, error) { return false, store.ErrTaken }, nil},
	}
	for name, c := range cases {
		synctest.Test(t, func(t *testing.T) {
			l := &unitLog{}
			w := unitOpen(t, l, 1)
			l.reset(c.onAppend, c.onRead)
			err := w.Commit(t.Context(), unitCommit(w, 0, 0))
			if !errors.Is(err, ErrUncertain) || !w.Broken() {
				t.Errorf("%s: %v, broken %v; want ErrUncertain", name, err, w.Broken())
			}
			l.reset(nil, nil)
			if err := w.Commit(t.Context(), unitCommit(w, 1, 1)); !errors.Is(err, ErrUncertain) || l.appends != 0 {
				t.Errorf("%s: a broken writer appended %d times: %v", name, l.appends, err)
			}
		})
	}
}

func TestAnAppendThatIsCalledOffIsUncertain(t *testing.T) {
	l := &unitLog{}
	w := unitOpen(t, l, 1)
	ctx, cancel := context.WithCancel(t.Context())
	l.reset(func(int, *unitLog, []byte) (bool, error) {
		cancel()
		return true, context.Canceled
	}, nil)
	if err := w.Commit(ctx, unitCommit(w, 0, 0)); !errors.Is(err, ErrUncertain) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v; want ErrUncertain", err)
	}
}

func TestAnEpochAheadOfALostCommitFences(t *testing.T) {
	l := &unitLog{}
	w := unitOpen(t, l, 1)
	l.reset(func(try int, l *unitLog, _ []byte) (bool, error) {
		l.put(unitEpoch(1))
		return false, store.ErrUnavailable
	}, nil)
	if err := w.Commit(t.Context(), unitCommit(w, 0, 0)); !errors.Is(err, ErrFenced) || l.appends != 1 {
		t.Errorf("%v after %d appends; want ErrFenced after one", err, l.appends)
	}
}

// TestAnEpochBehindALostCommitComesTooLate: the commit counts; the writer
// learns with its next call that it is over.
func TestAnEpochBehindALostCommitComesTooLate(t *testing.T) {
	l := &unitLog{}
	w := unitOpen(t, l, 1)
	l.reset(func(_ int, l *unitLog, entry []byte) (bool, error) {
		l.entries = append(l.entries, entry)
		l.put(unitEpoch(1))
		return false, store.ErrUnavailable
	}, nil)
	if err := w.Commit(t.Context(), unitCommit(w, 0, 0)); err != nil {
		t.Errorf("the commit that stands: %v", err)
	}
	if err := w.Confirm(t.Context()); !errors.Is(err, ErrFenced) {
		t.Errorf("afterwards: %v; want ErrFenced", err)
	}
}

func TestOpeningAWriterSurvivesWhatComesAhead(t *testing.T) {
	ahead := map[string]func(*unitLog, []byte){
		"another's epoch":              func(l *unitLog, _ []byte) { l.put(unitEpoch(1)) },
		"another's entry":              func(l *unitLog, _ []byte) { l.put(unitOther(1)) },
		"its own, and an entry after":  func(l *unitLog, own []byte) { l.entries = append(l.entries, own); l.put(unitOther(1)) },
		"another's epoch, and its own": func(l *unitLog, own []byte) { l.put(unitEpoch(1)); l.entries = append(l.entries, own) },
		"an epoch, an entry, its own": func(l *unitLog, own []byte) {
			l.put(unitEpoch(1))
			l.put(unitOther(1))
			l.entries = append(l.entries, own)
		},
		"nothing, though it was denied": func(*unitLog, []byte) {},
	}
	for name, put := range ahead {
		l := &unitLog{onAppend: func(_ int, l *unitLog, entry []byte) (bool, error) {
			l.onAppend = nil
			put(l, entry)
			return false, store.ErrUnavailable
		}}
		w := unitOpen(t, l, 1)
		if err := w.Commit(t.Context(), unitCommit(w, 0, 0)); err != nil {
			t.Errorf("%s: the commit after it: %v", name, err)
			continue
		}
		epochs, own := 0, uint64(0)
		for at, e := range l.decoded(t) {
			if e.Epoch != nil && e.ID.Writer == w.id {
				epochs, own = epochs+1, uint64(at)
			}
		}
		if epochs != 1 || w.NewFlush().Epoch != own {
			t.Errorf("%s: %d epochs of its own, flushes of epoch %d; want those of %d", name, epochs, w.NewFlush().Epoch, own)
		}
	}
}

func TestAWriterDoesNotOpenWhatItCannotRead(t *testing.T) {
	l := &unitLog{onRead: func(int) error { return store.ErrUnavailable }}
	if _, err := OpenWriter(t.Context(), unitJournal(l), "w", unitRandom(1)); !errors.Is(err, store.ErrUnavailable) || l.appends != 0 {
		t.Errorf("a store that does not answer: %v, %d appends", err, l.appends)
	}
	l = &unitLog{entries: [][]byte{[]byte("not an entry at all, whatever it is")}}
	if _, err := OpenWriter(t.Context(), unitJournal(l), "w", unitRandom(1)); !errors.Is(err, ErrCorrupt) || l.appends != 0 {
		t.Errorf("a corrupt entry: %v, %d appends", err, l.appends)
	}
	w := unitOpen(t, &unitLog{}, 1)
	w.Journal().log = l
	if err := w.Confirm(t.Context()); err != nil {
		t.Errorf("entries behind what it knows: %v", err)
	}
	l.entries = append(l.entries, nil)
	if err := w.Confirm(t.Context()); !errors.Is(err, ErrCorrupt) {
		t.Errorf("confirm over a corrupt entry: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		l := &unitLog{onAppend: func(int, *unitLog, []byte) (bool, error) { return false, store.ErrUnavailable }}
		if _, err := OpenWriter(t.Context(), unitJournal(l), "w", unitRandom(1)); !errors.Is(err, ErrUncertain) {
			t.Errorf("an epoch that cannot be appended: %v; want ErrUncertain", err)
		}
	})
}

// TestOfRacingWritersTheLastOneWrites opens writers in several processes at
// once: all open, and exactly the one whose epoch stands last can write.
func TestOfRacingWritersTheLastOneWrites(t *testing.T) {
	for round := range uint64(50) {
		l := &unitLog{}
		writers := make([]*Writer, 4)
		var group sync.WaitGroup
		for i := range writers {
			group.Go(func() {
				w, err := OpenWriter(t.Context(), unitJournal(l), "racer", unitRandom(round*10+uint64(i)))
				if err != nil {
					t.Error(err)
				}
				writers[i] = w
			})
		}
		group.Wait()
		if t.Failed() {
			return
		}
		last := l.entries[len(l.entries)-1]
		e, err := DecodeEntry(last)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range writers {
			err := w.Commit(t.Context(), unitCommit(w, w.id, w.id))
			if wins := w.id == e.ID.Writer; wins && err != nil || !wins && !errors.Is(err, ErrFenced) {
				t.Fatalf("round %d, the last epoch is its own: %v; committing gave %v", round, wins, err)
			}
		}
	}
}
