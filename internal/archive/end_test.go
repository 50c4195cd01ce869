package archive

import (
	"errors"
	"testing"
	"time"

	"weir/internal/journal"
)

const day = 24 * time.Hour

// left gives how many objects there are.
func (r *rig) left() int {
	r.t.Helper()
	list, err := r.objects.List(r.t.Context(), "")
	r.must(err)
	return len(list)
}

// end ends the dropped volumes of the week, but those that somebody holds.
func (r *rig) end(a *Archiver) (ended []int, err error) {
	r.t.Helper()
	volumes, err := a.book.Volumes(r.t.Context(), r.week)
	if err != nil {
		return nil, err
	}
	for _, v := range volumes {
		if v.State != journal.VolumeDropped {
			continue
		}
		switch _, err := a.book.EndVolume(r.t.Context(), volumeID(&v), r.clock); {
		case err == nil:
			ended = append(ended, v.Revision)
		case !errors.Is(err, journal.ErrPinned):
			return ended, err
		}
	}
	return ended, nil
}

// endAndSweep is what retention does, at a time when the week is old.
func endAndSweep(r *rig, a *Archiver) error {
	_, err := r.end(a)
	if err == nil {
		_, err = a.Sweep(r.t.Context(), day)
	}
	return err
}

// TestDroppedWeeksEnd: those that are old enough and that nobody holds; their
// objects go once readers have had their time, and no others.
func TestDroppedWeeksEnd(t *testing.T) {
	r := newRig(t, 1, 2, 8)
	r.fill(2)
	a := r.archiver(r.store, r.objects)
	r.must(a.Archive(t.Context(), r.week, quiet))
	r.clock = time.Unix(0, r.week.End()).Add(3 * day)
	r.must(endAndSweep(r, a))
	r.must(a.Drop(t.Context(), r.week))
	r.must(r.flush(0, 4))
	r.must(a.Archive(t.Context(), r.week, quiet)) // the next revision, which has its table yet
	before := r.left()
	book := a.book
	r.must(book.Pin(t.Context(), r.week, 0, journal.Pin{Holder: "run", Cut: []uint64{1 << 40, 1 << 40}, Expires: r.clock.Add(time.Minute)}, r.clock))
	if ended, err := r.end(a); err != nil || len(ended) > 0 {
		t.Errorf("while a run holds it, ended are %v, %v", ended, err)
	}
	r.clock = r.clock.Add(2 * time.Minute)
	if ended, err := r.end(a); err != nil || len(ended) != 1 || ended[0] != 0 {
		t.Errorf("ended are %v, %v; want the dropped revision", ended, err)
	}
	if swept, err := a.Sweep(t.Context(), 0); err != nil || swept.Files != 0 || r.left() != before {
		t.Errorf("readers that began before lose %+v, %v", swept, err)
	}
	r.clock = r.clock.Add(endGrace)
	swept, err := a.Sweep(t.Context(), 0)
	if err != nil || swept.Files == 0 || swept.Bytes == 0 || r.left() != before-swept.Files {
		t.Errorf("swept are %+v, %v, and %d objects of %d are left", swept, err, r.left(), before)
	}
	r.check("archive", 1, r.archived(1))
	list, err := a.List(t.Context())
	if err != nil || len(list) != 2 || list[0].State != journal.VolumeEnded || list[0].Manifest != "" || list[0].Rows != 0 || list[1].Rows == 0 {
		t.Errorf("listed are %+v, %v", list, err)
	}
	// What has ended is left alone by all else.
	for _, life := range lives[:3] {
		if err := life.do(r, a); err != nil {
			t.Errorf("%s: %v", life.name, err)
		}
	}
	r.must(endAndSweep(r, a)) // revision 1 is dropped by now
	if err := a.Restore(t.Context(), r.week, quiet); !errors.Is(err, journal.ErrEnded) {
		t.Errorf("a restore of what has ended: %v", err)
	}
	r.must(r.flush(0, 4)) // late: the revision after
	r.must(a.Archive(t.Context(), r.week, quiet))
	r.check("archive", 2, r.archived(2))
}

// TestEndCutShortAnywhere kills what retention does at each call, or lets the call
// fail: a volume that has not ended is whole, and the same done again ends it.
func TestEndCutShortAnywhere(t *testing.T) {
	every(t, func(t *testing.T, r *rig, at int, what interrupted) bool {
		good := r.archiver(r.store, r.objects)
		for _, before := range lives[:3] {
			r.must(before.do(r, good))
		}
		r.clock = time.Unix(0, r.week.End()).Add(3 * day)
		gate := newTurnstile(at, what)
		cut := r.archiver(testStore{r.store, gate}, testObjects{r.objects, gate})
		err := endAndSweep(r, cut)
		r.clock = r.clock.Add(endGrace)
		if err == nil {
			err = endAndSweep(r, cut)
		}
		if err == nil && gate.reached() && what <= killedAfter && gate.n > at {
			t.Error("it was killed, and says that it is done")
		}
		if r.record(0).State != journal.VolumeEnded {
			r.whole()
		}
		r.must(r.flush(0, 4)) // late
		good = r.archiver(r.store, r.objects)
		for range 2 {
			r.must(endAndSweep(r, good))
			r.clock = r.clock.Add(endGrace)
		}
		if v := r.record(0); v.State != journal.VolumeEnded || r.left() > 0 {
			t.Errorf("it is %s, and %d objects are left", v.State, r.left())
		}
		r.must(good.Archive(t.Context(), r.week, quiet))
		r.check("archive", 1, r.archived(1))
		return gate.reached()
	}, killedBefore, killedAfter, failedBefore, failedAfter)
}
