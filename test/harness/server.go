package harness

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ReadyWithin is how long weir has, after any start, until /readyz answers
// 200; StoppedWithin is how long it has from SIGTERM to its exit.
const (
	ReadyWithin   = 30 * time.Second
	StoppedWithin = 30 * time.Second
)

// Server is one data folder and the `weir up` processes that serve it, one
// after the other. Its methods are for one goroutine; URL may be called by any.
type Server struct {
	Data    string   // the data folder
	Address string   // host:port of its HTTP port, the same for all processes
	Flags   []string // more flags for `weir up`

	binary string
	output *Tail

	mu      sync.Mutex
	process *exec.Cmd
	exited  chan struct{} // closed when the process ended
	ended   error         // what Wait gave, once exited is closed
}

// NewServer makes a server with a data folder and a port of its own. Nothing
// runs yet. When the test ends, the process is killed and, if the test
// failed, its last output is shown.
func NewServer(t testing.TB, flags ...string) *Server {
	t.Helper()
	address, err := FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		Data: t.TempDir(), Address: address, Flags: flags,
		binary: Binary(t), output: NewTail(64 << 10),
	}
	t.Cleanup(func() {
		_ = s.Kill() // most tests have stopped it themselves
		if t.Failed() {
			t.Logf("last output of weir up --data %s --http %s:\n%s", s.Data, s.Address, s.output)
		}
	})
	return s
}

// URL gives the base of the server's HTTP API, without a slash at its end.
func (s *Server) URL() string { return "http://" + s.Address }

// Output gives the last output of the processes so far.
func (s *Server) Output() string { return s.output.String() }

// Start starts a process. It does not wait until that is ready.
func (s *Server) Start(flags ...string) error {
	if s.running() {
		return errors.New("harness: weir runs already")
	}
	arguments := []string{"up", "--data", s.Data, "--http", s.Address}
	arguments = append(append(arguments, s.Flags...), flags...)
	command := exec.Command(s.binary, arguments...)
	command.Env = environment(s.URL())
	command.Stdout, command.Stderr = s.output, s.output
	command.SysProcAttr = ChildAttributes()
	fmt.Fprintf(s.output, "--- weir %s\n", strings.Join(arguments, " "))
	if err := command.Start(); err != nil {
		return fmt.Errorf("harness: start weir: %w", err)
	}
	exited := make(chan struct{})
	s.mu.Lock()
	s.process, s.exited, s.ended = command, exited, nil
	s.mu.Unlock()
	go func() {
		err := command.Wait()
		s.mu.Lock()
		s.ended = err
		s.mu.Unlock()
		close(exited)
	}()
	return nil
}

// environment gives this process's own, with nothing of it that would
// configure weir but the server's address.
func environment(url string) []string {
	var kept []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "WEIR_") {
			kept = append(kept, entry)
		}
	}
	return append(kept, "WEIR_SERVER="+url, "NO_COLOR=1")
}

func (s *Server) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return false
	}
	select {
	case <-s.exited:
		return false
	default:
		return true
	}
}

// WaitReady waits until /readyz answers 200, and fails when the process ends
// first or ReadyWithin is over.
func (s *Server) WaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ReadyWithin)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	started := time.Now()
	last := "nothing"
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/readyz", nil)
		if err != nil {
			return err
		}
		if response, err := client.Do(request); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			last = response.Status
		}
		select {
		case <-s.Exited():
			return fmt.Errorf("harness: weir ended before it was ready: %w", s.exitError())
		case <-ctx.Done():
			return fmt.Errorf("harness: /readyz answered %s for %v: %w", last, time.Since(started), ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Exited is closed when the process of the last Start has ended.
func (s *Server) Exited() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exited
}

func (s *Server) exitError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil {
		return errors.New("exit status 0")
	}
	return s.ended
}

// Kill ends the process by SIGKILL and waits until it is gone. It is an error
// when none runs, or when it had ended by itself.
func (s *Server) Kill() error {
	if !s.signal(syscall.SIGKILL) {
		return fmt.Errorf("harness: weir had ended by itself: %w", s.exitError())
	}
	<-s.Exited()
	s.mu.Lock()
	defer s.mu.Unlock()
	status, known := s.process.ProcessState.Sys().(syscall.WaitStatus)
	if !known || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		return fmt.Errorf("harness: weir ended by itself: %s", s.process.ProcessState)
	}
	return nil
}

// Signal sends the process a signal without waiting for what comes of it.
func (s *Server) Signal(signal os.Signal) { s.signal(signal) }

// signal says whether there was a process to send it to.
func (s *Server) signal(signal os.Signal) bool {
	if !s.running() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// A process that ended by itself just now needs no signal.
	_ = s.process.Process.Signal(signal)
	return true
}

// Stop ends the process by SIGTERM and fails unless it exits with 0 within
// StoppedWithin.
func (s *Server) Stop() error {
	if !s.signal(syscall.SIGTERM) {
		return errors.New("harness: no weir runs that could be stopped")
	}
	select {
	case <-s.Exited():
	case <-time.After(StoppedWithin):
		_ = s.Kill()
		return fmt.Errorf("harness: weir still ran %v after SIGTERM", StoppedWithin)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return fmt.Errorf("harness: weir ended after SIGTERM: %w", s.ended)
	}
	return nil
}

// Up starts a process and waits until it is ready; the test ends otherwise.
func (s *Server) Up(t testing.TB, flags ...string) *Client {
	t.Helper()
	if err := s.Start(flags...); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	return NewClient(s.URL())
}

// PID gives the number of the process that was started last, 0 before.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return 0
	}
	return s.process.Process.Pid
}
