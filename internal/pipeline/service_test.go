package pipeline

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/pipeline/definition"
)

func TestApplyTellsWhatIsWrong(t *testing.T) {
	synctest.Test(t, scheduled(func(t *testing.T, r *rig, s *Scheduler) {
		_, err := s.Apply(t.Context(), "p.yaml", []byte("pipeline: p\nschedule: {cron: 30 2 * * *, zone: Europe/Berlin}"+oneStep))
		var faults *definition.Faults
		if !errors.As(err, &faults) || !strings.Contains(err.Error(), "p.yaml:2:12: on 2026-03-29 the clocks") {
			t.Errorf("got %v", err)
		}
		if list, err := s.List(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("%v, %v", list, err)
		}
		for _, name := range []string{"nothing", "../x"} {
			for what, call := range map[string]func() error{
				"get":      func() error { _, err := s.Get(t.Context(), name); return err },
				"pause":    func() error { return s.Pause(t.Context(), name) },
				"lookup":   func() error { _, err := s.Lookup(t.Context(), RunKey{name, january(t), 0}); return err },
				"rerun":    func() error { _, err := s.Rerun(t.Context(), RunKey{name, january(t), 0}); return err },
				"cancel":   func() error { _, err := s.Cancel(t.Context(), RunKey{name, january(t), 0}); return err },
				"stale":    func() error { return s.MarkStale(t.Context(), RunKey{"nothing", january(t), 0}) },
				"backfill": func() error { _, err := s.Backfill(t.Context(), name, 0, 1); return err },
				"status":   func() error { _, err := s.Status(t.Context(), Filter{Pipeline: name}); return err },
			} {
				if err := call(); !errors.Is(err, ErrNotFound) {
					t.Errorf("%s %s: %v", what, name, err)
				}
			}
		}
	}))
}

// TestNewScheduleLeavesNoGap: windows that were not made under the old
// schedule are made under the new one, none twice.
func TestNewScheduleLeavesNoGap(t *testing.T) {
	synctest.Test(t, scheduled(func(t *testing.T, r *rig, s *Scheduler) {
		r.worker.set(func(l *labour) { l.longest = time.Nanosecond })
		r.apply(s, hourly())
		time.Sleep(time.Hour) // windows 00 and 01 are made
		r.expect(s, "01T00/0 done, 01T01/0 done")
		r.worker.set(func(l *labour) { l.hang = true })
		time.Sleep(3*time.Hour + time.Minute) // 02 hangs, 03 and 04 are pending
		p := r.apply(s, strings.Replace(hourly(), "every: 1h", "every: 3h", 1))
		if p.Next != at(t, "2026-01-01T09:00:00Z") && p.Next != at(t, "2026-01-01T06:00:00Z") {
			t.Errorf("the next tick is %s", p.Next)
		}
		r.worker.set(func(l *labour) { l.hang = false })
		time.Sleep(3 * time.Hour)
		r.expect(s, "01T00/0 done, 01T01/0 done, 01T02/0 failed, 01T03/0 done")
		runs := r.runs(s, Filter{})
		if last := runs[len(runs)-1]; last.End != at(t, "2026-01-01T06:00:00Z") {
			t.Errorf("the last window is %s; want that of 03 to 06", last.Window)
		}
	}))
}

func TestScheduleThatBegins(t *testing.T) {
	for name, c := range map[string]struct{ schedule, want string }{
		"cron":        {"cron: 0 * * * *", "01T01/0 done"},
		"cron, start": {"cron: 0 * * * *, start: 2025-12-31T22:30:00Z", "31T23/0 done, 01T00/0 done, 01T01/0 done"},
		"later":       {"every: 10m, start: 2026-01-01T02:00:00Z", "01T02/0 done, 01T02/0 done"},
		"none":        {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, scheduled(func(t *testing.T, r *rig, s *Scheduler) {
				text := strings.Replace(hourly(), "schedule: {every: 1h, start: 2026-01-01T00:00:00Z}", "schedule: {"+c.schedule+"}", 1)
				if c.schedule == "" {
					text = strings.Replace(hourly(), "schedule: {every: 1h, start: 2026-01-01T00:00:00Z}", "", 1)
				}
				r.apply(s, text)
				r.apply(s, text)
				time.Sleep(55 * time.Minute)
				r.expect(s, c.want)
			}))
		})
	}
}

