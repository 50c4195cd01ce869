package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"weir/internal/objects"
	"weir/internal/pipeline"
)

// Retention says how long after its end a run keeps what it left; 0: for ever.
type Retention struct {
	Results time.Duration // of analyses
	Exports time.Duration
	Runs    time.Duration // records of revisions that have a newer one, with all that they left
}

// leftoverAge is how old a file is at least that no run names: no attempt takes
// that long.
const leftoverAge = 24 * time.Hour

// Runs is the runs' records.
type Runs interface {
	EachRun(ctx context.Context, yield func(r *pipeline.Run, newest bool) error) error
	Forget(ctx context.Context, k pipeline.RunKey) error
}

// Sweeper removes what runs left: results and exports of those that nobody needs any
// more, and files of attempts that were cut short.
//
// What a run that is not spent may read stays, whatever its age: a run that failed
// may go on. Files go before the record that names them, so that a sweep that is cut
// short anywhere is done again.
type Sweeper struct {
	Results, Exports objects.Objects
	Runs             Runs
	Keep             Retention
	Now              func() time.Time
	Most             int // objects that one sweep removes
}

// Swept is what a sweep removed.
type Swept struct {
	Results, Exports Removed
	Runs             int // records
}

// Removed is files, and what they took.
type Removed struct {
	Files int
	Bytes int64
}

// errMost ends a sweep that has removed enough; the next goes on.
var errMost = errors.New("enough is removed for once")

// Sweep removes what is due.
func (s *Sweeper) Sweep(ctx context.Context) (Swept, error) {
	w := &sweep{Sweeper: s, now: s.Now(), left: s.Most}
	// The files first, the records after: whose files are listed has its record.
	err := w.list(ctx)
	if err == nil {
		err = s.Runs.EachRun(ctx, func(r *pipeline.Run, newest bool) error { return w.run(ctx, r, newest) })
	}
	if err == nil {
		err = w.nobodys(ctx)
	}
	if errors.Is(err, errMost) {
		err = nil
	}
	return w.swept, err
}

// sweep is one under way.
type sweep struct {
	*Sweeper
	now     time.Time
	left    int
	results map[string][]objects.Info // by what stands before the attempt
	exports map[string][]objects.Info // by name, without folder and ending
	swept   Swept
}

// resultForm finds what stands before the attempt in the name of a result's file,
// and exportForm folder, name and ending of an export's.
var (
	resultForm = regexp.MustCompile(`^([a-z0-9-]+/[a-z0-9-]+/[0-9TZ.]+_[0-9TZ.]+/rev=\d+/)[^/]+/[^/]+$`)
	exportForm = regexp.MustCompile(`^(.+/)?([a-z0-9-]+\.[a-z0-9-]+\.[0-9TZ.]+_[0-9TZ.]+\.r\d+)(\.manifest\.json|\.csv|\.jsonl|\.parquet)$`)
)

const manifestEnding = ".manifest.json"

func (w *sweep) list(ctx context.Context) error {
	results, err := w.Results.List(ctx, "")
	if err != nil {
		return err
	}
	exports, err := w.Exports.List(ctx, "")
	if err != nil {
		return err
	}
	w.results, w.exports = map[string][]objects.Info{}, map[string][]objects.Info{}
	for _, o := range results {
		if m := resultForm.FindStringSubmatch(o.Name); m != nil {
			w.results[m[1]] = append(w.results[m[1]], o)
		}
	}
	for _, o := range exports {
		if m := exportForm.FindStringSubmatch(o.Name); m != nil {
			w.exports[m[2]] = append(w.exports[m[2]], o)
		}
	}
	return nil
}

// run removes what is due of one run.
func (w *sweep) run(ctx context.Context, r *pipeline.Run, newest bool) error {
	over := func(keep time.Duration) bool { return keep > 0 && !r.Ended.Time().Add(keep).After(w.now) }
	spent := r.Spent(newest)
	forget := spent && !newest && over(w.Keep.Runs)
	for i := range r.Steps {
		step := &r.Steps[i]
		t := pipeline.Task{RunKey: r.RunKey, Step: pipeline.Step{Name: step.Name}}
		prefix, name := prefix(t), path.Base(exportName(t, ""))
		prefix = strings.TrimSuffix(prefix, "/") // the attempt, which is empty
		results, exports := w.results[prefix], w.exports[name]
		delete(w.results, prefix)
		delete(w.exports, name)
		if !spent {
			continue
		}
		if !forget && !over(w.Keep.Results) {
			results = w.leftovers(results, attemptOf(step.Output))
		}
		if !forget && !over(w.Keep.Exports) {
			exports = w.unmanifested(exports)
		}
		err := w.remove(ctx, w.Results, results, &w.swept.Results)
		if err == nil {
			err = w.remove(ctx, w.Exports, exports, &w.swept.Exports)
		}
		if err != nil {
			return err
		}
	}
	if !forget {
		return nil
	}
	if err := w.Runs.Forget(ctx, r.RunKey); err != nil && !errors.Is(err, pipeline.ErrState) {
		return err
	} else if err == nil {
		w.swept.Runs++
	}
	return nil
}

// attemptOf gives the folder of the attempt whose result counts.
func attemptOf(out pipeline.Output) string {
	var done Result
	if len(out) == 0 || json.Unmarshal(out, &done) != nil || done.Manifest == "" {
		return ""
	}
	return path.Dir(done.Manifest) + "/"
}

// leftovers gives the old ones that lie outside of a folder.
func (w *sweep) leftovers(list []objects.Info, folder string) []objects.Info {
	return slices.DeleteFunc(slices.Clone(list), func(o objects.Info) bool {
		return folder != "" && strings.HasPrefix(o.Name, folder) || !w.old(o)
	})
}

func (w *sweep) old(o objects.Info) bool { return w.now.Sub(o.Modified) >= leftoverAge }

// unmanifested gives the old ones that have no manifest beside them.
func (w *sweep) unmanifested(list []objects.Info) []objects.Info {
	whole := map[string]bool{}
	for _, o := range list {
		if strings.HasSuffix(o.Name, manifestEnding) {
			whole[path.Dir(o.Name)] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(list), func(o objects.Info) bool { return whole[path.Dir(o.Name)] || !w.old(o) })
}

// nobodys removes the old files of which no run is known. Exports that are whole
// stay: they may have been brought here.
func (w *sweep) nobodys(ctx context.Context) error {
	for _, list := range w.results {
		if err := w.remove(ctx, w.Results, w.leftovers(list, ""), &w.swept.Results); err != nil {
			return err
		}
	}
	for _, list := range w.exports {
		if err := w.remove(ctx, w.Exports, w.unmanifested(list), &w.swept.Exports); err != nil {
			return err
		}
	}
	return nil
}

// remove removes objects, the manifests first: who finds one finds its file.
func (w *sweep) remove(ctx context.Context, from objects.Objects, list []objects.Info, removed *Removed) error {
	for _, manifests := range []bool{true, false} {
		for _, o := range list {
			if strings.HasSuffix(o.Name, "manifest.json") != manifests {
				continue
			}
			if w.left--; w.left < 0 {
				return errMost
			}
			if err := from.Delete(ctx, o.Name); err != nil {
				return fmt.Errorf("sweep: %w", err)
			}
			removed.Files++
			removed.Bytes += o.Size
		}
	}
	return nil
}
