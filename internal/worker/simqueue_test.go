package worker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"weir/internal/buffer"
	"weir/internal/message"
)

// queued is one message in the naive queue, or among its dead letters. What
// is not acked may be delivered at any time, to anyone, also while another
// delivery of it is under way.
type queued struct {
	id       string
	message  message.ID
	body     []byte
	acked    bool
	attempts int
}

// enqueue puts a message into the queue, durably.
func (w *world) enqueue(id message.ID, body []byte) {
	w.queue = append(w.queue, &queued{id: fmt.Sprintf("%s-%d", id.Life, id.Number), message: id, body: body})
}

// waiting gives what is not acked.
func (w *world) waiting() []*queued {
	return slices.DeleteFunc(slices.Clone(w.queue), func(q *queued) bool { return q.acked })
}

// redrive sends a dead letter again as it was. A crash in between leaves both.
func (w *world) redrive(i int, both bool) {
	d := w.dead[i]
	w.counts["redriven dead letters"]++
	w.queue = append(w.queue, &queued{id: d.id + "'", message: d.message, body: d.body})
	if !both {
		w.dead = slices.Delete(w.dead, i, i+1)
	}
}

// forget brings back a message whose ack was answered.
func (w *world) forget() {
	acked := slices.DeleteFunc(slices.Clone(w.queue), func(q *queued) bool { return !q.acked })
	if len(acked) > 0 {
		acked[w.rng.IntN(len(acked))].acked = false
		w.counts["acks that are forgotten"]++
	}
}

// simBuffer is the buffer as one process sees it.
type simBuffer struct{ p *process }

var (
	_ buffer.Buffer      = simBuffer{}
	_ buffer.DeadLetters = simDead{}
)

func (b simBuffer) Queues() int  { return 1 }
func (b simBuffer) MaxBody() int { return 1 << 20 }
func (b simBuffer) Close() error { return nil }
func (b simBuffer) Send(context.Context, int, [][]byte) []error {
	panic("no worker sends")
}

func (b simBuffer) Depth(context.Context, int) (buffer.Depth, error) {
	panic("no worker asks for the depth")
}

// Receive gives some of what waits, in any order; none is an answer, too.
func (b simBuffer) Receive(_ context.Context, _, most int) ([]buffer.Delivery, error) {
	var out []buffer.Delivery
	err := b.p.call(func(w *world) error {
		all := w.waiting()
		w.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, q := range all[:min(most, len(all))] {
			q.attempts++
			if w.named[q.message] != "" {
				w.counts["deliveries of what is named already"]++
			}
			out = append(out, &simDelivery{b.p, q, q.attempts})
			q.acked = w.broken.ackAtReceive
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, d := range out {
		for _, h := range b.p.runner.heads {
			if h.byID[d.(*simDelivery).q.message] != nil {
				b.p.world.counts["deliveries of what waits in the head"]++
			}
		}
	}
	return out, nil
}

type simDelivery struct {
	p        *process
	q        *queued
	attempts int
}

func (d *simDelivery) ID() string                                { return d.q.id }
func (d *simDelivery) Body() []byte                              { return d.q.body }
func (d *simDelivery) Sent() time.Time                           { return time.Time{} }
func (d *simDelivery) Attempts() int                             { return d.attempts }
func (d *simDelivery) Nack(context.Context, time.Duration) error { return nil }

func (d *simDelivery) Ack(context.Context) error {
	return d.p.call(func(w *world) error {
		if w.named[d.q.message] == "" {
			w.violate(3, "message %v is acked, and no commit names it", d.q.message)
		}
		d.q.acked = true
		return nil
	})
}

type simDead struct{ p *process }

func (d simDead) Bury(_ context.Context, _ int, delivery buffer.Delivery, _ string) error {
	q := delivery.(*simDelivery).q
	err := d.p.call(func(w *world) error {
		w.dead = append(w.dead, &queued{id: q.id, message: q.message, body: q.body})
		q.acked = true
		return nil
	})
	if n, _ := silence(err); n.done && d.p.world.rng.IntN(2) == 0 {
		q.acked = false // cut short between the two
	}
	return err
}

func (d simDead) List(context.Context, int, string, int) ([]buffer.DeadLetter, error) {
	panic("no worker lists dead letters")
}
func (d simDead) Redrive(context.Context, int, string) error { panic("no worker redrives") }

// nackDelivery tells which deliveries are given back.
type nackDelivery struct {
	simDelivery
	back *[]string
}

func (d *nackDelivery) Nack(context.Context, time.Duration) error {
	*d.back = append(*d.back, d.ID())
	return nil
}
