package erase

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"weir/internal/archive"
	"weir/internal/buffer"
	"weir/internal/journal"
)

func quiet(Progress) {}

// proven checks that an erasure left nothing, and all others as they were.
func (r *rig) proven(q *Request, report *Report, err error, others map[told]string) {
	r.t.Helper()
	if err != nil || report.State != Proven || report.Left() != 0 || len(report.Pending) != 0 {
		r.t.Fatalf("%v: %s", err, text(report))
	}
	if now := r.others(q); !maps.Equal(now, others) || len(r.held()) != len(others) {
		r.t.Errorf("others have %d samples, all %d; want %d", len(now), len(r.held()), len(others))
	}
	if got := string(r.exports.all["out/x.csv"]); strings.Count(got, "\n") != 5 {
		r.t.Errorf("the export is %s", got)
	}
	a := r.archiver(r.store, r.archives, r.book)
	r.must(a.Verify(r.t.Context(), r.week, func(archive.Progress) {}))
}

// TestEraseEverywhere finds what is in each place first, and nothing afterwards.
func TestEraseEverywhere(t *testing.T) {
	r := newRig(t, 1)
	// The open revision has no archive: verify what has.
	r.must(r.book.SealVolume(t.Context(), r.week, 2))
	q := r.request()
	others := r.others(&q)
	dry := q
	dry.Dry = true
	found, err := r.eraser(&gate{}).Erase(t.Context(), dry, quiet)
	r.must(err)
	if found.State != Dry || len(r.records.all) != 0 || !maps.Equal(r.others(&q), others) {
		t.Errorf("the dry run is %s, and left %d records", text(found), len(r.records.all))
	}
	steps := map[string]bool{}
	report, err := r.eraser(&gate{}).Erase(t.Context(), q, func(p Progress) {
		steps[p.Step] = true
		if p.Done > p.Total {
			t.Errorf("%+v", p)
		}
	})
	r.must(r.archiver(r.store, r.archives, r.book).Archive(t.Context(), r.week, func(archive.Progress) {}))
	r.proven(&q, report, err, others)
	for i, c := range report.Places {
		if c.Found != found.Places[i].Found || c.Removed != c.Found || (c.Found == 0) != (c.Place == PlaceLetters) {
			t.Errorf("%+v; the dry run found %+v", c, found.Places[i])
		}
	}
	if !steps["count"] || !steps["erase"] || !steps["check"] || len(report.Notes) != 1 || len(report.Series) != 2 {
		t.Errorf("steps %v, report %s", steps, text(report))
	}
	kept, err := r.eraser(&gate{}).List(t.Context())
	if err != nil || len(kept) != 1 || text(kept[0]) != text(report) {
		t.Errorf("kept is %s, %v; want %s", text(kept), err, text(report))
	}
	for name, body := range r.records.all {
		for _, m := range q.Target.Series {
			if strings.Contains(string(body), m.ID.String()) {
				t.Errorf("record %s has the id of a series", name)
			}
		}
	}
	book := journal.NewBook(r.store, 2, r.rng.Uint64, nil)
	r.must(book.Load(t.Context()))
	erased := uint64(0)
	for _, j := range book.Journals() {
		j.View(func(s *journal.State) { erased += s.Erased(1) + s.Erased(2) })
	}
	if erased != report.Places[1].Found {
		t.Errorf("the journals tell of %d erased; want %d", erased, report.Places[1].Found)
	}
}

