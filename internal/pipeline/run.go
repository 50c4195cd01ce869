package pipeline

import (
	"slices"
	"time"
)

// State is where a run or a step stands.
type State string

// The states. A run that is done, failed or cancelled is finished.
const (
	Waiting   State = "waiting" // for its turn, its preconditions, or another attempt
	Running   State = "running"
	Done      State = "done"
	Failed    State = "failed"
	Cancelled State = "cancelled"
)

func (s State) finished() bool { return s == Done || s == Failed || s == Cancelled }

// Why says what asked for a run.
type Why string

// The reasons.
const (
	ByTick     Why = "tick"
	ByHand     Why = "hand"
	ByBackfill Why = "backfill"
	ByRerun    Why = "rerun"
	ByLateData Why = "late data"
)

// Limits of a run's record, which with 32 steps stays below what a store takes.
const (
	maxEvents = 100
	maxError  = 1000
)

// Run is one run of a pipeline over a window, as its record says it.
type Run struct {
	RunKey
	State      State     `json:"state"`
	Stale      bool      `json:"stale"`    // samples of its window came after its cut, or that can be read no more
	Attempts   int       `json:"attempts"` // of the step that was tried most often
	Error      string    `json:"error"`
	Definition string    `json:"definition"` // hash of the text that it was begun with
	Cut        string    `json:"cut,omitempty"`
	Why        Why       `json:"why"`
	Due        Instant   `json:"due"` // its tick, or when it was asked for
	Late       bool      `json:"late,omitempty"`
	Owner      string    `json:"owner,omitempty"` // the scheduler that works on it
	Started    Instant   `json:"started,omitzero"`
	Ended      Instant   `json:"ended,omitzero"`
	Steps      []StepRun `json:"steps"`
	Events     []Event   `json:"events"`
	Format     int       `json:"format"`
}

// StepRun is a step of a run.
type StepRun struct {
	Name     string  `json:"name"`
	State    State   `json:"state"`
	Attempts int     `json:"attempts"`          // begun
	Failures int     `json:"failures"`          // that ended in an error; the others were cut short
	Attempt  string  `json:"attempt,omitempty"` // the last one's name; once done, of the one that counts
	Error    string  `json:"error,omitempty"`
	Output   Output  `json:"output,omitempty"`
	Started  Instant `json:"started,omitzero"`
	Ended    Instant `json:"ended,omitzero"`
	After    Instant `json:"not_before,omitzero"` // when the next attempt may begin
}

// Event is something that happened to a run.
type Event struct {
	At   Instant `json:"at"`
	Step string  `json:"step,omitempty"`
	Text string  `json:"text"`
}

// recordFormat is the version of the records' shape.
const recordFormat = 1

func newRun(d Definition, k RunKey, a ask, now Instant) Run {
	r := Run{RunKey: k, State: Waiting, Definition: d.Hash, Why: a.Why, Due: a.Due, Format: recordFormat}
	if r.Due == 0 {
		r.Due = k.End.Add(d.Delay)
	}
	for _, s := range d.Steps {
		r.Steps = append(r.Steps, StepRun{Name: s.Name, State: Waiting})
	}
	r.note(now, "", "made: "+string(a.Why))
	return r
}

// note adds an event, unless it was the last, and forgets the oldest.
func (r *Run) note(now Instant, step, text string) {
	if n := len(r.Events); n > 0 && r.Events[n-1].Step == step && r.Events[n-1].Text == text {
		return
	}
	r.Events = append(r.Events, Event{now, step, cut(text, maxError)})
	if over := len(r.Events) - maxEvents; over > 0 {
		r.Events = slices.Delete(r.Events, 1, 1+over) // the first says why it is there
	}
}

// step gives a step by its name; nil where there is none.
func (r *Run) step(name string) *StepRun {
	for i := range r.Steps {
		if r.Steps[i].Name == name {
			return &r.Steps[i]
		}
	}
	return nil
}

// outputs gives what the steps that are done have handed on.
func (r *Run) outputs() map[string]Output {
	out := map[string]Output{}
	for _, s := range r.Steps {
		if s.State == Done {
			out[s.Name] = s.Output
		}
	}
	return out
}

