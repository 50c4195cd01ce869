// Package steps does the work of a pipeline's steps: it is the pipeline package's
// Worker.
//
// It owns what each kind of step means in terms of the ports, and what a step
// hands to the next. It refuses to know when steps run, and which drivers do
// their work. It imports pipeline, the ports and the core.
//
// # What holds after a crash at any point
//
// A step may be cut short anywhere and done again, also beside itself: results
// lie under names of the attempt; loads are applied once; exports are the same
// bytes under the same names; weeks are archived by conditional writes.
package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"weir/internal/analysis"
	"weir/internal/compute"
	"weir/internal/objects"
	"weir/internal/pipeline"
	"weir/internal/pipeline/definition"
	"weir/internal/result"
	"weir/internal/sample"
	"weir/internal/warehouse"
)

// Inputs gives what steps read.
type Inputs interface {
	// Input gives the samples of the series that a selector takes, as of a cut.
	Input(ctx context.Context, selector string, start, end int64, cut string) (compute.Input, error)
	// Series lists the series that a selector takes, as the warehouse has them.
	Series(ctx context.Context, selector string, start, end int64) ([]warehouse.Series, error)
}

// Archiver brings weeks to the archive.
type Archiver interface {
	// Ended lists the weeks that ended before a time and are not dropped, in
	// order.
	Ended(ctx context.Context, before time.Time) ([]sample.Week, error)
	// Archive commits what was accepted, seals, writes and verifies all
	// revisions of a week. It may be called again.
	Archive(ctx context.Context, w sample.Week) error
	// Drop drops the volumes of a week that are verified. The run that asks for it
	// has read what it needs: its pin is let go.
	Drop(ctx context.Context, k pipeline.RunKey, w sample.Week) error
}

// Options is what a Worker works with.
type Options struct {
	Inputs    Inputs
	Engine    compute.Engine
	Analyses  map[string]Maker
	Warehouse warehouse.Warehouse
	Results   objects.Objects // of analyses; the engine writes there
	Exports   objects.Objects
	Archiver  Archiver
	Limits    warehouse.Limits // of a step's statement
}

// Maker makes an analysis of a step's parameters. Its errors wrap
// analysis.ErrParameters.
type Maker func(definition.Analyse) (analysis.Analysis, error)

// Worker does steps. It is safe for concurrent use.
type Worker struct{ Options }

var _ pipeline.Worker = (*Worker)(nil)

// New makes a worker.
func New(o Options) *Worker { return &Worker{o} }

// Do carries out a task.
func (w *Worker) Do(ctx context.Context, t pipeline.Task) (pipeline.Output, error) {
	do := map[definition.Kind]func(context.Context, pipeline.Task) (any, error){
		definition.KindAnalyse:       w.analyse,
		definition.KindLoad:          w.load,
		definition.KindExport:        w.export,
		definition.KindSQL:           w.sql,
		definition.KindArchive:       w.archive,
		definition.KindImportHistory: w.importHistory,
	}[t.Step.Kind]
	if do == nil {
		return nil, fmt.Errorf("%w: this weir has no step %s", pipeline.ErrPermanent, t.Step.Kind)
	}
	out, err := recovered(func() (any, error) { return do(ctx, t) })
	if err != nil {
		return nil, permanent(err)
	}
	return json.Marshal(out)
}

// recovered gives a panic as an error: a step must not end the process, whose
// intake goes on.
func recovered(do func() (any, error)) (out any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: the step panicked: %v\n%s", pipeline.ErrPermanent, r, debug.Stack())
		}
	}()
	return do()
}

