package jetstream

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/buffer"
)

// TestFilesThatCannotBeRead puts a folder, which no program can read as a
// file, where the buffer has a file: it is refused with its name, stays, and
// the messages are there once it is mended.
func TestFilesThatCannotBeRead(t *testing.T) {
	for _, name := range []string{"LOCK", formatFile, closedFile, "attempts-0.log", serverFolder} {
		t.Run(name, func(t *testing.T) {
			c := testConfig(t.TempDir())
			d := mustOpen(t, c)
			mustSend(t, d, "precious")
			mustClose(t, d)
			path, aside := filepath.Join(c.Dir, name), filepath.Join(c.Dir, "aside")
			if err := os.Rename(path, aside); err != nil {
				t.Fatal(err)
			}
			spoil := func() error { return os.Mkdir(path, 0o700) }
			if name == serverFolder {
				spoil = func() error { return os.WriteFile(path, nil, 0o600) }
			}
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), name) {
				t.Fatalf("opened with %s spoiled: %v; want an error that names it", name, err)
			}
			if err := errors.Join(os.Remove(path), os.Rename(aside, path)); err != nil {
				t.Fatal(err)
			}
			if got := mustReceive(t, mustOpen(t, c)); string(got.Body()) != "precious" {
				t.Fatalf("received %q", got.Body())
			}
		})
	}
}

func TestAFolderBelowAFileIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), testConfig(filepath.Join(file, "buffer")))
	if err == nil || !strings.Contains(err.Error(), file) {
		t.Fatalf("opened below a file: %v", err)
	}
}

// TestOpenThatIsGivenUp leaves nothing behind: no lock, no server.
func TestOpenThatIsGivenUp(t *testing.T) {
	c := testConfig(t.TempDir())
	d := mustOpen(t, c)
	mustSend(t, d, "precious")
	mustClose(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, c); !errors.Is(err, context.Canceled) {
		t.Fatalf("open that was given up: %v", err)
	}
	if got := mustReceive(t, mustOpen(t, c)); string(got.Body()) != "precious" {
		t.Fatalf("received %q", got.Body())
	}
}

