package app

import (
	"fmt"
	"time"

	"weir/internal/pipeline"
	"weir/internal/pipeline/definition"
)

// CheckPipeline gives the name of the pipeline that a text defines, or all that
// is wrong with it.
func CheckPipeline(file string, text []byte) (name string, err error) {
	d, err := parsePipeline(file, text)
	return d.Name, err
}

// PlanPipeline draws what a run of a definition over a window would do, window
// being START/END: the steps, what each waits for, and its command line.
func PlanPipeline(file string, text []byte, window string) (string, error) {
	d, err := parsePipeline(file, text)
	if err != nil {
		return "", err
	}
	w, err := definition.ParseWindow(window)
	if err != nil {
		return "", err
	}
	plan, err := pipeline.NewPlan(d, w, 0)
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	return plan.Picture(), nil
}

func parsePipeline(file string, text []byte) (pipeline.Definition, error) {
	return definition.Parser{Checks: checks(), Now: time.Now()}.Parse(file, text)
}
