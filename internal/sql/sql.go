// Package sql serves questions to the warehouse over HTTP.
//
// It owns the path, the form of its answers, and how many run at once. It
// refuses to change anything, which its port sees to. It imports
// warehouse, jsonline, sample and problem.
package sql

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"time"

	"weir/internal/problem"
	"weir/internal/warehouse"
)

// Config is what statements may cost.
type Config struct {
	Timeout time.Duration `yaml:"timeout" doc:"how long a statement may take"`
	Rows    int           `yaml:"max_rows" doc:"how many rows an answer may have; they are held in memory beyond warehouse.memory"`
	Running int           `yaml:"max_running" doc:"how many statements run at once; further ones wait up to five seconds, then they are answered 503"`
}

// Default suits one machine.
func Default() Config { return Config{Timeout: time.Minute, Rows: 1_000_000, Running: 4} }

// Validate names the first value that cannot work.
func (c Config) Validate() error {
	switch {
	case c.Timeout <= 0:
		return errors.New("timeout: want more than 0")
	case c.Rows < 1:
		return errors.New("max_rows: want at least 1")
	case c.Running < 1:
		return errors.New("max_running: want at least 1")
	}
	return nil
}

// Asker is what is needed of the warehouse.
type Asker interface {
	Query(ctx context.Context, statement string, l warehouse.Limits) (warehouse.Rows, error)
}

// Handler serves POST /api/v1/sql with a body {"sql": "…"}. The answer is JSON
// lines: {"columns":[{"name","type"},…]}, then {"values":[…]} a row. An error is
// answered as problem details; one that comes once the answer has begun is its
// last line, {"error":{"title","status","detail"}}, and the connection is broken
// off.
type Handler struct {
	warehouse Asker
	config    Config
	running   chan struct{}
	logger    *slog.Logger
}

// NewHandler makes a handler of a config that is valid.
func NewHandler(w Asker, c Config, logger *slog.Logger) *Handler {
	return &Handler{warehouse: w, config: c, running: make(chan struct{}, c.Running), logger: logger}
}

// Path is where statements are sent.
const Path = "/api/v1/sql"

// Register adds the handler's path.
func (h *Handler) Register(mux *http.ServeMux) {
	mux.HandleFunc("POST "+Path, h.serve)
	// By method, since a path alone would clash with a "GET /" elsewhere.
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		mux.HandleFunc(method+" "+Path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", http.MethodPost)
			problem.Write(w, http.StatusMethodNotAllowed, "Method not allowed", `use POST with a body {"sql": "…"}, not `+r.Method)
		})
	}
}

const (
	// maxStatement bounds a request's body, in bytes.
	maxStatement = 1 << 20
	// patience is how long a statement waits for its turn.
	patience = 5 * time.Second
	// piece is how much of an answer is written at once.
	piece = 64 << 10
)

// requestError is what is wrong with a request.
type requestError struct {
	status int
	detail string
}

func (e *requestError) Error() string { return e.detail }

func statementOf(w http.ResponseWriter, r *http.Request) (string, error) {
	if kind := r.Header.Get("Content-Type"); kind != "" {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
			return "", &requestError{http.StatusUnsupportedMediaType, fmt.Sprintf("the body is %q: send it as application/json", kind)}
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxStatement))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return "", &requestError{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", large.Limit)}
	}
	var ask struct {
		SQL *string `json:"sql"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err == nil {
		err = d.Decode(&ask)
	}
	if err == nil && (ask.SQL == nil || d.More()) {
		err = errors.New("it is no such object")
	}
	if err != nil {
		return "", &requestError{http.StatusBadRequest, fmt.Sprintf(`the body has to be {"sql": "…"}: %v`, err)}
	}
	return *ask.SQL, nil
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) {
	statement, err := statementOf(w, r)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	done, err := h.turn(r.Context())
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	defer done()
	rows, err := h.warehouse.Query(r.Context(), statement, warehouse.Limits{Rows: h.config.Rows, Timeout: h.config.Timeout})
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	defer rows.Close() //nolint:errcheck // all rows were read, or the answer says that they were not
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if err := write(w, rows); err != nil {
		h.breakOff(w, r, err)
	}
}

// turn waits until few enough statements run.
func (h *Handler) turn(ctx context.Context) (done func(), err error) {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case h.running <- struct{}{}:
		return func() { <-h.running }, nil
	case <-waiting.Done():
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &requestError{http.StatusServiceUnavailable, fmt.Sprintf("%d statements run, which is warehouse.max_running: ask again in a moment", h.config.Running)}
	}
}

// goneError says that there is nobody to answer.
type goneError struct{ err error }

func (e *goneError) Error() string { return fmt.Sprintf("write the answer: %v", e.err) }

func write(w io.Writer, rows warehouse.Rows) error {
	buf := appendColumns(nil, rows.Columns())
	for rows.Next() {
		buf = appendRow(buf, rows.Values())
		if len(buf) < piece {
			continue
		}
		if _, err := w.Write(buf); err != nil {
			return &goneError{err}
		}
		buf = buf[:0]
	}
	if _, err := w.Write(buf); err != nil {
		return &goneError{err}
	}
	return rows.Err()
}

func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, title := explain(err)
	h.log(r, status, err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	problem.Write(w, status, title, err.Error())
}

// breakOff makes an error visible in an answer that was begun.
func (h *Handler) breakOff(w http.ResponseWriter, r *http.Request, err error) {
	status, title := explain(err)
	h.log(r, status, err)
	var gone *goneError
	if !errors.As(err, &gone) {
		if _, err := w.Write(appendError(nil, status, title, err.Error())); err == nil {
			_ = http.NewResponseController(w).Flush()
		}
	}
	panic(http.ErrAbortHandler) // the way net/http has of breaking a connection off
}

func explain(err error) (status int, title string) {
	var request *requestError
	switch {
	case errors.As(err, &request) && request.status == http.StatusServiceUnavailable:
		return request.status, "Too many statements"
	case errors.As(err, &request):
		return request.status, "Unreadable request"
	case errors.Is(err, warehouse.ErrQuery):
		return http.StatusBadRequest, "Bad statement"
	case errors.Is(err, warehouse.ErrLimit):
		return http.StatusUnprocessableEntity, "Limit exceeded"
	case errors.Is(err, warehouse.ErrUnsupported):
		return http.StatusNotImplemented, "No warehouse"
	case errors.Is(err, warehouse.ErrLocked), errors.Is(err, warehouse.ErrUnavailable), errors.Is(err, warehouse.ErrClosed),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable, "Warehouse unavailable"
	case errors.Is(err, warehouse.ErrVersion):
		return http.StatusInternalServerError, "Warehouse of another version"
	case errors.Is(err, warehouse.ErrCorrupt):
		return http.StatusInternalServerError, "Warehouse is corrupt"
	}
	return http.StatusInternalServerError, "Statement failed"
}

// log records what the operator, rather than the client, can mend.
func (h *Handler) log(r *http.Request, status int, err error) {
	var gone *goneError
	var request *requestError
	if status >= http.StatusInternalServerError && !errors.As(err, &gone) && !errors.As(err, &request) && r.Context().Err() == nil {
		h.logger.ErrorContext(r.Context(), "statement failed", "status", status, "error", err)
	}
}
