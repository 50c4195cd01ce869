package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"weir/internal/pipeline/definition"
	"weir/internal/store"
)

// Errors that a caller can tell apart.
var (
	// ErrNotFound means that there is no such pipeline or run.
	ErrNotFound = errors.New("not found")
	// ErrPaused means that the pipeline is paused: resume it first.
	ErrPaused = errors.New("the pipeline is paused; resume it first")
	// ErrState means that the run's state does not allow it.
	ErrState = errors.New("the run's state does not allow it")
	// ErrBusy means that too much waits already. Try again later.
	ErrBusy = errors.New("too many runs wait already; try again when some are done")
)

// maxWaiting bounds a pipeline's record.
const maxWaiting = 1000

// Pipeline is what is known of a pipeline besides its runs.
type Pipeline struct {
	Name       string   `json:"pipeline"`
	Definition string   `json:"definition,omitempty"` // hash of the text; empty where runs were begun by hand only
	Scheduled  bool     `json:"scheduled"`
	Paused     bool     `json:"paused"`
	Open       int      `json:"open"`            // runs that are carried out
	Asked      int      `json:"asked"`           // runs that were asked for and wait for their turn
	Pending    []Window `json:"pending"`         // stretches of windows that wait for their turn
	Next       Instant  `json:"next,omitzero"`   // the next tick
	Error      string   `json:"error,omitempty"` // why it is not scheduled
	Text       string   `json:"text,omitempty"`
	Warnings   []string `json:"warnings,omitempty"` // of a definition that was given
}

// Check parses a definition and judges it as Apply would.
func (s *Scheduler) Check(file string, text []byte) (Definition, error) {
	return definition.Parser{Checks: s.c.Checks, Now: s.c.Now()}.Parse(file, text)
}

// Apply stores a definition and schedules it. A new text takes the place of
// the pipeline's former one; runs that began by that go on by it. Windows are
// never made twice: those of a changed schedule begin after the last that was
// made.
func (s *Scheduler) Apply(ctx context.Context, file string, text []byte) (Pipeline, error) {
	d, err := s.Check(file, text)
	if err != nil {
		return Pipeline{}, err
	}
	if err := s.keepText(ctx, d); err != nil {
		return Pipeline{}, err
	}
	st, err := change(ctx, s.records, stateKey(d.Name), true, func(st *state) error {
		if st.Definition == d.Hash {
			return errKeep
		}
		was, err := s.former(ctx, *st)
		if err != nil {
			return err
		}
		st.Format, st.Name = recordFormat, d.Name
		st.reschedule(was, d, s.now())
		return nil
	})
	if err != nil {
		return Pipeline{}, fmt.Errorf("apply pipeline %s: %w", d.Name, err)
	}
	s.poke()
	p := s.describe(ctx, st)
	p.Warnings, err = s.overlaps(ctx, d)
	return p, err
}

// former gives the scheduled definition; one that can't be read any more
// counts as none.
func (s *Scheduler) former(ctx context.Context, st state) (Definition, error) {
	if st.Definition == "" {
		return Definition{}, nil
	}
	d, err := s.definition(ctx, st.Name, st.Definition)
	var faults *definition.Faults
	if errors.As(err, &faults) {
		return Definition{}, nil
	}
	return d, err
}

// keepText stores a definition's text under its hash.
func (s *Scheduler) keepText(ctx context.Context, d Definition) error {
	_, err := s.records.Put(ctx, textKey(d.Name, d.Hash), []byte(d.Text), 0)
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("store the definition of pipeline %s: %w", d.Name, err)
	}
	return nil
}

func (s *Scheduler) describe(ctx context.Context, st state) Pipeline {
	p := Pipeline{
		Name: st.Name, Definition: st.Definition, Paused: st.Paused,
		Open: len(st.Open), Asked: len(st.Asked), Pending: []Window{},
	}
	for _, x := range st.Pending {
		p.Pending = append(p.Pending, Window{Start: x.From, End: x.To})
	}
	if st.Definition == "" {
		return p
	}
	d, err := s.definition(ctx, st.Name, st.Definition)
	if err != nil {
		p.Error = err.Error()
		return p
	}
	p.Scheduled, p.Text = d.Scheduled(), d.Text
	p.Next = s.nextTick(d, &st)
	return p
}

