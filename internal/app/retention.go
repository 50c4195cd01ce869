package app

import (
	"context"
	"fmt"
	"time"

	"weir/internal/feed"
	"weir/internal/objects"
	"weir/internal/pipeline"
	"weir/internal/pipeline/steps"
	"weir/internal/retention"
	"weir/internal/sample"
)

// Bounds of what is removed.
const (
	// orphanAge is how old what no record names is at least: no attempt takes that
	// long.
	orphanAge = 24 * time.Hour
	// removedAtOnce is how many files of runs are removed by one look.
	removedAtOnce = 10_000
)

// openRetention puts together what removes what nobody needs any more.
func (a *App) openRetention(results, exports objects.Objects) {
	keep := a.config.Retention
	runs := &steps.Sweeper{
		Results: results, Exports: exports, Runs: a.pipelines, Now: time.Now, Most: removedAtOnce,
		Keep: steps.Retention{Results: time.Duration(keep.Results), Exports: time.Duration(keep.Exports), Runs: time.Duration(keep.Runs)},
	}
	a.retention = retention.New(retention.Options{
		Config: keep, Book: a.book, Needed: a.neededWeeks, Now: time.Now, Logger: a.logger.With("role", "retention"),
		Sweepers: []func(context.Context) (retention.Counts, error){
			func(ctx context.Context) (retention.Counts, error) {
				swept, err := a.archiver.Sweep(ctx, orphanAge)
				return retention.Counts{Archive: retention.Removed(swept)}, err
			},
			func(ctx context.Context) (retention.Counts, error) {
				swept, err := runs.Sweep(ctx)
				return retention.Counts{Results: retention.Removed(swept.Results), Exports: retention.Removed(swept.Exports), Runs: swept.Runs}, err
			},
		},
	})
}

// neededWeeks gives the weeks that unfinished runs have in their cuts: their pins run
// out while nobody works on them.
func (a *App) neededWeeks(ctx context.Context) (map[sample.Week]bool, error) {
	needed := map[sample.Week]bool{}
	err := a.pipelines.EachRun(ctx, func(r *pipeline.Run, _ bool) error {
		if r.Cut == "" || r.Finished() {
			return nil
		}
		cut, err := feed.ParseToken(r.Cut)
		if err != nil {
			return fmt.Errorf("run %s: %w", r.RunKey, err)
		}
		for _, j := range cut.Journals() {
			needed[j.Week] = true
		}
		return nil
	})
	return needed, err
}
