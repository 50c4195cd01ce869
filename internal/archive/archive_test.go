package archive

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"weir/internal/journal"
	"weir/internal/store"
)

// TestTheWholeLife: what is archived, dropped and restored holds what was
// committed, in both revisions, and late samples find the next.
func TestTheWholeLife(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := newRig(t, seed, 1+int(seed%3), 12)
			a := r.archiver(r.store, r.objects)
			r.fill(4)
			if seed%2 == 0 {
				r.merge(0, 0)
				r.fill(1)
			}
			r.must(a.Archive(t.Context(), r.week, quiet))
			r.fill(3) // late: revision 1
			r.check("archive", 0, r.archived(0))
			if err := a.Drop(t.Context(), r.week); !errors.Is(err, journal.ErrUnverified) {
				t.Fatalf("dropped with an open revision: %v", err)
			}
			if v := r.record(0); v.State != journal.VolumeVerified {
				t.Fatalf("revision 0 is %s", v.State)
			}
			r.must(a.Archive(t.Context(), r.week, quiet))
			r.must(a.Verify(t.Context(), r.week, quiet))
			r.check("archive", 1, r.archived(1))
			for range 2 { // the second time from a table that was restored
				r.must(a.Drop(t.Context(), r.week))
				r.dropped(0, 1)
				r.must(a.Verify(t.Context(), r.week, quiet))
				r.must(a.Restore(t.Context(), r.week, quiet))
				r.check("restored volume", 0, r.held(0))
				r.check("restored volume", 1, r.held(1))
				r.must(a.Verify(t.Context(), r.week, quiet))
				for revision := range 2 {
					if v := r.record(revision); v.State != journal.VolumeVerified {
						t.Fatalf("revision %d is %s", revision, v.State)
					}
				}
			}
		})
	}
}

// dropped checks that volumes are dropped and that their tables are gone.
func (r *rig) dropped(revisions ...int) {
	r.t.Helper()
	names, err := r.store.Names(r.t.Context())
	r.must(err)
	for _, revision := range revisions {
		if v := r.record(revision); v.State != journal.VolumeDropped || slices.Contains(names, v.Table) {
			r.t.Fatalf("revision %d is %s, and its table %s is among %v", revision, v.State, v.Table, names)
		}
	}
}

func TestNoSuchWeek(t *testing.T) {
	r := newRig(t, 1, 1, 1)
	a := r.archiver(r.store, r.objects)
	if err := a.Archive(t.Context(), r.week+1, quiet); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("archive of a week that is not there: %v", err)
	}
	if err := a.Verify(t.Context(), r.week, quiet); !errors.Is(err, journal.ErrNoArchive) {
		t.Errorf("verify of an open week: %v", err)
	}
}
