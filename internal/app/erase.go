package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"weir/internal/buffer"
	"weir/internal/erase"
	"weir/internal/journal"
	"weir/internal/objects"
	"weir/internal/objects/folder"
	"weir/internal/pipeline"
	"weir/internal/query"
	"weir/internal/result"
	"weir/internal/sample"
	"weir/internal/store"
)

// eraseWait is how long an erasure waits for who holds what is to go: longer than a
// pin of an archive that its holder left.
const eraseWait = 2*time.Minute + 30*time.Second

// openErasures puts together what erases.
func (a *App) openErasures(results, exports objects.Objects) error {
	records, err := folder.New(filepath.Join(a.config.Data, "erasures"))
	if err != nil {
		return err
	}
	pause := func(ctx context.Context, d time.Duration) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	e := &erasures{app: a, letters: &erase.Letters{Queues: a.queues.Queues(), Dead: a.queues, Book: a.book}, exports: &erase.Exports{Objects: exports}}
	a.eraser = erase.New(erase.Options{
		Sources: []erase.Place{
			e.letters, &erase.Volumes{Book: a.book, Tables: a.store, Now: time.Now, Pause: pause},
			&erase.Archives{Book: a.book, Archiver: a.archiver}, &erase.Quarantine{Tables: a.store},
		},
		Derived: []erase.Place{
			&erase.Results{Objects: results, Runs: e, Attempt: func() string { return fmt.Sprintf("%016x", randomNumber()) }},
			e.exports, &erase.Warehouse{Warehouse: a.warehouse},
		},
		Records: records, Now: time.Now, Random: randomNumber, Pause: pause,
		Commit: e.commit, Reading: e.reading, Notes: e.notes, Wait: eraseWait,
	})
	return nil
}

// erasures is what an eraser asks of the rest of the process.
type erasures struct {
	app     *App
	letters *erase.Letters
	exports *erase.Exports
}

var _ erase.Runs = (*erasures)(nil)

// commit commits all that was accepted before, of every week.
func (e *erasures) commit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, commitTime)
	defer cancel()
	heads := e.app.heads()
	if err := heads.CatchUp(ctx); err != nil {
		return err
	}
	if err := e.app.allTaken(ctx); err != nil {
		return fmt.Errorf("see weir queue: %w", err)
	}
	weeks, err := e.app.book.Weeks(ctx)
	if err != nil {
		return err
	}
	for _, week := range weeks {
		if err := heads.Commit(ctx, week); err != nil {
			return err
		}
	}
	return nil
}

// allRuns is more than there are.
const allRuns = 1 << 30

func (e *erasures) reading(ctx context.Context) (names []string, err error) {
	runs, err := e.app.pipelines.Status(ctx, pipeline.Filter{Limit: allRuns})
	for i := range runs {
		if runs[i].Reading() {
			names = append(names, runs[i].RunKey.String())
		}
	}
	return names, err
}

// ownStep is a step of a run with what it handed on.
type ownStep struct {
	pipeline.TaskName
	output pipeline.Output
}

// Results gives what steps of all runs have handed on.
func (e *erasures) Results(ctx context.Context) (all []erase.Handed, err error) {
	runs, err := e.app.pipelines.Status(ctx, pipeline.Filter{Limit: allRuns})
	if err != nil {
		return nil, err
	}
	for i := range runs {
		for _, s := range runs[i].Steps {
			var of struct{ Manifest, SHA256 string }
			if len(s.Output) == 0 || json.Unmarshal(s.Output, &of) != nil || of.Manifest == "" {
				continue
			}
			n := pipeline.TaskName{RunKey: runs[i].RunKey, Step: s.Name, Attempt: s.Attempt}
			all = append(all, erase.Handed{Manifest: of.Manifest, SHA256: of.SHA256, Run: ownStep{n, s.Output}})
		}
	}
	return all, nil
}

