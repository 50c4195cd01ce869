package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"weir/internal/app/erasures"
	"weir/internal/buffer"
	"weir/internal/datafolder"
	"weir/internal/journal"
	"weir/internal/ledger"
	"weir/internal/message"
	"weir/internal/problem"
	"weir/internal/query"
	"weir/internal/store"
)

// registerAdmin adds the paths that are about the whole instance.
func (a *App) registerAdmin(mux *http.ServeMux) {
	for path, f := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /api/v1/weeks":                                     a.serveWeeks,
		"POST /api/v1/weeks/{week}/seal":                        a.sealWeek,
		"POST /api/v1/weeks/{week}/discard":                     a.discardWeek,
		"GET /api/v1/ledger":                                    a.serveLedger,
		"GET /api/v1/queues":                                    a.serveQueues,
		"GET /api/v1/queues/{queue}/dead-letters":               a.serveLetters,
		"POST /api/v1/queues/{queue}/dead-letters/{id}/redrive": a.redriveOne,
		"POST /api/v1/queues/{queue}/dead-letters/redrive":      a.redriveAll,
		"GET /api/v1/quarantine":                                a.serveQuarantine,
		"GET /api/v1/status":                                    a.serveStatus,
		"GET /api/v1/archive":                                   a.serveArchive,
		"POST /api/v1/archive/{week}":                           a.archiveWeek,
		"POST /api/v1/archive/{week}/verify":                    a.verifyWeek,
		"POST /api/v1/archive/{week}/drop":                      a.dropWeek,
		"POST /api/v1/archive/{week}/restore":                   a.restoreWeek,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if err := f(w, r); err != nil {
				a.explain(w, err)
			}
		})
	}
}

// badRequest is an error of the sender's.
type badRequest struct{ error }

func (a *App) explain(w http.ResponseWriter, err error) {
	var bad badRequest
	switch {
	case errors.As(err, &bad), erasures.IsBad(err):
		problem.Write(w, http.StatusBadRequest, "Bad request", err.Error())
	case errors.Is(err, buffer.ErrNotFound), errors.Is(err, store.ErrNotFound):
		problem.Write(w, http.StatusNotFound, "Not found", err.Error())
	case errors.Is(err, journal.ErrPinned):
		problem.Write(w, http.StatusConflict, "In use", err.Error())
	case errors.Is(err, journal.ErrUnverified), errors.Is(err, journal.ErrNoArchive), errors.Is(err, journal.ErrArchived), errors.Is(err, journal.ErrOpen),
		errors.Is(err, journal.ErrEnded):
		problem.Write(w, http.StatusConflict, "Not in that state", err.Error())
	case errors.Is(err, buffer.ErrFull), errors.Is(err, buffer.ErrUnavailable), errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		w.Header().Set("Retry-After", "1")
		problem.Write(w, http.StatusServiceUnavailable, "Unavailable", err.Error())
	default:
		a.logger.Error("request failed", "error", err)
		problem.Write(w, http.StatusInternalServerError, "Internal error", err.Error())
	}
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

// knownParameters refuses parameters that a path does not have.
func knownParameters(r *http.Request, known ...string) error {
	for name := range r.URL.Query() {
		ok := false
		for _, k := range known {
			ok = ok || k == name
		}
		if !ok {
			return badRequest{fmt.Errorf("unknown parameter %q; known are %v", name, known)}
		}
	}
	return nil
}

type statusAnswer struct {
	Version    string    `json:"version"`
	Started    time.Time `json:"started"`
	Profile    string    `json:"profile"`
	Queues     int       `json:"queues"`
	Series     int       `json:"series"`
	Life       string    `json:"life"`
	DataFormat int       `json:"data_format"`
	Ready      bool      `json:"ready"`
}

func (a *App) serveStatus(w http.ResponseWriter, r *http.Request) error {
	if err := knownParameters(r); err != nil {
		return err
	}
	return answer(w, statusAnswer{
		Version: a.version, Started: a.started, Profile: "embedded", Queues: a.queues.Queues(),
		Series: a.catalog.Len(), Life: a.life.String(), DataFormat: datafolder.Format, Ready: a.ready.Load(),
	})
}

type ledgerAnswer struct {
	Start *time.Time `json:"start"`
	End   *time.Time `json:"end"`
	ledger.Counts
	Rejected    uint64       `json:"rejected"`
	Unproven    int          `json:"unproven"`
	Balanced    bool         `json:"balanced"`
	Overwritten uint64       `json:"overwritten"`
	Erased      uint64       `json:"erased"` // of all that is stored, whatever the range
	Lives       []lifeAnswer `json:"lives"`
}

type lifeAnswer struct {
	Life     string       `json:"life"`
	Queue    int          `json:"queue"`
	Instance string       `json:"instance"`
	State    ledger.State `json:"state"`
	ledger.Counts
	Unproven string `json:"unproven"`
}

func (a *App) serveLedger(w http.ResponseWriter, r *http.Request) error {
	start, end, err := stampRange(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.config.Query.Timeout)
	defer cancel()
	l, err := ledger.Draw(ctx, &accounts{a.heads(), a.book, a.queues, a.queues}, start, end)
	if err != nil {
		return err
	}
	out := ledgerAnswer{
		Counts: l.Counts, Rejected: l.Rejected, Unproven: l.Unproven, Balanced: l.Balanced(),
		Overwritten: l.Overwritten, Lives: []lifeAnswer{},
	}
	if out.Erased, err = a.erasures.Samples(ctx); err != nil {
		return err
	}
	if l.End != 0 {
		from, to := time.Unix(0, int64(l.Start)).UTC(), time.Unix(0, int64(l.End)+1).UTC()
		out.Start, out.End = &from, &to
	}
	for _, life := range l.Lives {
		out.Lives = append(out.Lives, lifeAnswer{
			Life: life.Life.String(), Queue: life.Queue, Instance: life.Instance, State: life.State,
			Counts: life.Counts, Unproven: life.Unproven,
		})
	}
	return answer(w, out)
}

// stampRange reads start and end of accept time; by default all of it.
func stampRange(r *http.Request) (start, end message.Stamp, err error) {
	if err := knownParameters(r, "start", "end"); err != nil {
		return 0, 0, err
	}
	start, end = 0, ledger.Everything
	now := time.Now().UnixNano()
	for name, to := range map[string]*message.Stamp{"start": &start, "end": &end} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		t, err := query.ParseTime(text, now)
		if err != nil {
			return 0, 0, badRequest{fmt.Errorf("%s: %w", name, err)}
		}
		*to = message.Stamp(max(t, 0))
	}
	if start >= end {
		return 0, 0, badRequest{errors.New("start is not before end")}
	}
	return start, end, nil
}
