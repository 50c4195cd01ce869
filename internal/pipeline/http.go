package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"weir/internal/pipeline/definition"
	"weir/internal/problem"
	"weir/internal/store"
)

// maxBody is the largest definition that is read.
const maxBody = 1 << 20

// Register adds the pipelines' paths to mux. Answers are JSON; errors are
// problem details.
func (s *Scheduler) Register(mux *http.ServeMux) {
	handle := func(pattern string, serve func(r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			answer, err := serve(r)
			if err != nil {
				refuse(w, err)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			// A client that has gone away can't be told.
			_ = json.NewEncoder(w).Encode(answer)
		})
	}
	handle("GET /api/v1/pipelines", func(r *http.Request) (any, error) { return s.List(r.Context()) })
	handle("POST /api/v1/pipelines", s.serveApply)
	handle("GET /api/v1/pipelines/runs", s.serveStatus)
	handle("GET /api/v1/pipelines/{name}", func(r *http.Request) (any, error) { return s.Get(r.Context(), r.PathValue("name")) })
	handle("POST /api/v1/pipelines/{name}/{action}", s.serveAction)
	handle("GET /api/v1/pipelines/{name}/run", func(r *http.Request) (any, error) {
		k, err := keyOf(r)
		if err != nil {
			return nil, err
		}
		return s.Lookup(r.Context(), k)
	})
}

// serveApply stores and schedules the body's definition; with check=1 it is
// only looked at.
func (s *Scheduler) serveApply(r *http.Request) (any, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	file := r.URL.Query().Get("file")
	if file == "" {
		file = "definition"
	}
	if r.URL.Query().Get("check") == "" {
		return s.Apply(r.Context(), file, text)
	}
	d, err := s.Check(file, text)
	if err != nil {
		return nil, err
	}
	warnings, err := s.overlaps(r.Context(), d)
	return Pipeline{Name: d.Name, Definition: d.Hash, Scheduled: d.Scheduled(), Pending: []Window{}, Warnings: warnings}, err
}

func (s *Scheduler) serveStatus(r *http.Request) (any, error) {
	query := r.URL.Query()
	f := Filter{Pipeline: query.Get("pipeline"), State: State(query.Get("state"))}
	if text := query.Get("limit"); text != "" {
		var err error
		if f.Limit, err = strconv.Atoi(text); err != nil || f.Limit < 1 {
			return nil, &badRequest{fmt.Errorf("limit %q: give a number above 0", text)}
		}
	}
	return s.Status(r.Context(), f)
}

// serveAction does what is asked of a pipeline, or of one of its runs.
func (s *Scheduler) serveAction(r *http.Request) (any, error) {
	ctx, name := r.Context(), r.PathValue("name")
	switch action := r.PathValue("action"); action {
	case "pause", "resume":
		if err := s.pause(ctx, name, action == "pause"); err != nil {
			return nil, err
		}
		return s.Get(ctx, name)
	case "backfill":
		w, err := windowOf(r)
		if err != nil {
			return nil, err
		}
		return first(s.Backfill(ctx, name, w.Start, w.End))
	case "runs":
		return s.serveRun(r)
	case "task":
		k, err := keyOf(r)
		if err != nil {
			return nil, err
		}
		return first(s.Perform(ctx, TaskName{k, r.URL.Query().Get("step"), r.URL.Query().Get("attempt")}))
	case "rerun", "cancel":
		k, err := keyOf(r)
		if err != nil {
			return nil, err
		}
		if action == "rerun" {
			return first(s.Rerun(ctx, k))
		}
		return first(s.Cancel(ctx, k))
	default:
		return nil, fmt.Errorf("pipelines know no %q, but pause, resume, backfill, runs, rerun, cancel and task: %w", action, ErrNotFound)
	}
}

// serveRun asks for a run over a window: of the body's definition, which must
// be of that pipeline, or, where there is no body, of the one that is scheduled.
func (s *Scheduler) serveRun(r *http.Request) (any, error) {
	ctx, name := r.Context(), r.PathValue("name")
	w, err := windowOf(r)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var d Definition
	if len(text) > 0 {
		d, err = s.Check("definition", text)
		if err == nil && d.Name != name {
			err = &badRequest{fmt.Errorf("the definition is of pipeline %q, the path of %q: name the same", d.Name, name)}
		}
	} else {
		var st state
		if st, err = s.state(ctx, name); err == nil && st.Definition == "" {
			err = fmt.Errorf("pipeline %s has no definition; send one as the body: %w", name, ErrState)
		}
		if err == nil {
			d, err = s.definition(ctx, name, st.Definition)
		}
	}
	if err != nil {
		return nil, err
	}
	return first(s.RunWindow(ctx, d, w))
}

// first turns a typed answer into any.
func first[T any](answer T, err error) (any, error) { return answer, err }

// badRequest is an error of what a client wrote.
type badRequest struct{ err error }

func (b *badRequest) Error() string { return b.err.Error() }

func (b *badRequest) Unwrap() error { return b.err }

func windowOf(r *http.Request) (Window, error) {
	query := r.URL.Query()
	w, err := definition.ParseWindow(query.Get("start") + "/" + query.Get("end"))
	if err != nil {
		return Window{}, &badRequest{fmt.Errorf("start and end: %w", err)}
	}
	return w, nil
}

// keyOf reads which run is meant.
func keyOf(r *http.Request) (RunKey, error) {
	w, err := windowOf(r)
	if err != nil {
		return RunKey{}, err
	}
	k := RunKey{Pipeline: r.PathValue("name"), Window: w}
	if text := r.URL.Query().Get("revision"); text != "" {
		if k.Revision, err = strconv.Atoi(text); err != nil || k.Revision < 0 {
			return RunKey{}, &badRequest{fmt.Errorf("revision %q: give a number from 0", text)}
		}
	}
	return k, nil
}

// refuse answers with what went wrong.
func refuse(w http.ResponseWriter, err error) {
	var faults *definition.Faults
	var bad *badRequest
	var large *http.MaxBytesError
	status, title := http.StatusInternalServerError, ""
	switch {
	case errors.As(err, &faults):
		status, title = http.StatusUnprocessableEntity, "Definition is wrong"
	case errors.As(err, &large):
		status, title = http.StatusRequestEntityTooLarge, "Body is too large"
	case errors.As(err, &bad):
		status, title = http.StatusBadRequest, "Parameter is wrong"
	case errors.Is(err, ErrNotFound):
		status, title = http.StatusNotFound, "Not found"
	case errors.Is(err, ErrPaused), errors.Is(err, ErrState):
		status, title = http.StatusConflict, "State does not allow it"
	case errors.Is(err, ErrBusy), errors.Is(err, store.ErrUnavailable):
		w.Header().Set("Retry-After", "1")
		status, title = http.StatusServiceUnavailable, "Try again"
	}
	problem.Write(w, status, title, err.Error())
}
