package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/problem"
	"weir/internal/store"
)

// Handler serves imports over HTTP:
//
//	POST /api/v1/history/{import}/chunks/{number}  name, format, precision, answered; the body is the text
//	POST /api/v1/history/{import}/finish           name, chunks, seal
//
// The import is 16 hex digits: a hash of all that is imported.
type Handler struct {
	importer *Importer
	logger   *slog.Logger
}

// NewHandler makes a handler.
func NewHandler(im *Importer, logger *slog.Logger) *Handler { return &Handler{im, logger} }

// Register adds the handler's paths.
func (h *Handler) Register(mux *http.ServeMux) {
	for path, f := range map[string]func(*http.Request, http.ResponseWriter) (any, error){
		"POST /api/v1/history/{import}/chunks/{number}": h.take,
		"POST /api/v1/history/{import}/finish":          h.finish,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			out, err := f(r, w)
			if err != nil {
				h.explain(w, err)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(out) // a client that has gone can't be told
		})
	}
}

// readTime is how long a chunk's text may take to arrive.
const readTime = 2 * time.Minute

func (h *Handler) take(r *http.Request, w http.ResponseWriter) (any, error) {
	of, err := importOf(r, "format", "precision", "answered")
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(r.PathValue("number"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: chunk %q is no number", ErrRequest, r.PathValue("number"))
	}
	answered := number
	if text := r.URL.Query().Get("answered"); text != "" {
		if answered, err = strconv.ParseUint(text, 10, 64); err != nil || answered > number {
			return nil, fmt.Errorf("%w: answered=%q; it is how many chunks before this one were answered", ErrRequest, text)
		}
	}
	ticket, err := h.importer.Admit(r.Context(), of, number, answered)
	if err != nil {
		return nil, err
	}
	defer ticket.Leave()
	kept, ok := h.importer.texts.Get().(*[]byte)
	if !ok {
		kept = new([]byte)
	}
	text, err := receive(w, r, *kept)
	defer func() { *kept = text[:0]; h.importer.texts.Put(kept) }()
	if err != nil {
		return nil, err
	}
	out, err := ticket.Take(r.Context(), Chunk{
		Format: r.URL.Query().Get("format"), Precision: r.URL.Query().Get("precision"), Text: text,
	})
	if out.Faults == nil {
		out.Faults = []Fault{}
	}
	return out, err
}

// receive reads a chunk's text as it arrives.
func receive(w http.ResponseWriter, r *http.Request, text []byte) ([]byte, error) {
	connection := http.NewResponseController(w)
	// What serves without a connection, such as a test, has no deadlines.
	_ = connection.SetReadDeadline(time.Now().Add(readTime))
	body := http.MaxBytesReader(w, r.Body, MaxChunk)
	text = slices.Grow(text, int(min(max(r.ContentLength, 0), MaxChunk)+512))
	for {
		n, err := body.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		switch {
		case errors.Is(err, io.EOF):
			_ = connection.SetReadDeadline(time.Time{})
			return text, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return text, fmt.Errorf("%w: its text did not arrive within %s", ErrRequest, readTime)
		case err != nil:
			return text, err
		case len(text) == cap(text):
			text = append(text, 0)[:len(text)]
		}
	}
}

type volumeAnswer struct {
	Week     string              `json:"week"`
	Revision int                 `json:"revision"`
	Samples  uint64              `json:"samples"` // of this import
	State    journal.VolumeState `json:"state"`
}

func (h *Handler) finish(r *http.Request, _ http.ResponseWriter) (any, error) {
	of, err := importOf(r, "chunks", "seal")
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	chunks, err := strconv.ParseUint(q.Get("chunks"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: chunks=%q is no number", ErrRequest, q.Get("chunks"))
	}
	seal := true
	if text := q.Get("seal"); text != "" {
		if seal, err = strconv.ParseBool(text); err != nil {
			return nil, fmt.Errorf("%w: seal=%q is neither true nor false", ErrRequest, text)
		}
	}
	volumes, err := h.importer.Finish(r.Context(), of, chunks, seal)
	out := []volumeAnswer{}
	for _, v := range volumes {
		out = append(out, volumeAnswer{v.Week.String(), v.Revision, v.Samples, v.State})
	}
	return out, err
}

// importOf reads which import a request is of, and refuses unknown parameters.
func importOf(r *http.Request, known ...string) (Import, error) {
	for name := range r.URL.Query() {
		ok := name == "name"
		for _, k := range known {
			ok = ok || k == name
		}
		if !ok {
			return Import{}, fmt.Errorf("%w: unknown parameter %q; known are name, %v", ErrRequest, name, known)
		}
	}
	text := r.PathValue("import")
	life, err := strconv.ParseUint(text, 16, 64)
	if err != nil || len(text) != 16 {
		return Import{}, fmt.Errorf("%w: import %q; it is 16 hex digits, a hash of all that is imported", ErrRequest, text)
	}
	return Import{Life: message.Life(life), Name: r.URL.Query().Get("name")}, nil
}

// explain answers with what a client can do about an error.
func (h *Handler) explain(w http.ResponseWriter, err error) {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		problem.Write(w, http.StatusRequestEntityTooLarge, "Chunk too large", fmt.Sprintf("a chunk has at most %d bytes", MaxChunk))
	case errors.Is(err, ErrRequest):
		problem.Write(w, http.StatusBadRequest, "Bad request", err.Error())
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.Is(err, ErrBusy), errors.Is(err, journal.ErrFenced), errors.Is(err, journal.ErrUncertain):
		w.Header().Set("Retry-After", "1")
		problem.Write(w, http.StatusServiceUnavailable, "Unavailable", err.Error()+"; send the same again: what is stored of it is not stored twice")
	default:
		h.logger.Error("import failed", "error", err)
		problem.Write(w, http.StatusInternalServerError, "Internal error", err.Error())
	}
}
