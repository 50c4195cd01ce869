package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"weir/internal/buffer"
	"weir/internal/gateway/body"
	"weir/internal/gateway/lineprotocol"
	"weir/internal/problem"
)

// retryAfter is how many seconds a refused sender is told to wait.
const retryAfter = 1

// Register adds the intake's paths to mux.
func (g *Gateway) Register(mux *http.ServeMux) {
	mux.HandleFunc("POST /write", g.writeLines)
	mux.HandleFunc("POST /api/v2/write", g.writeLines)
	mux.HandleFunc("POST /api/v1/samples", g.writeObjects)
}

func (g *Gateway) writeLines(w http.ResponseWriter, r *http.Request) {
	precision, err := lineprotocol.ParsePrecision(r.URL.Query().Get("precision"))
	if err != nil {
		problem.Write(w, http.StatusBadRequest, "Unknown precision", err.Error())
		return
	}
	g.serve(w, r, func(body []byte, to *request) {
		d := g.lines.get()
		defer g.lines.put(d)
		d.Decode(body, precision, g.now().UnixNano(), to)
	})
}

func (g *Gateway) writeObjects(w http.ResponseWriter, r *http.Request) {
	g.serve(w, r, func(body []byte, to *request) {
		d := g.objects.get()
		defer g.objects.put(d)
		d.Decode(body, g.now().UnixNano(), to)
	})
}

// serve reads a request's body, decodes it, stores what is good and answers.
//
// A body is read whole before it takes a place to be decoded, so that slow
// senders don't keep others out: they hold the bytes they have sent, which are
// counted, for a bounded time. Decoding waits for nobody but the store, where
// a week is new.
func (g *Gateway) serve(w http.ResponseWriter, r *http.Request, decode func([]byte, *request)) {
	g.counts.requests.Add(1)
	to := g.newRequest(r.Context())
	if err := g.take(w, r, to, decode); err != nil {
		g.refuse(w, err)
		return
	}
	if err := to.store(); err != nil {
		g.refuse(w, err)
		return
	}
	g.counts.samples.Add(uint64(to.samples))
	if to.rejected > 0 {
		answerFaults(w, to)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// take reads, unpacks and decodes a body.
func (g *Gateway) take(w http.ResponseWriter, r *http.Request, to *request, decode func([]byte, *request)) error {
	packed, err := g.receive(w, r)
	defer g.arriving.release(packed)
	if err != nil {
		return err
	}
	select {
	case g.decoding <- struct{}{}:
		defer func() { <-g.decoding }()
	case <-r.Context().Done():
		return fmt.Errorf("%w: the client gave up: %w", errBusy, r.Context().Err())
	}
	kept := g.unpacked.get()
	raw, kept, err := g.bodies.Unpack(kept, packed.bytes, r.Header.Get("Content-Encoding"))
	if 0 < cap(kept) && cap(kept) <= bodyKept {
		defer g.unpacked.put(kept)
	}
	if err != nil {
		return err
	}
	g.counts.bytes.Add(uint64(len(raw)))
	decode(raw, to)
	return nil
}

// receive reads a body as it arrives, within the time it may take.
func (g *Gateway) receive(w http.ResponseWriter, r *http.Request) (*packed, error) {
	connection := http.NewResponseController(w)
	// What serves without a connection, such as a test, has no deadlines.
	_ = connection.SetReadDeadline(time.Now().Add(g.config.ReadTime))
	p, err := g.arriving.read(r.Body)
	if err == nil && int64(len(p.bytes)) <= g.config.Body.Packed {
		// Past a whole body the server listens for the client's leaving, and no
		// deadline may end that. It waits for the rest of one that is not whole
		// before it answers, and the deadline must.
		_ = connection.SetReadDeadline(time.Time{})
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("%w: not within %s: %w", errSlow, g.config.ReadTime, err)
	}
	return p, err
}

// refuse answers a request of which nothing was surely stored.
func (g *Gateway) refuse(w http.ResponseWriter, err error) {
	g.counts.refused.Add(1)
	switch {
	case errors.Is(err, errBusy), errors.Is(err, buffer.ErrFull), errors.Is(err, buffer.ErrUnavailable), errors.Is(err, buffer.ErrClosed):
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		problem.Write(w, http.StatusServiceUnavailable, "Buffer takes no more", err.Error()+"; send the request again")
	case errors.Is(err, body.ErrTooLarge), errors.Is(err, buffer.ErrTooLarge):
		problem.Write(w, http.StatusRequestEntityTooLarge, "Body too large", err.Error())
	case errors.Is(err, body.ErrEncoding):
		problem.Write(w, http.StatusUnsupportedMediaType, "Unknown content encoding", err.Error())
	case errors.Is(err, errSlow):
		problem.Write(w, http.StatusRequestTimeout, "Body too slow", err.Error())
	default:
		problem.Write(w, http.StatusBadRequest, "Unreadable body", err.Error())
	}
}

// answerFaults tells which lines were not kept and why; the others are stored.
func answerFaults(w http.ResponseWriter, r *request) {
	kept := "nothing of the request was kept"
	if r.samples > 0 {
		kept = fmt.Sprintf("the other %d samples of the request are stored", r.samples)
	}
	answer := struct {
		Type     string  `json:"type"`
		Title    string  `json:"title"`
		Status   int     `json:"status"`
		Detail   string  `json:"detail"`
		Accepted int     `json:"accepted"`
		Rejected uint64  `json:"rejected"`
		Errors   []Fault `json:"errors"`
	}{
		Type: "urn:weir:problem:lines-rejected", Title: "Lines rejected", Status: http.StatusBadRequest,
		Detail:   fmt.Sprintf("%d lines or values were rejected, the first in line %d: %s; %s", r.rejected, r.faults[0].Line, r.faults[0].Reason, kept),
		Accepted: r.samples, Rejected: r.rejected, Errors: r.faults,
	}
	text, err := json.Marshal(answer)
	if err != nil {
		panic("gateway: strings and integers have no JSON: " + err.Error())
	}
	w.Header().Set("Content-Type", problem.ContentType)
	w.WriteHeader(http.StatusBadRequest)
	_, _ = w.Write(append(text, '\n')) // a client that has gone can't be told
}