func TestRunWindowIsTheSameRun(t *testing.T) {
	synctest.Test(t, scheduled(func(t *testing.T, r *rig, s *Scheduler) {
		d := mustParse(t, strings.Replace(hourly(), "schedule: {every: 1h, start: 2026-01-01T00:00:00Z}", "", 1))
		run := func(d Definition) Run {
			t.Helper()
			run, err := s.RunWindow(t.Context(), d, january(t))
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Minute)
			return r.lookup(s, run.RunKey)
		}
		r.worker.set(func(l *labour) { l.refuse["b"] = ErrPermanent })
		if got := run(d); got.State != Failed || got.Revision != 0 || got.Why != ByHand {
			t.Errorf("first: %+v", got)
		}
		r.worker.set(func(l *labour) { delete(l.refuse, "b") })
		got := run(d)
		if got.State != Done || got.Revision != 0 || r.worker.count() != 3 {
			t.Errorf("a failed run goes on: %+v after %d tasks; want 3, a not again", got, r.worker.count())
		}
		if again := run(d); again.Revision != 0 || r.worker.count() != 3 {
			t.Errorf("a run that is done stays: %+v", again)
		}
		other := mustParse(t, d.Text+"# changed\n")
		if got := run(other); got.Revision != 1 || got.Definition != other.Hash || got.State != Done {
			t.Errorf("another text: %+v", got)
		}
		if err := s.MarkStale(t.Context(), got.RunKey); err != nil {
			t.Fatal(err) // it has a newer revision
		}
		if err := s.MarkStale(t.Context(), RunKey{"p", january(t), 1}); err != nil {
			t.Fatal(err)
		}
		r.expect(s, "01T00/0 done, 01T00/1 done stale")
		if got := run(other); got.Revision != 2 || got.State != Done {
			t.Errorf("a stale run: %+v", got)
		}
		if _, err := s.RunWindow(t.Context(), d, Window{Start: 2, End: 1}); !errors.Is(err, ErrState) {
			t.Errorf("a window that ends before it starts: %v", err)
		}
		if p, err := s.Get(t.Context(), "p"); err != nil || p.Scheduled || p.Definition != "" {
			t.Errorf("a run by hand has scheduled it: %+v, %v", p, err)
		}
	}))
}

// TestTickLeavesRunsByHand: a window that was run by hand is not run again.
func TestTickLeavesRunsByHand(t *testing.T) {
	synctest.Test(t, scheduled(func(t *testing.T, r *rig, s *Scheduler) {
		if _, err := s.RunWindow(t.Context(), mustParse(t, hourly()), january(t)); err != nil {
			t.Fatal(err)
		}
		r.apply(s, hourly())
		time.Sleep(time.Hour)
		r.expect(s, "01T00/0 done, 01T01/0 done")
		if r.worker.count() != 4 {
			t.Errorf("%d tasks; want 4", r.worker.count())
		}
	}))
}

