package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"weir/internal/pipeline/definition"
)

// ErrPermanent is wrapped by a worker's error that another attempt would meet
// again, such as a selector that selects nothing it may.
var ErrPermanent = errors.New("another attempt would not help")

// ErrCutLost is wrapped by a worker's error that the run's cut can be read no more:
// its pins ran out, and what it names was merged or removed since.
var ErrCutLost = errors.New("the run's cut is lost; rerun it, which takes a new one")

// DamagedError is a worker's error: what an earlier step of the run left is not
// there any more, or not as it was left. The run fails, and once it goes on that
// step is done anew.
type DamagedError struct {
	Step string // that left it
	Err  error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("what step %s left is damaged; rerun the run, which does that step anew: %v", e.Step, e.Err)
}

func (e *DamagedError) Unwrap() error { return e.Err }

// Output is what a step hands to those after it: JSON of at most MaxOutput
// bytes, such as names and hashes of files. What is larger goes into files.
type Output = json.RawMessage

// MaxOutput is the size of the largest output, in bytes.
const MaxOutput = 8 << 10

// RunKey names a run.
type RunKey struct {
	Pipeline string `json:"pipeline"`
	Window
	Revision int `json:"revision"` // from 0
}

func (k RunKey) String() string {
	return fmt.Sprintf("%s %s revision %d", k.Pipeline, k.Window, k.Revision)
}

// Task is one attempt of one step of one run.
type Task struct {
	RunKey
	Attempt string            // unique: names of what the attempt writes carry it
	Cut     string            // the run's input, as the Cutter named it
	Step    Step              //
	Outputs map[string]Output // of the steps that the run has done, by name
	Text    string            // the definition that the run was begun with
}

// Worker does the work of steps.
type Worker interface {
	// Do carries out a task and returns its output. It must return soon after
	// ctx ends, which it does at the definition's time-out and at shutdown.
	// It can be killed anywhere, and called for the same step again, also
	// while another attempt still runs: it finds what an earlier one left,
	// and publishes by a conditional write under names that carry the
	// attempt. An error that wraps ErrPermanent is not tried again. It is
	// called from several goroutines at once.
	Do(ctx context.Context, t Task) (Output, error)
}

// Cutter pins what a run reads.
type Cutter interface {
	// Cut names what is committed now. It is called when a run is claimed;
	// after a kill it may be called for the same run again, and the later
	// answer counts.
	Cut(ctx context.Context, k RunKey) (string, error)
}

// CutKeeper is an optional ability of a Cutter: cuts that are held for as
// long as a run needs them, by a pin with an expiry.
type CutKeeper interface {
	// Keep prolongs the pin. It is called at least three times a lease while
	// the run is worked on.
	Keep(ctx context.Context, k RunKey, cut string) error
	// Release lets a finished run's pin go. It may be called again.
	Release(ctx context.Context, k RunKey, cut string) error
}

// TaskName names an attempt of a step, as the command line of a task does.
type TaskName struct {
	RunKey
	Step    string
	Attempt string
}

// Args gives the arguments of weir that carry out the task:
// task --pipeline P --window START/END --revision N --step S --attempt A.
func (n TaskName) Args() []string {
	return []string{
		"task", "--pipeline", n.Pipeline, "--window", n.Window.String(),
		"--revision", strconv.Itoa(n.Revision), "--step", n.Step, "--attempt", n.Attempt,
	}
}

// Command gives the whole command line, as a person would type it.
func (n TaskName) Command() string { return "weir " + strings.Join(n.Args(), " ") }

// ParseTask is the inverse of Args; the leading "task" may be missing.
func ParseTask(args []string) (TaskName, error) {
	if len(args) > 0 && args[0] == "task" {
		args = args[1:]
	}
	given := map[string]string{}
	for i := 0; i < len(args); i += 2 {
		flag, ok := strings.CutPrefix(args[i], "--")
		if _, twice := given[flag]; !ok || twice || i+1 == len(args) {
			return TaskName{}, fmt.Errorf("task: %q: give each of --pipeline, --window, --revision, --step and --attempt once, with its value", args[i])
		}
		given[flag] = args[i+1]
	}
	for _, flag := range []string{"pipeline", "window", "revision", "step", "attempt"} {
		if given[flag] == "" {
			return TaskName{}, fmt.Errorf("task: --%s is missing", flag)
		}
	}
	if len(given) != 5 {
		return TaskName{}, errors.New("task: there are only --pipeline, --window, --revision, --step and --attempt")
	}
	w, err := definition.ParseWindow(given["window"])
	if err != nil {
		return TaskName{}, fmt.Errorf("task: %w", err)
	}
	revision, err := strconv.Atoi(given["revision"])
	if err != nil || revision < 0 {
		return TaskName{}, fmt.Errorf("task: --revision %q: give a number from 0", given["revision"])
	}
	n := TaskName{RunKey{given["pipeline"], w, revision}, given["step"], given["attempt"]}
	for _, name := range []string{n.Pipeline, n.Step, n.Attempt} {
		if err := definition.CheckName(name); err != nil {
			return TaskName{}, fmt.Errorf("task: %w", err)
		}
	}
	return n, nil
}