// List gives the pipelines, sorted by name.
func (s *Scheduler) List(ctx context.Context) ([]Pipeline, error) {
	records, err := s.records.Scan(ctx, statePrefix)
	if err != nil {
		return nil, fmt.Errorf("list pipelines: %w", err)
	}
	list := []Pipeline{}
	for _, r := range records {
		st, err := decode[state](r)
		if err != nil {
			return nil, err
		}
		list = append(list, s.describe(ctx, st))
	}
	return list, nil
}

// Get gives one pipeline.
func (s *Scheduler) Get(ctx context.Context, name string) (Pipeline, error) {
	st, err := s.state(ctx, name)
	if err != nil {
		return Pipeline{}, err
	}
	return s.describe(ctx, st), nil
}

func (s *Scheduler) state(ctx context.Context, name string) (state, error) {
	if err := definition.CheckName(name); err != nil {
		return state{}, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	st, _, err := read[state](ctx, s.records, stateKey(name))
	return st, missing(err, "pipeline "+name)
}

// missing turns a store's word for what is missing into this package's.
func missing(err error, what string) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%s: %w", what, ErrNotFound)
	}
	return err
}

// changeState changes a pipeline's record and wakes the scheduler.
func (s *Scheduler) changeState(ctx context.Context, name string, f func(*state) error) error {
	if err := definition.CheckName(name); err != nil {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	_, err := change(ctx, s.records, stateKey(name), false, f)
	s.poke()
	return missing(err, "pipeline "+name)
}

// Pause keeps runs from beginning; those that have begun go on. Ticks that
// come meanwhile are missed: the definition's backfill says which are made up.
func (s *Scheduler) Pause(ctx context.Context, name string) error { return s.pause(ctx, name, true) }

// Resume ends a pause.
func (s *Scheduler) Resume(ctx context.Context, name string) error { return s.pause(ctx, name, false) }

func (s *Scheduler) pause(ctx context.Context, name string, paused bool) error {
	return s.changeState(ctx, name, func(st *state) error {
		if st.Paused == paused {
			return errKeep
		}
		st.Paused = paused
		return nil
	})
}

// Backfill asks for the windows of the schedule that lie within [from, to)
// and have ended; those that have a run already are left alone. It returns
// the stretch from the first to the last of them.
func (s *Scheduler) Backfill(ctx context.Context, name string, from, to Instant) (Window, error) {
	var made Window
	err := s.changeState(ctx, name, func(st *state) error {
		d, err := s.former(ctx, *st)
		if err != nil {
			return err
		}
		if !d.Scheduled() {
			return fmt.Errorf("pipeline %s has no schedule, so no windows: run each by hand: %w", name, ErrState)
		}
		now := s.now()
		first, ok := d.Schedule.Ceil(from)
		last, found := d.Schedule.Floor(min(to, now.Add(-d.Delay)))
		if !ok || !found || first >= last {
			return fmt.Errorf("pipeline %s has no window that lies in %s and is due: %w", name, Window{Start: from, End: to}, ErrState)
		}
		made = Window{Start: first, End: last}
		for _, p := range st.Pending {
			if p.From <= first && p.To >= last {
				return errKeep
			}
		}
		if len(st.Pending) >= maxWaiting {
			return fmt.Errorf("backfill %s: %w", name, ErrBusy)
		}
		st.pend(stretch{From: first, To: last, Due: now})
		return nil
	})
	return made, err
}

// Filter says which runs Status gives.
type Filter struct {
	Pipeline string // all where empty
	State    State  // any where empty
	Limit    int    // at most so many; 0: a thousand
}

// Status lists runs, those of the newest windows first, a window's newest
// revision first.
func (s *Scheduler) Status(ctx context.Context, f Filter) ([]Run, error) {
	var names []string
	if f.Pipeline != "" {
		names = []string{f.Pipeline}
	} else {
		all, err := s.List(ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range all {
			names = append(names, p.Name)
		}
	}
	if f.Limit <= 0 {
		f.Limit = maxWaiting
	}
	runs := []Run{}
	for _, name := range names {
		some, err := s.runs(ctx, name, f)
		if err != nil {
			return nil, err
		}
		runs = append(runs, some...)
	}
	slices.SortStableFunc(runs, newestFirst)
	return runs[:min(len(runs), f.Limit)], nil
}
