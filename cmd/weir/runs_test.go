package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFirstLine(t *testing.T) {
	for text, want := range map[string]string{"": "", "one": "one", "Binder Error: no\ncandidates: a\n": "Binder Error: no …"} {
		if got := firstLine(text); got != want {
			t.Errorf("%q is shown as %q; want %q", text, got, want)
		}
	}
}

// TestRunTellsWhatIsNew: a run that goes on tells the steps that are done now, errors
// in one line, and where the rest is.
func TestRunTellsWhatIsNew(t *testing.T) {
	const run = `{"pipeline":"p","window_start":"2026-01-05T00:00:00Z","window_end":"2026-01-06T00:00:00Z","revision":0,"state":"STATE","error":"step sql: first\nsecond",
		"steps":[{"name":"rollup","state":"done"},{"name":"sql","state":"STEP","error":"first\nsecond"}],"events":[{"at":"","text":"goes on"}]}`
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		states := []string{"STATE", "running", "STEP", "running"}
		if asked++; asked > 1 {
			states = []string{"STATE", "failed", "STEP", "failed"}
		}
		_, _ = w.Write([]byte(strings.NewReplacer(states...).Replace(run)))
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "p.yaml")
	if err := os.WriteFile(file, []byte("pipeline: p\nsteps:\n  - {name: rollup, analyse: {analysis: rollup, select: m}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := runCLI(server.URL, "pipeline", "run", file, "--window", "2026-01-05/2026-01-06")
	want := "sql: running: first …\nsql: failed: first …\n"
	if code == 0 || !strings.HasPrefix(errs, want) || !strings.Contains(errs, "step sql: first …; see weir pipeline logs p") || strings.Contains(out+errs, "second") {
		t.Errorf("it printed\n%s\nand said\n%s\nwant %s", out, errs, want)
	}
}

// TestValidateWarns: of files that load the same series into one table.
func TestValidateWarns(t *testing.T) {
	dir := t.TempDir()
	args := []string{"pipeline", "validate"}
	for _, name := range []string{"x", "y"} {
		file := filepath.Join(dir, name+".yaml")
		text := "pipeline: " + name + "\nsteps:\n  - {name: a, analyse: {analysis: rollup, select: cpu}}\n  - {name: b, load: {from: a}}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	if code, out, errs := runCLI("", args...); code != 0 || strings.Count(errs, "warning: ") != 2 || strings.Count(out, "is valid") != 2 {
		t.Errorf("it printed\n%s\nand said\n%s", out, errs)
	}
}