func TestRerun(t *testing.T) {
	synctest.Test(t, scheduled(func(t *testing.T, r *rig, s *Scheduler) {
		r.worker.set(func(l *labour) { l.refuse["b"] = ErrPermanent })
		r.apply(s, hourly())
		time.Sleep(time.Minute)
		key := RunKey{"p", january(t), 0}
		failed := r.lookup(s, key)
		r.worker.set(func(l *labour) { delete(l.refuse, "b") })
		run, err := s.Rerun(t.Context(), key)
		if err != nil || run.State != Waiting || run.Revision != 0 || run.Error != "" {
			t.Fatalf("%+v, %v", run, err)
		}
		time.Sleep(time.Minute)
		done := r.lookup(s, key)
		if done.State != Done || done.Cut != failed.Cut || done.Steps[0].Attempt != failed.Steps[0].Attempt || done.Steps[1].Attempts != 2 {
			t.Errorf("it did not go on: %+v", done)
		}
		run, err = s.Rerun(t.Context(), key)
		if err != nil || run.Revision != 1 || run.Why != ByRerun {
			t.Fatalf("%+v, %v", run, err)
		}
		time.Sleep(time.Minute)
		r.expect(s, "01T00/0 done, 01T00/1 done")
		if next := r.lookup(s, run.RunKey); next.Cut == done.Cut {
			t.Error("the next revision has the same cut")
		}
		if _, err := s.Rerun(t.Context(), key); !errors.Is(err, ErrState) || !strings.Contains(err.Error(), "newer revision, 1") {
			t.Errorf("rerun of an old revision: %v", err)
		}
		r.worker.set(func(l *labour) { l.refuse["a"] = ErrPermanent })
		time.Sleep(time.Hour)
		key.Window = Window{Start: key.End, End: key.End.Add(time.Hour)}
		r.worker.set(func(l *labour) { clear(l.refuse) })
		r.apply(s, hourly("delay: 1m"))
		if run, err = s.Rerun(t.Context(), key); err != nil || run.Revision != 1 {
			t.Fatalf("a failed run of a pipeline with a new text: %+v, %v", run, err)
		}
		time.Sleep(time.Minute)
		r.expect(s, "01T00/0 done, 01T00/1 done, 01T01/0 failed, 01T01/1 done")
	}))
}