// TestKilledAnywhere kills an erasure at each call of its ports. Others lose nothing;
// the same erasure again goes on with the record, and ends.
func TestKilledAnywhere(t *testing.T) {
	first, stride := 1, 1
	switch {
	case testing.Short():
		stride = 31
	case underRace:
		stride = 9
		first += rand.IntN(stride) // each call is reached in some run
	}
	for _, after := range []bool{false, true} {
		for at := first; ; at += stride {
			reached := false
			t.Run(fmt.Sprintf("call %d, done %v", at, after), func(t *testing.T) {
				r := newRig(t, uint64(at))
				r.must(r.book.SealVolume(t.Context(), r.week, 2))
				q := r.request()
				others := r.others(&q)
				g := &gate{at: at, after: after}
				if at%2 == 0 { // so that the store is another in half of the cases
					r.merge()
				}
				_, err := r.eraser(g).Erase(t.Context(), q, quiet)
				if reached = g.n >= at; reached != (err != nil) {
					t.Errorf("killed: %v, %v", reached, err)
				}
				if now := r.others(&q); !maps.Equal(now, others) {
					t.Fatalf("others have %d samples; want %d", len(now), len(others))
				}
				records := 1
				if all, err := r.eraser(&gate{}).List(t.Context()); err != nil {
					t.Fatal(err)
				} else if len(all) == 1 && all[0].State == Proven { // killed behind its last call
					records++
				}
				report, err := r.eraser(&gate{}).Erase(t.Context(), q, quiet)
				r.must(r.archiver(r.store, r.archives, r.book).Archive(t.Context(), r.week, func(archive.Progress) {}))
				r.proven(&q, report, err, others)
				if all, err := r.eraser(&gate{}).List(t.Context()); err != nil || len(all) != records {
					t.Errorf("records %s, %v", text(all), err)
				}
			})
			if !reached || t.Failed() {
				break
			}
		}
	}
}

// TestRangeOfTime erases a few seconds: of the same series others stay.
func TestRangeOfTime(t *testing.T) {
	r := newRig(t, 3)
	q := r.request()
	q.Target.From, q.Target.To = r.week.Start()+5*second, r.week.Start()+hour+3*second
	want := r.held()
	gone := 0
	for at := range want {
		if (at.series == q.Target.Series[0].ID || at.series == q.Target.Series[1].ID) && at.time >= q.Target.From && at.time < q.Target.To {
			delete(want, at)
			gone++
		}
	}
	report, err := r.eraser(&gate{}).Erase(t.Context(), q, quiet)
	if err != nil || report.State != Proven || gone == 0 || !maps.Equal(r.held(), want) {
		t.Errorf("%v: %s; %d samples are left, want %d", err, text(report), len(r.held()), len(want))
	}
}

// TestPinsAreWaitedFor: who holds a cut that names what goes is named when it does
// not let go; once it does, the erasure goes on.
func TestPinsAreWaitedFor(t *testing.T) {
	r := newRig(t, 4)
	q := r.request()
	cut := []uint64{r.book.Journal(r.writers[0].Journal().ID()).Snapshot().Cut, r.book.Journal(r.writers[1].Journal().ID()).Snapshot().Cut}
	pin := journal.Pin{Holder: "run rollups", Cut: cut, Expires: r.clock.Add(time.Hour)}
	r.must(r.book.Pin(t.Context(), r.week, 2, pin, r.clock))
	others := r.others(&q)
	report, err := r.eraser(&gate{}).Erase(t.Context(), q, quiet)
	if !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), "run rollups until") || report.State != Unfinished || report.Error == "" || len(report.Pending) != 2 {
		t.Fatalf("%v: %s", err, text(report))
	}
	if now := r.others(&q); !maps.Equal(now, others) {
		t.Errorf("others have %d samples; want %d", len(now), len(others))
	}
	r.clock = r.clock.Add(time.Hour)
	report, err = r.eraser(&gate{}).Erase(t.Context(), q, quiet)
	if err != nil || report.State != Proven || report.Attempts != 2 || report.Error != "" {
		t.Errorf("%v: %s", err, text(report))
	}
}

// TestRunsAreWaitedFor: a run that read before may hand on rows yet.
func TestRunsAreWaitedFor(t *testing.T) {
	r := newRig(t, 5)
	q := r.request()
	r.reading = []string{"rollups 2026-W03"}
	report, err := r.eraser(&gate{}).Erase(t.Context(), q, quiet)
	if !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), "rollups 2026-W03") || report.State != Unfinished {
		t.Errorf("%v: %s", err, text(report))
	}
	r.reading = nil
	if report, err := r.eraser(&gate{}).Erase(t.Context(), q, quiet); err != nil || report.State != Proven {
		t.Errorf("%v: %s", err, text(report))
	}
}

