package app

import (
	"bytes"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDamagedTable overwrites the manifest of a week's table: an instance
// starts, serves what is not touched and counts the damage; a check names the
// file; the table is set aside when it is asked for, and nothing is deleted.
func TestDamagedTable(t *testing.T) {
	dir := t.TempDir()
	i := start(t, dir, nil)
	i.want(http.StatusBadRequest, "POST", "/write", someLines, `"accepted":4`)
	i.want(http.StatusNoContent, "POST", "/write", "other value=1 1500000000000000000\n", "")
	var l ledgerAnswer
	i.until("committed", func() bool { l = ledgerAnswer{}; i.get("/api/v1/ledger", &l); return l.Stored == 5 })
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "store", "weeks", "samples_2023_w46*"))
	if err != nil || len(tables) != 1 {
		t.Fatalf("tables are %q, %v; want one", tables, err)
	}
	manifests, err := filepath.Glob(filepath.Join(tables[0], "MANIFEST-*"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("manifests are %q, %v", manifests, err)
	}
	for _, path := range manifests {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.Repeat([]byte{0xa5}, len(whole)), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	i = start(t, dir, nil)
	i.want(http.StatusOK, "GET", "/api/v1/select?match=other&start=0&end=now", "", `"values":[1]`)
	i.want(http.StatusNoContent, "POST", "/write", "other value=2 1500000001000000000\n", "")
	if code, text := i.send("GET", "/api/v1/select?match=m&start=0&end=now", ""); code == http.StatusOK && !strings.Contains(text, "corrupt") {
		t.Errorf("the damaged week was read as if nothing were missing: %s", text)
	}
	i.until("counted", func() bool {
		_, text := i.send("GET", "/metrics", "")
		return strings.Contains(text, "weir_store_damaged 1")
	})
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}

	table := filepath.Base(tables[0])
	a, err := Inspect(t.Context(), i.app.config, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	wantProblem(t, a, tables[0])
	if err := SetAside(t.Context(), a, "samples_2017_w28"); err == nil {
		t.Error("a table without damage was set aside")
	}
	if err := SetAside(t.Context(), a, table); err != nil {
		t.Fatal(err)
	}
	aside := filepath.Join(dir, "store", "damaged", table)
	wantProblem(t, a, aside)
	for _, path := range manifests {
		if _, err := os.Stat(filepath.Join(aside, filepath.Base(path))); err != nil {
			t.Error(err)
		}
	}
}

func wantProblem(t *testing.T, a *App, path string) {
	t.Helper()
	r, err := Check(t.Context(), a)
	if err != nil || !strings.Contains(strings.Join(r.Problems, "\n"), path+": ") {
		t.Errorf("problems are %q, %v; want one of %s", r.Problems, err, path)
	}
}
