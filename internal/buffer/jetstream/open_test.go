package jetstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/buffer"
)

func mustOpen(t *testing.T, c Config) *Driver {
	t.Helper()
	d, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func mustClose(t *testing.T, d *Driver) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustSend(t *testing.T, d *Driver, bodies ...string) {
	t.Helper()
	all := make([][]byte, len(bodies))
	for i, b := range bodies {
		all[i] = []byte(b)
	}
	if errs := d.Send(t.Context(), 0, all); errs != nil {
		t.Fatal(errors.Join(errs...))
	}
}

func mustReceive(t *testing.T, d *Driver) buffer.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	got, err := d.Receive(ctx, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	return got[0]
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	good := testConfig(t.TempDir())
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*Config){
		"dir":        func(c *Config) { c.Dir = "" },
		"queues":     func(c *Config) { c.Queues = 0 },
		"bodies":     func(c *Config) { c.MaxBody = 1 << 30 },
		"not one":    func(c *Config) { c.MaxBytes = 1 << 20 },
		"visibility": func(c *Config) { c.VisibilityTimeout = 0 },
		"in flight":  func(c *Config) { c.MaxInFlight = 0 },
		"answer":     func(c *Config) { c.AnswerTimeout = 0 },
		"retry":      func(c *Config) { c.RetryAfter = 0 },
		"logger":     func(c *Config) { c.Logger = nil },
	} {
		c := good
		spoil(&c)
		if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestOpenTwiceIsRefused(t *testing.T) {
	c := testConfig(filepath.Join(t.TempDir(), "deep", "folder"))
	d := mustOpen(t, c)
	if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "another process has it open") {
		t.Fatalf("opened twice: %v", err)
	}
	mustSend(t, d, "still works")
	mustClose(t, d)
	if got := mustReceive(t, mustOpen(t, c)); string(got.Body()) != "still works" {
		t.Fatalf("received %q", got.Body())
	}
}

func TestFoldersThatCannotBeOpenedStayAsTheyAre(t *testing.T) {
	for name, test := range map[string]struct{ content, want string }{
		"newer":    {`{"version":9,"queues":2}`, "version 9"},
		"nonsense": {`nonsense`, "damaged"},
		"queues":   {`{"version":1,"queues":0}`, "damaged"},
	} {
		c := testConfig(t.TempDir())
		file := filepath.Join(c.Dir, formatFile)
		if err := os.WriteFile(file, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if data, err := os.ReadFile(file); err != nil || string(data) != test.content {
			t.Errorf("%s: the file was changed to %q, %v", name, data, err)
		}
	}
	c := testConfig(t.TempDir())
	mustClose(t, mustOpen(t, c))
	if err := os.Remove(filepath.Join(c.Dir, formatFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), formatFile) {
		t.Errorf("messages without a format: %v", err)
	}
}

func TestAnUnreadableStreamIsNotMadeAnew(t *testing.T) {
	c := testConfig(t.TempDir())
	d := mustOpen(t, c)
	mustSend(t, d, "precious")
	mustClose(t, d)
	meta := filepath.Join(streamFolder(c.Dir, queueStream(0)), "meta.sum")
	sum, err := os.ReadFile(meta)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(meta, []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "could not read") {
			t.Fatalf("a stream with a damaged checksum: %v", err)
		}
	}
	if err := os.WriteFile(meta, sum, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := mustReceive(t, mustOpen(t, c)); string(got.Body()) != "precious" {
		t.Fatalf("received %q", got.Body())
	}
}

// TestMissingMessagesAreReported takes a message file away while the buffer
// is closed.
func TestMissingMessagesAreReported(t *testing.T) {
	c := testConfig(t.TempDir())
	d := mustOpen(t, c)
	mustSend(t, d, "one", "two")
	mustClose(t, d)
	folder := messageFolder(c.Dir, queueStream(0))
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
	d = mustOpen(t, c)
	if !strings.Contains(log.String(), "messages are missing") {
		t.Errorf("nothing was reported: %s", log.String())
	}
	mustSend(t, d, "three")
	mustClose(t, d)
	log.Reset()
	mustClose(t, mustOpen(t, c))
	if log.Len() > 0 {
		t.Errorf("reported again: %s", log.String())
	}
	if err := os.WriteFile(filepath.Join(c.Dir, closedFile), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, c)
	if !strings.Contains(log.String(), closedFile) {
		t.Errorf("a damaged note was not reported: %s", log.String())
	}
}

// TestOtherLimits opens a folder with other limits than before.
func TestOtherLimits(t *testing.T) {
	c := testConfig(t.TempDir())
	d := mustOpen(t, c)
	mustSend(t, d, "one", "two", strings.Repeat("x", c.MaxBody))
	mustClose(t, d)
	c.MaxBody = 1 << 10
	c.MaxBytes = 64 << 10
	d = mustOpen(t, c)
	errs := d.Send(t.Context(), 0, [][]byte{[]byte("more")})
	if len(errs) != 1 || !errors.Is(errs[0], buffer.ErrFull) {
		t.Fatalf("send to a queue that holds more than it may: %v", errs)
	}
	var full *buffer.Error
	if !errors.As(errs[0], &full) || full.Hint == "" || full.Op != "send" || !strings.Contains(full.Error(), full.Hint) {
		t.Errorf("no hint: %#v", errs[0])
	}
	for range 3 {
		if err := mustReceive(t, d).Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	mustSend(t, d, "more")
}

func TestFormatFile(t *testing.T) {
	c := testConfig(t.TempDir())
	c.Queues = 3
	mustClose(t, mustOpen(t, c))
	data, err := os.ReadFile(filepath.Join(c.Dir, formatFile))
	if err != nil {
		t.Fatal(err)
	}
	var f format
	if err := json.Unmarshal(data, &f); err != nil || f != (format{Version: 1, Queues: 3}) {
		t.Fatalf("%s: %+v, %v", data, f, err)
	}
}
