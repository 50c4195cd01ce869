package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"weir/internal/output"
)

// testNow is the time at which all commands of the tests run.
func testNow() time.Time { return time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC) }

func testDeps(out, err io.Writer, server string) deps {
	return deps{
		out: out, err: err, now: testNow, version: "v0.0.0-test",
		detect: func(io.Writer) output.Terminal { return output.Terminal{Width: 80} },
		getenv: func(name string) string {
			if name == "WEIR_SERVER" {
				return server
			}
			return ""
		},
	}
}

// runCLI runs a command line in this process.
func runCLI(server string, args ...string) (code int, out, err string) {
	var stdout, stderr bytes.Buffer
	code = execute(context.Background(), newRoot(testDeps(&stdout, &stderr, server)), args)
	return code, stdout.String(), stderr.String()
}

// The scripts say line by line what commands print, against a server that
// answers in the shapes of the real one.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			fake := newFake()
			server := httptest.NewServer(fake)
			env.Defer(server.Close)
			env.Setenv("WEIR_SERVER", server.URL)
			env.Values["fake"] = fake
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// weir ARG... must succeed.
			"weir": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg {
					ts.Fatalf("say which exit code is meant: exits 1 ARG...")
				}
				script(ts, 0, args)
			},
			// exits CODE ARG... runs weir and wants that code.
			"exits": func(ts *testscript.TestScript, _ bool, args []string) {
				code, err := strconv.Atoi(args[0])
				ts.Check(err)
				script(ts, code, args[1:])
			},
			// received FILE: the bodies that the server has taken.
			"received": func(ts *testscript.TestScript, _ bool, args []string) {
				want := ts.ReadFile(args[0])
				if got := ts.Value("fake").(*fake).received(); got != want {
					ts.Fatalf("the server received\n%s\nwant\n%s", got, want)
				}
			},
		},
	})
}

func script(ts *testscript.TestScript, want int, args []string) {
	for i, a := range args { // files are named relative to the script's folder
		if strings.HasSuffix(a, ".csv") || strings.HasSuffix(a, ".gz") {
			args[i] = ts.MkAbs(a)
		}
	}
	d := testDeps(ts.Stdout(), ts.Stderr(), ts.Getenv("WEIR_SERVER"))
	if code := execute(context.Background(), newRoot(d), args); code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

func TestEveryCommandHasHelp(t *testing.T) {
	root := newRoot(testDeps(io.Discard, io.Discard, ""))
	for _, cmd := range root.Commands() {
		all := append(cmd.Commands(), cmd)
		for _, c := range all {
			if c.Name() == "help" || c.Name() == "completion" || c.Parent().Name() == "completion" {
				continue
			}
			if c.Short == "" || c.Long == "" || c.Example == "" {
				t.Errorf("%s lacks a short text, a long one or an example", c.CommandPath())
			}
		}
	}
}

func TestNoServer(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	for _, args := range []string{"weeks", "series", "query m", "ledger", "queue list", "queue dead-letters", "queue redrive --all", "quarantine", "simulate hosts"} {
		code, out, err := runCLI(server.URL, strings.Fields(args)...)
		if code != 1 || out != "" || !strings.Contains(err, "start one with `weir up`") {
			t.Errorf("weir %s: exit %d\n%s%s", args, code, out, err)
		}
	}
	for _, server := range []string{"ftp://x", "http://", "http://a b"} {
		if code, _, err := runCLI(server, "weeks"); code != 2 || !strings.Contains(err, "name it by a URL") {
			t.Errorf("server %q: exit %d, %s", server, code, err)
		}
	}
}

// A broken answer must not look like a complete one.
func TestBrokenAnswer(t *testing.T) {
	f := newFake()
	server := httptest.NewServer(f)
	defer server.Close()
	for _, args := range [][]string{
		{"query", "broken"}, {"query", "broken", "--chart"},
		{"query", "broken", "--output", "csv"}, {"query", "broken", "--output", "json"},
	} {
		if code, _, err := runCLI(server.URL, args...); code != 1 || !strings.Contains(err, "weir: ") {
			t.Errorf("%v: exit %d, %q", args, code, err)
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var stderr bytes.Buffer
	root := newRoot(testDeps(io.Discard, &stderr, "http://127.0.0.1:1"))
	if code := execute(ctx, root, []string{"simulate", "hosts", "--print"}); code != 1 || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("exit %d: %s", code, stderr.String())
	}
}

func TestParseTime(t *testing.T) {
	for text, want := range map[string]string{
		"now": "2026-01-05T12:00:00Z", "-1h": "2026-01-05T11:00:00Z", "-7d": "2025-12-29T12:00:00Z", "+2w": "2026-01-19T12:00:00Z",
		"2026-01-05": "2026-01-05T00:00:00Z", "2026-01-05T02:00:00+02:00": "2026-01-05T00:00:00Z", "-5": "1969-12-31T23:59:59Z",
		"2026-01-05 01:02:03": "2026-01-05T01:02:03Z", "1767571200000000000": "2026-01-05T00:00:00Z",
		"": "", "yesterday": "", "-9999999999999d": "", "1h": "",
	} {
		got, err := parseTime("start", text, testNow())
		if err != nil && want != "" || err == nil && got.Format(time.RFC3339) != want {
			t.Errorf("%q is read as %s, %v; want %s", text, got, err, want)
		}
	}
}

// On a terminal there is a bar.
func TestProgressOnATerminal(t *testing.T) {
	server := httptest.NewServer(newFake())
	defer server.Close()
	var stdout, stderr bytes.Buffer
	d := testDeps(&stdout, &stderr, server.URL)
	d.detect = func(io.Writer) output.Terminal { return output.Terminal{TTY: true, Width: 80} }
	for _, args := range []string{"simulate power-meters --count 5 --for 1m", "simulate hosts --count 2 --for 20s --start +9d"} {
		execute(context.Background(), newRoot(d), strings.Fields(args))
	}
	for _, want := range []string{"power-meters", "100 %", "30 samples", "rejected: "} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("no %q in\n%s", want, stderr.String())
		}
	}
}

func TestProgressWithoutATerminal(t *testing.T) {
	now, err := testNow(), &bytes.Buffer{}
	d := testDeps(io.Discard, err, "")
	d.now = func() time.Time { return now }
	p := (&global{deps: d}).newProgress("work", 200, false)
	for i := range 5 {
		p.set(int64(20*i), fmt.Sprint(i, " done"))
		now = now.Add(6 * time.Second)
	}
	p.end(true)
	if got, want := err.String(), "work: 20 %, 2 done\nwork: 40 %, 4 done\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
