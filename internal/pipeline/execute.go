package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"weir/internal/pipeline/definition"
	"weir/internal/store"
)

// execution carries out one open run. One goroutine owns it; the steps'
// attempts run in goroutines of their own and hand back results.
type execution struct {
	s    *Scheduler
	d    Definition
	a    ask
	key  RunKey
	run  Run // as it was last read or written
	kept Instant

	results chan result
	poke    chan struct{}
	running map[string]context.CancelFunc // by attempt
	group   sync.WaitGroup
}

type result struct {
	step, attempt string
	output        Output
	err           error
}

// execute starts carrying out an open run, unless that goes on already.
func (s *Scheduler) execute(ctx context.Context, name string, a ask) {
	key := RunKey{name, a.Window, a.Revision}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.executing[key] != nil || ctx.Err() != nil {
		return
	}
	e := &execution{
		s: s, a: a, key: key, kept: s.now(), results: make(chan result), poke: make(chan struct{}, 1),
		running: map[string]context.CancelFunc{},
	}
	s.executing[key] = e
	s.group.Go(func() {
		err := e.carryOut(ctx)
		s.mu.Lock()
		delete(s.executing, key)
		s.mu.Unlock()
		if err != nil && ctx.Err() == nil && !errors.Is(err, errLost) {
			s.c.Log.Warn("a run is not carried out; trying again", "run", key.String(), "error", err)
			return // until the next poll
		}
		s.poke()
	})
}

func (e *execution) carryOut(ctx context.Context) (err error) {
	found, err := e.s.Lookup(ctx, e.key)
	if err != nil {
		return err
	}
	if e.d, err = e.s.definition(ctx, e.key.Pipeline, found.Definition); err != nil {
		return err
	}
	steps, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		e.drain()
	}()
	if err := e.claim(ctx); err != nil {
		return err
	}
	for !e.run.State.finished() {
		if err := e.turn(ctx, steps); err != nil {
			return err
		}
	}
	cancel()
	e.drain() // of a cancelled run, before its window can be run again
	return e.finish(ctx)
}

// drain waits until no attempt runs.
func (e *execution) drain() {
	ended := make(chan struct{})
	go func() {
		e.group.Wait()
		close(ended)
	}()
	for {
		select {
		case <-e.results: // it came too late to count
		case <-ended:
			return
		}
	}
}

// claim makes this scheduler the run's owner.
func (e *execution) claim(ctx context.Context) error {
	var err error
	e.run, err = change(ctx, e.s.records, runKey(e.key), false, func(r *Run) error {
		if r.State.finished() {
			return errKeep
		}
		if len(r.Steps) != len(e.d.Steps) {
			return fmt.Errorf("run %s has %d steps, its definition %d: %w", e.key, len(r.Steps), len(e.d.Steps), store.ErrCorrupt)
		}
		r.Owner = e.s.name
		r.cutShort(e.s.now())
		return nil
	})
	return err
}

// turn begins what can begin, and waits for something to happen.
func (e *execution) turn(ctx, steps context.Context) error {
	now := e.s.now()
	wake := now.Add(e.s.c.Lease / 3)
	if e.run.Cut == "" {
		begun, err := e.begin(ctx)
		if err != nil {
			return err
		}
		if !begun {
			wake = now.Add(e.s.c.Poll)
		}
	}
	if e.run.Cut != "" {
		for _, step := range e.d.Steps {
			if e.run.ready(step, now) {
				if err := e.attempt(ctx, steps, step); err != nil {
					return err
				}
			}
		}
		if next := e.run.nextTry(now); next != 0 {
			wake = min(wake, next)
		}
	}
	if at := e.lateAt(); at != 0 {
		wake = min(wake, max(at, now))
	}
	return e.wait(ctx, wake)
}

