package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// diary is what parts did, in order.
type diary struct{ lines []string }

// part is a part of one file that writes down when it is held and copied.
type part struct {
	name  string
	diary *diary
	err   error
}

func (p part) Snapshot(ctx context.Context, dir string, moment func(context.Context) error) error {
	p.diary.lines = append(p.diary.lines, "hold "+p.name)
	err := moment(ctx)
	p.diary.lines = append(p.diary.lines, "copy "+p.name)
	if err = errors.Join(err, p.err, os.MkdirAll(filepath.Join(dir, "deep", "empty"), 0o755)); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, "deep", "file"), []byte(p.name), 0o644), os.WriteFile(filepath.Join(dir, "LOCK"), nil, 0o644))
}

func newLender(t *testing.T, parts ...Part) *Lender {
	t.Helper()
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, "FORMAT"), []byte("weir-data 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := NewLender(LenderOptions{
		Data: data, Parts: parts, Version: "test", Now: time.Now,
		Logger: slog.New(slog.DiscardHandler), Free: func(string) (int64, bool) { return 1 << 40, true },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Stop)
	return l
}

func threeParts(d *diary) []Part {
	always, never := func(string) bool { return true }, func(string) bool { return false }
	return []Part{
		{Folder: "warehouse", Copier: part{name: "warehouse", diary: d}, Fixed: never, Doubled: true},
		{Folder: "buffer", Copier: part{name: "buffer", diary: d}, Fixed: never},
		{Folder: "store", Copier: part{name: "store", diary: d}, Fixed: always},
	}
}

func TestPartsAreCopiedInEachOthersMoments(t *testing.T) {
	d := &diary{}
	l := newLender(t, threeParts(d)...)
	c, giveBack, err := l.Lend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"hold warehouse", "hold buffer", "hold store", "copy store", "copy buffer", "copy warehouse"}
	if !slices.Equal(d.lines, want) {
		t.Errorf("parts did %q; want %q", d.lines, want)
	}
	var files []string
	for _, f := range c.Files {
		files = append(files, f.Path)
		if f.Fixed != strings.HasPrefix(f.Path, "store/") || f.Modified == 0 {
			t.Errorf("file %+v", f)
		}
	}
	slices.Sort(files)
	if want := []string{"FORMAT", "buffer/deep/file", "store/deep/file", "warehouse/deep/file"}; !slices.Equal(files, want) {
		t.Errorf("the copy has %q; want %q", files, want)
	}
	if !slices.Contains(c.Folders, "store/deep/empty") || c.Taken.Before(c.Begun) || c.Version != "test" || c.Bytes() != int64(len("weir-data 1\nbufferstorewarehouse")) {
		t.Errorf("the copy is %+v", c)
	}
	giveBack()
	if _, err := os.Stat(l.dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was given back is there: %v", err)
	}
}

func TestACopyThatFailsLeavesNothing(t *testing.T) {
	broken := errors.New("broken")
	d := &diary{}
	parts := threeParts(d)
	parts[2].Copier = part{name: "store", diary: d, err: broken}
	l := newLender(t, parts...)
	for range 2 { // the turn is given back too
		if _, _, err := l.Lend(t.Context()); !errors.Is(err, broken) {
			t.Errorf("a copy whose part fails gives %v", err)
		}
	}
	if _, err := os.Stat(l.dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a copy that failed is there: %v", err)
	}
}

func TestACopyIsRefusedWhereTheDiskHasNoRoomForIt(t *testing.T) {
	d := &diary{}
	l := newLender(t, threeParts(d)...)
	if err := errors.Join(os.MkdirAll(filepath.Join(l.Data, "warehouse"), 0o755),
		os.WriteFile(filepath.Join(l.Data, "warehouse", "db"), make([]byte, 3<<20), 0o644)); err != nil {
		t.Fatal(err)
	}
	free := int64(spare + 3<<20 - 1)
	l.Free = func(string) (int64, bool) { return free, true }
	if _, _, err := l.Lend(t.Context()); !errors.Is(err, ErrNoRoom) || len(d.lines) > 0 {
		t.Errorf("without room there is %v, after %q", err, d.lines)
	}
	free++
	_, giveBack, err := l.Lend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	giveBack()
}

func TestWhatAKilledInstanceLentIsRemoved(t *testing.T) {
	l := newLender(t, threeParts(&diary{})...)
	if _, _, err := l.Lend(t.Context()); err != nil { // never given back
		t.Fatal(err)
	}
	if _, err := NewLender(l.LenderOptions); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(l.dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was lent is there at the next start: %v", err)
	}
}

func TestOneCopyIsLentAtATime(t *testing.T) {
	l := newLender(t, threeParts(&diary{})...)
	_, giveBack, err := l.Lend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer giveBack()
	synctest.Test(t, func(t *testing.T) {
		l := &Lender{LenderOptions: l.LenderOptions, turn: make(chan struct{}, 1)}
		l.turn <- struct{}{}
		if _, _, err := l.Lend(t.Context()); !errors.Is(err, ErrBusy) {
			t.Errorf("a second copy gives %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := l.Lend(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("a second copy that is not waited for gives %v", err)
		}
		time.AfterFunc(time.Second, func() { <-l.turn })
		_, giveBack, err := l.Lend(t.Context())
		if err != nil {
			t.Fatalf("a copy after the one before was given back: %v", err)
		}
		giveBack()
	})
}

// ask sends a request and gives its answer, to be read.
func ask(t *testing.T, ctx context.Context, method, url string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestACopyIsServedAsLongAsItsClientListens(t *testing.T) {
	l := newLender(t, threeParts(&diary{})...)
	mux := http.NewServeMux()
	l.Register(mux)
	server := httptest.NewServer(mux)
	defer server.Close()
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	lent := ask(t, ctx, http.MethodPost, server.URL+"/api/v1/copy")
	defer lent.Body.Close()
	var c Copy
	if err := json.NewDecoder(lent.Body).Decode(&c); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{c.ID + "/store/deep/file": "store", c.ID + "/store/LOCK": "", "other/store/deep/file": "", c.ID + "/../FORMAT": ""} {
		answer := ask(t, t.Context(), http.MethodGet, server.URL+"/api/v1/copy/"+path)
		body, err := io.ReadAll(answer.Body)
		if err = errors.Join(err, answer.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if ok := answer.StatusCode == http.StatusOK; ok != (want != "") || ok && string(body) != want {
			t.Errorf("%s is answered %d %s", path, answer.StatusCode, body)
		}
	}
	hangUp()
	// The next one waits until it is given back.
	again := ask(t, t.Context(), http.MethodPost, server.URL+"/api/v1/copy")
	if again.StatusCode != http.StatusOK {
		t.Fatalf("after the first hung up, a copy is answered %d", again.StatusCode)
	}
	// And ends with the instance.
	l.Stop()
	if _, err := io.Copy(io.Discard, again.Body); err != nil {
		t.Errorf("an answer that the instance ended gives %v", err)
	}
	if err := again.Body.Close(); err != nil {
		t.Error(err)
	}
}

func TestErrorsAreExplained(t *testing.T) {
	l := newLender(t)
	for err, status := range map[error]int{ErrBusy: http.StatusConflict, ErrNoRoom: http.StatusInsufficientStorage, errors.New("x"): http.StatusServiceUnavailable} {
		w := httptest.NewRecorder()
		l.explain(w, err)
		if w.Code != status || !bytes.Contains(w.Body.Bytes(), []byte(err.Error())) {
			t.Errorf("%v is answered %d %s", err, w.Code, w.Body)
		}
	}
}
