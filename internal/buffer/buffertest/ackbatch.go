package buffertest

import (
	"context"
	"errors"
	"testing"

	"weir/internal/buffer"
)

func ackBatchCases() []testCase {
	return []testCase{
		{name: "AcksThoseAndNoOthers", needs: func(a Abilities) bool { return a.Depth }, run: func(t *testing.T, f Factory) {
			ackBatch(t, open(t, place(t, f), Options{}))
		}},
		with("AnswersForEach", ackBatchAnswers),
	}
}

// batchAcker gives the ability, or skips by name.
func batchAcker(t *testing.T, d Driver) buffer.BatchAcker {
	b, ok := d.(buffer.BatchAcker)
	if !ok {
		t.Skip("the driver acks one delivery at a time")
	}
	return b
}

func ackBatch(t *testing.T, d Driver) {
	b := batchAcker(t, d)
	const many = 200
	send(t, d, 0, bodies(0, many, 10)...)
	send(t, d, 1, body(1000, 10))
	got := receive(t, d, 0, many)
	other := receiveOne(t, d, 1)
	kept := got[many/2]
	acked := append([]buffer.Delivery{other, got[0]}, got[:many/2]...) // two queues, and one twice
	acked = append(acked, got[many/2+1:]...)
	must(t, "ack", errors.Join(b.AckBatch(patient(t), acked)...))
	must(t, "ack again", errors.Join(b.AckBatch(patient(t), acked)...))
	must(t, "ack nothing", errors.Join(b.AckBatch(patient(t), nil)...))
	for queue, want := range []uint64{1, 0} {
		depth, err := d.Depth(patient(t), queue)
		must(t, "depth", err)
		if depth.Messages != want {
			t.Fatalf("queue %d holds %d messages; want %d", queue, depth.Messages, want)
		}
	}
	must(t, "nack", kept.Nack(patient(t), 0))
	again := receiveOne(t, d, 0)
	wantBody(t, again, kept.Body())
	ack(t, again)
	nothing(t, d, 0, briefly)
	nothing(t, d, 1, briefly)
}

func ackBatchAnswers(t *testing.T, d Driver) {
	b := batchAcker(t, d)
	send(t, d, 0, bodies(0, 3, 10)...)
	got := receive(t, d, 0, 3)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if errs := b.AckBatch(gone, got); len(errs) != 3 {
		// It may have been in time; then all went well.
		must(t, "ack", errors.Join(errs...))
	}
	must(t, "close", d.Close())
	errs := b.AckBatch(patient(t), got)
	if len(errs) != len(got) {
		t.Fatalf("ack after close: %v", errs)
	}
	for _, err := range errs {
		wantError(t, "ack after close", err, buffer.ErrClosed)
	}
}
