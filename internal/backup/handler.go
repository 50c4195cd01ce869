package backup

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"weir/internal/problem"
)

// tellEvery is how often who has a copy is told that it is still lent.
const tellEvery = 5 * time.Second

// Register adds the lender's paths:
//
//	POST /api/v1/copy              lends a copy: a JSON line with what is in it,
//	                               then one now and then as long as it is lent
//	GET  /api/v1/copy/{id}/{path}  a file of it
//
// The copy is given back when the client of the first hangs up, in whatever way.
func (l *Lender) Register(mux *http.ServeMux) {
	mux.HandleFunc("POST /api/v1/copy", l.serveCopy)
	mux.HandleFunc("GET /api/v1/copy/{id}/{path...}", l.serveFile)
}

func (l *Lender) serveCopy(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stop := context.AfterFunc(l.stopped, cancel)
	defer stop()
	begun := time.Now()
	c, giveBack, err := l.Lend(ctx)
	if err != nil {
		l.explain(w, err)
		return
	}
	defer giveBack()
	l.Logger.Info("a copy of the instance is lent for a backup", "files", len(c.Files), "bytes", c.Bytes(), "after", time.Since(begun).Round(time.Millisecond))
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines, out := json.NewEncoder(w), http.NewResponseController(w)
	every := time.NewTicker(tellEvery)
	defer every.Stop()
	for line := any(c); ; line = map[string]bool{"lent": true} {
		if lines.Encode(line) != nil || out.Flush() != nil {
			return
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

func (l *Lender) serveFile(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	of := l.lent
	l.mu.Unlock()
	path := r.PathValue("path")
	if of == nil || of.id != r.PathValue("id") || !of.files[path] {
		problem.Write(w, http.StatusNotFound, "Not lent", "there is no such file in a copy that is lent now: POST /api/v1/copy lends one as long as its answer is read")
		return
	}
	file, err := os.Open(filepath.Join(of.dir, filepath.FromSlash(path)))
	if err != nil {
		l.explain(w, err)
		return
	}
	defer file.Close() //nolint:errcheck // nothing was written
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, file)
}

func (l *Lender) explain(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, ErrBusy):
		problem.Write(w, http.StatusConflict, "In use", err.Error())
	case errors.Is(err, ErrNoRoom), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		problem.Write(w, http.StatusInsufficientStorage, "No room", err.Error())
	default:
		l.Logger.Error("no copy was lent", "error", err)
		problem.Write(w, http.StatusServiceUnavailable, "Not copied", err.Error())
	}
}