// Replace makes a step hand on another manifest.
func (e *erasures) Replace(ctx context.Context, old erase.Handed, manifest, sum string, m *result.Manifest) error {
	of, ok := old.Run.(ownStep)
	if !ok {
		return fmt.Errorf("%s is of no run", old.Manifest)
	}
	next, err := erase.Output(of.output, manifest, sum, m)
	if err != nil {
		return err
	}
	return e.app.pipelines.ReplaceOutput(ctx, of.TaskName, of.output, next, "rows of erased series were taken out")
}

// notes tells what an erasure does not reach.
func (e *erasures) notes(ctx context.Context, t *erase.Target) ([]string, error) {
	notes := []string{
		"the series stay registered: their names are in the journals, and are listed by weir series",
		"bytes of deleted items and settled messages may stay in the files of the store and the queues until these are written anew; nothing reads them",
		"copies outside of this folder are not reached: backups, and exports that were taken away",
	}
	unreadable := 0
	if err := e.letters.Each(ctx, t, func(_ int, _ *buffer.DeadLetter, _ int, err error) {
		if err != nil {
			unreadable++
		}
	}); err != nil {
		return nil, err
	}
	if unreadable > 0 {
		notes = append(notes, fmt.Sprintf("%d dead letters can't be read: whose samples they hold is not known (weir queue dead-letters)", unreadable))
	}
	aside, err := os.ReadDir(filepath.Join(e.app.config.Data, "store", "damaged"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for _, table := range aside {
		notes = append(notes, fmt.Sprintf("store/damaged/%s was set aside since it can't be read: it may hold samples; delete it to be sure", table.Name()))
	}
	unknown, err := e.exports.Unknown(ctx, t)
	for _, name := range unknown {
		notes = append(notes, fmt.Sprintf("exports/%s has no columns that say whose its rows are, and was left: look at it yourself", name))
	}
	return notes, err
}

// eraseSeries erases, or counts what it would.
func (a *App) eraseSeries(w http.ResponseWriter, r *http.Request) error {
	if err := knownParameters(r, "match", "series", "start", "end", "confirm"); err != nil {
		return err
	}
	request, err := a.eraseRequest(r)
	if err != nil {
		return err
	}
	return a.eraseWork(w, r, request)
}

// resumeErasure goes on with an erasure that was cut short.
func (a *App) resumeErasure(w http.ResponseWriter, r *http.Request) error {
	if err := knownParameters(r); err != nil {
		return err
	}
	report, err := a.eraser.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return eraseError(err)
	}
	if report.State != erase.Unfinished {
		return eraseError(fmt.Errorf("erasure %s is %s, and to go on with: %w", report.ID, report.State, erase.ErrNotFound))
	}
	request := erase.Request{Selector: report.Selector}
	request.Target.From, request.Target.To = report.Times()
	for _, s := range a.catalog.All() {
		if slices.Contains(report.Pending, s.ID.String()) {
			request.Target.Series = append(request.Target.Series, erase.MakeMember(s.Series))
		}
	}
	return a.eraseWork(w, r, request)
}

// eraseRequest reads what is asked for.
func (a *App) eraseRequest(r *http.Request) (request erase.Request, err error) {
	q := r.URL.Query()
	match, id := q.Get("match"), q.Get("series")
	if (match == "") == (id == "") {
		return request, badRequest{errors.New("give match, a selector, or series, an id of 32 hex digits")}
	}
	request.Dry = q.Get("confirm") != "yes"
	request.Target.From, request.Target.To = erase.Always()
	for name, to := range map[string]*int64{"start": &request.Target.From, "end": &request.Target.To} {
		if text := q.Get(name); text != "" {
			if *to, err = query.ParseTime(text, time.Now().UnixNano()); err != nil {
				return request, badRequest{fmt.Errorf("%s: %w", name, err)}
			}
		}
	}
	if request.Target.From >= request.Target.To {
		return request, badRequest{errors.New("start is not before end")}
	}
	// What was acknowledged may have registered series that are not known yet.
	if err := a.heads().CatchUp(r.Context()); err != nil {
		return request, err
	}
	request.Selector = "series " + id
	matches := func(s sample.Series, of sample.SeriesID) bool { return of.String() == id }
	if match != "" {
		sel, err := query.ParseSelector(match)
		if err != nil {
			return request, badRequest{fmt.Errorf("match: %w", err)}
		}
		request.Selector = match
		matches = func(s sample.Series, _ sample.SeriesID) bool { return sel.MatchesSeries(s) }
	}
	for _, s := range a.catalog.All() {
		if matches(s.Series, s.ID) {
			request.Target.Series = append(request.Target.Series, erase.MakeMember(s.Series))
		}
	}
	return request, nil
}

type eraseLine struct {
	Step  string `json:"step"`
	Done  uint64 `json:"done"`
	Total uint64 `json:"total"`
}

// eraseWork answers with lines of progress, and last the report; see longWork.
func (a *App) eraseWork(w http.ResponseWriter, r *http.Request, request erase.Request) error {
	lines, out := json.NewEncoder(w), http.NewResponseController(w)
	begun, last := false, time.Time{}
	tell := func(line any) {
		if !begun {
			w.Header().Set("Content-Type", "application/x-ndjson")
			begun = true
		}
		_ = lines.Encode(line) // a client that has gone can't be told
		_ = out.Flush()
	}
	report, err := a.eraser.Erase(r.Context(), request, func(p erase.Progress) {
		if now := time.Now(); now.Sub(last) >= progressEvery {
			last = now
			tell(eraseLine{p.Step, p.Done, p.Total})
		}
	})
	if report == nil || err != nil && request.Dry && !begun {
		return eraseError(err)
	}
	if err != nil {
		a.logger.Error("an erasure is not finished; asked for again it goes on", "erasure", report.ID, "error", err)
		report.Error = err.Error()
	} else if !request.Dry {
		a.logger.Info("erased", "erasure", report.ID, "series", len(report.Series))
	}
	tell(map[string]any{"report": report})
	return nil
}

// eraseError says by its kind what a client can do about an error.
func eraseError(err error) error {
	switch {
	case errors.Is(err, erase.ErrNotFound):
		return &ofKind{err, store.ErrNotFound}
	case errors.Is(err, erase.ErrBusy):
		return &ofKind{err, store.ErrUnavailable}
	}
	return err
}

// ofKind is an error that is of a further kind.
type ofKind struct {
	error
	kind error
}

func (e *ofKind) Unwrap() []error { return []error{e.error, e.kind} }

// listErasures lists the records of erasures.
func (a *App) listErasures(w http.ResponseWriter, r *http.Request) error {
	if err := knownParameters(r); err != nil {
		return err
	}
	all, err := a.eraser.List(r.Context())
	if err != nil {
		return err
	}
	return answer(w, all)
}

// showErasure gives one record.
func (a *App) showErasure(w http.ResponseWriter, r *http.Request) error {
	if err := knownParameters(r); err != nil {
		return err
	}
	report, err := a.eraser.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return eraseError(err)
	}
	return answer(w, report)
}

// erasedSamples gives how many of the samples that commits stored erasures have taken
// out since. Which lives' they were nobody knows any more.
func (a *App) erasedSamples(ctx context.Context) (n uint64, err error) {
	for _, j := range a.book.Journals() {
		volumes, err := a.book.Volumes(ctx, j.ID().Week)
		if err != nil {
			return 0, err
		}
		for _, v := range volumes {
			switch {
			case v.State != journal.VolumeDropped:
				j.View(func(s *journal.State) { n += s.Erased(v.Revision) })
			case v.Archive != nil && j.ID().Partition == 0: // the archive's is of all partitions
				n += v.Archive.Erased
			}
		}
	}
	return n, nil
}
