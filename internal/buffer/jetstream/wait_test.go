package jetstream

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"weir/internal/buffer"
)

// TestSendWithoutAnswers sends by a sender that does not hear its answers.
func TestSendWithoutAnswers(t *testing.T) {
	c := testConfig(t.TempDir())
	c.AnswerTimeout = 50 * time.Millisecond
	d := mustOpen(t, c)
	deaf := d.current.newSender(queueStream(0))
	messages := make([]*nats.Msg, sendAhead+2) // the last two find no slot
	for i := range messages {
		messages[i] = &nats.Msg{Data: []byte("body")}
	}
	errs := make([]error, len(messages))
	deaf.send(t.Context(), messages, errs)
	for i, err := range errs {
		if !errors.Is(err, buffer.ErrUnavailable) || !errors.Is(err, errNoAnswer) {
			t.Fatalf("body %d: %v", i, err)
		}
	}
	if len(deaf.slots) > 0 || len(deaf.waiting) > 0 {
		t.Fatalf("%d slots and %d answers are left", len(deaf.slots), len(deaf.waiting))
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now()) // sooner than any answer is waited for
	defer cancel()
	errs = make([]error, len(messages))
	deaf.send(ctx, messages, errs)
	for i, err := range errs {
		if !errors.Is(err, buffer.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("body %d: %v", i, err)
		}
	}
	if err := d.current.request(t.Context(), "nobody.listens", nil); !errors.Is(err, buffer.ErrUnavailable) {
		t.Fatalf("request that nobody answers: %v", err)
	}
	if err := d.current.request(ctx, "nobody.listens", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("request with a context that ended: %v", err)
	}
}

// TestStraysAreGivenBack has a message come for a Receive that gave up, and no
// other Receive.
func TestStraysAreGivenBack(t *testing.T) {
	d := mustOpen(t, testConfig(t.TempDir()))
	wait, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := d.Receive(wait, 0, 5); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("receive of nothing: %v", err)
	}
	mustSend(t, d, "one")
	q := d.current.queues[0]
	patience, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	held := func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		return !q.pull.ended || len(q.pull.got) > 0
	}
	for held() {
		select {
		case <-tick.C:
		case <-patience.Done():
			t.Fatal("the delivery was not given back")
		}
	}
	// Long ahead of the visibility timeout.
	if got := mustReceive(t, d); string(got.Body()) != "one" || got.Attempts() != 2 {
		t.Fatalf("received %q, attempt %d; want attempt 2", got.Body(), got.Attempts())
	}
}

// TestMoreInFlightThanAllowed receives up to the limit; an ack makes room.
func TestMoreInFlightThanAllowed(t *testing.T) {
	c := testConfig(t.TempDir())
	c.MaxInFlight = 2
	d := mustOpen(t, c)
	mustSend(t, d, "one", "two", "three")
	got, err := d.Receive(t.Context(), 0, 10)
	if err != nil || len(got) != 2 {
		t.Fatalf("%d deliveries, %v; want the 2 that may be in flight", len(got), err)
	}
	wait, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if more, err := d.Receive(wait, 0, 10); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%d deliveries past the limit, %v", len(more), err)
	}
	if err := got[0].Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
	if third := mustReceive(t, d); string(third.Body()) != "three" {
		t.Fatalf("received %q", third.Body())
	}
	if _, err := d.Receive(t.Context(), 0, 0); err == nil {
		t.Fatal("a receive of nothing passed")
	}
}
