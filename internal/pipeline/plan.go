package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"weir/internal/pipeline/definition"
)

// Plan is the graph of tasks of one run: the same for every orchestrator.
type Plan struct {
	RunKey
	Tasks []PlannedTask `json:"tasks"` // each after those that it waits for
}

// PlannedTask is one node of a plan.
type PlannedTask struct {
	Step    string          `json:"step"`
	Kind    definition.Kind `json:"kind"`
	After   []string        `json:"after"`
	Level   int             `json:"level"`   // 0 where it waits for none, else one more than the highest of those
	Command []string        `json:"command"` // the arguments of weir; the attempt is a placeholder
}

// AttemptPlaceholder stands in a plan's command lines for the unique name that
// each attempt is given.
const AttemptPlaceholder = "attempt"

// NewPlan gives the tasks of a run of a definition.
func NewPlan(d Definition, w Window, revision int) (Plan, error) {
	if err := w.Check(); err != nil {
		return Plan{}, err
	}
	p := Plan{RunKey: RunKey{d.Name, w, revision}}
	level := map[string]int{}
	for len(p.Tasks) < len(d.Steps) {
		before := len(p.Tasks)
		for _, s := range d.Steps {
			if _, done := level[s.Name]; done || slices.ContainsFunc(s.After, func(name string) bool {
				at, placed := level[name]
				return !placed || at >= p.next(before)
			}) {
				continue
			}
			level[s.Name] = p.next(before)
			name := TaskName{p.RunKey, s.Name, AttemptPlaceholder}
			p.Tasks = append(p.Tasks, PlannedTask{s.Name, s.Kind, append([]string{}, s.After...), level[s.Name], name.Args()})
		}
		if len(p.Tasks) == before {
			return Plan{}, fmt.Errorf("pipeline %s: its steps wait for each other", d.Name)
		}
	}
	return p, nil
}

// next gives the level that is being filled, where so many tasks were placed
// before it.
func (p Plan) next(before int) int {
	if before == 0 {
		return 0
	}
	return p.Tasks[before-1].Level + 1
}

// Picture draws the graph as text: a line a step, what it waits for, and its
// command line; a blank line after each level of steps that may run side by side.
func (p Plan) Picture() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", p.RunKey)
	width := 0
	for _, t := range p.Tasks {
		width = max(width, len(t.Step)+len(t.Kind)+3)
	}
	for i, t := range p.Tasks {
		if i == 0 || p.Tasks[i-1].Level < t.Level {
			fmt.Fprintln(&b)
		}
		arrow := "●"
		if t.Level > 0 {
			arrow = strings.Repeat("   ", t.Level-1) + "└─ ●"
		}
		after := ""
		if len(t.After) > 0 {
			after = "after " + strings.Join(t.After, ", ")
		}
		indent := strings.Repeat("   ", t.Level)
		line := fmt.Sprintf("%s %-*s %s", arrow, width, fmt.Sprintf("%s (%s)", t.Step, t.Kind), after)
		fmt.Fprintln(&b, strings.TrimRight(line, " "))
		fmt.Fprintf(&b, "%s  weir %s\n", indent, strings.Join(t.Command, " "))
	}
	return b.String()
}