// ready says whether a step may begin: no step has failed, those before it
// are done, and its pause is over.
func (r *Run) ready(s Step, now Instant) bool {
	own := r.step(s.Name)
	return own.State == Waiting && own.After <= now && r.Error == "" &&
		!slices.ContainsFunc(s.After, func(name string) bool { return r.step(name).State != Done })
}

// nextTry gives when the first pause between attempts ends; 0 for none.
func (r *Run) nextTry(now Instant) (first Instant) {
	for _, s := range r.Steps {
		if s.State == Waiting && s.After > now && (first == 0 || s.After < first) {
			first = s.After
		}
	}
	return first
}

// begin notes that an attempt of a step begins.
func (r *Run) begin(step, attempt string, now Instant) {
	s := r.step(step)
	if s.State != Waiting {
		return
	}
	r.State, s.State, s.Attempt, s.After = Running, Running, attempt, 0
	s.Attempts++
	if s.Started == 0 {
		s.Started = now
	}
	r.Attempts = max(r.Attempts, s.Attempts)
	r.note(now, step, "attempt "+attempt+" begins")
}

// succeed publishes an attempt's output, if it is the first.
func (r *Run) succeed(step, attempt string, output Output, now Instant) {
	s := r.step(step)
	if s.State == Done {
		return
	}
	s.State, s.Attempt, s.Output, s.Error, s.Ended, s.After = Done, attempt, output, "", now, 0
	r.note(now, step, "attempt "+attempt+" is done")
	r.conclude(now)
}

// fail notes that the attempt that ran has failed.
func (r *Run) fail(step, attempt string, why string, again time.Duration, now Instant) {
	s := r.step(step)
	if s.State != Running || s.Attempt != attempt {
		return // it counts no more
	}
	s.Failures++
	s.Error = cut(why, maxError)
	s.State, s.After = Waiting, now.Add(again)
	if again == 0 {
		s.State, s.Ended, s.After = Failed, now, 0
		if r.Error == "" {
			r.Error = cut("step "+step+": "+why, maxError)
		}
	}
	r.note(now, step, "attempt "+attempt+" failed: "+why)
	r.conclude(now)
}

// undo notes that what a step left is of no use any more. It is done anew once
// the run goes on.
func (r *Run) undo(step, why string, now Instant) {
	s := r.step(step)
	if s == nil || s.State != Done {
		return
	}
	s.State, s.Output, s.Error = Failed, nil, cut(why, maxError)
	r.note(now, step, "what it left is damaged: "+why)
}

// maxCutShort is how many attempts of a step may be cut short by the death of
// whoever worked on it, before the step is held to be the reason.
const maxCutShort = 100

// cutShort notes that the attempts that ran when the last owner died did not end.
func (r *Run) cutShort(now Instant) {
	for i := range r.Steps {
		s := &r.Steps[i]
		if s.State != Running {
			continue
		}
		r.note(now, s.Name, "attempt "+s.Attempt+" was cut short")
		if s.Attempts-s.Failures >= maxCutShort {
			r.fail(s.Name, s.Attempt, "whoever worked on it died in each of 100 attempts; see the log of the process", 0, now)
			continue
		}
		s.State, s.After = Waiting, 0
	}
	r.conclude(now)
}

// conclude finishes the run if nothing is left to do.
func (r *Run) conclude(now Instant) {
	done := true
	for _, s := range r.Steps {
		done = done && s.State == Done
		if s.State == Running {
			return
		}
	}
	switch {
	case r.State.finished():
	case done:
		r.State, r.Error, r.Ended = Done, "", now
		r.note(now, "", "done")
	case r.Error != "":
		r.State, r.Ended = Failed, now
		r.note(now, "", "failed")
	}
}

// again makes a run that failed or was cancelled go on from the steps that
// are not done.
func (r *Run) again(now Instant) {
	for i := range r.Steps {
		if s := &r.Steps[i]; s.State != Done {
			*s = StepRun{Name: s.Name, State: Waiting, Attempts: s.Attempts, Error: s.Error, Started: s.Started}
			s.Failures = s.Attempts // what went before is no attempt that was cut short
		}
	}
	r.State, r.Error, r.Ended, r.Owner = Waiting, "", 0, ""
	r.note(now, "", "goes on")
	r.conclude(now)
}

// cut shortens a text to so many bytes of whole characters.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && text[most]&0xc0 == 0x80 {
		most--
	}
	return text[:most] + "…"
}