func TestLateDataReruns(t *testing.T) {
	synctest.Test(t, scheduled(func(t *testing.T, r *rig, s *Scheduler) {
		r.apply(s, hourly("rerun_stale: true", "concurrency: 2"))
		time.Sleep(time.Minute)
		key := RunKey{"p", january(t), 0}
		for range 2 { // the second says nothing
			if err := s.MarkStale(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		if run := r.lookup(s, RunKey{"p", january(t), 1}); run.Why != ByLateData {
			t.Errorf("%+v", run)
		}
		time.Sleep(time.Minute)
		r.expect(s, "01T00/0 done stale, 01T00/1 done")

		// While a run works, its next revision waits for it.
		r.worker.set(func(l *labour) { l.longest, l.hang = time.Minute, true })
		time.Sleep(time.Hour)
		key.Window = Window{Start: key.End, End: key.End.Add(time.Hour)}
		if err := s.MarkStale(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		r.expect(s, "01T00/0 done stale, 01T00/1 done, 01T01/0 running stale, 01T01/1 waiting")
		if cut := r.lookup(s, RunKey{"p", key.Window, 1}).Cut; cut != "" {
			t.Error("the next revision has begun")
		}
		if err := s.MarkStale(t.Context(), RunKey{"p", key.Window, 1}); err != nil {
			t.Fatal(err) // which has no cut yet, so its input will have the samples
		}
		if err := s.MarkStale(t.Context(), RunKey{"p", key.Window, 2}); !errors.Is(err, ErrNotFound) {
			t.Errorf("a revision that is not there: %v", err)
		}
		r.worker.set(func(l *labour) { l.hang = false })
		time.Sleep(70 * time.Minute)
		runs := r.runs(s, Filter{Pipeline: "p"})
		if got := states(runs); !strings.Contains(got, "01T01/0 done stale, 01T01/1 done") || strings.Contains(got, "/2") {
			t.Errorf("after all: %s", got)
		}
	}))
}

func TestCancel(t *testing.T) {
	synctest.Test(t, scheduled(func(t *testing.T, r *rig, s *Scheduler) {
		r.worker.set(func(l *labour) { l.hang = true })
		r.apply(s, hourly())
		time.Sleep(time.Minute)
		key := RunKey{"p", january(t), 0}
		asked, err := s.RunWindow(t.Context(), mustParse(t, hourly()), Window{Start: 1, End: 2})
		if err != nil || asked.State != Waiting {
			t.Fatalf("%+v, %v", asked, err)
		}
		if _, err := s.Rerun(t.Context(), key); !errors.Is(err, ErrState) {
			t.Errorf("rerun of a run that runs: %v", err)
		}
		for _, k := range []RunKey{key, asked.RunKey} {
			if run, err := s.Cancel(t.Context(), k); err != nil || run.State != Cancelled {
				t.Fatalf("%+v, %v", run, err)
			}
		}
		time.Sleep(time.Minute)
		if n := r.worker.living(); n != 0 {
			t.Errorf("%d attempts still run", n)
		}
		if p, err := s.Get(t.Context(), "p"); err != nil || p.Open+p.Asked != 0 {
			t.Errorf("%+v, %v", p, err)
		}
		if _, err := s.Cancel(t.Context(), key); !errors.Is(err, ErrState) {
			t.Errorf("cancelled twice: %v", err)
		}
		r.worker.set(func(l *labour) { l.hang = false })
		if _, err := s.Rerun(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if run := r.lookup(s, key); run.State != Done || run.Revision != 0 {
			t.Errorf("%+v", run)
		}
	}))
}

func TestBackfill(t *testing.T) {
	synctest.Test(t, scheduled(func(t *testing.T, r *rig, s *Scheduler) {
		r.apply(s, hourly("backfill: none"))
		time.Sleep(4 * time.Hour) // 05:30; the window of 00 is the first
		begin, end := at(t, "2026-01-01T00:00:00Z"), at(t, "2026-01-02T00:00:00Z")
		for range 2 {
			w, err := s.Backfill(t.Context(), "p", begin-1, end)
			if err != nil || w != (Window{Start: begin, End: at(t, "2026-01-01T05:00:00Z")}) {
				t.Fatalf("%s, %v", w, err)
			}
		}
		time.Sleep(time.Minute)
		r.expect(s, "01T00/0 done, 01T01/0 done, 01T02/0 done, 01T03/0 done, 01T04/0 done")
		if _, err := s.Backfill(t.Context(), "p", end, end.Add(definition.Day)); !errors.Is(err, ErrState) {
			t.Errorf("windows to come: %v", err)
		}
		r.apply(s, "pipeline: p"+oneStep)
		if _, err := s.Backfill(t.Context(), "p", begin, end); !errors.Is(err, ErrState) {
			t.Errorf("no schedule: %v", err)
		}
	}))
}

// TestBackfillBeforeTheFirst makes windows of which none was due before.
func TestBackfillBeforeTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "2026-01-01T10:30:00Z")
		s := r.scheduler(r.records)
		stop := r.start(s)
		defer stop()
		r.apply(s, strings.Replace(hourly(), "every: 1h, start: 2026-01-01T00:00:00Z", "cron: 0 * * * *", 1))
		if _, err := s.Backfill(t.Context(), "p", at(t, "2026-01-01T05:00:00Z"), at(t, "2026-01-01T08:00:00Z")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(40 * time.Minute)
		r.expect(s, "01T05/0 done, 01T06/0 done, 01T07/0 done, 01T10/0 done")
		if run := r.runs(s, Filter{})[0]; run.Why != ByBackfill || run.Due != at(t, "2026-01-01T10:30:00Z") {
			t.Errorf("%+v", run)
		}
	})
}

func TestStatus(t *testing.T) {
	synctest.Test(t, scheduled(func(t *testing.T, r *rig, s *Scheduler) {
		r.apply(s, strings.Replace(hourly(), "every: 1h", "every: 4d", 1))
		r.apply(s, strings.Replace(strings.Replace(hourly(), "every: 1h", "every: 4d", 1), "pipeline: p", "pipeline: q", 1))
		time.Sleep(41 * definition.Day)
		all := r.runs(s, Filter{})
		if len(all) != 20 || all[0].Pipeline != "q" || all[1].Pipeline != "p" || all[0].Start != all[1].Start {
			t.Errorf("%d runs: %s", len(all), states(all))
		}
		if got := r.runs(s, Filter{Pipeline: "q", Limit: 3}); len(got) != 3 || got[2].Start != all[19].Start {
			t.Errorf("the newest three are %s", states(got))
		}
		if got := r.runs(s, Filter{State: Failed}); len(got) != 0 {
			t.Errorf("failed are %s", states(got))
		}
	}))
}
