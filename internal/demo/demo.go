// Package demo owns the tour of Weir: it starts the real program, sends real
// data through its HTTP intake by the same commands a person would use, and
// tells what became of it.
//
// It holds no shortcut: all that it knows it asks the running instance. It
// imports client and output, which every command line needs.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"weir/internal/client"
	"weir/internal/output"
)

// Options is how the tour goes.
type Options struct {
	Program  string // the weir binary
	Examples string // folder with ett/ and nab/
	Data     string // data folder; empty: a new one, removed in the end
	HTTP     string // where to listen; empty: a free port of loopback
	Keep     bool   // leave the instance running
	Meters   int
	For      time.Duration
	Out, Err io.Writer
	Terminal output.Terminal
	Now      func() time.Time
}

// source is one kind of data that is sent, and what is reported of it.
type source struct {
	title    string
	selector string // of its series
	args     []string
}

// flushAge is short, so that the tour need not wait for a flush.
const flushAge = "3s"

// Bounds of what the tour waits for.
const (
	readyTime  = 30 * time.Second
	settleTime = 2 * time.Minute
)

// Run goes the whole way, and leaves nothing behind unless Keep says so.
func Run(ctx context.Context, o Options) (err error) {
	sources, err := findSources(o)
	if err != nil {
		return err
	}
	own := o.Data == ""
	if own {
		if o.Data, err = os.MkdirTemp("", "weir-demo-"); err != nil {
			return err
		}
	}
	if o.HTTP == "" {
		if o.HTTP, err = freeAddress(ctx); err != nil {
			return err
		}
	}
	t := &tour{Options: o, server: "http://" + o.HTTP, sources: sources}
	if t.client, err = client.New(t.server, nil); err != nil {
		return err
	}
	stop, err := t.start(ctx)
	if err != nil {
		return err
	}
	err = t.send(ctx)
	if err == nil {
		err = t.tell(ctx)
	}
	if o.Keep && err == nil {
		t.printf("\nThe instance is still running. Look around, then stop it with Ctrl-C:\n\n  weir query --server %s 'OT' --start 2018-06-01 --chart\n  weir ledger --server %s\n  curl %s/metrics\n", t.server, t.server, t.server)
		<-ctx.Done()
	}
	t.printf("\nStopping: requests are finished, what is buffered is committed.\n")
	err = errors.Join(err, stop())
	if own {
		err = errors.Join(err, os.RemoveAll(o.Data))
	}
	if err == nil {
		t.printf("demo: ok, %s samples in, %.2f bytes each at rest, ledger balanced\n", output.Thousands(t.stored), t.atRest)
	}
	return err
}

func findSources(o Options) ([]source, error) {
	ett := filepath.Join(o.Examples, "ett", "ETTh1.csv")
	if _, err := os.Stat(ett); err != nil {
		return nil, fmt.Errorf("the demo's data is not there: %w; run it in Weir's source folder, or name the folder with --examples", err)
	}
	nab, err := filepath.Glob(filepath.Join(o.Examples, "nab", "*", "*.csv"))
	if err != nil || len(nab) == 0 {
		return nil, fmt.Errorf("no CSV files under %s; name the examples' folder with --examples", filepath.Join(o.Examples, "nab"))
	}
	return []source{
		{
			"transformer load and oil, hourly", `{source="ett"}`,
			[]string{"ingest", ett, "--tag", "source=ett", "--metric", "transformer"},
		},
		{
			fmt.Sprintf("%d real and artificial series (NAB)", len(nab)), `{source="nab"}`,
			append(append([]string{"ingest"}, nab...), "--tag", "source=nab"),
		},
		{
			fmt.Sprintf("%s simulated power meters, %s", output.Thousands(o.Meters), o.For), `energy_kwh`,
			[]string{"simulate", "power-meters", "--count", strconv.Itoa(o.Meters), "--for", o.For.String()},
		},
	}, nil
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// tour is one run of the demo.
type tour struct {
	Options
	server  string
	client  *client.Client
	sources []source
	sent    []sent
	stored  int64   // samples in week tables
	atRest  float64 // bytes of items a sample
}

// sent is what a source brought.
type sent struct {
	samples, bytes int64
	took           time.Duration
}

func (t *tour) printf(format string, args ...any) { fmt.Fprintf(t.Out, format, args...) }

// start starts the instance and waits until it is ready. stop ends it as
// SIGTERM does and waits until it has.
func (t *tour) start(ctx context.Context) (stop func() error, err error) {
	args := []string{"up", "--data", t.Data, "--http", t.HTTP, "--set", "worker.flush_age=" + flushAge, "--set", "log.level=warn"}
	t.printf("$ weir %s\n", strings.Join(args, " "))
	// The instance is stopped by SIGTERM below, also when ctx ends.
	server := exec.CommandContext(context.WithoutCancel(ctx), t.Program, args...)
	server.Stdout, server.Stderr = t.Err, t.Err
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is the demo's to pass on
	if err := server.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	stop = func() error {
		if err := server.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		return <-ended
	}
	limit, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	for t.client.Ready(limit) != nil {
		select {
		case err := <-ended:
			return nil, fmt.Errorf("the instance ended before it was ready: %w", err)
		case <-limit.Done():
			return nil, errors.Join(fmt.Errorf("the instance was not ready within %s", readyTime), stop())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return stop, nil
}

// send runs the commands that send each source.
func (t *tour) send(ctx context.Context) error {
	for _, s := range t.sources {
		before, err := t.measure(ctx)
		if err != nil {
			return err
		}
		t.printf("\n%s\n$ weir %s\n", s.title, shorten(s.args))
		began := t.Now()
		command := exec.CommandContext(ctx, t.Program, s.args...)
		command.Env = append(os.Environ(), "WEIR_SERVER="+t.server)
		command.Stdout, command.Stderr = t.Out, t.Err
		if err := command.Run(); err != nil {
			return fmt.Errorf("weir %s: %w", s.args[0], err)
		}
		after, err := t.measure(ctx)
		if err != nil {
			return err
		}
		t.sent = append(t.sent, sent{after.samples - before.samples, after.intake - before.intake, t.Now().Sub(began)})
	}
	return t.settle(ctx)
}

// shorten writes a command line without the middle of a long list of files.
func shorten(args []string) string {
	text := strings.Join(args, " ")
	if len(args) > 8 {
		text = strings.Join(args[:2], " ") + fmt.Sprintf(" … (%d more files) ", len(args)-4) + strings.Join(args[len(args)-2:], " ")
	}
	return text
}

// settle waits until all that was accepted is committed.
func (t *tour) settle(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for {
		l, err := t.client.Ledger(limit, "", "")
		if err != nil {
			return err
		}
		if l.InFlight == 0 {
			return nil
		}
		select {
		case <-limit.Done():
			return fmt.Errorf("%s samples are still in flight after %s", output.Thousands(l.InFlight), settleTime)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
