package harness

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// roleVariable makes this test binary play weir.
const roleVariable = "HARNESS_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role))
	}
	os.Exit(m.Run())
}

// play is a weir that is faithful, or not, as its role says.
func play(role string) int {
	if len(os.Args) < 6 || os.Args[1] != "up" {
		fmt.Println(strings.Join(os.Args[1:], " "))
		fmt.Fprintln(os.Stderr, "server", os.Getenv("WEIR_SERVER"))
		return 3
	}
	if role == "dies" {
		return 1
	}
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, syscall.SIGTERM)
	started := time.Now()
	go func() {
		_ = http.ListenAndServe(os.Args[5], http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if time.Since(started) < 50*time.Millisecond {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}))
	}()
	fmt.Println("playing weir")
	<-stopped
	if role == "fails at the end" {
		return 1
	}
	return 0
}

func played(t *testing.T, role string) *Server {
	t.Setenv(BinaryVariable, os.Args[0])
	t.Setenv(roleVariable, role)
	return NewServer(t)
}

func TestServerStartsStopsAndStartsAgain(t *testing.T) {
	s := played(t, "faithful")
	for range 2 {
		s.Up(t)
		if err := s.Start(); err == nil {
			t.Error("a second process was started")
		}
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	s.Up(t)
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(s.Output(), "playing weir") {
		t.Errorf("output %q", s.Output())
	}
}

func TestServerThatEndsByItselfIsSeen(t *testing.T) {
	s := played(t, "dies")
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitReady(t.Context()); err == nil || !strings.Contains(err.Error(), "ended before") {
		t.Error(err)
	}
	if err := s.Kill(); err == nil {
		t.Error("a dead process was killed")
	}
	if err := s.Stop(); err == nil {
		t.Error("a dead process was stopped")
	}
}

func TestExitCodeAfterStopIsSeen(t *testing.T) {
	s := played(t, "fails at the end")
	s.Up(t)
	if err := s.Stop(); err == nil || !strings.Contains(err.Error(), "exit status 1") {
		t.Error(err)
	}
}

func TestWaitReadyGivesUp(t *testing.T) {
	s := played(t, "faithful")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := s.WaitReady(ctx); err == nil {
		t.Error("a server that does not run was ready")
	}
}

func TestCommandAndStream(t *testing.T) {
	s := played(t, "faithful")
	result, err := s.Command(t.Context(), "query", "x")
	if err != nil || result.Code != 3 || result.Stdout != "query x\n" || !strings.Contains(result.Stderr, s.URL()) {
		t.Fatal(result, err)
	}
	var read string
	result, err = s.Stream(t.Context(), func(r io.Reader) error {
		text, err := io.ReadAll(r)
		read = string(text)
		return err
	}, "doctor")
	if err != nil || read != "doctor\n" || result.Code != 3 {
		t.Fatal(read, result, err)
	}
	if _, err = s.Stream(t.Context(), func(io.Reader) error { return io.ErrUnexpectedEOF }, "doctor"); err == nil {
		t.Error("the reader's error was lost")
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	tail := NewTail(10)
	for i := range 100 {
		fmt.Fprintf(tail, "%02d", i)
	}
	text := tail.String()
	if !strings.HasSuffix(text, "979899") || len(text) > 70 || !strings.Contains(text, "left out") {
		t.Errorf("%q", text)
	}
}

func TestClientNeverSendsTwice(t *testing.T) {
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) > 1 { // the first leaves a connection that is used again
			panic(http.ErrAbortHandler)
		}
	}))
	defer server.Close()
	client := NewClient(server.URL)
	if _, err := client.Post(t.Context(), "/write", Identity, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Post(t.Context(), "/write", Identity, []byte("x")); err == nil {
		t.Error("a lost answer is no error")
	}
	if n := requests.Load(); n != 2 {
		t.Errorf("%d requests", n)
	}
}

func TestClientReadsStrictly(t *testing.T) {
	for body, ok := range map[string]bool{
		`{"metric":"m","tags":{},"times":[1],"values":[1.0]}` + "\n": true,
		"": true,
		`{"metric":"m","tags":{},"times":[1],"values":[]}`: false,
		`{"error":{"title":"cut short"}}`:                  false,
		"[]":                                               false,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("match") != "{a=\"b\"}" {
				t.Errorf("asked %s", r.URL)
			}
			_, _ = io.WriteString(w, body)
		}))
		lines, err := NewClient(server.URL).Lines(t.Context(), "/api/v1/select", "match", `{a="b"}`)
		if (err == nil) != ok {
			t.Errorf("%q: %v, %v", body, lines, err)
		}
		server.Close()
	}
}

func TestSettledWaitsAndGivesUp(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"accepted":2,"stored":1,"in_flight":%d}`, max(0, 3-asked.Add(1)))
	}))
	defer server.Close()
	client := NewClient(server.URL)
	ledger, err := client.Settled(t.Context(), time.Minute)
	if err != nil || asked.Load() != 3 || ledger.Balanced() {
		t.Fatal(ledger, err)
	}
	asked.Store(-1 << 40)
	if _, err := client.Settled(t.Context(), 30*time.Millisecond); err == nil {
		t.Error("settled with samples in flight")
	}
}

func TestPackRefusesUnknownEncodings(t *testing.T) {
	if _, err := Pack("br", nil); err == nil {
		t.Error("br passed")
	}
}
