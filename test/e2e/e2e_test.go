package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// allTime is a range that every sample of a test lies in.
const (
	firstTime = "-9000000000000000000"
	endTime   = "9000000000000000000"
)

// Flags of weir up: flushes come at once, or not before the test has ended.
func flushSoon() []string  { return []string{"--set", "worker.flush_age=50ms"} }
func flushNever() []string { return []string{"--set", "worker.flush_age=1h"} }

// start gives a server that runs and is ready.
func start(t *testing.T, flags ...string) (*harness.Server, *harness.Client) {
	t.Helper()
	server := harness.NewServer(t)
	client := server.Up(t, flags...)
	return server, client
}

// post sends a body and wants a status.
func post(t *testing.T, c *harness.Client, path, body string, want int) harness.Answer {
	t.Helper()
	answer, err := c.Post(t.Context(), path, harness.Identity, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if answer.Status != want {
		t.Fatalf("POST %s %.200q: want %d, got %s", path, body, want, answer)
	}
	return answer
}

// write sends line protocol that must be kept.
func write(t *testing.T, c *harness.Client, body string) {
	t.Helper()
	post(t, c, "/write", body, http.StatusNoContent)
}

// read selects over all time.
func read(t *testing.T, c *harness.Client, match string) []harness.Line {
	t.Helper()
	return readRange(t, c, match, firstTime, endTime)
}

func readRange(t *testing.T, c *harness.Client, match, from, to string) []harness.Line {
	t.Helper()
	lines, err := c.Lines(t.Context(), "/api/v1/select", "match", match, "start", from, "end", to)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// series writes a line as series times=values, for comparison.
func series(line harness.Line) string {
	names := make([]string, 0, len(line.Tags))
	for name := range line.Tags {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	b.WriteString(line.Metric + "{")
	for i, name := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s=%s", name, line.Tags[name])
	}
	b.WriteByte('}')
	for i, at := range line.Times {
		fmt.Fprintf(&b, " %d=%s", at, line.Values[i])
	}
	return b.String()
}

// expect compares what a select over all time reads.
func expect(t *testing.T, c *harness.Client, match string, want ...string) {
	t.Helper()
	expectLines(t, match, read(t, c, match), want...)
}

func expectLines(t *testing.T, what string, lines []harness.Line, want ...string) {
	t.Helper()
	got := make([]string, 0, len(lines))
	for _, line := range lines {
		got = append(got, series(line))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", what, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

// problem is an error's body: RFC 9457, and the lines of a partial answer.
type problem struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail"`
	Accepted int    `json:"accepted"`
	Rejected int    `json:"rejected"`
	Errors   []struct {
		Line   int    `json:"line"`
		Reason string `json:"reason"`
	} `json:"errors"`
}

// explained wants an answer to be problem details, and gives them.
func explained(t *testing.T, answer harness.Answer) problem {
	t.Helper()
	var p problem
	if kind := answer.Header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("want problem details, got %s", answer)
	}
	if err := json.Unmarshal(answer.Body, &p); err != nil {
		t.Fatalf("%v in %s", err, answer)
	}
	if p.Status != answer.Status || p.Title == "" || p.Detail == "" || p.Type == "" {
		t.Errorf("problem details without a part: %s", answer)
	}
	return p
}

// settled waits until nothing is in flight, and wants the ledger to balance.
func settled(t *testing.T, c *harness.Client) harness.Ledger {
	t.Helper()
	ledger, err := c.Settled(t.Context(), 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if !ledger.Balanced() {
		t.Fatalf("ledger does not balance: %+v", ledger)
	}
	return ledger
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20s: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// run runs a weir command and wants an exit code.
func run(t *testing.T, s *harness.Server, code int, arguments ...string) harness.Result {
	t.Helper()
	result, err := s.Command(t.Context(), arguments...)
	if err != nil {
		t.Fatal(err)
	}
	if result.Code != code {
		t.Fatalf("weir %q: want exit code %d, got %s", arguments, code, result)
	}
	return result
}

// itemLine is a line of weir doctor --items.
type itemLine struct {
	Metric string            `json:"metric"`
	Tags   map[string]string `json:"tags"`
	Time   int64             `json:"time"`
	Value  json.RawMessage   `json:"value"`
	Table  string            `json:"table"`
	Flush  string            `json:"flush"`
}

// items gives the samples of a stopped server's items, as written.
func items(t *testing.T, s *harness.Server, metric string) []itemLine {
	t.Helper()
	result := run(t, s, 0, "doctor", "--items", "--data", s.Data, "--output", "json")
	var out []itemLine
	for text := range strings.Lines(result.Stdout) {
		var line itemLine
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		if line.Table == "" || line.Flush == "" {
			t.Errorf("an item without table or flush: %q", text)
		}
		if line.Metric == metric {
			out = append(out, line)
		}
	}
	return out
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
