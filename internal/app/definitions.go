package app

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"weir/internal/pipeline"
	"weir/internal/pipeline/definition"
	"weir/internal/query"
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

// PipelineWarnings says what of definitions, each by its file's name, is to be known,
// though it is not wrong: by file. Definitions that are wrong are left out.
func PipelineWarnings(texts map[string][]byte) map[string][]string {
	var all []pipeline.Definition
	files := map[string]pipeline.Definition{}
	for file, text := range texts {
		if d, err := parsePipeline(file, text); err == nil {
			files[file] = d
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b pipeline.Definition) int { return cmp.Compare(a.Name, b.Name) })
	out := map[string][]string{}
	for file, d := range files {
		if found := pipeline.Overlaps(d, all, sharedSeries); len(found) > 0 {
			out[file] = found
		}
	}
	return out
}

// sharedSeries says whether two selectors may take the same series. One that can't be
// read takes none.
func sharedSeries(a, b string) bool {
	x, errX := query.ParseSelector(a)
	y, errY := query.ParseSelector(b)
	return errX == nil && errY == nil && x.MayShare(y)
}

func parsePipeline(file string, text []byte) (pipeline.Definition, error) {
	return definition.Parser{Checks: checks(), Now: time.Now()}.Parse(file, text)
}
