package pipeline

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestForget: the record of a finished run that has a newer revision goes, and no
// other; the next revision's number is what it would have been.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "2026-03-02T12:00:00Z")
		s := r.scheduler(r.records)
		stop := r.start(s)
		defer stop()
		d, err := s.Check("d.yaml", []byte(daily))
		if err != nil {
			t.Fatal(err)
		}
		first, err := s.RunWindow(t.Context(), d, window(t, "2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z"))
		if err != nil {
			t.Fatal(err)
		}
		other, err := s.RunWindow(t.Context(), d, window(t, "2026-02-01T00:00:00Z", "2026-02-03T00:00:00Z"))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Forget(t.Context(), first.RunKey); !errors.Is(err, ErrState) {
			t.Errorf("of a run under way: %v", err)
		}
		time.Sleep(10 * time.Minute)
		if err := s.Forget(t.Context(), first.RunKey); !errors.Is(err, ErrState) {
			t.Errorf("of the newest: %v", err)
		}
		second, err := s.Rerun(t.Context(), first.RunKey)
		if err != nil || second.Revision != 1 {
			t.Fatal(second, err)
		}
		time.Sleep(10 * time.Minute)
		if got, want := eachRun(t, s), "0 false true, 1 true true, 0 true true"; got != want {
			t.Errorf("the runs are %s; want %s", got, want)
		}
		for _, k := range []RunKey{second.RunKey, other.RunKey} {
			if err := s.Forget(t.Context(), k); !errors.Is(err, ErrState) {
				t.Errorf("of the newest of %s: %v", k, err)
			}
		}
		if err := s.Forget(t.Context(), first.RunKey); err != nil {
			t.Error(err)
		}
		if err := s.Forget(t.Context(), first.RunKey); !errors.Is(err, ErrNotFound) {
			t.Errorf("again: %v", err)
		}
		if got, want := eachRun(t, s), "1 true true, 0 true true"; got != want {
			t.Errorf("the runs are %s; want %s", got, want)
		}
		if third, err := s.Rerun(t.Context(), second.RunKey); err != nil || third.Revision != 2 {
			t.Errorf("the next is %+v, %v; want revision 2", third, err)
		}
	})
}

func window(t *testing.T, from, to string) Window {
	t.Helper()
	return Window{Start: at(t, from), End: at(t, to)}
}

func eachRun(t *testing.T, s *Scheduler) string {
	t.Helper()
	var out []string
	err := s.EachRun(t.Context(), func(r *Run, newest bool) error {
		out = append(out, fmt.Sprint(r.Revision, " ", newest, " ", r.Spent(newest)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, ", ")
}
