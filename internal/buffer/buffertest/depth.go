package buffertest

import (
	"testing"
	"time"

	"weir/internal/buffer"
)

func depthCases() []testCase {
	return []testCase{
		{name: "CountsAndOldest", needs: func(a Abilities) bool { return a.Depth }, run: countsAndOldest},
	}
}

func countsAndOldest(t *testing.T, f Factory) {
	d := open(t, place(t, f), Options{})
	wantDepth(t, d, 0, 0, 0)
	send(t, d, 0, bodies(0, 5, 1000)...)
	if got := wantDepth(t, d, 0, 5, 0); got.Bytes < 5000 || got.Bytes > 50_000 {
		t.Errorf("%d bytes for five bodies of 1,000", got.Bytes)
	}
	deliveries := receive(t, d, 0, 4)
	oldest := deliveries[0].Sent()
	for _, g := range deliveries {
		if g.Sent().Before(oldest) {
			oldest = g.Sent()
		}
	}
	if got := wantDepth(t, d, 0, 5, 4); got.Oldest.Sub(oldest).Abs() > time.Millisecond {
		t.Errorf("the oldest was sent at %v; want %v", got.Oldest, oldest)
	}
	must(t, "nack", deliveries[3].Nack(patient(t), time.Hour))
	wantDepth(t, d, 0, 5, 3)
	must(t, "ack", deliveries[0].Ack(patient(t)))
	wantDepth(t, d, 0, 4, 2)
	must(t, "ack", deliveries[1].Ack(patient(t)))
	must(t, "bury", d.Bury(patient(t), 0, deliveries[2], "test"))
	wantDepth(t, d, 0, 2, 0)
	wantDepth(t, d, 1, 0, 0)
}

func wantDepth(t *testing.T, d Driver, queue int, messages, inFlight uint64) buffer.Depth {
	t.Helper()
	got, err := d.Depth(patient(t), queue)
	must(t, "depth", err)
	if got.Messages != messages || got.InFlight != inFlight {
		t.Fatalf("depth of queue %d: %+v; want %d messages, %d in flight", queue, got, messages, inFlight)
	}
	if messages == 0 && (got.Bytes != 0 || !got.Oldest.IsZero()) {
		t.Fatalf("depth of an empty queue: %+v", got)
	}
	return got
}