// begin gives the run its cut once its preconditions hold, and the runs of
// earlier windows that were opened with it have theirs.
func (e *execution) begin(ctx context.Context) (begun bool, err error) {
	if first, err := e.inTurn(ctx); err != nil || !first {
		return false, err
	}
	if e.d.Watermark && e.s.c.Conditions != nil {
		mark, err := e.s.c.Conditions.Watermark(ctx)
		if err != nil {
			return false, fmt.Errorf("watermark: %w", err)
		}
		if definition.InstantOf(mark) < e.key.End {
			return false, nil
		}
	}
	cut, err := e.s.c.Cutter.Cut(ctx, e.key)
	if err == nil && cut == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		return false, fmt.Errorf("cut: %w", err)
	}
	err = e.change(ctx, func(r *Run, now Instant) {
		if r.Cut == "" {
			r.Cut, r.State, r.Started = cut, Running, now
			r.note(now, "", "begins, with its cut")
		}
	})
	e.s.pokeRuns(func(k RunKey) bool { return k.Pipeline == e.key.Pipeline })
	return true, err
}

// inTurn says whether no run of an earlier window that its schedule made is
// still to begin.
func (e *execution) inTurn(ctx context.Context) (bool, error) {
	if e.run.Why != ByTick && e.run.Why != ByBackfill {
		return true, nil
	}
	st, err := e.s.state(ctx, e.key.Pipeline)
	if err != nil {
		return false, err
	}
	for _, o := range st.Open {
		if o.Start >= e.key.Start || o.Why != ByTick && o.Why != ByBackfill {
			continue
		}
		r, err := e.s.Lookup(ctx, RunKey{e.key.Pipeline, o.Window, o.Revision})
		if err != nil || r.Cut == "" && !r.State.finished() {
			return false, err
		}
	}
	return true, nil
}

// pokeRuns makes the runs that are carried out here look at their records.
func (s *Scheduler) pokeRuns(which func(RunKey) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, e := range s.executing {
		if which(k) {
			select {
			case e.poke <- struct{}{}:
			default:
			}
		}
	}
}

// change changes the run's record as its owner; it tries until ctx ends.
func (e *execution) change(ctx context.Context, f func(r *Run, now Instant)) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, e.s.c.Lease/3) {
		r, err := change(ctx, e.s.records, runKey(e.key), false, func(r *Run) error {
			switch {
			case r.State.finished():
				return errKeep // it was cancelled
			case r.Owner != e.s.name:
				return errLost
			}
			f(r, e.s.now())
			return nil
		})
		if err == nil {
			e.run = r
		}
		if !errors.Is(err, store.ErrUnavailable) {
			return err
		}
		e.s.c.Log.Warn("a run's record could not be written; trying again", "run", e.key.String(), "error", err)
		if err := e.s.sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// attempt begins an attempt of a step.
func (e *execution) attempt(ctx, steps context.Context, step Step) error {
	name := e.s.c.NewName()
	if err := e.change(ctx, func(r *Run, now Instant) { r.begin(step.Name, name, now) }); err != nil {
		return err
	}
	if own := e.run.step(step.Name); own.State != Running || own.Attempt != name {
		return nil // it was done by hand, or the run was cancelled
	}
	task := Task{RunKey: e.key, Attempt: name, Cut: e.run.Cut, Step: step, Outputs: e.run.outputs(), Text: e.d.Text}
	ctx, cancel := context.WithTimeout(steps, e.d.Timeout)
	e.running[name] = cancel
	e.group.Go(func() {
		output, err := e.s.do(ctx, task)
		if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("the attempt took longer than its time-out of %s: %w", e.d.Timeout, err)
		}
		e.results <- result{step.Name, name, output, err}
	})
	return nil
}

// do hands a task to the worker, and holds its output against the limits.
func (s *Scheduler) do(ctx context.Context, t Task) (Output, error) {
	output, err := s.c.Worker.Do(ctx, t)
	switch {
	case err != nil:
		return nil, err
	case len(output) > MaxOutput:
		return nil, fmt.Errorf("%w: the output has %d bytes; at most %d: put it in a file", ErrPermanent, len(output), MaxOutput)
	case len(output) > 0 && !json.Valid(output):
		return nil, fmt.Errorf("%w: the output is no JSON", ErrPermanent)
	}
	return output, nil
}

