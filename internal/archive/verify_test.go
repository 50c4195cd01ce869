package archive

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"weir/internal/journal"
	"weir/internal/objects"
)

// TestADamagedArchiveIsDoubted: whatever is damaged of an archive, verifying says
// so, the volume may not be dropped, and archiving again mends it.
func TestADamagedArchiveIsDoubted(t *testing.T) {
	for name, damage := range map[string]func(r *rig, m *Manifest, manifest string){
		"a part is gone": func(r *rig, m *Manifest, _ string) { r.must(r.objects.Delete(t.Context(), m.Files[0].Name)) },
		"a bit of a part": func(r *rig, m *Manifest, _ string) {
			r.spoil(m.Files[0].Name, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		},
		"a part cut short": func(r *rig, m *Manifest, _ string) {
			r.spoil(m.Files[0].Name, func(b []byte) []byte { return b[:len(b)-1] })
		},
		"another's part": func(r *rig, m *Manifest, _ string) {
			other := r.read(m.Files[len(m.Files)-1].Name)
			r.spoil(m.Files[0].Name, func([]byte) []byte { return other })
		},
		"the manifest is gone": func(r *rig, _ *Manifest, manifest string) { r.must(r.objects.Delete(t.Context(), manifest)) },
		"the manifest": func(r *rig, _ *Manifest, manifest string) {
			r.spoil(manifest, func(b []byte) []byte { return []byte(strings.Replace(string(b), `"rows": `, `"rows": 1`, 1)) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 5, 2, 12)
			r.fill(3)
			a := r.archiver(r.store, r.objects)
			r.must(a.Archive(t.Context(), r.week, quiet))
			v := r.record(0)
			m, err := ReadManifest(t.Context(), r.objects, v.Archive.Manifest, v.Archive.SHA256)
			r.must(err)
			damage(r, m, v.Archive.Manifest)
			err = a.Verify(t.Context(), r.week, quiet)
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, objects.ErrNotFound) {
				t.Fatalf("verified a damaged archive: %v", err)
			}
			if err := a.Drop(t.Context(), r.week); !errors.Is(err, journal.ErrUnverified) {
				t.Fatalf("dropped a volume of a damaged archive: %v", err)
			}
			r.must(a.Archive(t.Context(), r.week, quiet))
			if now := r.record(0); now.State != journal.VolumeVerified || now.Archive.Manifest == v.Archive.Manifest {
				t.Fatalf("archived again it is %s, by %s", now.State, now.Archive.Manifest)
			}
			r.whole()
		})
	}
}

// TestAnUnequalArchiveIsNotVerified: an archive that is whole, and not of this
// volume.
func TestAnUnequalArchiveIsNotVerified(t *testing.T) {
	r, other := newRig(t, 5, 2, 12), newRig(t, 6, 2, 12)
	for _, r := range []*rig{r, other} {
		r.fill(3)
	}
	r.must(other.archiver(other.store, r.objects).Archive(t.Context(), r.week, quiet))
	r.must(r.book.SealVolume(t.Context(), r.week, 0))
	_, err := r.book.ArchiveVolume(t.Context(), journal.VolumeID{Week: r.week}, *other.record(0).Archive, "")
	r.must(err)
	if err := r.archiver(r.store, r.objects).Verify(t.Context(), r.week, quiet); !errors.Is(err, ErrUnequal) {
		t.Errorf("verified another's archive: %v", err)
	}
	if v := r.record(0); v.State != journal.VolumeArchived {
		t.Errorf("it is %s", v.State)
	}
}

func (r *rig) read(name string) []byte {
	r.t.Helper()
	from, err := r.objects.Open(r.t.Context(), name)
	r.must(err)
	body, err := io.ReadAll(io.NewSectionReader(from, 0, from.Size()))
	r.must(errors.Join(err, from.Close()))
	return body
}

