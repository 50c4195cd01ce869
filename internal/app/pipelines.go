package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"weir/internal/analysis"
	"weir/internal/analysis/rollup"
	"weir/internal/app/erasures"
	"weir/internal/archive"
	"weir/internal/compute"
	"weir/internal/compute/local"
	"weir/internal/export"
	"weir/internal/feed"
	"weir/internal/journal"
	"weir/internal/objects/folder"
	"weir/internal/pipeline"
	"weir/internal/pipeline/cuts"
	"weir/internal/pipeline/definition"
	"weir/internal/pipeline/steps"
	"weir/internal/query"
	"weir/internal/query/volumes"
	"weir/internal/sample"
	"weir/internal/store"
	"weir/internal/warehouse"
)

// PipelinesConfig is what pipelines may use.
type PipelinesConfig struct {
	Cores  int   `yaml:"cores" doc:"how many cores an analysis uses; 0: all"`
	Memory int64 `yaml:"memory" doc:"bytes that an analysis may hold on each core"`
}

func defaultPipelines() PipelinesConfig {
	return PipelinesConfig{Memory: 512 << 20}
}

func (c PipelinesConfig) validate() error {
	if c.Memory < 1<<20 {
		return fmt.Errorf("memory is %d: it must be at least 1 MiB", c.Memory)
	}
	return c.engine().Validate()
}

// engine gives what an engine may use.
func (c PipelinesConfig) engine() local.Config {
	if c.Cores == 0 {
		return local.Default(runtime.GOMAXPROCS(0))
	}
	return local.Default(c.Cores)
}

// openPipelines puts together what carries pipelines out.
func (a *App) openPipelines() error {
	results, err := folder.New(filepath.Join(a.config.Data, "results"))
	if err != nil {
		return err
	}
	exports, err := folder.New(filepath.Join(a.config.Data, "exports"))
	if err != nil {
		return err
	}
	a.results, a.exports = results, exports
	a.cuts = &cuts.Cutter{Book: a.book, Commit: a.heads().Commit, Now: time.Now}
	c := pipeline.Default()
	c.Records, c.Log, c.Alone = a.store, a.logger.With("role", "pipelines"), true
	c.Cutter, c.Conditions, c.Checks = a.cuts, &watermark{a.queues}, checks()
	c.Shared = sharedSeries
	c.Worker = steps.New(steps.Options{
		Inputs:   &inputs{a.source, a.config.Pipelines.Memory},
		Engine:   local.New(a.config.Pipelines.engine(), results),
		Analyses: analyses(), Warehouse: a.warehouse, Results: results, Exports: exports,
		Archiver: &weekArchiver{a},
		Limits:   warehouse.Limits{Rows: a.config.Warehouse.Rows, Timeout: a.config.Warehouse.Timeout},
	})
	if a.pipelines, err = pipeline.New(c); err != nil {
		return err
	}
	a.erasures, err = erasures.New(erasures.Options{
		Data: a.config.Data, Book: a.book, Tables: a.store, Queues: a.queues, Heads: a.heads(), AllTaken: a.allTaken, Catalog: a.catalog,
		Archiver: a.archiver, Results: results, Exports: exports, Pipelines: a.pipelines, Warehouse: a.warehouse,
		Random: randomNumber, Logger: a.logger.With("role", "erase"),
	})
	if err != nil {
		return err
	}
	a.openRetention(results, exports)
	return nil
}

// analyses is every analysis there is, by the name that definitions have for it.
func analyses() map[string]steps.Maker {
	return map[string]steps.Maker{
		"rollup": func(p definition.Analyse) (analysis.Analysis, error) {
			r, err := rollup.New(rollup.Parameters{Every: int64(p.Every), Functions: p.Functions, Quantiles: p.Quantiles, By: p.By})
			if err != nil {
				return nil, err
			}
			return r, nil
		},
	}
}

// checks judges steps when a definition is given.
func checks() definition.Checks {
	format := func(name string) error {
		if _, err := export.ParseFormat(name); err != nil {
			return &definition.KeyError{Key: "format", Err: err}
		}
		return nil
	}
	return definition.Checks{
		definition.KindAnalyse: func(s definition.Step) error {
			if _, err := query.ParseSelector(s.Analyse.Select); err != nil {
				return &definition.KeyError{Key: "select", Err: err}
			}
			maker := analyses()[s.Analyse.Analysis]
			if maker == nil {
				return &definition.KeyError{Key: "analysis", Err: fmt.Errorf("there is no analysis %q; there is rollup", s.Analyse.Analysis)}
			}
			_, err := maker(*s.Analyse)
			return err
		},
		definition.KindExport: func(s definition.Step) error { return format(s.Export.Format) },
		definition.KindSQL: func(s definition.Step) error {
			if s.SQL.Format == string(export.Parquet) {
				return &definition.KeyError{Key: "format", Err: errors.New("an answer is written as csv or jsonl")}
			}
			return format(s.SQL.Format)
		},
		definition.KindImportHistory: func(s definition.Step) error {
			if _, err := query.ParseSelector(s.ImportHistory.Select); err != nil {
				return &definition.KeyError{Key: "select", Err: err}
			}
			return nil
		},
	}
}

