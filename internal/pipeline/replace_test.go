package pipeline

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestOutputsAreReplacedOnce: what a step handed on is written anew by another.
func TestOutputsAreReplacedOnce(t *testing.T) {
	synctest.Test(t, scheduled(func(t *testing.T, r *rig, s *Scheduler) {
		r.apply(s, hourly())
		key := RunKey{"p", january(t), 0}
		time.Sleep(time.Hour)
		run := r.lookup(s, key)
		if run.State != Done || run.Reading() {
			t.Fatalf("%+v", run)
		}
		old, next := run.Steps[0].Output, Output(`"another"`)
		name := TaskName{key, run.Steps[0].Name, ""}
		for range 2 { // the second time nothing is changed
			if err := s.ReplaceOutput(t.Context(), name, old, next, "rows were taken out"); err != nil {
				t.Fatal(err)
			}
		}
		run = r.lookup(s, key)
		if last := run.Events[len(run.Events)-1]; string(run.Steps[0].Output) != string(next) || last.Text != "rows were taken out" || run.Stale {
			t.Errorf("%+v", run)
		}
		if err := s.ReplaceOutput(t.Context(), name, old, Output(`"third"`), "late"); !errors.Is(err, ErrState) {
			t.Errorf("in the place of what is there no more: %v", err)
		}
		name.Pipeline = "none"
		if err := s.ReplaceOutput(t.Context(), name, old, next, ""); !errors.Is(err, ErrNotFound) {
			t.Errorf("of no run: %v", err)
		}
		if waits := (&Run{Cut: "x", State: Waiting}); !waits.Reading() || (&Run{State: Waiting}).Reading() {
			t.Error("a run reads from its cut until it is finished")
		}
	}))
}