// stoppedClock is a clock that tests turn.
type stoppedClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *stoppedClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *stoppedClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// TestServerThatCannotBeStartedAgain has the server fail while a stream's
// files are damaged: every call says so, and the buffer resumes by itself once
// they are mended.
func TestServerThatCannotBeStartedAgain(t *testing.T) {
	clock := &stoppedClock{now: time.Now()}
	c := testConfig(t.TempDir())
	c.Now = clock.Now
	d := mustOpen(t, c)
	mustSend(t, d, "precious")
	e := d.current
	e.server.Shutdown()
	e.server.WaitForShutdown()
	<-e.life.Done()
	meta := filepath.Join(streamFolder(c.Dir, queueStream(0)), "meta.sum")
	sum, err := os.ReadFile(meta)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(meta, []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Depth(t.Context(), 0); !errors.Is(err, buffer.ErrUnavailable) {
		t.Fatalf("depth after the server failed: %v", err)
	}
	for range 2 {
		clock.pass(c.RetryAfter)
		if _, err := d.Depth(t.Context(), 0); !errors.Is(err, buffer.ErrUnavailable) || !strings.Contains(err.Error(), "could not read") {
			t.Fatalf("depth when the server can't be started again: %v", err)
		}
	}
	if errs := d.Send(t.Context(), 0, [][]byte{[]byte("more")}); len(errs) != 1 || !strings.Contains(errs[0].Error(), "could not read") {
		t.Fatalf("send ahead of the next start: %v; want the reason", errs)
	}
	if err := os.WriteFile(meta, sum, 0o600); err != nil {
		t.Fatal(err)
	}
	clock.pass(c.RetryAfter)
	if got := mustReceive(t, d); string(got.Body()) != "precious" {
		t.Fatalf("received %q", got.Body())
	}
}

// TestAFailedServerAnswersEveryCall breaks the server and calls what a worker
// and an operator call.
func TestAFailedServerAnswersEveryCall(t *testing.T) {
	d := mustOpen(t, testConfig(t.TempDir()))
	mustSend(t, d, "one", "two")
	if err := d.Bury(t.Context(), 0, mustReceive(t, d), "poison"); err != nil {
		t.Fatal(err)
	}
	held := mustReceive(t, d)
	e := d.current
	e.server.Shutdown()
	e.server.WaitForShutdown()
	<-e.life.Done()
	for name, call := range map[string]func() error{
		"list":    func() error { _, err := e.dead[0].list(t.Context(), 0, 10); return err },
		"depth":   func() error { _, err := e.queues[0].depth(t.Context()); return err },
		"receive": func() error { _, err := e.queues[0].receive(t.Context(), 1); return err },
		"bury":    func() error { return e.dead[0].bury(t.Context(), held.Body(), "poison") },
		"extend":  func() error { return held.(buffer.Extender).Extend(t.Context()) },
		"nack":    func() error { return held.Nack(t.Context(), 0) },
	} {
		if err := e.asPort(t.Context(), call()); !errors.Is(err, buffer.ErrUnavailable) {
			t.Errorf("%s of a failed server: %v", name, err)
		}
	}
}

// TestRedriveToAFullQueue keeps the letter.
func TestRedriveToAFullQueue(t *testing.T) {
	c := testConfig(t.TempDir())
	c.MaxBody, c.MaxBytes = 1<<10, 64<<10
	d := mustOpen(t, c)
	mustSend(t, d, strings.Repeat("x", 1<<10))
	if err := d.Bury(t.Context(), 0, mustReceive(t, d), "poison"); err != nil {
		t.Fatal(err)
	}
	for d.Send(t.Context(), 0, [][]byte{make([]byte, 1<<10)}) == nil {
	}
	if err := d.Redrive(t.Context(), 0, "1"); !errors.Is(err, buffer.ErrFull) {
		t.Fatalf("redrive to a full queue: %v", err)
	}
	letters, err := d.List(t.Context(), 0, "", 10)
	if err != nil || len(letters) != 1 || letters[0].Reason != "poison" {
		t.Fatalf("letters after a redrive that failed: %v, %v", letters, err)
	}
	for range 2 { // the letter is a little larger than a message
		if err := mustReceive(t, d).Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Redrive(t.Context(), 0, "1"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.List(t.Context(), 0, "first", 10); !errors.Is(err, buffer.ErrNotFound) {
		t.Fatalf("letters after one with an ID that is none: %v", err)
	}
}

// TestDeliveriesThatCannotBeWrittenDown come again, and count.
func TestDeliveriesThatCannotBeWrittenDown(t *testing.T) {
	d := mustOpen(t, testConfig(t.TempDir()))
	counted := d.current.queues[0].attempts
	file := &fullFile{recordFile: counted.file, full: true}
	counted.file = file
	mustSend(t, d, "precious")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if got, err := d.Receive(ctx, 0, 1); !errors.Is(err, errFull) || len(got) > 0 {
		t.Fatalf("received %d on a full disk, %v", len(got), err)
	}
	file.full = false
	if got := mustReceive(t, d); string(got.Body()) != "precious" || got.Attempts() != 2 {
		t.Fatalf("received %q, attempt %d; want attempt 2", got.Body(), got.Attempts())
	}
}

// TestAppendAfterATornOne leaves nothing of the torn one in the file.
func TestAppendAfterATornOne(t *testing.T) {
	f := &lineFile{name: filepath.Join(t.TempDir(), "attempts.log")}
	if err := f.Rewrite([]record{{Format: attemptsFormat}, {Life: true}}); err != nil {
		t.Fatal(err)
	}
	writable := f.file
	var err error
	if f.file, err = os.Open(f.name); err != nil { // refuses writes, as a full disk does
		t.Fatal(err)
	}
	if err := f.Append([]record{{Claim: 7}}); err == nil {
		t.Fatal("an append to a file that takes no writes passed")
	}
	if err := f.Append([]record{{Claim: 7}}); err == nil {
		t.Fatal("an append over a torn one that can't be cut off passed")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	// A long half of a record, longer than what is appended next.
	if _, err := writable.WriteAt([]byte(`{"seq":123456789012345,"more":12345678901`), f.size); err != nil {
		t.Fatal(err)
	}
	f.file = writable
	if err := f.Append([]record{{Claim: 9}}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(f.name)
	if want := "{\"format\":1}\n{\"life\":true}\n{\"claim\":9}\n"; err != nil || string(data) != want {
		t.Fatalf("the file holds %q, %v; want %q", data, err, want)
	}
}

// TestARewriteThatFails keeps what the file held.
func TestARewriteThatFails(t *testing.T) {
	name := filepath.Join(t.TempDir(), "attempts.log")
	a, err := openAttempts(name, 1, 9)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(name+".new", 0o700); err != nil { // where the new file would be written
		t.Fatal(err)
	}
	a.since = rewriteAfter
	if _, err := a.Begin([]begun{{1, 3}}); err == nil {
		t.Fatal("a rewrite over a folder passed")
	}
	if _, err := openAttempts(name, 1, 9); err == nil {
		t.Fatal("an open that can't write passed")
	}
	if err := errors.Join(a.Close(), os.Remove(name+".new")); err != nil {
		t.Fatal(err)
	}
	again, err := openAttempts(name, 1, 9)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if counts, err := again.Begin([]begun{{1, 1}}); err != nil || counts[0] != 4 {
		t.Fatalf("begin in the next life: %v, %v; want 4", counts, err)
	}
}

// foreign is a delivery of another buffer.
type foreign struct{ buffer.Delivery }

func TestAckBatchWithAForeignDelivery(t *testing.T) {
	d := mustOpen(t, testConfig(t.TempDir()))
	mustSend(t, d, "own")
	errs := d.AckBatch(t.Context(), []buffer.Delivery{foreign{}, mustReceive(t, d)})
	if len(errs) != 2 || errs[0] == nil || errs[1] != nil {
		t.Fatalf("ack of a foreign and an own delivery: %v", errs)
	}
	depth, err := d.Depth(t.Context(), 0)
	if err != nil || depth.Messages != 0 {
		t.Fatalf("%d messages, %v; want the own one acked", depth.Messages, err)
	}
}

// TestSendThatFindsNoPlace has all places taken by sends that the server does
// not answer.
func TestSendThatFindsNoPlace(t *testing.T) {
	d := mustOpen(t, testConfig(t.TempDir()))
	s := d.current.queues[0].sender
	s.engine.config.AnswerTimeout = 50 * time.Millisecond
	for range cap(s.slots) {
		s.slots <- struct{}{}
	}
	two := [][]byte{[]byte("one"), []byte("two")}
	for _, err := range d.Send(t.Context(), 0, two) {
		if !errors.Is(err, buffer.ErrUnavailable) || !errors.Is(err, errNoAnswer) {
			t.Errorf("send with no place left: %v", err)
		}
	}
	s.engine.config.AnswerTimeout = time.Hour
	gone, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	for _, err := range d.Send(gone, 0, two) {
		if !errors.Is(err, buffer.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("send that was given up: %v", err)
		}
	}
	for range cap(s.slots) {
		<-s.slots
	}
	mustSend(t, d, "three")
	if got := mustReceive(t, d); string(got.Body()) != "three" {
		t.Fatalf("received %q; want what alone was accepted", got.Body())
	}
}
