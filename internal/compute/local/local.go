// Package local is the engine of one machine: all its cores, each on one slice
// after the other, in bounded memory. It imports its port, and what that imports.
package local

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"weir/internal/analysis"
	"weir/internal/compute"
	"weir/internal/objects"
	"weir/internal/result"
)

// Config is what the engine may use.
type Config struct {
	Cores int `yaml:"cores" doc:"how many slices are computed at once"`
	// GroupRows is how many rows are brought together before they are written.
	GroupRows int `yaml:"group_rows" doc:"rows of a result that are written at once"`
}

// Default is all cores given, and groups of rows of some tens of MB.
func Default(cores int) Config { return Config{Cores: cores, GroupRows: 200_000} }

// Validate says which setting makes no sense.
func (c Config) Validate() error {
	switch {
	case c.Cores < 1:
		return fmt.Errorf("cores is %d: it must be at least 1", c.Cores)
	case c.GroupRows < 1:
		return fmt.Errorf("group_rows is %d: it must be at least 1", c.GroupRows)
	}
	return nil
}

// Engine is the driver.
type Engine struct {
	config  Config
	objects objects.Objects
}

var _ compute.Engine = (*Engine)(nil)

// New makes an engine that leaves its results at a place. The config must be
// valid.
func New(config Config, place objects.Objects) *Engine {
	return &Engine{config: config, objects: place}
}

// Run computes a job.
func (e *Engine) Run(ctx context.Context, j compute.Job, progress compute.Progress) (compute.Output, error) {
	slices, err := compute.Divide(ctx, &j)
	if err != nil {
		return compute.Output{}, err
	}
	r := &run{Engine: e, job: j, slices: slices, files: make([]*result.File, len(slices)), progress: progress}
	if err := r.sideBySide(ctx); err != nil {
		return compute.Output{}, err
	}
	m := j.Manifest()
	out := compute.Output{Manifest: j.Prefix + "manifest.json"}
	for _, f := range r.files {
		if f == nil {
			continue // no series of the slice had samples
		}
		m.Files = append(m.Files, *f)
		m.Rows += f.Rows
		out.Bytes += f.Bytes
	}
	out.Rows = m.Rows
	out.SHA256, err = m.Write(ctx, e.objects, out.Manifest)
	return out, err
}

// run is one job under way.
type run struct {
	*Engine
	job      compute.Job
	slices   []compute.Slice
	files    []*result.File // by slice; nil: it has no rows
	progress compute.Progress

	next    atomic.Int64
	done    atomic.Int64
	samples atomic.Uint64
}

// sideBySide does all slices. The first error ends it.
func (r *run) sideBySide(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	for range min(r.config.Cores, len(r.slices)) {
		group.Go(func() {
			w := &worker{run: r, worker: r.job.Analysis.Worker(), rows: result.NewRows(r.job.Analysis.Columns())}
			for ctx.Err() == nil {
				i := int(r.next.Add(1)) - 1
				if i >= len(r.slices) {
					return
				}
				if err := w.do(ctx, i); err != nil {
					cancel(fmt.Errorf("shards %d to %d: %w", r.slices[i].First, r.slices[i].End-1, err))
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// worker computes one slice after the other, in memory that it keeps.
type worker struct {
	*run
	worker analysis.Worker
	rows   *result.Rows
	file   *result.Writer // of the slice; nil: it has no rows yet
}

// do computes a slice into one file.
func (w *worker) do(ctx context.Context, slice int) error {
	s, j := w.slices[slice], &w.job
	w.rows.Reset()
	w.file = nil
	defer func() {
		if w.file != nil {
			w.file.Abort()
		}
	}()
	name := fmt.Sprintf("%spart-%04d.parquet", j.Prefix, slice)
	for i, from := range s.Stretches[:len(s.Stretches)-1] {
		if err := w.stretch(ctx, name, s, from, s.Stretches[i+1]); err != nil {
			return err
		}
	}
	var err error
	if w.rows.Len() > 0 {
		err = w.write(ctx, name)
	}
	if err == nil && w.file != nil {
		var f result.File
		f, err = w.file.Close()
		w.files[slice] = &f
	}
	if err == nil && w.progress != nil {
		w.progress(int(w.done.Add(1)), len(w.slices), w.samples.Load())
	}
	return err
}

// stretch computes a slice for the times [from, to).
func (w *worker) stretch(ctx context.Context, name string, s compute.Slice, from, to int64) error {
	part := compute.Part{First: s.First, End: s.End, From: from - w.job.Analysis.Lookback(), To: to}
	return w.job.Input.Read(ctx, part, func(of *analysis.Samples) error {
		w.samples.Add(uint64(len(of.Times)))
		if err := w.worker.Analyse(w.rows, of, from, to); err != nil {
			return fmt.Errorf("series %s%s: %w", of.Series.Metric, of.Series.Tags, err)
		}
		if w.rows.Len() < w.config.GroupRows {
			return nil
		}
		return w.write(ctx, name)
	})
}

// write writes the rows that there are, and empties them.
func (w *worker) write(ctx context.Context, name string) (err error) {
	if w.file == nil {
		if w.file, err = result.NewWriter(ctx, w.objects, name, w.job.Analysis.Columns()); err != nil {
			return err
		}
	}
	err = w.file.Write(w.rows)
	w.rows.Reset()
	return err
}
