package journal

import (
	"errors"
	"strings"
	"testing"
	"time"

	"weir/internal/store"
)

// TestExpungeLeavesNothingThatNoPinHolds replaces an item by none, as an erasure
// does: the old one goes at once, unless a pin holds it.
func TestExpungeLeavesNothingThatNoPinHolds(t *testing.T) {
	s := unitPebble(t)
	b, w, v := unitWeek(t, s)
	id, now := w.Journal().ID(), time.Unix(1_768_000_000, 0)
	flush := w.NewFlush()
	unitPut(t, s, v.Table, flush)
	commit := &Commit{Flush: flush, Buckets: 1, Span: int64(time.Hour), Items: []Item{{Samples: 3, Bytes: 4}}}
	if err := w.Commit(t.Context(), commit); err != nil {
		t.Fatal(err)
	}
	cut := []uint64{w.Journal().Snapshot().Cut, 0}
	if err := b.Pin(t.Context(), 2900, 0, Pin{Holder: "run x", Cut: cut, Expires: now.Add(time.Minute)}, now); err != nil {
		t.Fatal(err)
	}
	merge, _ := b.NewMerge(b.Journal(id))
	m := &Merge{Flush: merge, Span: int64(time.Hour), Replaces: []store.ItemKey{commit.Key(commit.Items[0])}, Erased: 3}
	if counts, err := b.Merge(t.Context(), id, m); err != nil || !counts {
		t.Fatalf("the erasure counts: %v, %v", counts, err)
	}
	if _, err := b.Expunge(t.Context(), 2900, 0, now); !errors.Is(err, ErrPinned) || !strings.Contains(err.Error(), "run x until") {
		t.Errorf("pinned: %v; want who holds it", err)
	}
	if left := unitLeft(t, s, v.Table); !left[flush] {
		t.Error("what a pin holds is gone")
	}
	if n, err := b.Expunge(t.Context(), 2900, 0, now.Add(2*time.Minute)); n != 1 || err != nil {
		t.Errorf("%d removed, %v; want 1", n, err)
	}
	if left := unitLeft(t, s, v.Table); len(left) != 0 {
		t.Errorf("%v are left", left)
	}
	again := NewBook(s, 2, unitRandom(9), nil)
	if n, err := again.Expunge(t.Context(), 2900, 0, now.Add(2*time.Minute)); err != nil {
		t.Errorf("after a restart: %d, %v", n, err)
	}
	again.Journal(id).View(func(s *State) {
		if s.Erased(0) != 3 || s.Overwritten(0) != 0 || s.Merged().Erased != 3 {
			t.Errorf("%d erased, %d overwritten; want 3 and 0", s.Erased(0), s.Overwritten(0))
		}
	})
	if _, err := b.Expunge(t.Context(), 2901, 0, now); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a week that is not there: %v", err)
	}
	if err := b.TakeOver(t.Context(), id, "erase"); err != nil {
		t.Fatal(err)
	}
	if err := w.Confirm(t.Context()); !errors.Is(err, ErrFenced) {
		t.Errorf("the writer before: %v; want ErrFenced", err)
	}
}

// TestAnArchiveIsReplacedOnce turns a record to an archive that something was
// taken out of.
func TestAnArchiveIsReplacedOnce(t *testing.T) {
	b, _, _ := unitWeek(t, unitPebble(t))
	unitTake(t, b, 1, 4)
	id, now := VolumeID{2900, 0}, time.Unix(1_768_000_000, 0)
	first, second := Archive{Manifest: "a", Sealed: []uint64{2, 2}}, Archive{Manifest: "b", Sealed: []uint64{2, 2}, Erased: 1}
	if _, err := b.ReplaceArchive(t.Context(), id, second, "a"); !errors.Is(err, ErrNoArchive) {
		t.Errorf("without an archive: %v", err)
	}
	if err := b.SealVolume(t.Context(), 2900, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ArchiveVolume(t.Context(), id, first, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := b.VerifyVolume(t.Context(), id, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ReplaceArchive(t.Context(), id, second, "c"); !errors.Is(err, ErrChanged) {
		t.Errorf("instead of another: %v", err)
	}
	for range 2 { // the second time nothing is changed
		v, err := b.ReplaceArchive(t.Context(), id, second, "a")
		if err != nil || v.Archive.Manifest != "b" || v.Archive.Erased != 1 || v.State != VolumeVerified {
			t.Errorf("%+v, %v", v, err)
		}
	}
	if err := b.DropVolume(t.Context(), 2900, 0, now); err != nil {
		t.Fatal(err)
	}
	if _, err := b.BeginRestore(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ReplaceArchive(t.Context(), id, first, "b"); !errors.Is(err, ErrChanged) {
		t.Errorf("while it is restored: %v", err)
	}
}
