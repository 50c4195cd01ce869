package pipeline

import (
	"bytes"
	"context"
	"fmt"
)

// ReplaceOutput puts another output in the place of one that a step handed on, and
// notes why: what it names was written anew. Where the step has the new one already
// nothing is changed; where it has neither, ErrState.
func (s *Scheduler) ReplaceOutput(ctx context.Context, n TaskName, old, next Output, why string) error {
	_, err := change(ctx, s.records, runKey(n.RunKey), false, func(r *Run) error {
		step := r.step(n.Step)
		switch {
		case step != nil && bytes.Equal(step.Output, next):
			return errKeep
		case step == nil || !bytes.Equal(step.Output, old):
			return fmt.Errorf("step %q of run %s has another output by now: %w", n.Step, n.RunKey, ErrState)
		}
		step.Output = next
		r.note(s.now(), n.Step, why)
		return nil
	})
	return missing(err, "run "+n.RunKey.String())
}

// Reading says whether a run that is not finished has its cut: what it reads and
// hands on is of then.
func (r *Run) Reading() bool { return r.Cut != "" && !r.State.finished() }
