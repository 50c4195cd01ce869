package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/pipeline/definition"
)

// TestWishesUnderKills: runs by hand, reruns, backfills, cancellations and
// late data are asked for by processes that die in the middle, and are asked
// again, while the scheduler dies as well. No wish is lost, no run is left
// behind, none is made twice.
func TestWishesUnderKills(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { (&wishes{random: rand.New(rand.NewPCG(seed, 3))}).simulate(t, seed) })
		})
	}
}

type wishes struct {
	*rig
	random *rand.Rand
	d      Definition
	stale  map[RunKey]bool // runs that late data was reported for, after their cut
	hand   []Window
}

func (w *wishes) simulate(t *testing.T, seed uint64) {
	w.rig, w.stale = newRig(t, "2026-03-02T12:00:00Z"), map[RunKey]bool{}
	w.worker = newLabour(seed)
	w.worker.longest, w.worker.failures = 30*time.Minute, 0.3
	w.settings = func(c *Config) { c.Alone = true }
	text := strings.Replace(daily, "attempts: 100", "attempts: 2", 1) + "rerun_stale: true\n"
	w.d = mustParse(t, text)
	w.apply(w.scheduler(w.records), text)
	for range 12 {
		ctx, cancel := context.WithCancel(t.Context())
		process := &mortal{Records: w.records, random: rand.New(rand.NewPCG(w.random.Uint64(), 0)), left: 20 + w.random.IntN(400), onDeath: cancel, faults: 0.03}
		s := w.scheduler(process)
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		for range w.random.IntN(6) {
			time.Sleep(time.Duration(w.random.IntN(300)) * time.Minute)
			w.wish()
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Duration(w.random.IntN(48)) * time.Hour)
	}
	w.worker.failures = 0
	s := w.scheduler(w.records)
	stop := w.start(s)
	w.settle(s)
	for _, r := range w.runs(s, Filter{}) { // what failed or was cancelled is run again
		if newest, _, _, err := s.newest(t.Context(), r.Pipeline, r.Window); err != nil || newest.Revision == r.Revision && r.State != Done {
			if _, err := s.Rerun(t.Context(), r.RunKey); err != nil {
				t.Error(err)
			}
		}
	}
	w.settle(s)
	stop()
	w.judge(s)
}

// wish asks for something by a process that dies, until one doesn't.
func (w *wishes) wish() {
	s := w.scheduler(w.records)
	runs := w.rig.runs(s, Filter{})
	if len(runs) == 0 {
		return
	}
	run := runs[w.random.IntN(len(runs))]
	kind, window := w.random.IntN(5), Window{Start: definition.InstantOf(w.now()).Add(-definition.Day), End: definition.InstantOf(w.now())}
	if kind == 0 {
		w.hand = append(w.hand, window)
	}
	if kind == 1 && run.Cut != "" {
		w.stale[run.RunKey] = true
	}
	for {
		process := &mortal{Records: w.records, random: rand.New(rand.NewPCG(w.random.Uint64(), 0)), left: 1 + w.random.IntN(20), onDeath: func() {}}
		s := w.scheduler(process)
		var err error
		switch kind {
		case 0:
			_, err = s.RunWindow(w.t.Context(), w.d, window)
		case 1:
			err = s.MarkStale(w.t.Context(), run.RunKey)
		case 2:
			_, err = s.Backfill(w.t.Context(), w.d.Name, 0, window.End)
		case 3:
			_, err = s.Rerun(w.t.Context(), run.RunKey)
		case 4:
			_, err = s.Cancel(w.t.Context(), run.RunKey)
		}
		if err == nil || errors.Is(err, ErrState) {
			return
		}
		time.Sleep(time.Duration(w.random.IntN(20)) * time.Minute)
	}
}