// permanent marks errors that another attempt would meet again.
func permanent(err error) error {
	if errors.Is(err, compute.ErrInput) {
		return fmt.Errorf("%w: %w: %w", pipeline.ErrPermanent, pipeline.ErrCutLost, err)
	}
	for _, is := range []error{
		analysis.ErrParameters, result.ErrCorrupt, result.ErrVersion,
		warehouse.ErrCorrupt, warehouse.ErrSchema, warehouse.ErrQuery, warehouse.ErrUnsupported, warehouse.ErrVersion,
	} {
		if errors.Is(err, is) {
			return fmt.Errorf("%w: %w", pipeline.ErrPermanent, err)
		}
	}
	return err
}

// Result is what an analyse step hands on.
type Result struct {
	Manifest string `json:"manifest"`
	SHA256   string `json:"sha256"`
	Rows     uint64 `json:"rows"`
	Bytes    int64  `json:"bytes"`
	Read     *Read  `json:"read"`
}

// Read is what a step has read: what comes later with such times is late for it.
type Read struct {
	Select string `json:"select"`
	From   int64  `json:"from"` // ns, half-open
	To     int64  `json:"to"`
}

// ReadOf gives what a step has read by what it handed on; ok is false where it
// is not done, or reads nothing.
func ReadOf(out pipeline.Output) (r Read, ok bool) {
	var done Result
	if len(out) == 0 || json.Unmarshal(out, &done) != nil || done.Read == nil {
		return Read{}, false
	}
	return *done.Read, true
}

func (w *Worker) analyse(ctx context.Context, t pipeline.Task) (any, error) {
	a, err := w.make(*t.Step.Analyse)
	if err != nil {
		return nil, err
	}
	start, end := int64(t.Start), int64(t.End)
	in, err := w.Inputs.Input(ctx, t.Step.Analyse.Select, start-a.Lookback(), end, t.Cut)
	if err != nil {
		return nil, err
	}
	out, err := w.Engine.Run(ctx, compute.Job{
		Pipeline: t.Pipeline, Step: t.Step.Name, Revision: t.Revision, Analysis: a,
		Start: start, End: end, Input: in,
		Prefix: prefix(t),
	}, nil)
	if err != nil {
		return nil, err
	}
	return Result{
		Manifest: out.Manifest, SHA256: out.SHA256, Rows: out.Rows, Bytes: out.Bytes,
		Read: &Read{Select: t.Step.Analyse.Select, From: start - a.Lookback(), To: end},
	}, nil
}

// make makes the analysis of a step.
func (w *Worker) make(p definition.Analyse) (analysis.Analysis, error) {
	maker := w.Analyses[p.Analysis]
	if maker == nil {
		return nil, fmt.Errorf("%w: there is no analysis %q", analysis.ErrParameters, p.Analysis)
	}
	return maker(p)
}

// windowName is a window as it stands in names of objects.
func windowName(w pipeline.Window) string {
	const form = "20060102T150405.999999999Z"
	return w.Start.Time().Format(form) + "_" + w.End.Time().Format(form)
}

// prefix is of the names of what an attempt writes.
func prefix(t pipeline.Task) string {
	return fmt.Sprintf("%s/%s/%s/rev=%d/%s/", t.Pipeline, t.Step.Name, windowName(t.Window), t.Revision, t.Attempt)
}

// resultOf reads the manifest that an analyse step handed on.
func (w *Worker) resultOf(ctx context.Context, t pipeline.Task, step string) (*result.Manifest, error) {
	var r Result
	if err := json.Unmarshal(t.Outputs[step], &r); err != nil || r.Manifest == "" {
		return nil, fmt.Errorf("%w: step %s left no result: %q", pipeline.ErrPermanent, step, t.Outputs[step])
	}
	m, err := result.ReadManifest(ctx, w.Results, r.Manifest, r.SHA256)
	return m, damaged(step, err)
}

// damaged gives the error of a result that is not as a step left it.
func damaged(step string, err error) error {
	if errors.Is(err, result.ErrCorrupt) || errors.Is(err, warehouse.ErrPart) || errors.Is(err, objects.ErrNotFound) {
		return &pipeline.DamagedError{Step: step, Err: err}
	}
	return err
}
