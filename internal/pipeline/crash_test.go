package pipeline

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/pipeline/definition"
	"weir/internal/store"
)

const daily = `
pipeline: daily
schedule: {every: 1d, start: 2026-03-01T00:00:00+01:00, zone: Europe/Berlin}
delay: 10m
concurrency: 2
retries: {attempts: 100, backoff: 10s, most: 5m}
timeout: 3h
steps:
  - {name: a, analyse: {analysis: rollup, select: m}}
  - {name: b, load: {from: a}}
  - {name: c, export: {from: a, format: csv, folder: f}}
  - {name: d, archive: {older_than: 4w}, after: [b, c]}
`

// verify holds all runs of a pipeline against what should have been: each
// window once, done, in order, within its concurrency, with one cut, and with
// the outputs of the attempts that count.
func (r *rig) verify(s *Scheduler, from, to Instant) {
	r.t.Helper()
	d := mustParse(r.t, daily)
	want := windows(d.Schedule, from, to)
	runs := r.runs(s, Filter{Pipeline: d.Name})
	if len(runs) != len(want) {
		r.t.Fatalf("%d runs; want %d", len(runs), len(want))
	}
	for i, run := range runs {
		if run.Window != want[i] || run.Revision != 0 || run.State != Done || run.Error != "" {
			r.t.Errorf("run %s is %s (%s); want window %s revision 0, done", run.RunKey, run.State, run.Error, want[i])
		}
		for _, step := range run.Steps {
			if step.State != Done || string(step.Output) != fmt.Sprintf("%q", step.Attempt) {
				r.t.Errorf("%s: step %s is %s, output %s of attempt %s", run.RunKey, step.Name, step.State, step.Output, step.Attempt)
			}
		}
	}
	for i, run := range runs {
		if run.Cut == "" || r.worker.cuts[run.RunKey] != run.Cut || i > 0 && run.Cut <= runs[i-1].Cut {
			r.t.Errorf("%s has %s, its tasks had %q, and it is to be after that of the window before", run.RunKey, run.Cut, r.worker.cuts[run.RunKey])
		}
	}
	if r.worker.most > d.Concurrency {
		r.t.Errorf("%d runs at once; want at most %d", r.worker.most, d.Concurrency)
	}
	for _, w := range r.worker.wrong {
		r.t.Error(w)
	}
	if st, err := s.state(r.t.Context(), d.Name); err != nil || len(st.Open)+len(st.Asked)+len(st.Pending) > 0 {
		r.t.Errorf("what is left to do: %+v, %v", st, err)
	}
}

// TestDownOverFiftyTicks: a scheduler that was down over 50 ticks and the
// change to summer time makes up each window once, in order.
func TestDownOverFiftyTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "2026-03-01T12:00:00Z")
		r.worker.longest = time.Hour
		s := r.scheduler(r.records)
		stop := r.start(s)
		r.apply(s, daily)
		time.Sleep(3 * definition.Day)
		stop()
		if n := len(r.runs(s, Filter{})); n != 3 {
			t.Fatalf("%d runs before the downtime; want 3", n)
		}
		time.Sleep(52 * definition.Day)
		s = r.scheduler(r.records)
		stop = r.start(s)
		time.Sleep(4 * definition.Day)
		stop()
		r.verify(s, at(t, "2026-02-28T23:00:00Z"), definition.InstantOf(r.now().Add(-10*time.Minute)))
		if most := r.worker.most; most != 2 {
			t.Errorf("%d runs at once; they were to be two", most)
		}
	})
}

// TestKilledAnywhere: processes are killed at random calls of the store, in
// mid-backfill and over a change of clocks, before or after the call took
// effect; calls fail without a kill, too; attempts fail.
func TestKilledAnywhere(t *testing.T) {
	kills := 0
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { kills += killAnywhere(t, seed) })
		})
	}
	if kills < 100 {
		t.Errorf("only %d kills", kills)
	}
	t.Logf("%d kills", kills)
}

func killAnywhere(t *testing.T, seed uint64) (kills int) {
	random := rand.New(rand.NewPCG(seed, 0))
	r := newRig(t, "2026-03-02T12:00:00Z")
	r.worker = newLabour(seed)
	r.worker.longest, r.worker.failures = 30*time.Minute, 0.2
	r.settings = func(c *Config) { c.Alone = random.IntN(2) == 0 }
	r.apply(r.scheduler(r.records), daily)
	for range 5 + random.IntN(20) {
		time.Sleep(time.Duration(random.IntN(8)) * definition.Day)
		ctx, cancel := context.WithCancel(t.Context())
		process := &mortal{Records: r.records, random: rand.New(rand.NewPCG(random.Uint64(), 0)), left: 1 + random.IntN(150), onDeath: cancel, faults: 0.05}
		s := r.scheduler(process)
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		timer := time.NewTimer(5 * definition.Day)
		select {
		case <-ctx.Done():
			kills++
		case <-timer.C:
		}
		timer.Stop()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	s := r.scheduler(r.records)
	stop := r.start(s)
	r.settle(s)
	stop()
	r.verify(s, at(t, "2026-02-28T23:00:00Z"), definition.InstantOf(r.now().Add(-10*time.Minute)))
	return kills
}

// settle waits until nothing is left to do.
func (r *rig) settle(s *Scheduler) {
	r.t.Helper()
	for range 2000 {
		time.Sleep(2 * time.Hour)
		list, err := s.List(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		busy := 0
		for _, p := range list {
			busy += p.Open + p.Asked + len(p.Pending)
			if p.Next != 0 && p.Next < definition.InstantOf(r.now()) {
				busy++
			}
		}
		if busy == 0 {
			return
		}
	}
	r.t.Fatal("there is always something left to do")
}

// slow is records whose process is sometimes paused for longer than a lease.
type slow struct {
	store.Records
	pause func() time.Duration
}

func (s *slow) Put(ctx context.Context, key string, value []byte, version uint64) (store.Record, error) {
	if d := s.pause(); d > 0 {
		time.Sleep(d)
	}
	return s.Records.Put(ctx, key, value, version)
}

// TestTwoSchedulers: two schedulers on the same records, each paused now and
// then beyond its lease, make no run twice, and of overlapping attempts one
// counts.
func TestTwoSchedulers(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "2026-03-20T12:00:00Z")
				r.worker = newLabour(seed)
				r.worker.longest, r.worker.failures = 40*time.Minute, 0.1
				random := rand.New(rand.NewPCG(seed, 2))
				on := true
				pause := func() time.Duration {
					r.mu.Lock()
					defer r.mu.Unlock()
					if !on || random.IntN(30) > 0 {
						return 0
					}
					return time.Duration(random.IntN(240)) * time.Minute
				}
				one, two := r.scheduler(&slow{r.records, pause}), r.scheduler(&slow{r.records, pause})
				stopOne, stopTwo := r.start(one), r.start(two)
				r.apply(one, daily)
				time.Sleep(20 * definition.Day)
				r.mu.Lock()
				on = false
				r.mu.Unlock()
				r.settle(two)
				stopOne()
				stopTwo()
				r.verifyOverlapping(one)
			})
		})
	}
}

// verifyOverlapping is verify without the bound of live attempts: those of a
// paused scheduler may still run when another has taken its runs over.
func (r *rig) verifyOverlapping(s *Scheduler) {
	r.t.Helper()
	r.worker.most = 0
	r.verify(s, at(r.t, "2026-02-28T23:00:00Z"), definition.InstantOf(r.now().Add(-10*time.Minute)))
}
