package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func lending(t *testing.T, serve func(w http.ResponseWriter, r *http.Request)) *Client {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/copy", serve)
	mux.HandleFunc("GET /api/v1/copy/{id}/{path...}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.PathValue("id")+" "+r.PathValue("path"))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c, err := New(server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const lentLine = `{"id":"x1","version":"v1","folders":["store"],"files":[{"path":"buffer/$G/a b","bytes":3,"modified":7,"fixed":true}]}` + "\n"

func TestACopyIsLentAsLongAsItIsUsed(t *testing.T) {
	given := make(chan struct{})
	c := lending(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, lentLine+`{"lent":true}`+"\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(given)
	})
	err := c.Lend(t.Context(), func(ctx context.Context, l *Lent) error {
		if len(l.Files) != 1 || l.Files[0] != (LentFile{"buffer/$G/a b", 3, 7, true}) || l.Version != "v1" {
			t.Errorf("lent is %+v", l)
		}
		f, err := l.Open(ctx, l.Files[0].Path)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(f)
		if string(body) != "x1 buffer/$G/a b" {
			t.Errorf("the file is %q", body)
		}
		return errors.Join(err, f.Close())
	})
	if err != nil {
		t.Error(err)
	}
	<-given
}

func TestWhatIsTakenBackEndsItsUse(t *testing.T) {
	c := lending(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, lentLine) })
	err := c.Lend(t.Context(), func(ctx context.Context, _ *Lent) error {
		<-ctx.Done()
		return ctx.Err()
	})
	if err == nil || !strings.Contains(err.Error(), "took its copy back") {
		t.Errorf("a copy that is taken back gives %v", err)
	}
	own := errors.New("no room")
	c = lending(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, lentLine)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	if err := c.Lend(t.Context(), func(context.Context, *Lent) error { return own }); !errors.Is(err, own) {
		t.Errorf("a use that fails gives %v", err)
	}
	c = lending(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusConflict)
	})
	var refused *Error
	if err := c.Lend(t.Context(), nil); !errors.As(err, &refused) || refused.Status != http.StatusConflict {
		t.Errorf("a refusal gives %v", err)
	}
}
