package pipeline

import (
	"context"
	"fmt"
	"slices"

	"weir/internal/sample"
)

// EachRun calls yield for each run there is, a window's revisions in order, and says
// whether it is the newest of its window. A run whose record was written before the
// call is among them.
func (s *Scheduler) EachRun(ctx context.Context, yield func(r *Run, newest bool) error) error {
	records, err := s.records.Scan(ctx, statePrefix)
	if err != nil {
		return fmt.Errorf("list pipelines: %w", err)
	}
	for _, record := range records {
		st, err := decode[state](record)
		if err != nil {
			return err
		}
		if !st.Runs {
			continue
		}
		for w := sample.WeekOf(int64(st.First)); w <= sample.WeekOf(int64(st.Last)); w++ {
			if err := s.eachRunOf(ctx, weekPrefix(st.Name, w), yield); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Scheduler) eachRunOf(ctx context.Context, prefix string, yield func(*Run, bool) error) error {
	records, err := s.records.Scan(ctx, prefix)
	if err != nil {
		return fmt.Errorf("list runs: %w", err)
	}
	runs := make([]Run, len(records))
	for i := range records {
		if runs[i], err = decode[Run](records[i]); err != nil {
			return err
		}
	}
	for i := range runs {
		newest := i == len(runs)-1 || runs[i+1].Window != runs[i].Window
		if err := yield(&runs[i], newest); err != nil {
			return err
		}
	}
	return nil
}

// Spent says that a run will never need again what its steps left: it is done, or is
// finished and has a newer revision. One that failed may go on.
func (r *Run) Spent(newest bool) bool {
	return r.State == Done || r.State.finished() && !newest
}

// Finished says that a run is done, failed or cancelled.
func (r *Run) Finished() bool { return r.State.finished() }

// Forget removes the record of a run that is finished and has a newer revision. The
// newest of a window stays: it says which revision comes next.
func (s *Scheduler) Forget(ctx context.Context, k RunKey) error {
	r, version, err := s.lookup(ctx, k)
	if err != nil {
		return err
	}
	newest, _, _, err := s.newest(ctx, k.Pipeline, k.Window)
	if err != nil {
		return err
	}
	st, err := s.state(ctx, k.Pipeline)
	if err != nil {
		return err
	}
	of := ask{Window: k.Window, Revision: k.Revision}
	if !r.State.finished() || newest.Revision <= k.Revision || slices.ContainsFunc(st.Open, of.sameRun) || slices.ContainsFunc(st.Asked, of.sameRun) {
		return fmt.Errorf("run %s is %s, and the newest revision of its window is %d: %w", k, r.State, newest.Revision, ErrState)
	}
	if err := s.records.Remove(ctx, runKey(k), version); err != nil {
		return fmt.Errorf("forget run %s: %w", k, err)
	}
	return nil
}
