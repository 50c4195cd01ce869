package buffertest

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"weir/internal/buffer"
)

func messageCases() []testCase {
	return []testCase{
		with("SendReceiveAck", sendReceiveAck),
		with("BodiesComeAsTheyWere", bodiesAsTheyWere),
		with("BodiesStayTheCallers", bodiesStay),
		with("TooLargeAmongGood", tooLargeAmongGood),
		with("QueuesAreApart", queuesApart),
		with("QueueOutOfRange", outOfRange),
		{name: "FirstDeliveriesInOrder", needs: func(a Abilities) bool { return a.Ordered }, run: inOrder},
	}
}

func sendReceiveAck(t *testing.T, d Driver) {
	before := time.Now().Add(-time.Minute)
	if d.Queues() != 2 {
		t.Fatalf("%d queues; want 2", d.Queues())
	}
	send(t, d, 0, body(1, 100))
	got := receiveOne(t, d, 0)
	wantBody(t, got, body(1, 100))
	wantAttempts(t, got, 1)
	if got.ID() == "" {
		t.Error("a delivery without ID")
	}
	if got.Sent().Before(before) || got.Sent().After(time.Now().Add(time.Minute)) {
		t.Errorf("sent at %v", got.Sent())
	}
	nothing(t, d, 0, briefly)
	ack(t, got)
	nothing(t, d, 0, briefly)
}

func bodiesAsTheyWere(t *testing.T, d Driver) {
	all := [][]byte{{0}, {0xff, 0, '\r', '\n'}, []byte("NATS/1.0 404\r\n\r\n"), body(3, 4096), body(4, d.MaxBody())}
	for _, b := range all {
		send(t, d, 1, b)
		got := receiveOne(t, d, 1)
		wantBody(t, got, b)
		ack(t, got)
	}
}

func bodiesStay(t *testing.T, d Driver) {
	b := body(1, 1000)
	send(t, d, 0, b)
	clear(b)
	got := receiveOne(t, d, 0)
	wantBody(t, got, body(1, 1000))
	held := got.Body()
	send(t, d, 0, body(2, 1000))
	ack(t, got, receiveOne(t, d, 0))
	if !bytes.Equal(held, body(1, 1000)) {
		t.Error("a received body changed")
	}
}

func tooLargeAmongGood(t *testing.T, d Driver) {
	large := make([]byte, d.MaxBody()+1)
	errs := d.Send(patient(t), 0, [][]byte{body(1, 10), large, body(2, 10)})
	if len(errs) != 3 || errs[0] != nil || errs[2] != nil {
		t.Fatalf("errors of good, large, good: %v", errs)
	}
	wantError(t, "large body", errs[1], buffer.ErrTooLarge)
	seen := map[string]bool{}
	for _, g := range receive(t, d, 0, 2) {
		seen[string(g.Body())] = true
		ack(t, g)
	}
	if !seen[string(body(1, 10))] || !seen[string(body(2, 10))] {
		t.Fatal("the good bodies did not come")
	}
	nothing(t, d, 0, briefly)
}

func queuesApart(t *testing.T, d Driver) {
	send(t, d, 1, body(1, 10))
	nothing(t, d, 0, briefly)
	ack(t, receiveOne(t, d, 1))
}

func outOfRange(t *testing.T, d Driver) {
	for _, queue := range []int{-1, d.Queues()} {
		errs := d.Send(patient(t), queue, [][]byte{body(1, 10)})
		if len(errs) != 1 || errs[0] == nil {
			t.Errorf("send to queue %d: %v; want an error", queue, errs)
		}
		if _, err := d.Receive(patient(t), queue, 1); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("receive of queue %d: %v; want an error at once", queue, err)
		}
	}
}

func inOrder(t *testing.T, f Factory) {
	d := open(t, place(t, f), Options{})
	const count = 300
	for i := 0; i < count; i += 100 {
		send(t, d, 0, bodies(i, 100, 64)...)
	}
	for i, got := range receive(t, d, 0, count) {
		wantBody(t, got, body(i, 64))
	}
}
