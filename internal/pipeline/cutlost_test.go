package pipeline

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestRerunOfALostCut: a run whose cut can be read no more fails, and is followed by
// the next revision, with a new cut.
func TestRerunOfALostCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "2026-01-01T01:30:00Z")
		r.worker.refuse["a"] = fmt.Errorf("%w: %w: %w", ErrPermanent, ErrCutLost, errors.New("it was merged"))
		s := r.scheduler(r.records)
		defer r.start(s)()
		r.apply(s, hourly(""))
		time.Sleep(10 * time.Minute)
		key := RunKey{"p", january(t), 0}
		if run := r.lookup(s, key); run.State != Failed || !run.Stale {
			t.Fatalf("the run is %+v", run)
		}
		r.worker.set(func(l *labour) { delete(l.refuse, "a") })
		if _, err := s.Rerun(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		key.Revision = 1
		if run := r.lookup(s, key); run.State != Done || run.Stale {
			t.Errorf("the run after it is %+v", run)
		}
	})
}
