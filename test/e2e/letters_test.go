package e2e

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zeebo/xxh3"

	"weir/internal/buffer"
	"weir/internal/buffer/jetstream"
	"weir/internal/message"
	"weir/test/harness"
)

// queues opens the buffer of a server that does not run.
func queues(t *testing.T, s *harness.Server) *jetstream.Driver {
	t.Helper()
	config := jetstream.Default()
	config.Dir, config.Logger = filepath.Join(s.Data, "buffer"), slog.New(slog.DiscardHandler)
	driver, err := jetstream.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return driver
}

func sendOne(t *testing.T, d *jetstream.Driver, body []byte) {
	t.Helper()
	for _, err := range d.Send(t.Context(), 0, [][]byte{body}) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// dataMessages hands each message with samples to visit, which settles it.
func dataMessages(t *testing.T, d *jetstream.Driver, visit func(queue int, m message.Message, d buffer.Delivery)) {
	t.Helper()
	for queue := range d.Queues() {
		for {
			depth, err := d.Depth(t.Context(), queue)
			if err != nil {
				t.Fatal(err)
			}
			if depth.InFlight >= depth.Messages {
				break
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			got, err := d.Receive(ctx, queue, 100)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			for _, delivery := range got {
				if m, err := message.Decode(delivery.Body()); err == nil && m.Role == message.Data {
					visit(queue, m, delivery)
				}
			}
		}
	}
}

// letter is a line of /api/v1/queues/{queue}/dead-letters.
type letter struct {
	ID      string `json:"id"`
	Queue   int    `json:"queue"`
	Reason  string `json:"reason"`
	Bytes   int    `json:"bytes"`
	Samples int    `json:"samples"`
	Week    string `json:"week"`
}

// deadLetters reads them by the command line.
func deadLetters(t *testing.T, s *harness.Server) []letter {
	t.Helper()
	result := run(t, s, 0, "queue", "dead-letters", "--output", "json")
	var letters []letter
	if err := json.Unmarshal([]byte(result.Stdout), &letters); err == nil {
		return letters
	}
	for text := range strings.Lines(result.Stdout) {
		var one letter
		if err := json.Unmarshal([]byte(text), &one); err != nil {
			t.Fatalf("%v in %s", err, result)
		}
		letters = append(letters, one)
	}
	return letters
}

// failSoon makes a message that can't be handled a dead letter at once.
func failSoon() []string {
	return append(flushSoon(), "--set", "worker.max_failures=2", "--set", "worker.retry_delay=10ms")
}

func TestDeadLetter(t *testing.T) {
	server, c := start(t, failSoon()...)
	write(t, c, "before value=1 1\n")
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	driver := queues(t, server)
	sendOne(t, driver, []byte("this is no message"))
	if err := driver.Close(); err != nil {
		t.Fatal(err)
	}

	c = server.Up(t, failSoon()...)
	var letters []letter
	buried := func() bool { letters = deadLetters(t, server); return len(letters) == 1 }
	eventually(t, "a dead letter", buried)
	if l := letters[0]; l.Reason == "" || l.Bytes != len("this is no message") || l.Queue != 0 {
		t.Errorf("%+v", l)
	}
	write(t, c, "after value=1 1\n") // the queue goes on
	expect(t, c, `{__name__=~"before|after"}`, "before{} 1=1", "after{} 1=1")
	settled(t, c)

	first := letters[0].ID
	result := run(t, server, 0, "queue", "redrive", "--queue", "0", first)
	if !strings.Contains(result.Stdout, "1") {
		t.Errorf("%s", result)
	}
	eventually(t, "the letter back in its place", func() bool { return buried() && letters[0].ID != first })
	run(t, server, 1, "queue", "redrive", "--queue", "0", first)
	settled(t, c)
}

// A message that a newer Weir wrote is left in the queue, as it is, and the
// rest goes on around it.
func TestMessageOfANewerVersion(t *testing.T) {
	server, c := start(t, failSoon()...)
	write(t, c, "known value=1 1\n")
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	m := message.Message{Role: message.Data, Life: 42, Stamp: message.Stamp(time.Now().UnixNano())}
	body := m.Append(nil)
	body[2] = 99
	end := len(body) - 8
	binary.LittleEndian.PutUint64(body[end:], xxh3.Hash(body[:end]))
	driver := queues(t, server)
	sendOne(t, driver, body)
	if err := driver.Close(); err != nil {
		t.Fatal(err)
	}
	c = server.Up(t, failSoon()...)
	write(t, c, "known value=2 2\n")
	expect(t, c, "known", "known{} 1=1 2=2")
	if letters := deadLetters(t, server); len(letters) != 0 {
		t.Errorf("%+v", letters)
	}
	eventually(t, "one message in the queues", func() bool {
		var queues []struct{ Messages int }
		if err := c.JSON(t.Context(), "/api/v1/queues", &queues); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, q := range queues {
			n += q.Messages
		}
		return n == 1
	})
}

// A good message that was buried is redriven and stored exactly once; a copy
// of one that is stored changes nothing.
func TestRedriveStoresOnce(t *testing.T) {
	server, c := start(t, flushNever()...)
	write(t, c, "buried value=1 1\nburied value=2 2\nburied value=3 3\n")
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	driver := queues(t, server)
	var copied []byte
	dataMessages(t, driver, func(queue int, m message.Message, d buffer.Delivery) {
		copied = append([]byte(nil), d.Body()...)
		if err := driver.Bury(t.Context(), queue, d, "buried by a test"); err != nil {
			t.Error(err)
		}
	})
	if err := driver.Close(); err != nil || copied == nil {
		t.Fatal("no message with samples was found", err)
	}

	c = server.Up(t, flushSoon()...)
	expect(t, c, "buried")
	ledger := settled(t, c)
	if ledger.Accepted != 3 || ledger.DeadLettered != 3 || ledger.Stored != 0 {
		t.Errorf("buried: %+v", ledger)
	}
	letters := deadLetters(t, server)
	if len(letters) != 1 || letters[0].Samples != 3 || letters[0].Reason != "buried by a test" || letters[0].Week != "1970-W01" {
		t.Errorf("%+v", letters)
	}
	run(t, server, 0, "queue", "redrive", "--all")
	eventually(t, "redriven samples stored", func() bool {
		ledger, err := c.Ledger(t.Context())
		return err == nil && ledger.Stored == 3 && ledger.DeadLettered == 0 && ledger.Balanced()
	})
	expect(t, c, "buried", "buried{} 1=1 2=2 3=3")
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	checkCopies(t, server, copied)
}

// checkCopies puts copies of a stored message into a queue and among the dead
// letters: they are acked without effect, and counted as stored.
func checkCopies(t *testing.T, server *harness.Server, copied []byte) {
	t.Helper()
	m, err := message.Decode(copied)
	if err != nil {
		t.Fatal(err)
	}
	driver := queues(t, server)
	for range 2 {
		for _, err := range driver.Send(t.Context(), m.Queue, [][]byte{copied}) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	once := false
	dataMessages(t, driver, func(queue int, _ message.Message, d buffer.Delivery) {
		if once {
			return
		}
		once = true
		if err := driver.Bury(t.Context(), queue, d, "a copy"); err != nil {
			t.Error(err)
		}
	})
	if err := driver.Close(); err != nil {
		t.Fatal(err)
	}
	c := server.Up(t, flushSoon()...)
	if ledger := settled(t, c); ledger.Accepted != 3 || ledger.Stored != 3 || ledger.DeadLettered != 0 {
		t.Errorf("with a copy: %+v", ledger)
	}
	run(t, server, 0, "queue", "redrive", "--all")
	eventually(t, "no message in the queues", func() bool {
		var queues []struct {
			Messages    int `json:"messages"`
			DeadLetters int `json:"dead_letters"`
		}
		if err := c.JSON(t.Context(), "/api/v1/queues", &queues); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, q := range queues {
			n += q.Messages + q.DeadLetters
		}
		return n == 0
	})
	if ledger := settled(t, c); ledger.Accepted != 3 || ledger.Stored != 3 {
		t.Errorf("redriven copy: %+v", ledger)
	}
	expect(t, c, "buried", "buried{} 1=1 2=2 3=3")
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	if n := len(items(t, server, "buried")); n != 3 {
		t.Errorf("%d samples in items; want 3", n)
	}
}

func TestRedriveByPath(t *testing.T) {
	server, _ := start(t, flushNever()...)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	driver := queues(t, server)
	sendOne(t, driver, []byte("no message, 1"))
	sendOne(t, driver, []byte("no message, 2"))
	if err := driver.Close(); err != nil {
		t.Fatal(err)
	}
	c := server.Up(t, failSoon()...)
	eventually(t, "two dead letters", func() bool { return len(deadLetters(t, server)) == 2 })
	answer, err := c.Do(t.Context(), harness.Request{Method: http.MethodPost, Path: "/api/v1/queues/0/dead-letters/redrive"})
	if err != nil || answer.Status != http.StatusOK || !strings.Contains(fmt.Sprint(answer), `"redriven": 2`) {
		t.Error(answer, err)
	}
	eventually(t, "two dead letters again", func() bool { return len(deadLetters(t, server)) == 2 })
}
