package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"weir/internal/buffer"
)

func TestAnswers(t *testing.T) {
	for data, want := range map[string]error{
		`{"stream":"queue-0","seq":7}`: nil,
		`{"stream":"queue-0"}`:         buffer.ErrUnavailable,
		`nonsense`:                     buffer.ErrUnavailable,
		`{"error":{"err_code":10077,"description":"maximum bytes exceeded"}}`:         buffer.ErrFull,
		`{"error":{"err_code":10077,"description":"something else"}}`:                 buffer.ErrUnavailable,
		`{"error":{"err_code":10054,"description":"message size exceeds maximum"}}`:   buffer.ErrTooLarge,
		`{"error":{"err_code":10047,"description":"insufficient storage resources"}}`: buffer.ErrFull,
		`{"error":{"err_code":10167,"description":"too many requests"}}`:              buffer.ErrUnavailable,
	} {
		if err := readAnswer(&nats.Msg{Data: []byte(data)}); !errors.Is(err, want) {
			t.Errorf("%s: %v; want %v", data, err, want)
		}
	}
	noStream := &nats.Msg{Header: nats.Header{"Status": []string{"503"}}}
	if err := readAnswer(noStream); !errors.Is(err, buffer.ErrUnavailable) {
		t.Errorf("no stream: %v", err)
	}
}

func TestServerLogFindsFailures(t *testing.T) {
	var failed []string
	l := &serverLog{logger: slog.New(slog.DiscardHandler), failed: func(r string) { failed = append(failed, r) }}
	l.Noticef("critical write error in a notice")
	l.Debugf("%d", 1)
	l.Tracef("%d", 1)
	l.Warnf("a warning of %d", 1)
	l.Errorf("an error")
	if len(failed) > 0 {
		t.Fatalf("failed by %q", failed)
	}
	l.Errorf("JetStream stream '%s > %s' critical write error: %v", "$G", "queue-0", syscall.ENOSPC)
	l.Warnf("Filesystem permission denied while writing msg, disabling JetStream: %v", syscall.EACCES)
	l.Fatalf("Can't start JetStream: %v", "reason")
	if len(failed) != 3 || !errors.Is(serverError(failed[0]), errDiskFull) || errors.Is(serverError(failed[1]), errDiskFull) {
		t.Fatalf("failed by %q", failed)
	}
}

// TestServerIsStartedAgain breaks the server under calls in progress.
func TestServerIsStartedAgain(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	c := testConfig(t.TempDir())
	c.Now = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	d := mustOpen(t, c)
	mustSend(t, d, "one")
	held := mustReceive(t, d)
	waiting := make(chan error, 1)
	go func() {
		_, err := d.Receive(t.Context(), 0, 1)
		waiting <- err
	}()
	d.current.server.Shutdown() // its connections end: that must be enough
	if err := <-waiting; !errors.Is(err, buffer.ErrUnavailable) {
		t.Fatalf("receive when the server went away: %v", err)
	}
	if err := held.Ack(t.Context()); !errors.Is(err, buffer.ErrUnavailable) {
		t.Fatalf("ack when the server went away: %v", err)
	}
	errs := d.Send(t.Context(), 0, [][]byte{[]byte("two")})
	if len(errs) != 1 || !errors.Is(errs[0], buffer.ErrUnavailable) {
		t.Fatalf("send ahead of the retry: %v", errs)
	}
	mu.Lock()
	now = now.Add(c.RetryAfter)
	mu.Unlock()
	mustSend(t, d, "two")
	again := mustReceive(t, d)
	if string(again.Body()) != "one" || again.Attempts() != 2 {
		t.Fatalf("received %q, attempt %d; want the one that was in flight, attempt 2", again.Body(), again.Attempts())
	}
}

// TestFullDisk fills a small file system and makes room again.
func TestFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("mounts a file system")
	}
	mount := t.TempDir()
	if err := syscall.Mount("tmpfs", mount, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("can't mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(mount, 0); err != nil {
			t.Error(err)
		}
	})
	ballast := mount + "/ballast"
	if err := os.WriteFile(ballast, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	c := testConfig(mount + "/buffer")
	c.RetryAfter = 10 * time.Millisecond
	d := mustOpen(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	accepted := map[string]bool{}
	var full error
	for n := 0; full == nil && n < 1000; n++ {
		body := fmt.Sprintf("%06d%s", n, strings.Repeat("x", 200_000))
		if errs := d.Send(ctx, 0, [][]byte{[]byte(body)}); errs != nil {
			full = errs[0]
		} else {
			accepted[body[:6]] = true
		}
	}
	if !errors.Is(full, buffer.ErrFull) {
		t.Fatalf("send on a full disk: %v", full)
	}
	for range 5 {
		errs := d.Send(ctx, 0, [][]byte{make([]byte, 1<<20)})
		if len(errs) != 1 || !errors.Is(errs[0], buffer.ErrFull) && !errors.Is(errs[0], buffer.ErrUnavailable) {
			t.Fatalf("send on a disk that is still full: %v", errs)
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for {
		errs := d.Send(ctx, 0, [][]byte{[]byte("room a")})
		if errs == nil {
			accepted["room a"] = true
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("the buffer did not resume: %v", errs)
		}
	}
	for len(accepted) > 0 {
		got, err := d.Receive(ctx, 0, 10)
		if err != nil {
			t.Fatalf("receive: %v; %d of the accepted are left", err, len(accepted))
		}
		for _, g := range got {
			delete(accepted, string(g.Body()[:6]))
			if err := g.Ack(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
}
