package jetstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"weir/internal/buffer"
)

// delivery is one message handed to one receiver.
type delivery struct {
	queue    *queue
	message  *nats.Msg
	sequence uint64
	sent     time.Time
	attempts int
}

var (
	_ buffer.Delivery = (*delivery)(nil)
	_ buffer.Extender = (*delivery)(nil)
)

// deliveries makes deliveries of messages: from here on they have begun. When
// that can't be written down, all are given back.
func (q *queue) deliveries(ctx context.Context, messages []*nats.Msg) ([]buffer.Delivery, error) {
	made := make([]*delivery, len(messages))
	starts := make([]begun, len(messages))
	var err error
	for i, m := range messages {
		var meta *nats.MsgMetadata
		if meta, err = m.Metadata(); err != nil {
			break
		}
		made[i] = &delivery{queue: q, message: m, sequence: meta.Sequence.Stream, sent: meta.Timestamp}
		starts[i] = begun{seq: meta.Sequence.Stream, delivered: meta.NumDelivered}
	}
	var counts []int
	if err == nil {
		counts, err = q.attempts.Begin(starts)
	}
	if err != nil {
		for _, m := range messages {
			_ = m.Respond(nakAfter(time.Second)) // else it comes after the visibility timeout
		}
		return nil, q.engine.asPort(ctx, err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	given := make([]buffer.Delivery, len(made))
	for i, d := range made {
		d.attempts = counts[i]
		delete(q.nacked, d.sequence)
		given[i] = d
	}
	return given, nil
}

// nakNow is the server's word for giving a delivery back at once.
const nakNow = "-NAK"

// nakAfter is the server's word for giving a delivery back.
func nakAfter(delay time.Duration) []byte {
	if delay <= 0 {
		return []byte(nakNow)
	}
	return fmt.Appendf(nil, `%s {"delay":%d}`, nakNow, delay.Nanoseconds())
}

// ID implements buffer.Delivery.
func (d *delivery) ID() string { return strconv.FormatUint(d.sequence, 10) }

// Body implements buffer.Delivery.
func (d *delivery) Body() []byte { return d.message.Data }

// Sent implements buffer.Delivery.
func (d *delivery) Sent() time.Time { return d.sent }

// Attempts implements buffer.Delivery.
func (d *delivery) Attempts() int { return d.attempts }

// Ack implements buffer.Delivery. It returns when the server has removed the
// message and synced that.
func (d *delivery) Ack(ctx context.Context) error {
	d.queue.engine.config.removals.RLock()
	defer d.queue.engine.config.removals.RUnlock()
	if err := d.settle(ctx, "ack", []byte("+ACK")); err != nil {
		return err
	}
	d.queue.attempts.Settle(d.sequence)
	return nil
}

// AckBatch implements buffer.BatchAcker. The server still writes and syncs each
// ack by itself; what is spared is to wait for one before the next is sent.
func (d *Driver) AckBatch(ctx context.Context, deliveries []buffer.Delivery) []error {
	errs := make([]error, len(deliveries))
	places := map[*queue][]int{} // those of a server that failed have other queues
	for i, one := range deliveries {
		own, ok := one.(*delivery)
		if !ok {
			errs[i] = fmt.Errorf("buffer: ack: a delivery of another buffer, %T", one)
			continue
		}
		places[own.queue] = append(places[own.queue], i)
	}
	for q, of := range places {
		q.ackAll(ctx, deliveries, errs, of)
	}
	for _, err := range errs {
		if err != nil {
			return errs
		}
	}
	return nil
}

// ackAll acks those of deliveries that of names, all of this queue.
func (q *queue) ackAll(ctx context.Context, deliveries []buffer.Delivery, errs []error, of []int) {
	q.engine.config.removals.RLock()
	defer q.engine.config.removals.RUnlock()
	acks, failed := make([]*nats.Msg, len(of)), make([]error, len(of))
	for i, at := range of {
		acks[i] = &nats.Msg{Subject: deliveries[at].(*delivery).message.Reply, Data: []byte("+ACK")}
	}
	q.acker.send(ctx, acks, failed)
	for i, at := range of {
		if failed[i] != nil {
			errs[at] = &buffer.Error{Op: "ack", Queue: q.number, Err: failed[i]}
			continue
		}
		q.attempts.Settle(deliveries[at].(*delivery).sequence)
	}
}

// Nack implements buffer.Delivery.
func (d *delivery) Nack(ctx context.Context, delay time.Duration) error {
	q := d.queue
	q.mu.Lock()
	q.nacked[d.sequence] = struct{}{}
	q.mu.Unlock()
	err := d.settle(ctx, "nack", nakAfter(delay))
	if err != nil {
		q.mu.Lock()
		delete(q.nacked, d.sequence)
		q.mu.Unlock()
	}
	return err
}

// Extend implements buffer.Extender.
func (d *delivery) Extend(ctx context.Context) error {
	return d.settle(ctx, "extend", []byte("+WPI"))
}

func (d *delivery) settle(ctx context.Context, op string, word []byte) error {
	if err := d.queue.engine.request(ctx, d.message.Reply, word); err != nil {
		return &buffer.Error{Op: op, Queue: d.queue.number, Err: err}
	}
	return nil
}

// joinClose closes what can't be used after err.
func joinClose(err error, c io.Closer) error { return errors.Join(err, c.Close()) }