func (r *rig) spoil(name string, change func([]byte) []byte) {
	r.t.Helper()
	body := change(r.read(name))
	to, err := r.objects.Create(r.t.Context(), name)
	r.must(err)
	_, err = to.Write(body)
	r.must(errors.Join(err, to.Close()))
}

// TestSweepRemovesWhatNobodyNames: old leftovers go; what a record names, what is
// young, and what is not an archive's stays.
func TestSweepRemovesWhatNobodyNames(t *testing.T) {
	r := newRig(t, 5, 1, 8)
	r.fill(2)
	gate := newTurnstile(1<<30, killedBefore)
	r.must(r.archiver(r.store, testObjects{r.objects, gate}).Archive(t.Context(), r.week, quiet))
	all, err := r.objects.List(t.Context(), "")
	r.must(err)
	// An attempt that is killed before its manifest, and one whose record is not turned.
	r.must(r.flush(0, 8))
	for _, at := range []int{2, 4} {
		gate := newTurnstile(at, killedAfter)
		if err := r.archiver(r.store, testObjects{r.objects, gate}).Archive(t.Context(), r.week, quiet); err == nil {
			t.Fatal("it was not killed")
		}
	}
	to, err := r.objects.Create(t.Context(), "week=2026-W03/mine.txt")
	r.must(err)
	r.must(to.Close())
	left, err := r.objects.List(t.Context(), "")
	r.must(err)
	if len(left) < len(all)+2 {
		t.Fatalf("nothing is left over: %v", left)
	}
	a := r.archiver(r.store, r.objects)
	if n, err := a.Sweep(t.Context(), time.Hour); n.Files != 0 || err != nil {
		t.Errorf("%d young objects removed, %v", n.Files, err)
	}
	r.clock = r.clock.Add(2 * time.Hour)
	n, err := a.Sweep(t.Context(), time.Hour)
	r.must(err)
	now, err := r.objects.List(t.Context(), "")
	r.must(err)
	if n.Files != len(left)-len(all)-1 || len(now) != len(all)+1 {
		t.Errorf("%d removed, and left are %v; want %v and one more", n.Files, now, all)
	}
	r.must(a.Archive(t.Context(), r.week, quiet))
	r.whole()
}

// TestManyItemsAreReplaced: more than one entry replaces.
func TestManyItemsAreReplaced(t *testing.T) {
	r := newRig(t, 3, 1, 8)
	r.fill(6)
	a := r.archiver(r.store, r.objects)
	a.keysAtOnce = 4
	r.must(a.Archive(t.Context(), r.week, quiet))
	for range 2 {
		r.must(a.Drop(t.Context(), r.week))
		r.must(a.Restore(t.Context(), r.week, quiet))
		r.whole()
		r.must(a.Verify(t.Context(), r.week, quiet))
	}
}

// TestProgressEndsAtItsTotal.
func TestProgressEndsAtItsTotal(t *testing.T) {
	r := newRig(t, 3, 2, 8)
	r.fill(3)
	a := r.archiver(r.store, r.objects)
	last := map[string]Progress{}
	report := func(p Progress) {
		if p.Done < last[p.Step].Done || p.Done > p.Total {
			t.Errorf("%+v after %+v", p, last[p.Step])
		}
		last[p.Step] = p
	}
	r.must(a.Archive(t.Context(), r.week, report))
	r.must(a.Drop(t.Context(), r.week))
	r.must(a.Restore(t.Context(), r.week, report))
	for _, step := range []string{"archive", "verify", "restore"} {
		if p := last[step]; p.Total == 0 || p.Done != p.Total || p.Bytes == 0 {
			t.Errorf("%s ends at %+v", step, p)
		}
	}
	list, err := a.List(t.Context())
	if err != nil || len(list) != 1 || list[0].Rows != uint64(len(r.wanted[0])) || list[0].State != journal.VolumeVerified || list[0].Bytes == 0 {
		t.Errorf("%+v, %v", list, err)
	}
}
