package buffertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"weir/internal/buffer"
)

func redeliveryCases() []testCase {
	return []testCase{
		with("NackAtOnce", nackAtOnce),
		with("NackWithDelay", nackWithDelay),
		{name: "VisibilityTimeout", run: visibilityTimeout},
		{name: "Extend", run: extend},
		with("AckIsIdempotent", ackIsIdempotent),
		with("NackIsIdempotent", nackIsIdempotent),
		{name: "AckAfterTheTimeout", run: ackAfterTimeout},
	}
}

func nackAtOnce(t *testing.T, d Driver) {
	send(t, d, 0, body(1, 10))
	id := ""
	for attempt := 1; attempt <= 5; attempt++ {
		got := receiveOne(t, d, 0)
		wantBody(t, got, body(1, 10))
		wantAttempts(t, got, attempt)
		if id != "" && got.ID() != id {
			t.Fatalf("ID %s; was %s", got.ID(), id)
		}
		id = got.ID()
		must(t, "nack", got.Nack(patient(t), 0))
	}
	ack(t, receiveOne(t, d, 0))
	nothing(t, d, 0, briefly)
}

func nackWithDelay(t *testing.T, d Driver) {
	const delay = time.Second
	send(t, d, 0, body(1, 10))
	got := receiveOne(t, d, 0)
	start := time.Now()
	must(t, "nack", got.Nack(patient(t), delay))
	nothing(t, d, 0, briefly)
	again := receiveOne(t, d, 0)
	if waited := time.Since(start); waited < delay*9/10 {
		t.Errorf("came again after %v; want %v", waited, delay)
	}
	wantAttempts(t, again, 2)
	ack(t, again)
}

func visibilityTimeout(t *testing.T, f Factory) {
	d := open(t, place(t, f), Options{Visibility: 400 * time.Millisecond})
	send(t, d, 0, bodies(0, 3, 10)...)
	for attempt := 1; attempt <= 3; attempt++ {
		for _, got := range receive(t, d, 0, 3) {
			wantAttempts(t, got, attempt)
		}
	}
	seen := map[string]bool{}
	for len(seen) < 3 {
		got := receiveOne(t, d, 0)
		seen[string(got.Body())] = true
		ack(t, got)
	}
	nothing(t, d, 0, 800*time.Millisecond)
}

func extend(t *testing.T, f Factory) {
	const visibility = 2 * time.Second
	d := open(t, place(t, f), Options{Visibility: visibility})
	send(t, d, 0, body(1, 10))
	got := receiveOne(t, d, 0)
	x, ok := got.(buffer.Extender)
	if !ok {
		t.Skip("the driver's deliveries cannot be extended")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*visibility)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		tick := time.NewTicker(visibility / 10)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				done <- nil
				return
			case <-tick.C:
				if err := x.Extend(ctx); err != nil && ctx.Err() == nil {
					done <- err
					return
				}
			}
		}
	}()
	if again, err := d.Receive(ctx, 0, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("an extended delivery came again: %v, %v", again, err)
	}
	must(t, "extend", <-done)
	wantAttempts(t, receiveOne(t, d, 0), 2)
}

func ackIsIdempotent(t *testing.T, d Driver) {
	send(t, d, 0, bodies(0, 2, 10)...)
	got := receive(t, d, 0, 2)
	ack(t, got[0], got[0], got[0])
	must(t, "nack after ack", got[0].Nack(patient(t), 0))
	nothing(t, d, 0, briefly)
	ack(t, got[1], got[0])
	nothing(t, d, 0, briefly)
}

func nackIsIdempotent(t *testing.T, d Driver) {
	send(t, d, 0, body(1, 10))
	got := receiveOne(t, d, 0)
	must(t, "nack", got.Nack(patient(t), 0))
	must(t, "nack again", got.Nack(patient(t), 0))
	ack(t, receiveOne(t, d, 0))
	nothing(t, d, 0, briefly)
}

// ackAfterTimeout acks what was given to somebody else meanwhile. Whether that
// counts is the driver's; the message must be removable.
func ackAfterTimeout(t *testing.T, f Factory) {
	d := open(t, place(t, f), Options{Visibility: 300 * time.Millisecond})
	send(t, d, 0, body(1, 10))
	first := receiveOne(t, d, 0)
	second := receiveOne(t, d, 0)
	_ = first.Ack(patient(t))
	ack(t, second)
	nothing(t, d, 0, 700*time.Millisecond)
}
