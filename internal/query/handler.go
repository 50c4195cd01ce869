package query

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"weir/internal/jsonline"
	"weir/internal/problem"
)

// Options are what a Handler needs.
type Options struct {
	Source Source
	Limits Limits // valid ones
	// Timeout ends a query with 504; 0 stands for none.
	Timeout time.Duration
	Now     func() time.Time
	Logger  *slog.Logger
}

// Handler serves reading over HTTP:
//
//	/api/v1/select     match, start, end, format
//	/api/v1/aggregate  match, start, end, window, fn, by, format
//	/api/v1/series     match, start, end
//
// by GET, or by POST with the parameters as a form. start and end are read by
// ParseTime; by default they are an hour ago and now, for series all time. An
// answer is one JSON object a line; select and aggregate give CSV instead for
// format=csv or Accept: text/csv.
//
// An error is answered as problem details. One that comes after the first MB
// of an answer was sent, when its status is 200 already, is told by a last
// line {"error":{"title","status","detail"}}, in CSV a row whose series is
// "error: …" and whose other fields are empty; then the connection is broken
// off, so that no client takes the answer for whole.
type Handler struct {
	engine  *Engine
	turns   *turns
	timeout time.Duration
	now     func() time.Time
	logger  *slog.Logger
	streams sync.Pool // of *stream, of earlier answers
}

// NewHandler makes a handler.
func NewHandler(o Options) *Handler {
	return &Handler{engine: NewEngine(o.Source, o.Limits), turns: newTurns(o.Limits.MaxRunning), timeout: o.Timeout, now: o.Now, logger: o.Logger}
}

// answer is what a path does once its parameters are read.
type answer func(ctx context.Context, s *stream) error

// Register adds the handler's paths.
func (h *Handler) Register(mux *http.ServeMux) {
	for path, read := range map[string]func(http.ResponseWriter, *http.Request) (format, answer, error){
		"/api/v1/select":    h.readSelect,
		"/api/v1/aggregate": h.readAggregate,
		"/api/v1/series":    h.readSeries,
	} {
		serve := func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, read) }
		mux.HandleFunc("GET "+path, serve)
		mux.HandleFunc("POST "+path, serve)
		// By method, since a path alone would clash with a "GET /" elsewhere.
		for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete} {
			mux.HandleFunc(method+" "+path, refuseMethod)
		}
	}
}

func refuseMethod(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", "GET, HEAD, POST")
	problem.Write(w, http.StatusMethodNotAllowed, "Method not allowed", "use GET, or POST with the parameters as a form, not "+r.Method)
}

func (h *Handler) readSelect(w http.ResponseWriter, r *http.Request) (format, answer, error) {
	p := readParams(w, r, h.now().UnixNano(), "match", "start", "end", "format")
	if p.err != nil {
		return nil, nil, p.err
	}
	var sel Selection
	sel.Selector = p.selector(true)
	sel.Start, sel.End = p.lastHour()
	form := p.format(r.Header.Get("Accept"))
	return form, func(ctx context.Context, s *stream) error {
		return write(s, form, func(yield func(*Points) error) error { return h.engine.Select(ctx, sel, yield) })
	}, p.err
}

func (h *Handler) readAggregate(w http.ResponseWriter, r *http.Request) (format, answer, error) {
	p := readParams(w, r, h.now().UnixNano(), "match", "start", "end", "window", "fn", "by", "format")
	if p.err != nil {
		return nil, nil, p.err
	}
	var a Aggregation
	a.Selector = p.selector(true)
	a.Start, a.End = p.lastHour()
	a.Window = p.window()
	a.Function = p.function()
	a.By, a.Grouped = p.by()
	form := p.format(r.Header.Get("Accept"))
	return form, func(ctx context.Context, s *stream) error {
		return write(s, form, func(yield func(*Points) error) error { return h.engine.Aggregate(ctx, a, yield) })
	}, p.err
}

func (h *Handler) readSeries(w http.ResponseWriter, r *http.Request) (format, answer, error) {
	p := readParams(w, r, h.now().UnixNano(), "match", "start", "end")
	if p.err != nil {
		return nil, nil, p.err
	}
	var sel Selection
	sel.Selector = p.selector(false)
	sel.Start, sel.End = p.allTime()
	return jsonLines{}, func(ctx context.Context, s *stream) error {
		list, err := h.engine.Series(ctx, sel)
		if err != nil {
			return err
		}
		for i := range list {
			s.buf = appendSeriesLine(s.buf, &list[i])
			if err := s.spill(); err != nil {
				return err
			}
		}
		return nil
	}, p.err
}