// wait waits for a result, a poke, or the time.
func (e *execution) wait(ctx context.Context, wake Instant) error {
	timer := time.NewTimer(time.Duration(wake - e.s.now()))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case r := <-e.results:
		return e.settle(ctx, r)
	case <-e.poke:
		e.kept = 0
	case <-timer.C:
	}
	now := e.s.now()
	if at := e.lateAt(); at != 0 && now >= at {
		if err := e.reportLate(ctx); err != nil {
			return err
		}
	}
	if now >= e.kept.Add(e.s.c.Lease/3) {
		return e.keep(ctx)
	}
	return nil
}

// settle notes what became of an attempt.
func (e *execution) settle(ctx context.Context, r result) error {
	e.running[r.attempt]()
	delete(e.running, r.attempt)
	if ctx.Err() != nil {
		return ctx.Err() // it was cut short, whatever it says
	}
	return e.change(ctx, func(run *Run, now Instant) {
		if r.err == nil {
			run.succeed(r.step, r.attempt, r.output, now)
			return
		}
		s := run.step(r.step)
		again := e.d.Retries.Wait(s.Failures + 1)
		var damaged *DamagedError
		if errors.As(r.err, &damaged) {
			run.undo(damaged.Step, damaged.Err.Error(), now)
			again = 0
		}
		if errors.Is(r.err, ErrCutLost) {
			run.Stale = true // Rerun takes a new cut
		}
		if errors.Is(r.err, ErrPermanent) || s.Failures+1 >= e.d.Retries.Attempts {
			again = 0
		}
		run.fail(r.step, r.attempt, r.err.Error(), again, now)
	})
}

// keep prolongs the cut's pin, and sees whether the run is still ours.
func (e *execution) keep(ctx context.Context) error {
	e.kept = e.s.now()
	if keeper, ok := e.s.c.Cutter.(CutKeeper); ok && e.run.Cut != "" {
		if err := keeper.Keep(ctx, e.key, e.run.Cut); err != nil {
			e.s.c.Log.Warn("a run's cut was not prolonged", "run", e.key.String(), "error", err)
		}
	}
	r, _, err := read[Run](ctx, e.s.records, runKey(e.key))
	switch {
	case err != nil:
		e.s.c.Log.Warn("a run's record could not be read", "run", e.key.String(), "error", err)
	case !r.State.finished() && r.Owner != e.s.name:
		return errLost
	default:
		e.run = r
	}
	return nil
}

// lateAt gives when the run is to be reported late; 0 for never, or done.
func (e *execution) lateAt() Instant {
	if e.d.LateAfter == 0 || e.run.Late {
		return 0
	}
	return e.run.Due.Add(e.d.LateAfter)
}

func (e *execution) reportLate(ctx context.Context) error {
	e.notify(ctx, "late", fmt.Sprintf("it was to be done %s after %s, and is %s", e.d.LateAfter, e.run.Due, e.run.State))
	return e.change(ctx, func(r *Run, now Instant) {
		r.Late = true
		r.note(now, "", "is late")
	})
}

func (e *execution) notify(ctx context.Context, kind, text string) {
	e.s.c.Log.Warn("run is "+kind, "run", e.key.String(), "text", text)
	if e.s.c.Notify == nil {
		return
	}
	if err := e.s.c.Notify.Notify(ctx, Notice{kind, e.run, text}); err != nil {
		e.s.c.Log.Warn("a notice was not given", "run", e.key.String(), "error", err)
	}
}

// finish reports a failure and closes the run. After a kill it is done again.
func (e *execution) finish(ctx context.Context) error {
	if e.run.State == Failed {
		e.notify(ctx, "failed", e.run.Error)
	} else if keeper, ok := e.s.c.Cutter.(CutKeeper); ok && e.run.Cut != "" {
		if err := keeper.Release(ctx, e.key, e.run.Cut); err != nil {
			e.s.c.Log.Warn("a run's cut was not released; it runs out", "run", e.key.String(), "error", err)
		}
	}
	_, err := change(ctx, e.s.records, stateKey(e.key.Pipeline), false, func(st *state) error {
		if !st.leave(e.a) {
			return errKeep
		}
		return nil
	})
	return err
}
