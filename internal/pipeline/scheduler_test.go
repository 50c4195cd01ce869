package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/pipeline/definition"
	"weir/internal/store"
)

// hourly gives a definition with more lines at its top.
func hourly(lines ...string) string {
	return "pipeline: p\nschedule: {every: 1h, start: 2026-01-01T00:00:00Z}\n" + strings.Join(lines, "\n") +
		"\nsteps:\n  - {name: a, analyse: {analysis: rollup, select: m}}\n  - {name: b, load: {from: a}}\n"
}

// states writes the runs, oldest first.
func states(runs []Run) string {
	var all []string
	for _, r := range runs {
		stale := ""
		if r.Stale {
			stale = " stale"
		}
		all = append(all, fmt.Sprintf("%s/%d %s%s", r.Start.Time().Format("02T15"), r.Revision, r.State, stale))
	}
	return strings.Join(all, ", ")
}

func (r *rig) expect(s *Scheduler, want string) {
	r.t.Helper()
	if got := states(r.runs(s, Filter{})); got != want {
		r.t.Errorf("runs are %s\nwant     %s", got, want)
	}
}

func TestBackfillPolicies(t *testing.T) {
	for policy, want := range map[string]string{
		"all":  "01T00/0 done, 01T01/0 done, 01T02/0 done, 01T03/0 done, 01T04/0 done, 01T05/0 done, 01T06/0 done, 01T07/0 done, 01T08/0 done",
		"none": "01T02/0 done, 01T03/0 done, 01T07/0 done, 01T08/0 done",
		"2h":   "01T01/0 done, 01T02/0 done, 01T03/0 done, 01T06/0 done, 01T07/0 done, 01T08/0 done",
		"1m":   "01T02/0 done, 01T03/0 done, 01T07/0 done, 01T08/0 done",
	} {
		t.Run(policy, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "2026-01-01T03:30:00Z")
				s := r.scheduler(r.records)
				r.apply(s, hourly("backfill: "+policy))
				stop := r.start(s)
				time.Sleep(time.Hour)
				stop()
				time.Sleep(4 * time.Hour) // 08:30
				s = r.scheduler(r.records)
				stop = r.start(s)
				time.Sleep(time.Hour)
				stop()
				r.expect(s, want)
			})
		})
	}
}

// TestDueAgainstAll: what is due is what a look at each window says.
func TestDueAgainstAll(t *testing.T) {
	d := mustParse(t, hourly("delay: 10m", "backfill: 150m"))
	start := d.Schedule.Start
	for minutes := range 400 {
		now := start.Add(time.Duration(minutes) * time.Minute)
		var want []Window
		for w := range d.Schedule.Windows(start, now.Add(-d.Delay)) {
			want = append(want, w)
		}
		want = slices.DeleteFunc(want, func(w Window) bool {
			return w != want[len(want)-1] && w.End.Add(d.Delay) < now.Add(-150*time.Minute)
		})
		made, ok := due(d, start, now)
		got := windows(d.Schedule, made.From, made.To)
		if ok != (len(want) > 0) || !slices.Equal(got, want) {
			t.Fatalf("at %s: %v, %v; want %v", now, got, ok, want)
		}
	}
}

func TestPauseAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "2026-01-01T00:30:00Z")
		s := r.scheduler(r.records)
		stop := r.start(s)
		defer stop()
		r.apply(s, hourly())
		time.Sleep(time.Hour)
		if err := s.Pause(t.Context(), "p"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		r.expect(s, "01T00/0 done")
		if p, err := s.Get(t.Context(), "p"); err != nil || !p.Paused || !p.Scheduled || p.Text != hourly() {
			t.Errorf("%+v, %v", p, err)
		}
		if _, err := s.RunWindow(t.Context(), mustParse(t, hourly()), january(t)); err != nil {
			t.Errorf("a run that is done already: %v", err)
		}
		other := january(t)
		other.Start--
		if _, err := s.RunWindow(t.Context(), mustParse(t, hourly()), other); !errors.Is(err, ErrPaused) {
			t.Errorf("a run of a paused pipeline: %v", err)
		}
		for range 2 {
			if err := s.Resume(t.Context(), "p"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		r.expect(s, "01T00/0 done, 01T01/0 done, 01T02/0 done, 01T03/0 done")
	})
}

