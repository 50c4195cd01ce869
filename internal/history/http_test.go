package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"weir/internal/sample"
	"weir/internal/store"
)

func TestOverHTTP(t *testing.T) {
	r := newRig(t)
	mux := http.NewServeMux()
	NewHandler(r.importer, slog.New(slog.DiscardHandler)).Register(mux)
	post := func(path, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/v1/history/"+path, strings.NewReader(body)))
		return w
	}
	start := week(t, "2026-W03").Start()
	const of = "00000000000000af"
	line := fmt.Sprintf("m 1 %d\n", start)
	for _, c := range []struct {
		path, body string
		status     int
		answer     string
	}{
		{of + "/chunks/0?format=lines&name=a.lp&answered=0", line + "bad\n", 200, `{"stored":1,"repeated":0,"rejected":1,"errors":[{"line":2,"reason":"not three fields"}]}`},
		{of + "/chunks/0?format=lines&name=a.lp", line + "bad\n", 200, `{"stored":0,"repeated":1,"rejected":1,"errors":[{"line":2,"reason":"not three fields"}]}`},
		{of + "/chunks/1?format=lines&name=a.lp", strings.Repeat(" ", MaxChunk+1), 413, "Chunk too large"},
		{of + "/chunks/1?format=lines&name=a.lp", line, 200, `"errors":[]`},
		{of + "/finish?chunks=2&name=a.lp", "", 200, `[{"week":"2026-W03","revision":0,"samples":2,"state":"sealed"}]`},
		{of + "/finish?chunks=2&name=a.lp&seal=maybe", "", 400, "neither true nor false"},
		{of + "/finish?chunks=two", "", 400, "is no number"},
		{of + "/finish?chunks=2&no=1", "", 400, "unknown parameter"},
		{of + "/chunks/one?format=lines", "", 400, "is no number"},
		{of + "/chunks/1?format=lines&answered=2", "", 400, "were answered"},
		{of + "/chunks/1?format=xml", "", 400, "no such format"},
		{"af/chunks/1?format=lines", "", 400, "16 hex digits"},
	} {
		w := post(c.path, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.answer) {
			t.Errorf("%s: %d %s; want %d %s", c.path, w.Code, w.Body, c.status, c.answer)
		}
	}
	for _, c := range []struct {
		err    error
		status int
	}{{store.ErrUnavailable, 503}, {errors.New("broken"), 500}} {
		r.commit = func(context.Context, sample.Week) error { return c.err }
		if w := post(of+"/chunks/5?format=lines", line); w.Code != c.status || c.status == 503 && w.Header().Get("Retry-After") == "" {
			t.Errorf("%v: %d %s", c.err, w.Code, w.Body)
		}
	}
}
