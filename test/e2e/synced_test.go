package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"weir/test/harness"
)

// straceVariable names the environment variable with the path of strace;
// without it the one of PATH is taken.
const straceVariable = "WEIR_TEST_STRACE"

// strace gives the path of a strace that may trace here.
func strace(t *testing.T) string {
	path := os.Getenv(straceVariable)
	if path == "" {
		var err error
		if path, err = exec.LookPath("strace"); err != nil {
			t.Skip("strace is not installed; tools/strace.sh fetches it")
		}
	}
	if out, err := exec.Command(path, "-f", "-o", os.DevNull, os.Args[0], "-test.list=^$").CombinedOutput(); err != nil {
		t.Skipf("tracing is not allowed here: %v: %.300s", err, out)
	}
	return path
}

// A 204 means that its samples would outlive a loss of power: the system
// calls of the real process show that the file they are in was synced, and a
// new file's folder too, before the answer's bytes went out.
func TestAnsweredIsSynced(t *testing.T) {
	tracer := strace(t)
	folder := t.TempDir()
	trace, wrapper := filepath.Join(folder, "trace"), filepath.Join(folder, "weir")
	// With -D the tracer is a process of its own: signals reach weir itself.
	script := fmt.Sprintf("#!/bin/sh\nexec %q -D -f -y -s 256 -o %q -e trace=%s -e signal=none %q \"$@\"\n", tracer, trace,
		"openat,rename,renameat,renameat2,unlink,unlinkat,write,writev,pwrite64,pwritev,fsync,fdatasync", harness.Binary(t))
	if err := os.WriteFile(wrapper, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv(harness.BinaryVariable, wrapper)
	server, c := start(t, flushSoon()...)
	const requests = 12
	for n := range requests {
		// Many series, so that every queue gets its part.
		var body strings.Builder
		for i := range 20 {
			fmt.Fprintf(&body, "traced,n=%d value=%d %d\n", i, n, n)
		}
		write(t, c, body.String())
		if n%3 == 2 {
			settled(t, c) // a queue that was emptied begins a new file
		}
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	calls := parseTrace(string(text))
	answers, folders, err := checkSynced(calls)
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d answers, %d files new since the last one, %d calls", answers, folders, len(calls))
	if answers != requests || folders < 2 {
		t.Errorf("the trace shows %d answers to %d requests, and %d new files", answers, requests, folders)
	}
	// The same trace without the syncs of files, or of folders, must not pass.
	for name, gone := range map[string]func(systemCall) bool{
		"files":   func(c systemCall) bool { return strings.HasSuffix(c.on(), ".blk") },
		"folders": func(c systemCall) bool { return strings.HasSuffix(c.on(), "/msgs") },
	} {
		var kept []systemCall
		for _, c := range calls {
			if c.name != "fsync" && c.name != "fdatasync" || !gone(c) {
				kept = append(kept, c)
			}
		}
		if _, _, err := checkSynced(kept); err == nil {
			t.Errorf("a trace without the syncs of %s passes", name)
		}
	}
}
