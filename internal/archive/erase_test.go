package archive

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"weir/internal/journal"
	"weir/internal/sample"
)

// erasure is of some series of the rig, in part of the time that it fills.
func (r *rig) erasure(series int, from, to int64) Erasure {
	e := Erasure{From: from, To: to}
	handles := slices.Sorted(maps.Keys(r.ids))
	for i := range min(series, len(handles)) {
		e.Series = append(e.Series, r.ids[handles[3*i%len(handles)]])
	}
	return e
}

// without gives the model's rows of a revision without what is to be erased, and
// how many are.
func (r *rig) without(revision int, e Erasure) (left map[place]row, gone uint64) {
	left = map[place]row{}
	for at, row := range r.wanted[revision] {
		if slices.Contains(e.Series, at.id) && at.time >= e.From && at.time < e.To {
			gone++
			continue
		}
		left[at] = row
	}
	return left, gone
}

// TestErasedFromDroppedWeeks takes series out of dropped revisions, kills it at
// each call, or lets the call fail: the record names the old archive or the new
// one, and done again it ends. What is left is verified, restored and archived
// again, and the samples are accounted for.
func TestErasedFromDroppedWeeks(t *testing.T) {
	every(t, func(t *testing.T, r *rig, at int, what interrupted) bool {
		good := r.archiver(r.store, r.objects)
		for _, before := range lives[:3] {
			r.must(before.do(r, good))
		}
		e := r.erasure(2, minTime, maxTime)
		if at%3 == 0 {
			e = r.erasure(3, r.week.Start()+20*second, r.week.Start()+hour+9*second)
		}
		left, gone := r.without(0, e)
		old := r.wanted[0]
		gate := newTurnstile(at, what)
		id := journal.VolumeID{Week: r.week}
		n, err := r.archiver(testStore{r.store, gate}, testObjects{r.objects, gate}).Erase(t.Context(), id, e)
		if err == nil && n != gone {
			t.Errorf("%d are erased; want %d", n, gone)
		}
		if now := r.archived(0); len(now) == len(old) {
			r.check("archive", 0, now)
		} else {
			r.wanted[0] = left
			r.check("archive", 0, now)
		}
		r.wanted[0] = left
		good = r.archiver(r.store, r.objects)
		if _, err := good.Erase(t.Context(), id, e); err != nil {
			t.Fatal(err)
		}
		_, err = good.Leftovers(t.Context(), e, true)
		r.must(err)
		v := r.record(0)
		if n, err := good.Count(t.Context(), &v, e); n != 0 || err != nil {
			t.Errorf("%d are left, %v", n, err)
		}
		if n, err := good.Leftovers(t.Context(), e, false); n != 0 || err != nil {
			t.Errorf("%d are left in parts that nobody names, %v", n, err)
		}
		if v.State != journal.VolumeDropped || v.Archive.Erased != gone {
			t.Errorf("the volume is %s, %d erased; want dropped, %d", v.State, v.Archive.Erased, gone)
		}
		r.whole()
		for _, step := range []int{1, 3, 1, 2, 3, 0, 1} { // verify, restore, …
			r.must(lives[step].do(r, r.archiver(r.store, r.objects)))
			r.whole()
		}
		if told := r.journalErased(0); told != gone {
			t.Errorf("the journals tell of %d erased after the restore; want %d", told, gone)
		}
		return gate.reached()
	}, killedBefore, killedAfter, failedBefore, failedAfter)
}

func (r *rig) journalErased(revision int) (n uint64) {
	for partition := range r.writers {
		j := r.book.Journal(r.id(partition))
		r.must(j.Refresh(r.t.Context()))
		j.View(func(s *journal.State) { n += s.Erased(revision) })
	}
	return n
}

// TestErasedPartsAreAsTheyWouldHaveBeen: the archive that an erasure leaves has the
// checksum, counts and times of one that was written without those samples, and
// parts that hold none of them stay.
func TestErasedPartsAreAsTheyWouldHaveBeen(t *testing.T) {
	r := newRig(t, 5, 2, 12)
	r.fill(3)
	a := r.archiver(r.store, r.objects)
	for _, step := range lives[:3] {
		r.must(step.do(r, a))
	}
	v := r.record(0)
	before, err := ReadManifest(t.Context(), r.objects, v.Archive.Manifest, v.Archive.SHA256)
	r.must(err)
	e := r.erasure(1, minTime, maxTime)
	left, gone := r.without(0, e)
	n, err := a.Erase(t.Context(), journal.VolumeID{Week: r.week}, e)
	r.must(err)
	if n != gone || gone == 0 {
		t.Fatalf("%d are erased; want %d", n, gone)
	}
	v = r.record(0)
	m, err := ReadManifest(t.Context(), r.objects, v.Archive.Manifest, v.Archive.SHA256)
	r.must(err)
	r.wanted[0] = left
	r.check("archive", 0, r.archived(0))
	series := map[sample.SeriesID]bool{}
	for at := range left {
		series[at.id] = true
	}
	if m.Series != len(series) || m.Rows != uint64(len(left)) || m.Samples != before.Samples || m.Overwritten != before.Overwritten || m.ErasedInAll() != gone {
		t.Errorf("%d series, %d rows, %d erased of %d samples", m.Series, m.Rows, m.ErasedInAll(), m.Samples)
	}
	kept := 0
	for _, f := range m.Files {
		if slices.ContainsFunc(before.Files, func(o File) bool { return o == f }) {
			kept++
		}
	}
	if kept == 0 || kept == len(m.Files) {
		t.Errorf("%d of %d parts are as they were", kept, len(m.Files))
	}
	objects, err := r.objects.List(t.Context(), "")
	r.must(err)
	if len(objects) != len(m.Files)+1 {
		t.Errorf("%d objects for %d parts and a manifest", len(objects), len(m.Files))
	}
	for _, o := range objects {
		if strings.HasSuffix(o.Name, ".json") && o.Name != v.Archive.Manifest {
			t.Errorf("%s is left", o.Name)
		}
	}
}
