package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"weir/internal/pipeline"
	"weir/internal/pipeline/steps"
	"weir/internal/query"
	"weir/internal/sample"
	"weir/internal/store"
)

// runPipelines carries pipelines out, and watches for late data, until ctx ends.
func (a *App) runPipelines(ctx context.Context) {
	var group sync.WaitGroup
	group.Go(func() {
		if err := a.pipelines.Run(ctx); err != nil && ctx.Err() == nil {
			a.logger.Error("pipelines ended", "error", err)
		}
	})
	group.Go(func() { a.watchLate(ctx) })
	group.Wait()
}

// lateEvery is how often commits are looked at for samples that came after the
// runs that should have read them.
const lateEvery = 2 * time.Second

// watchLate marks runs stale whose input has changed since they read it.
func (a *App) watchLate(ctx context.Context) {
	l := &lateness{app: a, checked: map[pipeline.RunKey]map[store.JournalID]uint64{}}
	every := time.NewTicker(lateEvery)
	defer every.Stop()
	for {
		changed := a.book.Changed()
		if err := l.check(ctx); err != nil && ctx.Err() == nil {
			a.logger.Warn("late data is not told yet; trying again", "error", err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

// lateness knows of each run up to where the journals changed nothing of what it
// read. It begins anew, from the runs' cuts, with each start of the process.
type lateness struct {
	app     *App
	checked map[pipeline.RunKey]map[store.JournalID]uint64
}

// maxRuns bounds how many runs are watched: the newest.
const maxRuns = 10_000

func (l *lateness) check(ctx context.Context) error {
	runs, err := l.app.pipelines.Status(ctx, pipeline.Filter{Limit: maxRuns})
	if err != nil {
		return err
	}
	type window struct {
		pipeline string
		pipeline.Window
	}
	newest := map[window]bool{}
	var failed []error
	for i := range runs {
		r := &runs[i]
		w := window{r.Pipeline, r.Window}
		if newest[w] {
			continue // a later revision has read what came since
		}
		newest[w] = true
		if r.Cut == "" || r.Stale || r.State == pipeline.Cancelled {
			delete(l.checked, r.RunKey)
			continue
		}
		failed = append(failed, l.checkRun(ctx, r))
	}
	return errors.Join(failed...)
}

// checkRun marks a run stale where one of its analyses would read something else
// now.
func (l *lateness) checkRun(ctx context.Context, r *pipeline.Run) error {
	cut, err := positionsOf(r.Cut)
	if err != nil {
		return err
	}
	since, had := l.checked[r.RunKey]
	if !had {
		since = map[store.JournalID]uint64{}
	}
	now := map[store.JournalID]uint64{}
	for i := range r.Steps {
		read, ok := steps.ReadOf(r.Steps[i].Output)
		if !ok {
			continue
		}
		l.positions(read.From, read.To, now)
		changed, err := l.changed(ctx, read, func(id store.JournalID) uint64 {
			if at, ok := since[id]; ok {
				return at
			}
			return cut(id)
		})
		if err != nil {
			return err
		}
		if changed {
			l.app.logger.Info("samples came late: the run is stale", "run", r.RunKey)
			delete(l.checked, r.RunKey)
			return l.app.pipelines.MarkStale(ctx, r.RunKey)
		}
	}
	if r.State == pipeline.Done { // else some step may read from the cut yet
		l.checked[r.RunKey] = now
	}
	return nil
}

// positions notes where the journals of a range of time stand.
func (l *lateness) positions(from, to int64, now map[store.JournalID]uint64) {
	for _, j := range l.app.book.Journals() {
		id := j.ID()
		if id.Week >= sample.WeekOf(from) && id.Week <= sample.WeekOf(to-1) {
			if _, ok := now[id]; !ok {
				now[id] = j.Snapshot().Cut
			}
		}
	}
}

func (l *lateness) changed(ctx context.Context, read steps.Read, since func(store.JournalID) uint64) (bool, error) {
	sel, err := query.ParseSelector(read.Select)
	if err != nil {
		return false, err
	}
	return l.app.source.Changed(ctx, sel, read.From, read.To, since)
}
