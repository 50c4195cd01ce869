package erasures

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"weir/internal/erase"
	"weir/internal/query"
	"weir/internal/sample"
	"weir/internal/store"
)

// bad is an error of the sender's.
type bad struct{ error }

// IsBad says whether an error is of the sender's.
func IsBad(err error) bool {
	var b bad
	return errors.As(err, &b)
}

// Register serves erasures. explain answers with an error, which is the sender's, or
// of the store's kinds.
func (e *Erasures) Register(mux *http.ServeMux, explain func(http.ResponseWriter, error)) {
	for path, f := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /api/v1/erasures":              e.list,
		"GET /api/v1/erasures/{id}":         e.show,
		"POST /api/v1/erasures":             e.erase,
		"POST /api/v1/erasures/{id}/resume": e.resume,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if err := f(w, r); err != nil {
				explain(w, err)
			}
		})
	}
}

// known refuses parameters that a path does not have.
func known(r *http.Request, names ...string) error {
	for name := range r.URL.Query() {
		if !slices.Contains(names, name) {
			return bad{fmt.Errorf("unknown parameter %q; known are %v", name, names)}
		}
	}
	return nil
}

// progressEvery is how often a client is told how far an erasure is.
const progressEvery = 250 * time.Millisecond

// erase erases, or counts what it would.
func (e *Erasures) erase(w http.ResponseWriter, r *http.Request) error {
	if err := known(r, "match", "series", "start", "end", "confirm"); err != nil {
		return err
	}
	request, err := e.request(r)
	if err != nil {
		return err
	}
	return e.work(w, r, request)
}

// resume goes on with an erasure that was cut short.
func (e *Erasures) resume(w http.ResponseWriter, r *http.Request) error {
	if err := known(r); err != nil {
		return err
	}
	report, err := e.eraser.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return kindOf(err)
	}
	if report.State != erase.Unfinished {
		return kindOf(fmt.Errorf("erasure %s is %s, and to go on with: %w", report.ID, report.State, erase.ErrNotFound))
	}
	request := erase.Request{Selector: report.Selector}
	request.Target.From, request.Target.To = report.Times()
	for _, s := range e.Catalog.All() {
		if slices.Contains(report.Pending, s.ID.String()) {
			request.Target.Series = append(request.Target.Series, erase.MakeMember(s.Series))
		}
	}
	return e.work(w, r, request)
}

// eraseRequest reads what is asked for.
func (e *Erasures) request(r *http.Request) (request erase.Request, err error) {
	q := r.URL.Query()
	match, id := q.Get("match"), q.Get("series")
	if (match == "") == (id == "") {
		return request, bad{errors.New("give match, a selector, or series, an id of 32 hex digits")}
	}
	request.Dry = q.Get("confirm") != "yes"
	request.Target.From, request.Target.To = erase.Always()
	for name, to := range map[string]*int64{"start": &request.Target.From, "end": &request.Target.To} {
		if text := q.Get(name); text != "" {
			if *to, err = query.ParseTime(text, time.Now().UnixNano()); err != nil {
				return request, bad{fmt.Errorf("%s: %w", name, err)}
			}
		}
	}
	if request.Target.From >= request.Target.To {
		return request, bad{errors.New("start is not before end")}
	}
	// What was acknowledged may have registered series that are not known yet.
	if err := e.Heads.CatchUp(r.Context()); err != nil {
		return request, err
	}
	request.Selector = "series " + id
	matches := func(s sample.Series, of sample.SeriesID) bool { return of.String() == id }
	if match != "" {
		sel, err := query.ParseSelector(match)
		if err != nil {
			return request, bad{fmt.Errorf("match: %w", err)}
		}
		request.Selector = match
		matches = func(s sample.Series, _ sample.SeriesID) bool { return sel.MatchesSeries(s) }
	}
	for _, s := range e.Catalog.All() {
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

// work answers with lines of progress, and last the report.
func (e *Erasures) work(w http.ResponseWriter, r *http.Request, request erase.Request) error {
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
	report, err := e.eraser.Erase(r.Context(), request, func(p erase.Progress) {
		if now := time.Now(); now.Sub(last) >= progressEvery {
			last = now
			tell(eraseLine{p.Step, p.Done, p.Total})
		}
	})
	if report == nil || err != nil && request.Dry && !begun {
		return kindOf(err)
	}
	if err != nil {
		e.Logger.Error("an erasure is not finished; asked for again it goes on", "erasure", report.ID, "error", err)
		report.Error = err.Error()
	} else if !request.Dry {
		e.Logger.Info("erased", "erasure", report.ID, "series", len(report.Series))
	}
	tell(map[string]any{"report": report})
	return nil
}

// kindOf says by its kind what a client can do about an error.
func kindOf(err error) error {
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

// list lists the records of erasures.
func (e *Erasures) list(w http.ResponseWriter, r *http.Request) error {
	if err := known(r); err != nil {
		return err
	}
	all, err := e.eraser.List(r.Context())
	if err != nil {
		return err
	}
	return answer(w, all)
}

// show gives one record.
func (e *Erasures) show(w http.ResponseWriter, r *http.Request) error {
	if err := known(r); err != nil {
		return err
	}
	report, err := e.eraser.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return kindOf(err)
	}
	return answer(w, report)
}

func answer(w http.ResponseWriter, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // a client that has gone can't be told
	return nil
}
