package buffertest

import (
	"sync"
	"testing"
	"time"

	"weir/internal/buffer"
)

func closeCases() []testCase {
	return []testCase{
		with("Twice", closeTwice),
		with("AnswersAfterwards", afterClose),
		with("EndsReceives", closeEndsReceives),
		{name: "MoreQueuesLater", run: moreQueues},
	}
}

func closeTwice(t *testing.T, d Driver) {
	must(t, "close", d.Close())
	must(t, "close again", d.Close())
}

func afterClose(t *testing.T, d Driver) {
	send(t, d, 0, body(1, 10))
	held := receiveOne(t, d, 0)
	must(t, "close", d.Close())
	ctx := patient(t)
	if errs := d.Send(ctx, 0, [][]byte{body(1, 10)}); len(errs) != 1 {
		t.Errorf("send after close: %v", errs)
	} else {
		wantError(t, "send after close", errs[0], buffer.ErrClosed)
	}
	_, err := d.Receive(ctx, 0, 1)
	wantError(t, "receive after close", err, buffer.ErrClosed)
	_, err = d.Depth(ctx, 0)
	wantError(t, "depth after close", err, buffer.ErrClosed)
	_, err = d.List(ctx, 0, "", 1)
	wantError(t, "list after close", err, buffer.ErrClosed)
	_, err = d.Acquire(ctx, 0, "a", time.Hour)
	wantError(t, "acquire after close", err, buffer.ErrClosed)
	wantError(t, "redrive after close", d.Redrive(ctx, 0, "1"), buffer.ErrClosed)
	wantError(t, "ack after close", held.Ack(ctx), buffer.ErrClosed)
	wantError(t, "nack after close", held.Nack(ctx, 0), buffer.ErrClosed)
	wantError(t, "bury after close", d.Bury(ctx, 0, held, "test"), buffer.ErrClosed)
	if d.Queues() != 2 {
		t.Errorf("%d queues after close", d.Queues())
	}
}

func closeEndsReceives(t *testing.T, d Driver) {
	errs := make(chan error, 4)
	var group sync.WaitGroup
	for i := range cap(errs) {
		group.Go(func() {
			_, err := d.Receive(patient(t), i%2, 1)
			errs <- err
		})
	}
	nothing(t, d, 0, briefly)
	must(t, "close", d.Close())
	group.Wait()
	for range cap(errs) {
		wantError(t, "receive when closed", <-errs, buffer.ErrClosed)
	}
}

// moreQueues opens a place with another number of queues: no message may be
// out of reach.
func moreQueues(t *testing.T, f Factory) {
	p := place(t, f)
	d := open(t, p, Options{Queues: 1})
	send(t, d, 0, body(0, 10))
	must(t, "close", d.Close())
	d = open(t, p, Options{Queues: 3})
	if d.Queues() != 3 {
		t.Fatalf("%d queues; want 3", d.Queues())
	}
	send(t, d, 2, body(2, 10))
	must(t, "close", d.Close())
	d = open(t, p, Options{Queues: 1})
	if d.Queues() != 3 {
		t.Fatalf("%d queues; want the 3 that hold messages", d.Queues())
	}
	for _, queue := range []int{0, 2} {
		got := receiveOne(t, d, queue)
		wantBody(t, got, body(queue, 10))
		ack(t, got)
	}
}
