package tail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"weir/internal/feed"
	"weir/internal/problem"
	"weir/internal/sample"
)

// HandlerOptions is what a Handler needs.
type HandlerOptions struct {
	Feed feed.Feed
	// Parse reads a selector.
	Parse  func(text string) (func(sample.Series) bool, error)
	Logger *slog.Logger
}

// Handler serves the feed over HTTP:
//
//	GET /api/v1/tail  match, token, from, max_lag
//
// as JSON lines that go on until the client goes or the instance stops: those of
// a commit, a series each as select writes them, and behind them a line with the
// token by which the next call goes on.
type Handler struct {
	HandlerOptions
	places  chan struct{} // one for each that is served
	stopped context.Context
	Stop    context.CancelFunc // ends all answers
}

// maxReaders is how many are served at once.
const maxReaders = 256

// NewHandler makes a handler.
func NewHandler(o HandlerOptions) *Handler {
	h := &Handler{HandlerOptions: o, places: make(chan struct{}, maxReaders)}
	h.stopped, h.Stop = context.WithCancel(context.Background())
	return h
}

// Register adds the handler's path.
func (h *Handler) Register(mux *http.ServeMux) { mux.HandleFunc("GET /api/v1/tail", h.serve) }

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) {
	request, err := h.read(r)
	if err != nil {
		problem.Write(w, http.StatusBadRequest, "Bad parameter", err.Error())
		return
	}
	select {
	case h.places <- struct{}{}:
		defer func() { <-h.places }()
	default:
		w.Header().Set("Retry-After", "5")
		problem.Write(w, http.StatusServiceUnavailable, "Too many readers", fmt.Sprintf("%d follow what is committed; try again when one has ended", maxReaders))
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.stopped, cancel)()
	out := &answer{to: w, control: http.NewResponseController(w)}
	err = h.Feed.Tail(ctx, request, out.event)
	switch {
	case ctx.Err() != nil || errors.Is(err, errGone):
		return // who asked has gone, or goes on with the token
	case !out.begun && errors.Is(err, feed.ErrToken):
		problem.Write(w, http.StatusBadRequest, "Bad token", err.Error())
	case !out.begun:
		h.Logger.ErrorContext(ctx, "tail failed", "error", err)
		problem.Write(w, http.StatusInternalServerError, "Tail failed", err.Error())
	default:
		h.Logger.ErrorContext(ctx, "tail failed", "error", err)
		out.fail(err)
		panic(http.ErrAbortHandler) // the way net/http has of breaking a connection off
	}
}

// read reads the parameters.
func (h *Handler) read(r *http.Request) (feed.Request, error) {
	var out feed.Request
	given := r.URL.Query()
	for name, values := range given {
		if known := []string{"match", "token", "from", "max_lag"}; !slices.Contains(known, name) {
			return out, fmt.Errorf("unknown parameter %q; known are %s", name, strings.Join(known, ", "))
		} else if len(values) > 1 {
			return out, fmt.Errorf("%s is given %d times", name, len(values))
		}
	}
	var err error
	if text := given.Get("match"); text != "" {
		if out.Match, err = h.Parse(text); err != nil {
			return out, fmt.Errorf("match: %w", err)
		}
	}
	if text := given.Get("token"); text != "" {
		if out.After, err = feed.ParseToken(text); err != nil {
			return out, err
		}
	}
	switch from := given.Get("from"); {
	case from != "" && out.After != nil:
		return out, errors.New("from: the token says where to go on; leave one of them out")
	case from != "" && from != "now" && from != "oldest":
		return out, fmt.Errorf("from: %q: want now, or oldest for all that is kept", from)
	default:
		out.Oldest = from == "oldest"
	}
	if text := given.Get("max_lag"); text != "" {
		if out.MaxLag, err = time.ParseDuration(text); err != nil || out.MaxLag <= 0 {
			return out, fmt.Errorf("max_lag: %q: want a duration such as 30s", text)
		}
	}
	return out, nil
}
