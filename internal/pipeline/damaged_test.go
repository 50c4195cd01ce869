package pipeline

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestDamagedOutput: a run whose step found the output of another damaged fails,
// also where attempts are left; once it goes on, both steps are done.
func TestDamagedOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "2026-01-01T01:30:00Z")
		r.worker.output = Output(`{"at":"a"}`)
		r.worker.refuse["b"] = &DamagedError{Step: "a", Err: errors.New("a part is short")}
		s := r.scheduler(r.records)
		defer r.start(s)()
		r.apply(s, hourly("retries: {attempts: 3, backoff: 10s, most: 1m}"))
		time.Sleep(10 * time.Minute)
		key := RunKey{"p", january(t), 0}
		run := r.lookup(s, key)
		const why = "step b: what step a left is damaged; rerun the run, which does that step anew: a part is short"
		if a, b := run.Steps[0], run.Steps[1]; run.State != Failed || run.Error != why || a.State != Failed || a.Output != nil || a.Error != "a part is short" || b.Attempts != 1 {
			t.Fatalf("the run is %+v", run)
		}
		if got := r.worker.count(); got != 2 {
			t.Errorf("%d attempts; want one of each step", got)
		}
		r.worker.set(func(l *labour) { delete(l.refuse, "b") })
		if _, err := s.Rerun(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		run = r.lookup(s, key)
		if a, b := run.Steps[0], run.Steps[1]; run.State != Done || a.Attempts != 2 || string(a.Output) != `{"at":"a"}` || a.Error != "" || b.Attempts != 2 {
			t.Errorf("the run that went on is %+v", run)
		}
	})
}