// inputs gives steps what they read.
type inputs struct {
	source *volumes.Source
	memory int64
}

var _ steps.Inputs = (*inputs)(nil)

// Input gives samples as of a cut.
func (i *inputs) Input(ctx context.Context, selector string, start, end int64, cut string) (compute.Input, error) {
	sel, err := query.ParseSelector(selector)
	if err != nil {
		return nil, fmt.Errorf("%w: select: %w", analysis.ErrParameters, err)
	}
	positions, err := positionsOf(cut)
	if err != nil {
		return nil, err
	}
	return i.source.Input(ctx, volumes.InputOptions{
		Selector: sel, Start: start, End: end, Cut: cut, Positions: positions, Memory: i.memory,
	})
}

// Series lists series as the warehouse has them.
func (i *inputs) Series(ctx context.Context, selector string, start, end int64) ([]warehouse.Series, error) {
	sel, err := query.ParseSelector(selector)
	if err != nil {
		return nil, fmt.Errorf("%w: select: %w", analysis.ErrParameters, err)
	}
	list, err := i.source.Series(ctx, sel, start, end)
	if err != nil {
		return nil, err
	}
	out := make([]warehouse.Series, 0, len(list))
	for _, s := range list {
		out = append(out, warehouse.Series{Series: s.Series, Kind: s.Kind, First: s.Weeks[0], Last: s.Weeks[len(s.Weeks)-1]})
	}
	return out, nil
}

// positionsOf reads a run's cut.
func positionsOf(cut string) (func(store.JournalID) uint64, error) {
	c, err := feed.ParseToken(cut)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", compute.ErrInput, err)
	}
	return func(id store.JournalID) uint64 {
		return c.Position(feed.Journal{Week: id.Week, Partition: id.Partition})
	}, nil
}

// watermark tells up to when all is committed: messages are acked once they
// are, so it is the oldest that a queue holds.
type watermark struct{ queues queues }

var _ pipeline.Conditions = (*watermark)(nil)

func (w *watermark) Watermark(ctx context.Context) (time.Time, error) {
	oldest := time.Now()
	for queue := range w.queues.Queues() {
		d, err := w.queues.Depth(ctx, queue)
		if err != nil {
			return time.Time{}, err
		}
		if !d.Oldest.IsZero() && d.Oldest.Before(oldest) {
			oldest = d.Oldest
		}
	}
	return oldest, nil
}

// weekArchiver lets pipelines archive weeks.
type weekArchiver struct{ app *App }

var _ steps.Archiver = (*weekArchiver)(nil)

// Ended lists the weeks that ended before a time and have a volume that is not
// dropped.
func (w *weekArchiver) Ended(ctx context.Context, before time.Time) ([]sample.Week, error) {
	weeks, err := w.app.book.Weeks(ctx)
	if err != nil {
		return nil, err
	}
	var out []sample.Week
	for _, week := range weeks {
		if week.End() > before.UnixNano() {
			continue
		}
		list, err := w.app.book.Volumes(ctx, week)
		if err != nil {
			return nil, err
		}
		for _, v := range list {
			if !v.Gone() {
				out = append(out, week)
				break
			}
		}
	}
	return out, nil
}

// Archive archives a week, which verifies it.
func (w *weekArchiver) Archive(ctx context.Context, week sample.Week) error {
	return w.app.archiver.Archive(ctx, week, func(archive.Progress) {})
}

// Drop drops what is verified of a week, which the run itself holds no longer. A
// revision that began meanwhile is the next run's.
func (w *weekArchiver) Drop(ctx context.Context, k pipeline.RunKey, week sample.Week) error {
	list, err := w.app.book.Volumes(ctx, week)
	if err != nil {
		return err
	}
	for _, v := range list {
		if v.State != journal.VolumeVerified && v.State != journal.VolumeDropped {
			continue
		}
		err := w.app.book.Unpin(ctx, week, v.Revision, cuts.Holder(k))
		if err == nil {
			err = w.app.book.DropVolume(ctx, week, v.Revision, time.Now())
		}
		if err != nil {
			return err
		}
	}
	return nil
}
