package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/store"
)

func TestPerformByHand(t *testing.T) {
	synctest.Test(t, scheduled(func(t *testing.T, r *rig, s *Scheduler) {
		r.worker.set(func(l *labour) { l.refuse["a"] = ErrPermanent })
		r.apply(s, hourly())
		key := RunKey{"p", january(t), 0}
		time.Sleep(time.Minute)
		perform := func(step string) (Output, error) {
			return s.Perform(t.Context(), TaskName{key, step, "by-hand"})
		}
		if _, err := perform("b"); !errors.Is(err, ErrState) || !strings.Contains(err.Error(), `comes after "a"`) {
			t.Errorf("out of turn: %v", err)
		}
		if _, err := perform("a"); !errors.Is(err, ErrPermanent) {
			t.Errorf("refused: %v", err)
		}
		if _, err := perform("z"); !errors.Is(err, ErrNotFound) {
			t.Errorf("unknown: %v", err)
		}
		r.worker.set(func(l *labour) { clear(l.refuse) })
		for _, step := range []string{"a", "b", "b"} {
			if out, err := perform(step); err != nil || string(out) != `"by-hand"` {
				t.Fatalf("%s: %s, %v", step, out, err)
			}
		}
		if _, err := s.Rerun(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if run := r.lookup(s, key); run.State != Done || run.Steps[1].Attempt != "by-hand" {
			t.Errorf("%+v", run)
		}
	}))
}

// TestOverlappingAttempts: of an attempt by hand and the scheduler's own the
// first that is done counts.
func TestOverlappingAttempts(t *testing.T) {
	synctest.Test(t, scheduled(func(t *testing.T, r *rig, s *Scheduler) {
		r.worker.set(func(l *labour) { l.hang = true })
		r.apply(s, hourly("retries: {attempts: 3, backoff: 10s, most: 1m}", "timeout: 30m"))
		time.Sleep(time.Minute)
		r.worker.set(func(l *labour) { l.hang = false })
		key := RunKey{"p", january(t), 0}
		if _, err := s.Perform(t.Context(), TaskName{key, "a", "by-hand"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(40 * time.Minute)
		run := r.lookup(s, key)
		if a := run.Steps[0]; run.State != Done || a.Attempt != "by-hand" || a.Failures != 0 {
			t.Errorf("%+v", run)
		}
		run.succeed("a", "other", Output(`"other"`), 0)
		if string(run.Steps[0].Output) != `"by-hand"` {
			t.Error("a second attempt took the place of the first")
		}
		if _, err := s.Perform(t.Context(), TaskName{RunKey{"p", Window{Start: 1, End: 2}, 0}, "a", "x"}); !errors.Is(err, ErrNotFound) {
			t.Errorf("no such run: %v", err)
		}
	}))
}

// TestAskIsBounded: a pipeline's record can't grow without end.
func TestAskIsBounded(t *testing.T) {
	r := newRig(t, "2026-01-01T01:30:00Z")
	s := r.scheduler(r.records)
	d := mustParse(t, hourly())
	full := state{Format: recordFormat, Name: "p", Asked: make([]ask, maxWaiting)}
	if err := write(t.Context(), r.records, stateKey("p"), full, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RunWindow(t.Context(), d, Window{Start: -2, End: -1}); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
}

func TestDeathInAHundredAttempts(t *testing.T) {
	d := mustParse(t, hourly())
	r := newRun(d, RunKey{"p", january(t), 0}, ask{}, 0)
	for i := 0; r.State != Failed; i++ {
		r.begin("a", fmt.Sprint("n", i), 1)
		r.cutShort(2)
		if i == maxCutShort {
			t.Fatal("it goes on for ever")
		}
	}
	if r.Steps[0].Attempts != maxCutShort || !strings.Contains(r.Error, "died in each of 100 attempts") || len(r.Events) != maxEvents {
		t.Errorf("%d attempts, %d events, %s", r.Steps[0].Attempts, len(r.Events), r.Error)
	}
	r.again(3)
	if r.State != Waiting || r.Steps[0].Attempts-r.Steps[0].Failures != 0 {
		t.Errorf("%+v", r)
	}
}

// TestLongErrorsAreCut at a whole character.
func TestLongErrorsAreCut(t *testing.T) {
	if got := cut(strings.Repeat("é", 10), 5); got != "éé…" {
		t.Errorf("got %q", got)
	}
}

// TestRecordsOfOthers: one that a newer version wrote, and one that is damaged.
func TestRecordsOfOthers(t *testing.T) {
	r := newRig(t, "2026-01-01T01:30:00Z")
	s := r.scheduler(r.records)
	for text, want := range map[string]error{`{"format":2}`: store.ErrVersion, `{`: store.ErrCorrupt, `{"format":1,"asked":3}`: store.ErrCorrupt} {
		clear(r.records.records)
		if _, err := r.records.Put(t.Context(), stateKey("p"), []byte(text), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := s.List(t.Context()); !errors.Is(err, want) {
			t.Errorf("%s: %v", text, err)
		}
		if err := s.pass(t.Context()); !errors.Is(err, want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestDefinitionThatIsWrongNow: a stored text that this version refuses stops
// its pipeline, and says so, until it is given anew.
func TestDefinitionThatIsWrongNow(t *testing.T) {
	synctest.Test(t, scheduled(func(t *testing.T, r *rig, s *Scheduler) {
		r.apply(s, hourly())
		_, err := change(t.Context(), r.records, stateKey("p"), false, func(st *state) error {
			st.Definition = "0123"
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if p, err := s.Get(t.Context(), "p"); err != nil || !strings.Contains(p.Error, "its definition") {
			t.Errorf("%+v, %v", p, err)
		}
		if _, err := r.records.Put(context.Background(), textKey("p", "0123"), []byte("pipeline: p"), 0); err != nil {
			t.Fatal(err)
		}
		if p, err := s.Get(t.Context(), "p"); err != nil || !strings.Contains(p.Error, "give it anew") {
			t.Errorf("%+v, %v", p, err)
		}
		r.apply(s, hourly("delay: 1m"))
		time.Sleep(2 * time.Hour)
		if runs := r.runs(s, Filter{State: Done}); len(runs) < 2 {
			t.Errorf("runs are %s", states(runs))
		}
	}))
}