func (w *wishes) judge(s *Scheduler) {
	w.t.Helper()
	newest := map[Window]Run{}
	for _, r := range w.rig.runs(s, Filter{}) {
		last, ok := newest[r.Window]
		if ok && r.Revision != last.Revision+1 || !ok && r.Revision != 0 {
			w.t.Errorf("%s comes after revision %d", r.RunKey, last.Revision)
		}
		if !r.State.finished() {
			w.t.Errorf("%s is left %s", r.RunKey, r.State)
		}
		if w.stale[r.RunKey] && !r.Stale {
			next, err := s.Lookup(w.t.Context(), RunKey{r.Pipeline, r.Window, r.Revision + 1})
			if err != nil {
				w.t.Errorf("%s had late data, and is not stale: %+v, %v", r.RunKey, next, err)
			}
		}
		newest[r.Window] = r
	}
	for _, r := range newest {
		if r.State != Done || r.Stale {
			w.t.Errorf("%s is the newest revision and %s, stale %v", r.RunKey, r.State, r.Stale)
		}
	}
	for _, want := range append(w.hand, windows(w.d.Schedule, at(w.t, "2026-02-28T23:00:00Z"), definition.InstantOf(w.now().Add(-10*time.Minute)))...) {
		if _, ok := newest[want]; !ok {
			w.t.Errorf("window %s has no run", want)
		}
	}
	for _, wrong := range w.worker.wrong {
		w.t.Error(wrong)
	}
}

// failedAndOpen gives a rig with a run that has failed, and whose scheduler
// was killed before it closed it.
func failedAndOpen(t *testing.T) (*rig, RunKey) {
	t.Helper()
	r := newRig(t, "2026-01-01T01:30:00Z")
	r.worker.set(func(l *labour) { l.refuse["b"] = ErrPermanent })
	s := r.scheduler(r.records)
	stop := r.start(s)
	r.apply(s, hourly())
	time.Sleep(time.Minute)
	stop()
	r.worker.set(func(l *labour) { clear(l.refuse) })
	key := RunKey{"p", january(t), 0}
	_, err := change(t.Context(), r.records, stateKey("p"), false, func(st *state) error {
		st.Open = append(st.Open, ask{Window: key.Window, Definition: mustParse(t, hourly()).Hash, Why: ByTick, Opening: "old"})
		return nil
	})
	if err != nil || r.lookup(s, key).State != Failed {
		t.Fatalf("no failed run: %v", err)
	}
	return r, key
}

// TestRerunOfARunThatIsNotClosed: whoever closes it must not take the wish away.
func TestRerunOfARunThatIsNotClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, key := failedAndOpen(t)
		s := r.scheduler(r.records)
		if run, err := s.Rerun(t.Context(), key); err != nil || run.State != Waiting {
			t.Fatalf("%+v, %v", run, err)
		}
		// Whoever carried it out saw it fail, and closes it now.
		st, err := change(t.Context(), r.records, stateKey("p"), false, func(st *state) error {
			st.leave(st.Open[0])
			return nil
		})
		if err != nil || len(st.Open) != 0 {
			t.Fatalf("%+v, %v", st, err)
		}
		stop := r.start(s)
		defer stop()
		time.Sleep(time.Minute)
		if run := r.lookup(s, key); run.State != Done {
			t.Errorf("the run is left %s", run.State)
		}
	})
}

// TestCloseLeavesAnOpeningThatCameLater: a scheduler that was paused closes
// what it opened, and not what another has opened since.
func TestCloseLeavesAnOpeningThatCameLater(t *testing.T) {
	old, later := ask{Window: january(t), Opening: "old"}, ask{Window: january(t), Opening: "later"}
	st := state{Open: []ask{later}}
	if st.leave(old) || len(st.Open) != 1 || !st.leave(later) || len(st.Open) != 0 {
		t.Errorf("%+v", st)
	}
}

func TestCancelOfARunThatIsToGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, key := failedAndOpen(t)
		s := r.scheduler(r.records)
		for _, call := range []func(context.Context, RunKey) (Run, error){s.Rerun, s.Cancel} {
			if run, err := call(t.Context(), key); err != nil {
				t.Fatalf("%+v, %v", run, err)
			}
		}
		stop := r.start(s)
		defer stop()
		time.Sleep(time.Minute)
		if run := r.lookup(s, key); run.State != Cancelled {
			t.Errorf("the run is %s", run.State)
		}
	})
}