// write writes what read yields.
func write(s *stream, form format, read func(yield func(*Points) error) error) error {
	form.begin(s)
	l := &lines{form: form, to: s}
	err := read(l.points)
	if e := l.end(); err == nil {
		err = e
	}
	return err
}

// appendSeriesLine appends a line {"id","metric","tags","kind","weeks"}.
func appendSeriesLine(dst []byte, info *SeriesInfo) []byte {
	dst = append(dst, `{"id":"`...)
	dst = append(dst, info.ID.String()...)
	dst = append(dst, `",`...)
	dst = jsonline.AppendSeries(dst, info.Series, info.Kind)
	dst = append(dst, `,"weeks":[`...)
	for i, week := range info.Weeks {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = jsonline.AppendText(dst, week.String())
	}
	return append(dst, "]}\n"...)
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request,
	read func(http.ResponseWriter, *http.Request) (format, answer, error)) {
	form, run, err := read(w, r)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	ctx := r.Context()
	if h.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, h.timeout)
		defer cancel()
	}
	done, err := h.turns.wait(ctx)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	defer done()
	w.Header().Set("Content-Type", form.contentType())
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Add("Vary", "Accept")
	s, ok := h.streams.Get().(*stream)
	if !ok {
		s = &stream{}
	}
	s.w = w
	if err = run(ctx, s); err == nil {
		err = s.flush()
	}
	if err == nil {
		if s.reset() {
			h.streams.Put(s)
		}
		return
	}
	if !s.begun {
		h.refuse(w, r, err)
		return
	}
	h.breakOff(r, s, form, err)
}

// refuse answers a request that failed before anything was sent.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, title, detail := h.explain(err)
	h.log(r, status, err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	problem.Write(w, status, title, detail)
}

// breakOff makes an error visible in an answer that was begun.
func (h *Handler) breakOff(r *http.Request, s *stream, form format, err error) {
	status, title, detail := h.explain(err)
	h.log(r, status, err)
	var gone *clientGoneError
	if !errors.As(err, &gone) {
		form.fail(s, status, title, detail)
		if s.flush() == nil {
			// What is not flushed now would be dropped with the connection.
			_ = http.NewResponseController(s.w).Flush()
		}
	}
	panic(http.ErrAbortHandler) // the way net/http has of breaking a connection off
}

// explain gives status, title and detail of an error.
func (h *Handler) explain(err error) (status int, title, detail string) {
	var (
		param    *paramError
		busy     *busyError
		limit    *LimitError
		kind     *KindError
		overflow *OverflowError
	)
	switch {
	case errors.As(err, &param):
		if param.status != 0 {
			return param.status, "Unreadable request", param.Error()
		}
		return http.StatusBadRequest, "Bad parameter", param.Error()
	case errors.As(err, &busy):
		return http.StatusServiceUnavailable, "Too many queries", busy.Error()
	case errors.As(err, &limit):
		return http.StatusUnprocessableEntity, "Limit exceeded", limit.Error()
	case errors.As(err, &kind):
		return http.StatusUnprocessableEntity, "Function not defined", kind.Error()
	case errors.As(err, &overflow):
		return http.StatusUnprocessableEntity, "Sum overflows", overflow.Error()
	case errors.Is(err, ErrUnavailable): // also where a wait of its own ran out
		return http.StatusServiceUnavailable, "Unavailable", err.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout, "Query timed out",
			fmt.Sprintf("the query took longer than %s: give a shorter range, or add matchers to the selector", h.timeout)
	case errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable, "Query cancelled", "the query was cancelled before it ended"
	}
	return http.StatusInternalServerError, "Query failed", strings.ToValidUTF8(err.Error(), "\ufffd")
}

// log records what the operator, rather than the client, can mend.
func (h *Handler) log(r *http.Request, status int, err error) {
	var gone *clientGoneError
	var busy *busyError
	if status >= 500 && !errors.As(err, &gone) && !errors.As(err, &busy) && r.Context().Err() == nil {
		h.logger.ErrorContext(r.Context(), "query failed", "path", r.URL.Path, "status", status, "error", err)
	}
}
