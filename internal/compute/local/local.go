// Package local is the engine of one machine: all its cores, each on one slice
// after the other, in bounded memory. It imports its port, and what that imports.
package local

import (
	"context"
	"fmt"
	"slices"
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

// Default is all cores given, and groups of rows whose columns fit a core's cache.
func Default(cores int) Config { return Config{Cores: cores, GroupRows: 64 << 10} }

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
	list, err := compute.Divide(ctx, &j)
	if err != nil {
		return compute.Output{}, err
	}
	r := &run{Engine: e, job: j, slices: list, files: make([]*result.File, len(list)), progress: progress}
	if err := r.sideBySide(ctx); err != nil {
		return compute.Output{}, err
	}
	if err := r.gathered(ctx); err != nil {
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

	gatherers []analysis.Gatherer // of each core, where series are grouped
}

// sideBySide does all slices. The first error ends it.
func (r *run) sideBySide(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	for range min(r.config.Cores, len(r.slices)) {
		w := &worker{run: r, worker: r.job.Analysis.Worker(), rows: result.NewRows(r.job.Analysis.Columns())}
		if w.gathers, _ = w.worker.(analysis.Gatherer); w.gathers != nil {
			r.gatherers = append(r.gatherers, w.gathers)
		}
		group.Go(func() {
			if w.gathers == nil {
				w.rows.Grow(r.config.GroupRows)
			}
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

// gathered joins what the cores have gathered of groups, and writes it as one file. It
// is the same whichever core had which slice.
func (r *run) gathered(ctx context.Context) error {
	if len(r.gatherers) == 0 {
		return nil
	}
	all := r.gatherers[0]
	for _, g := range r.gatherers[1:] {
		if err := all.Join(g); err != nil {
			return err
		}
	}
	w := &worker{run: r, rows: result.NewRows(r.job.Analysis.Columns())}
	defer func() {
		if w.file != nil {
			w.file.Abort()
		}
	}()
	name := r.job.Prefix + "part-0000.parquet"
	err := all.Gathered(func(appendTo func(*result.Rows)) error {
		appendTo(w.rows)
		if w.rows.Len() < r.config.GroupRows {
			return ctx.Err()
		}
		return w.write(ctx, name)
	})
	if err == nil && w.rows.Len() > 0 {
		err = w.write(ctx, name)
	}
	if err != nil || w.file == nil {
		return err
	}
	f, err := w.file.Close()
	r.files = []*result.File{&f}
	return err
}

// worker computes one slice after the other, in memory that it keeps.
type worker struct {
	*run
	worker  analysis.Worker
	gathers analysis.Gatherer // the worker, where series are grouped
	rows    *result.Rows
	file    *result.Writer // of the slice; nil: it has no rows yet
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
	for at := 0; at < len(s.Stretches)-1; {
		n, err := w.whole(ctx, s.Stretches[at:])
		switch {
		case err != nil:
			return err
		case n > 1:
			err = w.together(ctx, name, s, s.Stretches[at:at+n+1])
		default:
			n, err = 1, w.stretch(ctx, name, s, s.Stretches[at], s.Stretches[at+1])
		}
		if err != nil {
			return err
		}
		at += n
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

// whole gives how many of the first stretches are best read at once.
func (w *worker) whole(ctx context.Context, stretches []int64) (int, error) {
	if len(stretches) == 2 {
		return 0, nil // there is only one
	}
	for i, from := range stretches[:len(stretches)-1] {
		if is, err := w.job.Input.Whole(ctx, from, stretches[i+1]); !is || err != nil {
			return i, err
		}
	}
	return len(stretches) - 1, nil
}

// together computes several stretches that are read at once, range of shards by
// range. The rows come in the order in which stretch would give them.
func (w *worker) together(ctx context.Context, name string, s compute.Slice, bounds []int64) error {
	parts := make([]rowsOf, len(bounds)-1)
	for i := range parts {
		parts[i].rows = result.NewRows(w.job.Analysis.Columns())
	}
	shards := (s.End - s.First) / s.Ranges
	for first := s.First; first < s.End; first += shards {
		part := compute.Part{First: first, End: first + shards, From: bounds[0] - w.job.Analysis.Lookback(), To: bounds[len(bounds)-1]}
		if w.job.Input.Series(part.First, part.End) == 0 {
			continue
		}
		err := w.job.Input.Read(ctx, part, func(of *analysis.Samples) error {
			w.samples.Add(uint64(len(of.Times)))
			for i := range parts {
				if err := w.analyse(&parts[i], of, bounds[i], bounds[i+1]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for i := range parts {
		start := 0
		for _, end := range parts[i].ends {
			w.rows.Append(parts[i].rows, start, end)
			start = end
			if w.rows.Len() >= w.config.GroupRows {
				if err := w.write(ctx, name); err != nil {
					return err
				}
			}
		}
		parts[i] = rowsOf{}
	}
	return nil
}

// rowsOf is the rows of a stretch, and where those of each series end.
type rowsOf struct {
	rows *result.Rows
	ends []int
}

// analyse appends the rows of a series for the times [from, to).
func (w *worker) analyse(to *rowsOf, all *analysis.Samples, from, end int64) error {
	start, _ := slices.BinarySearch(all.Times, from-w.job.Analysis.Lookback())
	stop, _ := slices.BinarySearch(all.Times, end)
	if start == stop {
		return nil
	}
	of := analysis.Samples{Series: all.Series, Times: all.Times[start:stop]}
	if all.Texts != nil {
		of.Texts = all.Texts[start:stop]
	} else {
		of.Bits = all.Bits[start:stop]
	}
	if all.Qualities != nil {
		of.Qualities = all.Qualities[start:stop]
	}
	if err := w.worker.Analyse(to.rows, &of, from, end); err != nil {
		return fmt.Errorf("series %s%s: %w", of.Series.Metric, of.Series.Tags, err)
	}
	to.ends = append(to.ends, to.rows.Len())
	return nil
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
