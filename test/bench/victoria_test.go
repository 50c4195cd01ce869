package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/test/harness"
)

// victoria is Debian's victoria-metrics.
type victoria struct {
	where   place
	command *exec.Cmd
	output  *harness.Tail
	exited  chan struct{}
	ended   error // once exited is closed
	stopped bool  // as it should be
}

func startVictoria(t testing.TB, binary string) system {
	t.Helper()
	address, err := harness.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	v := &victoria{output: harness.NewTail(64 << 10), exited: make(chan struct{})}
	v.where = place{url: "http://" + address, folder: t.TempDir()}
	// Its own defaults, but for the retention: one month by default, and what
	// is sent may be older.
	v.command = exec.Command(binary, "-storageDataPath="+v.where.folder, "-httpListenAddr="+address, "-retentionPeriod=100y")
	v.command.Stdout, v.command.Stderr = v.output, v.output
	v.command.SysProcAttr = harness.ChildAttributes()
	if err := v.command.Start(); err != nil {
		t.Fatal(err)
	}
	v.where.pid = v.command.Process.Pid
	go func() {
		v.ended = v.command.Wait()
		close(v.exited)
	}()
	t.Cleanup(func() {
		_ = v.command.Process.Kill() // stop may have ended it already
		<-v.exited
		if t.Failed() && !v.stopped {
			t.Logf("last output of %s:\n%s", v.command, v.output)
		}
	})
	if err := v.listens(t.Context(), address); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *victoria) name() string { return "VictoriaMetrics" }

func (v *victoria) place() place { return v.where }

func (v *victoria) listens(ctx context.Context, address string) error {
	for range 600 {
		if c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address); err == nil {
			return c.Close()
		}
		select {
		case <-v.exited:
			return fmt.Errorf("victoria-metrics ended: %w", v.ended)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return errors.New("victoria-metrics does not listen after 30 s")
}

// commit makes everything that was answered visible to queries: its pending
// rows become parts. It syncs nothing before it answers a write, and its
// youngest parts may be in memory for 5 s more; what that costs is not
// counted against it.
func (v *victoria) commit(ctx context.Context) error {
	_, _, err := fetch(ctx, v.where.url+"/internal/force_flush")
	return err
}

// merge brings each month into one part and waits for it: force_merge answers
// at once and works in the background.
func (v *victoria) merge(ctx context.Context) error {
	const done = "has been successfully finished"
	before := strings.Count(v.output.String(), done)
	if _, _, err := fetch(ctx, v.where.url+"/internal/force_merge"); err != nil {
		return err
	}
	for range 2400 {
		if strings.Count(v.output.String(), done) > before {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-v.exited:
			return fmt.Errorf("victoria-metrics ended: %w", v.ended)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return errors.New("victoria-metrics has not merged after 2 minutes")
}

func (v *victoria) stop() error {
	http.DefaultClient.CloseIdleConnections()
	if err := v.command.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-v.exited:
		v.stopped = v.ended == nil
		return v.ended
	case <-time.After(time.Minute):
		return errors.New("victoria-metrics still runs a minute after SIGTERM")
	}
}
