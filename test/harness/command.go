package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// commandTimeout is far above what any command of a test takes.
const commandTimeout = 5 * time.Minute

// Result is what a command that ended left.
type Result struct {
	Code   int
	Stdout string
	Stderr string
}

// String shows the result for a test's failure.
func (r Result) String() string {
	return fmt.Sprintf("exit code %d\nstdout:\n%s\nstderr:\n%s", r.Code, r.Stdout, r.Stderr)
}

// Command runs another weir command with WEIR_SERVER set to the server, to
// its end. An error means that it could not be run; a command that failed by
// itself has a Code that is not 0.
func (s *Server) Command(ctx context.Context, arguments ...string) (Result, error) {
	var stdout bytes.Buffer
	result, err := s.run(ctx, &stdout, arguments)
	result.Stdout = stdout.String()
	return result, err
}

// Stream is Command for long output, which is handed to read as it comes.
func (s *Server) Stream(ctx context.Context, read func(io.Reader) error, arguments ...string) (Result, error) {
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := read(reader)
		// The command must not hang on a reader that gave up.
		_, _ = io.Copy(io.Discard, reader)
		done <- err
	}()
	result, err := s.run(ctx, writer, arguments)
	_ = writer.Close()
	return result, errors.Join(err, <-done)
}

func (s *Server) run(ctx context.Context, stdout io.Writer, arguments []string) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	var stderr bytes.Buffer
	command := exec.CommandContext(ctx, s.binary, arguments...)
	command.Env = environment(s.URL())
	command.Stdout, command.Stderr = stdout, &stderr
	command.SysProcAttr = ChildAttributes()
	err := command.Run()
	result := Result{Stderr: stderr.String()}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		result.Code = exit.ExitCode()
		return result, nil
	}
	if err != nil {
		return result, fmt.Errorf("harness: weir %q: %w", arguments, err)
	}
	return result, nil
}