func TestRetriesTimeoutsAndPermanentErrors(t *testing.T) {
	for name, c := range map[string]struct {
		set      func(*labour)
		attempts int
		want     string
	}{
		"bad luck":  {func(l *labour) { l.failures = 1 }, 3, "step a: bad luck"},
		"permanent": {func(l *labour) { l.refuse["a"] = fmt.Errorf("selector: %w", ErrPermanent) }, 1, "step a: selector: another attempt would not help"},
		"time-out":  {func(l *labour) { l.hang = true }, 3, "step a: the attempt took longer than its time-out of 5m0s: context deadline exceeded"},
		"no JSON":   {func(l *labour) { l.output = Output("{") }, 1, "step a: another attempt would not help: the output is no JSON"},
		"too large": {func(l *labour) { l.output = Output(`"` + strings.Repeat("x", MaxOutput) + `"`) }, 1, "step a: another attempt would not help: the output has 8194 bytes; at most 8192: put it in a file"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "2026-01-01T01:30:00Z")
				c.set(r.worker)
				s := r.scheduler(r.records)
				stop := r.start(s)
				defer stop()
				r.apply(s, hourly("retries: {attempts: 3, backoff: 10s, most: 1m}", "timeout: 5m"))
				time.Sleep(20 * time.Minute)
				run := r.runs(s, Filter{State: Failed})[0]
				if run.Error != c.want || run.Attempts != c.attempts || r.worker.count() != c.attempts {
					t.Errorf("got %d attempts (%d tasks), error %q", run.Attempts, r.worker.count(), run.Error)
				}
				if a, b := run.Steps[0], run.Steps[1]; a.State != Failed || a.Failures != c.attempts || b.State != Waiting || b.Attempts != 0 {
					t.Errorf("steps are %+v", run.Steps)
				}
				if got := r.ears.kinds(); !slices.Equal(got, []string{"failed"}) {
					t.Errorf("notices: %v", got)
				}
				if p, err := s.Get(t.Context(), "p"); err != nil || p.Open != 0 {
					t.Errorf("%+v, %v", p, err)
				}
			})
		})
	}
}

func TestRetryPausesGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "2026-01-01T01:00:01Z")
		r.worker.set(func(l *labour) { l.failures = 1 })
		s := r.scheduler(r.records)
		stop := r.start(s)
		defer stop()
		r.apply(s, hourly("retries: {attempts: 4, backoff: 10s, most: 25s}"))
		time.Sleep(10 * time.Minute)
		events, err := s.Logs(t.Context(), RunKey{"p", january(t), 0})
		if err != nil {
			t.Fatal(err)
		}
		var begun []string
		for _, e := range events {
			if strings.HasSuffix(e.Text, "begins") {
				begun = append(begun, e.At.Time().Format("05"))
			}
		}
		if got := strings.Join(begun, " "); got != "01 11 31 56" {
			t.Errorf("attempts began at %s; want 01 11 31 56", got)
		}
	})
}

func TestIndependentStepsRunSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "2026-03-02T12:00:00Z")
		r.worker.set(func(l *labour) { l.hang = true })
		s := r.scheduler(r.records)
		stop := r.start(s)
		text := strings.Replace(daily, "{name: b, load: {from: a}}", "{name: b, archive: {older_than: 1w}}", 1)
		r.apply(s, text)
		time.Sleep(time.Minute)
		if n := r.worker.living(); n != 2 {
			t.Errorf("%d attempts at once; want those of a and b", n)
		}
		stop() // the hanging attempts are cut short, which is no failure
		run := r.runs(s, Filter{})[0]
		if run.State != Running || run.Steps[0].State != Running || run.Steps[0].Failures != 0 {
			t.Errorf("after the stop: %+v", run)
		}
		r.worker.set(func(l *labour) { l.hang = false })
		s = r.scheduler(r.records)
		stop = r.start(s)
		time.Sleep(time.Minute)
		stop()
		if run := r.runs(s, Filter{})[0]; run.State != Done || run.Attempts != 2 || run.Steps[0].Failures != 0 {
			t.Errorf("after the start: %+v", run)
		}
	})
}

func TestWatermarkIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "2026-01-01T01:30:00Z")
		r.tide.set(at(t, "2026-01-01T00:59:59Z").Time())
		s := r.scheduler(r.records)
		stop := r.start(s)
		defer stop()
		r.apply(s, hourly("when: {watermark: true}", "late_after: 2h", "concurrency: 2"))
		time.Sleep(time.Hour)
		r.expect(s, "01T00/0 waiting, 01T01/0 waiting")
		if cuts, _, _ := r.cutter.counts(); cuts != 0 || len(r.ears.kinds()) != 0 {
			t.Error("a run has begun, or is late, too early")
		}
		time.Sleep(45 * time.Minute) // 03:15
		if got := r.ears.kinds(); !slices.Equal(got, []string{"late"}) {
			t.Errorf("notices: %v; want that of the first run", got)
		}
		r.tide.set(at(t, "2026-01-01T01:00:00Z").Time())
		time.Sleep(20 * time.Minute)
		r.expect(s, "01T00/0 done, 01T01/0 waiting, 01T02/0 waiting")
		run := r.lookup(s, RunKey{"p", january(t), 0})
		if !run.Late || run.Due != run.End {
			t.Errorf("the run is %+v", run)
		}
		r.tide.mu.Lock()
		r.tide.err = errors.New("no answer")
		r.tide.mu.Unlock()
		time.Sleep(time.Hour)
		r.expect(s, "01T00/0 done, 01T01/0 waiting, 01T02/0 waiting")
	})
}

func TestCutsAreKeptAndReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "2026-01-01T01:30:00Z")
		r.worker.set(func(l *labour) { l.longest = 2 * time.Hour })
		s := r.scheduler(r.records)
		stop := r.start(s)
		defer stop()
		r.apply(s, hourly("timeout: 3h", "backfill: none"))
		time.Sleep(12 * time.Hour)
		done := r.runs(s, Filter{State: Done})
		if _, kept, released := r.cutter.counts(); len(done) < 2 || kept < 3 || released != len(done) {
			t.Errorf("%d runs done, %d pins prolonged, %d released", len(done), kept, released)
		}
	})
}

func TestCutThatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "2026-01-01T01:30:00Z")
		r.cutter.err = errors.New("journal is away")
		s := r.scheduler(r.records)
		stop := r.start(s)
		defer stop()
		r.apply(s, hourly())
		time.Sleep(25 * time.Minute)
		r.expect(s, "01T00/0 waiting")
		r.cutter.mu.Lock()
		r.cutter.err = nil
		r.cutter.mu.Unlock()
		time.Sleep(11 * time.Minute)
		if run := r.lookup(s, RunKey{"p", january(t), 0}); run.State != Done {
			t.Errorf("the run is %s", run.State)
		}
	})
}

func TestLeaderStandsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "2026-01-01T00:30:00Z")
		one := r.scheduler(r.records)
		stopOne := r.start(one)
		r.apply(one, hourly())
		time.Sleep(time.Minute)
		two := r.scheduler(r.records)
		stopTwo := r.start(two)
		defer stopTwo()
		time.Sleep(time.Hour)
		owner := func(hour string) string {
			start := at(t, hour)
			return r.lookup(two, RunKey{"p", Window{Start: start, End: start.Add(time.Hour)}, 0}).Owner
		}
		if got := owner("2026-01-01T00:00:00Z"); got != one.name {
			t.Errorf("the first run was carried out by %q; want %q", got, one.name)
		}
		stopOne() // which gives the lease back
		time.Sleep(time.Hour)
		if got := owner("2026-01-01T01:00:00Z"); got != two.name {
			t.Errorf("the second run was carried out by %q; want %q", got, two.name)
		}
	})
}

// shut is records of a store that is closed, or broken.
type shut struct {
	store.Records
	err error
}

func (s shut) Scan(context.Context, string) ([]store.Record, error) { return nil, s.err }

func TestStoreThatIsClosedOrBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "2026-01-01T00:30:00Z")
		closed := r.scheduler(shut{r.records, &store.Error{Op: "scan", Err: store.ErrClosed}})
		if err := closed.Run(t.Context()); !errors.Is(err, store.ErrClosed) {
			t.Errorf("got %v", err)
		}
		broken := r.scheduler(shut{r.records, &store.Error{Op: "scan", Err: store.ErrUnavailable}})
		stop := r.start(broken)
		time.Sleep(5 * time.Hour)
		stop()
		for _, call := range []func() error{
			func() error { _, err := broken.List(t.Context()); return err },
			func() error { _, err := broken.Status(t.Context(), Filter{}); return err },
			func() error {
				_, err := broken.RunWindow(t.Context(), mustParse(t, hourly()), january(t))
				return err
			},
		} {
			if err := call(); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	whole := func() Config {
		c := Default()
		c.Records, c.Worker, c.Cutter = newMemory(), newLabour(1), &scissors{}
		return c
	}
	if _, err := New(whole()); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Config){
		"no records": func(c *Config) { c.Records = nil },
		"no clock":   func(c *Config) { c.Now = nil },
		"no poll":    func(c *Config) { c.Poll = 0 },
		"lease":      func(c *Config) { c.Lease = 2 * c.Poll },
	} {
		c := whole()
		spoil(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if a, b := randomName(), randomName(); a == b || definition.CheckName(a) != nil {
		t.Errorf("names %q and %q", a, b)
	}
}
