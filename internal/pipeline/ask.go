package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"weir/internal/pipeline/definition"
	"weir/internal/sample"
	"weir/internal/store"
)

func newestFirst(a, b Run) int {
	return cmp.Or(cmp.Compare(b.Start, a.Start), cmp.Compare(b.End, a.End),
		cmp.Compare(a.Pipeline, b.Pipeline), cmp.Compare(b.Revision, a.Revision))
}

// runs gives a pipeline's runs, the newest weeks' first, until there are enough.
func (s *Scheduler) runs(ctx context.Context, name string, f Filter) ([]Run, error) {
	st, err := s.state(ctx, name)
	if err != nil || !st.Runs {
		return nil, err
	}
	var runs []Run
	first, last := sample.WeekOf(int64(st.First)), sample.WeekOf(int64(st.Last))
	for w := last; w >= first && len(runs) < f.Limit; w-- {
		records, err := s.records.Scan(ctx, weekPrefix(name, w))
		if err != nil {
			return nil, fmt.Errorf("list the runs of %s: %w", name, err)
		}
		for _, record := range records {
			r, err := decode[Run](record)
			if err != nil {
				return nil, err
			}
			if f.State == "" || r.State == f.State {
				runs = append(runs, r)
			}
		}
	}
	return runs, nil
}

// Lookup gives a run.
func (s *Scheduler) Lookup(ctx context.Context, k RunKey) (Run, error) {
	r, _, err := s.lookup(ctx, k)
	return r, err
}

func (s *Scheduler) lookup(ctx context.Context, k RunKey) (Run, uint64, error) {
	if err := definition.CheckName(k.Pipeline); err != nil {
		return Run{}, 0, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	r, version, err := read[Run](ctx, s.records, runKey(k))
	return r, version, missing(err, "run "+k.String())
}

// Logs gives what happened to a run, oldest first; of more than a hundred
// events the first and the newest.
func (s *Scheduler) Logs(ctx context.Context, k RunKey) ([]Event, error) {
	r, err := s.Lookup(ctx, k)
	return r.Events, err
}

// newest gives the newest revision of a window's runs; ok is false where there
// is none.
func (s *Scheduler) newest(ctx context.Context, name string, w Window) (r Run, version uint64, ok bool, err error) {
	records, err := s.records.Scan(ctx, windowPrefix(name, w))
	if err != nil || len(records) == 0 {
		return Run{}, 0, false, err
	}
	last := records[len(records)-1]
	r, err = decode[Run](last)
	return r, last.Version, err == nil, err
}

// RunWindow asks for a run of a definition over a window, which need not be
// one of its schedule, and returns it. Asked for again with the same text, it
// is the same run: one that is done stays so, one that failed goes on, and one
// that is stale, or was begun by another text, is followed by the next
// revision.
func (s *Scheduler) RunWindow(ctx context.Context, d Definition, w Window) (Run, error) {
	if err := w.Check(); err != nil {
		return Run{}, fmt.Errorf("%w: %w", ErrState, err)
	}
	if err := s.keepText(ctx, d); err != nil {
		return Run{}, err
	}
	r, version, ok, err := s.newest(ctx, d.Name, w)
	if err != nil {
		return Run{}, err
	}
	a := ask{Window: w, Definition: d.Hash, Due: s.now(), Why: ByHand}
	if !ok {
		return s.ask(ctx, d, a, 0)
	}
	same := r.Definition == d.Hash
	switch {
	case same && !r.State.finished(), same && r.State == Done && !r.Stale:
		return r, nil
	case same && !r.Stale:
		a.Revision, a.Continue = r.Revision, true
		return s.ask(ctx, d, a, version)
	}
	a.Revision = r.Revision + 1
	return s.ask(ctx, d, a, 0)
}

// Rerun runs a window once more. A run that is done or stale, or whose
// pipeline has a new definition, is followed by the next revision, with a new
// cut, and so is one whose cut can be read no more; one that failed otherwise or
// was cancelled goes on from the steps that are not done, with its cut.
func (s *Scheduler) Rerun(ctx context.Context, k RunKey) (Run, error) {
	r, version, err := s.lookup(ctx, k)
	if err != nil {
		return Run{}, err
	}
	newest, _, _, err := s.newest(ctx, k.Pipeline, k.Window)
	switch {
	case err != nil:
		return Run{}, err
	case newest.Revision != k.Revision:
		return Run{}, fmt.Errorf("run %s has a newer revision, %d: rerun that: %w", k, newest.Revision, ErrState)
	case !r.State.finished():
		return Run{}, fmt.Errorf("run %s is %s: wait, or cancel it first: %w", k, r.State, ErrState)
	}
	d, err := s.current(ctx, r)
	if err != nil {
		return Run{}, err
	}
	a := ask{Window: k.Window, Revision: k.Revision, Definition: d.Hash, Due: s.now(), Why: ByRerun}
	if r.State == Done || r.Stale || r.Definition != d.Hash {
		a.Revision++
		return s.ask(ctx, d, a, 0)
	}
	a.Continue = true
	return s.ask(ctx, d, a, version)
}

// current gives the definition that a further revision of a run goes by: the
// scheduled one, else the run's own.
func (s *Scheduler) current(ctx context.Context, r Run) (Definition, error) {
	st, err := s.state(ctx, r.Pipeline)
	if err != nil {
		return Definition{}, err
	}
	return s.definition(ctx, r.Pipeline, cmp.Or(st.Definition, r.Definition))
}

// MarkStale notes that samples of a run's window or lookback came after its
// cut. Where its definition says so, the next revision is asked for. A run
// that has no cut yet, and one that has a newer revision, which was or will be
// begun after, are left alone. It may be called again.
func (s *Scheduler) MarkStale(ctx context.Context, k RunKey) error {
	newest, _, ok, err := s.newest(ctx, k.Pipeline, k.Window)
	switch {
	case err != nil:
		return err
	case !ok || newest.Revision < k.Revision:
		return fmt.Errorf("run %s: %w", k, ErrNotFound)
	case newest.Revision > k.Revision:
		return nil
	}
	r, err := change(ctx, s.records, runKey(k), false, func(r *Run) error {
		if r.Cut == "" || r.Stale {
			return errKeep
		}
		r.Stale = true
		r.note(s.now(), "", "late data: stale")
		return nil
	})
	if err != nil || !r.Stale {
		return err
	}
	d, err := s.current(ctx, r)
	if err != nil || !d.RerunStale {
		return err
	}
	_, err = s.ask(ctx, d, ask{Window: k.Window, Revision: k.Revision + 1, Definition: d.Hash, Due: s.now(), Why: ByLateData}, 0)
	return err
}

// Cancel ends a run that is not finished.
func (s *Scheduler) Cancel(ctx context.Context, k RunKey) (Run, error) {
	if _, err := s.Lookup(ctx, k); err != nil {
		return Run{}, err
	}
	err := s.changeState(ctx, k.Pipeline, func(st *state) error {
		before := len(st.Asked)
		st.Asked = slices.DeleteFunc(st.Asked, ask{Window: k.Window, Revision: k.Revision}.sameRun)
		if len(st.Asked) == before {
			return errKeep
		}
		return nil
	})
	if err != nil {
		return Run{}, err
	}
	r, err := change(ctx, s.records, runKey(k), false, func(r *Run) error {
		if r.State.finished() {
			return fmt.Errorf("run %s is %s: %w", k, r.State, ErrState)
		}
		r.State, r.Error, r.Ended = Cancelled, "cancelled by hand", s.now()
		r.note(s.now(), "", "cancelled")
		return nil
	})
	s.pokeRuns(func(running RunKey) bool { return running == k })
	return r, err
}

// ask writes the wish for a run into its pipeline's state, from which on it
// will be carried out, and then into the run's record, so that who asks sees
// it. version is that of the record of a run that goes on.
func (s *Scheduler) ask(ctx context.Context, d Definition, a ask, version uint64) (Run, error) {
	k := RunKey{d.Name, a.Window, a.Revision}
	_, err := change(ctx, s.records, stateKey(d.Name), true, func(st *state) error {
		st.Format, st.Name = recordFormat, d.Name
		switch {
		case st.Paused && a.Why != ByLateData:
			return fmt.Errorf("run %s: %w", k, ErrPaused)
		case slices.ContainsFunc(st.Asked, a.sameRun), !a.Continue && slices.ContainsFunc(st.Open, a.sameRun):
			return errKeep // of a run that goes on, the one that is open may be about to close
		case len(st.Asked) >= maxWaiting:
			return fmt.Errorf("run %s: %w", k, ErrBusy)
		}
		st.Asked = append(st.Asked, a)
		st.extend(a.Start)
		return nil
	})
	if err != nil {
		return Run{}, err
	}
	if a.Continue {
		err = s.goOn(ctx, k, version)
	} else {
		err = write(ctx, s.records, runKey(k), newRun(d, k, a, s.now()), 0)
	}
	s.poke()
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return Run{}, err
	}
	return s.Lookup(ctx, k)
}

