package journal

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

func TestWriterTakesTheJournalOverAndAppends(t *testing.T) {
	l := &unitLog{}
	l.put(unitOther(1))
	w := unitOpen(t, l, 1)
	if e := l.decoded(t)[1]; e.Epoch == nil || e.Epoch.Worker != "worker-1" || e.ID.Sequence != 1 {
		t.Errorf("the writer began with %+v", e)
	}
	if a, b := w.NewFlush(), w.NewFlush(); a.Epoch != 1 || b.Epoch != 1 || a == b {
		t.Errorf("flushes %v and %v; want two of the epoch at position 1", a, b)
	}
	key := sample.Series{Metric: "m"}.Key()
	if err := w.Register(t.Context(), []Registration{{key, sample.Bool}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), unitCommit(w, 0, 3)); err != nil {
		t.Fatal(err)
	}
	if err := w.Confirm(t.Context()); err != nil || w.Broken() {
		t.Errorf("confirm: %v; broken %v", err, w.Broken())
	}
	w.Journal().View(func(s *State) {
		if _, kind, ok := s.Handle(key); !ok || kind != sample.Bool || !s.Named(message.ID{Life: 5, Number: 3}) || s.Cut() != 4 {
			t.Errorf("the writer's own journal knows the series: %v (%v), cut %d", ok, kind, s.Cut())
		}
	})
}

func TestWriterGoesOnBehindAnEntryThatTakesNothingOver(t *testing.T) {
	l := &unitLog{}
	w := unitOpen(t, l, 1)
	l.put(unitOther(1))
	l.put(unitOther(2))
	if err := w.Commit(t.Context(), unitCommit(w, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if all := l.decoded(t); len(all) != 4 || all[3].Commit == nil || w.Broken() {
		t.Errorf("%d entries, broken %v; want the commit as the fourth", len(all), w.Broken())
	}
}

func TestWriterIsFencedByAnothersEpoch(t *testing.T) {
	calls := map[string]func(t *testing.T, w *Writer) error{
		"commit":   func(t *testing.T, w *Writer) error { return w.Commit(t.Context(), unitCommit(w, 0, 0)) },
		"register": func(t *testing.T, w *Writer) error { return w.Register(t.Context(), unitOther(1).Register.Series) },
		"confirm":  func(t *testing.T, w *Writer) error { return w.Confirm(t.Context()) },
	}
	for name, call := range calls {
		l := &unitLog{}
		w := unitOpen(t, l, 1)
		l.put(unitEpoch(1))
		for range 2 { // it stays fenced
			if err := call(t, w); !errors.Is(err, ErrFenced) || !w.Broken() {
				t.Errorf("%s: %v, broken %v; want ErrFenced", name, err, w.Broken())
			}
		}
		if len(l.entries) != 2 {
			t.Errorf("%s left %d entries; want the two epochs", name, len(l.entries))
		}
	}
}

func TestACommitThatNamesANamedMessageIsRefused(t *testing.T) {
	l := &unitLog{}
	w := unitOpen(t, l, 1)
	if err := w.Commit(t.Context(), unitCommit(w, 3, 5)); err != nil {
		t.Fatal(err)
	}
	for _, r := range []Range{{3, 5}, {0, 3}, {5, 9}, {4, 4}, {0, 9}} {
		err := w.Commit(t.Context(), unitCommit(w, r.From, r.To))
		if err == nil || errors.Is(err, ErrFenced) || errors.Is(err, ErrUncertain) || w.Broken() {
			t.Errorf("messages %v: %v, broken %v; want a refusal", r, err, w.Broken())
		}
	}
	if len(l.entries) != 2 {
		t.Fatalf("%d entries; want 2", len(l.entries))
	}
	if err := w.Commit(t.Context(), unitCommit(w, 6, 6)); err != nil {
		t.Errorf("after the refusals: %v", err)
	}
}

// TestAFlushIsNotAppendedTwice matters most for one that names no message: as
// a second entry it would make the journal corrupt for good.
func TestAFlushIsNotAppendedTwice(t *testing.T) {
	l := &unitLog{}
	w := unitOpen(t, l, 1)
	c := &Commit{Flush: w.NewFlush(), Buckets: 1}
	if err := w.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), c); err == nil || w.Broken() {
		t.Errorf("the second time: %v, broken %v; want a refusal", err, w.Broken())
	}
	if err := unitJournal(l).Refresh(t.Context()); err != nil {
		t.Errorf("the journal afterwards: %v", err)
	}
}

func TestAnEntryTooLargeIsRefused(t *testing.T) {
	l := &unitLog{}
	w := unitOpen(t, l, 1)
	c := unitCommit(w, 0, 0)
	c.Quarantined = []Refusal{{Reason: strings.Repeat("r", store.MaxEntry)}}
	if err := w.Commit(t.Context(), c); !errors.Is(err, store.ErrTooLarge) || w.Broken() || len(l.entries) != 1 {
		t.Errorf("%v, broken %v, %d entries; want ErrTooLarge", err, w.Broken(), len(l.entries))
	}
	if err := w.Commit(t.Context(), unitCommit(w, 0, 0)); err != nil {
		t.Errorf("one that fits, afterwards: %v", err)
	}
}

func TestRegistrationsAreSplitOverEntries(t *testing.T) {
	l := &unitLog{}
	var told []Registered
	j := newJournal(l, unitID(), func(id store.JournalID, news []Registered) {
		if id != unitID() {
			t.Errorf("told of journal %s", id)
		}
		told = append(told, news...)
	}, &signal{})
	w, err := OpenWriter(t.Context(), j, "worker", unitRandom(1))
	if err != nil {
		t.Fatal(err)
	}
	var series []Registration
	for i := range 100 {
		metric := fmt.Sprintf("%03d%s", i, strings.Repeat("m", sample.MaxMetric-3))
		tags := []sample.Tag{{Name: "t", Value: strings.Repeat("v", 8<<10)}}
		series = append(series, Registration{sample.Series{Metric: metric, Tags: tags}.Key(), sample.Float64})
	}
	if err := w.Register(t.Context(), series); err != nil {
		t.Fatal(err)
	}
	if n := len(l.entries) - 1; n < 2 {
		t.Errorf("%d entries for %d bytes", n, len(series)*len(series[0].Key))
	}
	if len(told) != len(series) {
		t.Fatalf("told of %d series; want %d", len(told), len(series))
	}
	for i := range series {
		if told[i].Registration != series[i] {
			t.Fatalf("series %d was told as another", i)
		}
	}
	if err := w.Register(t.Context(), series[:1]); err != nil || len(told) != len(series) {
		t.Errorf("again: %v, told of %d", err, len(told))
	}
}