// TestDeadLetters: one that holds samples of the series is told, and nothing is
// proven before it is gone; those of others, and what can't be read, are no matter.
func TestDeadLetters(t *testing.T) {
	r := newRig(t, 6)
	q := r.request()
	r.letters = letters{r.letter("a", 1), r.letter("b", 0), {ID: "c", Body: []byte("garbage")}}
	report, err := r.eraser(&gate{}).Erase(t.Context(), q, quiet)
	if !errors.Is(err, ErrLeft) || !strings.Contains(err.Error(), "the first is b of queue 0") || report.State != Unfinished || report.Left() == 0 {
		t.Errorf("%v: %s", err, text(report))
	}
	r.letters = letters{r.letter("a", 1), {ID: "c", Body: []byte("garbage")}}
	if report, err := r.eraser(&gate{}).Erase(t.Context(), q, quiet); err != nil || report.State != Proven {
		t.Errorf("%v: %s", err, text(report))
	}
	bad := 0
	l := &Letters{Queues: 1, Dead: listedLetters{all: &r.letters}, Book: r.book}
	r.must(l.Each(t.Context(), &q.Target, func(_ int, _ *buffer.DeadLetter, _ int, err error) {
		if err != nil {
			bad++
		}
	}))
	if bad != 1 {
		t.Errorf("%d can't be read; want 1", bad)
	}
}

// TestOneAtATime refuses a second erasure, and one of no series.
func TestOneAtATime(t *testing.T) {
	r := newRig(t, 7)
	e, q := r.eraser(&gate{}), r.request()
	var second error
	_, err := e.Erase(t.Context(), q, func(Progress) {
		if second == nil {
			_, second = e.Erase(t.Context(), q, quiet)
		}
	})
	if err != nil || !errors.Is(second, ErrBusy) {
		t.Errorf("%v, the second: %v", err, second)
	}
	if _, err := e.Erase(t.Context(), Request{Selector: "x"}, quiet); !errors.Is(err, ErrNotFound) {
		t.Errorf("of no series: %v", err)
	}
	for _, id := range []string{"none", "../x", ""} {
		if _, err := e.Get(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("record %q: %v", id, err)
		}
	}
}

// TestRestoreIsWaitedFor: while a dropped volume is being restored its archive is read.
func TestRestoreIsWaitedFor(t *testing.T) {
	r := newRig(t, 8)
	q := r.request()
	_, err := r.book.BeginRestore(t.Context(), journal.VolumeID{Week: r.week})
	r.must(err)
	if _, err := r.eraser(&gate{}).Erase(t.Context(), q, quiet); !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), "weir archive restore 2026-W03") {
		t.Errorf("%v", err)
	}
	r.must(r.archiver(r.store, r.archives, r.book).Restore(t.Context(), r.week, func(archive.Progress) {}))
	if report, err := r.eraser(&gate{}).Erase(t.Context(), q, quiet); err != nil || report.State != Proven {
		t.Errorf("%v: %s", err, text(report))
	}
}

// TestEndedVolumes: what retention ended, and has not removed yet, is removed; later
// its files are missed by nobody.
func TestEndedVolumes(t *testing.T) {
	r := newRig(t, 9)
	_, err := r.book.EndVolume(t.Context(), journal.VolumeID{Week: r.week}, r.clock)
	r.must(err)
	q := r.request()
	e := archive.Erasure{Series: q.Target.ids(), From: q.Target.From, To: q.Target.To}
	a := r.archiver(r.store, r.archives, r.book)
	for _, when := range []string{"its files are there", "its files are swept"} {
		others := r.others(&q)
		report, err := r.eraser(&gate{}).Erase(t.Context(), q, quiet)
		if err != nil || report.State != Proven || !maps.Equal(r.others(&q), others) {
			t.Fatalf("%s: %v: %s", when, err, text(report))
		}
		if n, err := a.Leftovers(t.Context(), e, false); n != 0 || err != nil {
			t.Errorf("%s: %d rows are left in files, %v", when, n, err)
		}
		r.clock = r.clock.Add(48 * time.Hour)
		_, err = a.Sweep(t.Context(), time.Hour)
		r.must(err)
	}
}

// FuzzReport reads any bytes as a record; what is taken is written the same.
func FuzzReport(f *testing.F) {
	f.Add([]byte(`{"version":1,"id":"x","state":"proven","pending":["6d1f6fd2039f7d50737acd54f2f9a824"]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := parseReport(body)
		if err != nil {
			if !errors.Is(err, ErrRecord) {
				t.Errorf("%v is of no kind", err)
			}
			return
		}
		if again, err := parseReport([]byte(text(r))); err != nil || text(again) != text(r) {
			t.Errorf("%s comes back as %s, %v", text(r), text(again), err)
		}
	})
}
