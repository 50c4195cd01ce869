package journal

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"weir/internal/sample"
	"weir/internal/store"
	"weir/internal/store/pebble"
)

// endingRig is a week of two partitions whose first revision is dropped, with an
// archive.
func endingRig(t *testing.T) (*Book, VolumeID, store.Store) {
	t.Helper()
	config := pebble.Default()
	config.Dir, config.FS = "data", vfs.NewMem()
	s, err := pebble.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	b, id := NewBook(s, 2, rand.Uint64, nil), VolumeID{Week: sample.Week(2922)}
	ctx := t.Context()
	if _, err := b.EnsureWeek(ctx, id.Week); err != nil {
		t.Fatal(err)
	}
	if err := b.SealVolume(ctx, id.Week, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ArchiveVolume(ctx, id, Archive{Manifest: "m", Sealed: []uint64{1, 1}}, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := b.VerifyVolume(ctx, id, "m"); err != nil {
		t.Fatal(err)
	}
	return b, id, s
}

// TestVolumeEnds: a dropped volume that nobody holds, and no other. A cut tells
// whether it was taken before.
func TestVolumeEnds(t *testing.T) {
	b, id, _ := endingRig(t)
	ctx, now := t.Context(), time.Unix(1_800_000_000, 0)
	if _, err := b.EndVolume(ctx, id, now); !errors.Is(err, ErrUndropped) {
		t.Errorf("the end of a volume with a table: %v", err)
	}
	if err := b.DropVolume(ctx, id.Week, 0, now); err != nil {
		t.Fatal(err)
	}
	before := []uint64{1, 1}
	if err := b.Pin(ctx, id.Week, 0, Pin{Holder: "run", Cut: before, Expires: now.Add(time.Minute)}, now); err != nil {
		t.Fatal(err)
	}
	if _, err := b.EndVolume(ctx, id, now); !errors.Is(err, ErrPinned) {
		t.Errorf("the end of a volume that is held: %v", err)
	}
	for range 2 {
		v, err := b.EndVolume(ctx, id, now.Add(2*time.Minute))
		if err != nil || v.State != VolumeEnded || !v.Gone() || len(v.Pins) > 0 || v.Archive == nil || !slices.Equal(v.Ended.Positions, []uint64{1, 1}) {
			t.Fatalf("ended: %+v, %v", v, err)
		}
	}
	v, err := b.Volume(ctx, id.Week, 0)
	if err != nil {
		t.Fatal(err)
	}
	after := []uint64{2, 2}
	for _, cut := range [][]uint64{before, after} {
		if v.Serves(cut) != FromNowhere || v.ServesAt(0, cut[0]) != FromNowhere {
			t.Errorf("it serves the cut at %d", cut)
		}
	}
	if v.EndedBefore(0, before[0]) || !v.EndedBefore(1, after[1]) {
		t.Error("a cut does not tell whether it was taken before the end")
	}
	j := b.Journal(store.JournalID{Week: id.Week, Partition: 1})
	if s := j.Snapshot(); s.Cut != 2 {
		t.Errorf("the journal stands at %d; want it behind the mark", s.Cut)
	}
	j.View(func(s *State) {
		if s.Revision() != 1 {
			t.Errorf("the mark opened revision %d; want 1, which the seal did", s.Revision())
		}
	})
	if err := b.Pin(ctx, id.Week, 0, Pin{Holder: "run", Cut: before, Expires: now.Add(time.Hour)}, now); !errors.Is(err, ErrRemoved) {
		t.Errorf("a pin of what has ended: %v", err)
	}
	if _, err := b.BeginRestore(ctx, id); !errors.Is(err, ErrEnded) {
		t.Errorf("a restore of what has ended: %v", err)
	}
	if err := b.DropVolume(ctx, id.Week, 0, now); err != nil {
		t.Errorf("a drop of what has ended: %v", err)
	}
	if again, err := b.ArchiveVolume(ctx, id, Archive{Manifest: "n"}, "m"); err != nil || again.State != VolumeEnded || again.Archive.Manifest != "m" {
		t.Errorf("an archive of what has ended: %+v, %v", again, err)
	}
}

// TestRestoreHoldsEndBack: what is being restored does not end.
func TestRestoreHoldsEndBack(t *testing.T) {
	b, id, _ := endingRig(t)
	now := time.Unix(1_800_000_000, 0)
	if err := b.DropVolume(t.Context(), id.Week, 0, now); err != nil {
		t.Fatal(err)
	}
	if _, err := b.BeginRestore(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := b.EndVolume(t.Context(), id, now); !errors.Is(err, ErrUndropped) {
		t.Errorf("the end of a volume that is being restored: %v", err)
	}
	if _, err := b.EndVolume(t.Context(), VolumeID{Week: id.Week + 1}, now); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the end of a week that is not there: %v", err)
	}
}