// goOn makes a failed run go on, unless the scheduler did meanwhile.
func (s *Scheduler) goOn(ctx context.Context, k RunKey, version uint64) error {
	r, now, err := read[Run](ctx, s.records, runKey(k))
	if err != nil || now != version {
		return err
	}
	r.again(s.now())
	return write(ctx, s.records, runKey(k), r, version)
}

// Perform carries out a task by hand and publishes its output, if it is the
// first attempt of its step that succeeds. The steps before it must be done.
func (s *Scheduler) Perform(ctx context.Context, n TaskName) (Output, error) {
	r, err := s.Lookup(ctx, n.RunKey)
	if err != nil {
		return nil, err
	}
	d, err := s.definition(ctx, r.Pipeline, r.Definition)
	if err != nil {
		return nil, err
	}
	step, ok := d.Step(n.Step)
	own := r.step(n.Step)
	switch {
	case !ok || own == nil:
		return nil, fmt.Errorf("run %s has no step %q: %w", n.RunKey, n.Step, ErrNotFound)
	case own.State == Done:
		return own.Output, nil
	case r.Cut == "":
		return nil, fmt.Errorf("run %s has not begun, so its input is not fixed: %w", n.RunKey, ErrState)
	}
	done := r.outputs()
	for _, before := range step.After {
		if _, ok := done[before]; !ok {
			return nil, fmt.Errorf("step %q of run %s comes after %q, which is not done: %w", n.Step, n.RunKey, before, ErrState)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	output, err := s.do(ctx, Task{RunKey: n.RunKey, Attempt: n.Attempt, Cut: r.Cut, Step: step, Outputs: done, Text: d.Text})
	if err != nil {
		return nil, err
	}
	r, err = change(ctx, s.records, runKey(n.RunKey), false, func(r *Run) error {
		r.succeed(n.Step, n.Attempt, output, s.now())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r.step(n.Step).Output, nil
}
