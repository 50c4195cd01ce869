package archive

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"weir/internal/journal"
)

// lives is what is done to a week, one after the other.
var lives = []struct {
	name string
	do   func(*rig, *Archiver) error
}{
	{"archive", func(r *rig, a *Archiver) error { return a.Archive(r.t.Context(), r.week, quiet) }},
	{"verify", func(r *rig, a *Archiver) error { return a.Verify(r.t.Context(), r.week, quiet) }},
	{"drop", func(r *rig, a *Archiver) error { return a.Drop(r.t.Context(), r.week) }},
	{"restore", func(r *rig, a *Archiver) error { return a.Restore(r.t.Context(), r.week, quiet) }},
}

// whole checks that nothing of any revision is lost: what its record says has it
// holds all of it. A dropped volume has a verified archive.
func (r *rig) whole() {
	r.t.Helper()
	for revision := range r.wanted {
		v := r.record(revision)
		if v.State != journal.VolumeDropped {
			r.check("table", revision, r.held(revision))
		}
		if v.State == journal.VolumeVerified || v.State == journal.VolumeDropped {
			r.check("archive", revision, r.archived(revision))
		}
	}
}

// every calls test with each call of a step at which something may happen; in
// short tests, and under the race detector, with some of them.
func every(t *testing.T, test func(t *testing.T, r *rig, at int, what interrupted) (reached bool), kinds ...interrupted) {
	first, stride := 1, 1
	switch {
	case testing.Short():
		stride = 17
	case underRace:
		stride = 5
		first += rand.IntN(stride) // each call is reached in some run
	}
	for _, what := range kinds {
		for at := first; ; at += stride {
			reached := false
			t.Run(fmt.Sprintf("%s call %d", what, at), func(t *testing.T) {
				r := newRig(t, uint64(at), 2, 8)
				r.fill(2)
				reached = test(t, r, at, what)
			})
			if !reached || t.Failed() {
				break
			}
		}
	}
}

// TestCutShortAnywhere kills each step at each call, or lets the call fail: then
// nothing is lost, and the same step done again ends it.
func TestCutShortAnywhere(t *testing.T) {
	for i, step := range lives {
		t.Run(step.name, func(t *testing.T) {
			every(t, func(t *testing.T, r *rig, at int, what interrupted) bool {
				good := r.archiver(r.store, r.objects)
				for _, before := range lives[:i] {
					r.must(before.do(r, good))
				}
				gate := newTurnstile(at, what)
				err := step.do(r, r.archiver(testStore{r.store, gate}, testObjects{r.objects, gate}))
				if err == nil && gate.reached() && what <= killedAfter && gate.n > at {
					t.Error("it was killed, and says that it is done")
				}
				r.whole()
				r.must(r.flush(0, 4)) // late, to whichever revision is open
				// What held it when it was killed runs out.
				r.clock = r.clock.Add(2 * pinTime)
				good = r.archiver(r.store, r.objects)
				for _, next := range lives[:i] {
					r.must(next.do(r, good))
				}
				r.must(step.do(r, good))
				r.whole()
				return gate.reached()
			}, killedBefore, killedAfter, failedBefore, failedAfter)
		})
	}
}

// TestPausedAnywhere stops each step at each call while late samples come and
// another does it all, and lets it go on then: nothing is lost, and nothing is
// turned that does not count any more.
func TestPausedAnywhere(t *testing.T) {
	for i, step := range lives {
		t.Run(step.name, func(t *testing.T) {
			every(t, func(t *testing.T, r *rig, at int, what interrupted) bool {
				good := r.archiver(r.store, r.objects)
				for _, before := range lives[:i] {
					r.must(before.do(r, good))
				}
				gate := newTurnstile(at, what)
				paused := r.archiver(testStore{r.store, gate}, testObjects{r.objects, gate})
				ended := make(chan error, 1)
				go func() { ended <- step.do(r, paused) }()
				select {
				case <-gate.paused:
				case err := <-ended:
					r.must(err)
					return false
				}
				r.must(r.flush(0, 4))
				r.must(r.flush(1, 4))
				r.clock = r.clock.Add(2 * pinTime) // what it holds runs out
				for range 2 {                      // drops what it may have begun with, and restores it elsewhere
					for _, next := range lives {
						r.must(next.do(r, good))
					}
					r.whole()
				}
				close(gate.release)
				if err := <-ended; err != nil {
					t.Logf("released, it ends by: %v", err)
				}
				r.whole()
				r.must(r.flush(1, 4))
				for _, next := range lives {
					r.must(next.do(r, good))
				}
				r.whole()
				if v := r.record(0); v.State != journal.VolumeVerified {
					t.Errorf("revision 0 is %s", v.State)
				}
				return true
			}, pausedBefore)
		})
	}
}

// TestTwoAtOnce does each step twice at once.
func TestTwoAtOnce(t *testing.T) {
	for seed := range uint64(6) {
		r := newRig(t, seed, 2, 8)
		r.fill(3)
		for _, step := range lives {
			ended := make(chan error, 2)
			for range 2 {
				a := r.archiver(r.store, r.objects)
				go func() { ended <- step.do(r, a) }()
			}
			first, second := <-ended, <-ended
			if first != nil && second != nil {
				t.Fatalf("%s: %v; %v", step.name, first, second)
			}
			for _, err := range []error{first, second} {
				if err != nil && !errors.Is(err, journal.ErrPinned) && !errors.Is(err, journal.ErrChanged) {
					t.Errorf("%s: %v", step.name, err)
				}
			}
			r.whole()
		}
	}
}
