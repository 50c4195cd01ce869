package worker

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"weir/internal/block"
	"weir/internal/buffer"
	"weir/internal/message"
	"weir/internal/sample"
)

// lively is a buffer in memory that keeps time: what is delivered is hidden
// for the visibility timeout, leases run out. It is for workers that run on a
// fake clock.
type lively struct {
	visibility time.Duration
	work       time.Duration // that reading a message takes

	mu     sync.Mutex
	fail   func(op string) error // if set, may answer a call instead
	queues [][]*livelyMessage
	dead   [][]buffer.DeadLetter
	leases map[int]*livelyLease
}

type livelyMessage struct {
	id       string
	body     []byte
	attempts int
	hidden   time.Time
	sent     time.Time
	acked    bool
}

func newLively(queues int) *lively {
	return &lively{
		visibility: time.Minute, queues: make([][]*livelyMessage, queues),
		dead: make([][]buffer.DeadLetter, queues), leases: map[int]*livelyLease{},
	}
}

func (b *lively) answer(op string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail == nil {
		return nil
	}
	return b.fail(op)
}

func (b *lively) Queues() int  { return len(b.queues) }
func (b *lively) MaxBody() int { return 1 << 20 }
func (b *lively) Close() error { return nil }

func (b *lively) Depth(_ context.Context, queue int) (buffer.Depth, error) {
	if err := b.answer("depth"); err != nil {
		return buffer.Depth{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var d buffer.Depth
	for _, m := range b.queues[queue] {
		if m.acked {
			continue
		}
		if d.Messages++; d.Messages == 1 {
			d.Oldest = m.sent
		}
		d.Bytes += uint64(len(m.body))
		if m.hidden.After(time.Now()) {
			d.InFlight++
		}
	}
	return d, nil
}

func (b *lively) Send(_ context.Context, queue int, bodies [][]byte) []error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, body := range bodies {
		b.queues[queue] = append(b.queues[queue], &livelyMessage{id: fmt.Sprintf("%d/%d", queue, len(b.queues[queue])), body: body, sent: time.Now()})
	}
	return nil
}

func (b *lively) Receive(ctx context.Context, queue, most int) ([]buffer.Delivery, error) {
	for {
		if err := b.answer("receive"); err != nil {
			return nil, err
		}
		var out []buffer.Delivery
		b.mu.Lock()
		for _, m := range b.queues[queue] {
			if !m.acked && !m.hidden.After(time.Now()) && len(out) < most {
				m.attempts++
				m.hidden = time.Now().Add(b.visibility)
				out = append(out, &livelyDelivery{b, m, m.attempts})
			}
		}
		b.mu.Unlock()
		if len(out) > 0 {
			return out, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// left gives how many messages are not acked, and the most attempts of any.
func (b *lively) left() (messages, attempts int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range b.queues {
		for _, m := range q {
			attempts = max(attempts, m.attempts)
			if !m.acked {
				messages++
			}
		}
	}
	return messages, attempts
}

func (b *lively) letters(queue int) []buffer.DeadLetter {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dead[queue]
}

type livelyDelivery struct {
	b        *lively
	m        *livelyMessage
	attempts int
}

var _ buffer.Extender = (*livelyDelivery)(nil)

func (d *livelyDelivery) ID() string      { return d.m.id }
func (d *livelyDelivery) Body() []byte    { <-time.After(d.b.work); return d.m.body }
func (d *livelyDelivery) Sent() time.Time { return time.Time{} }
func (d *livelyDelivery) Attempts() int   { return d.attempts }

func (d *livelyDelivery) set(op string, do func()) error {
	if err := d.b.answer(op); err != nil {
		return err
	}
	d.b.mu.Lock()
	defer d.b.mu.Unlock()
	do()
	return nil
}

func (d *livelyDelivery) Ack(context.Context) error {
	return d.set("ack", func() { d.m.acked = true })
}

func (d *livelyDelivery) Nack(_ context.Context, delay time.Duration) error {
	return d.set("nack", func() { d.m.hidden = time.Now().Add(delay) })
}

func (d *livelyDelivery) Extend(context.Context) error {
	return d.set("extend", func() { d.m.hidden = time.Now().Add(d.b.visibility) })
}

func (b *lively) Bury(_ context.Context, queue int, d buffer.Delivery, reason string) error {
	return d.(*livelyDelivery).set("bury", func() {
		b.dead[queue] = append(b.dead[queue], buffer.DeadLetter{ID: d.ID(), Body: d.Body(), Reason: reason, Sent: time.Now()})
		d.(*livelyDelivery).m.acked = true
	})
}

func (b *lively) List(context.Context, int, string, int) ([]buffer.DeadLetter, error) {
	panic("no worker lists dead letters")
}
func (b *lively) Redrive(context.Context, int, string) error { panic("no worker redrives") }

type livelyLease struct {
	b     *lively
	queue int
	owner string
	ttl   time.Duration
	until time.Time
}

func (b *lively) Acquire(_ context.Context, queue int, owner string, ttl time.Duration) (buffer.Lease, error) {
	if err := b.answer("acquire"); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if held := b.leases[queue]; held != nil && held.until.After(time.Now()) {
		return nil, buffer.ErrHeld
	}
	l := &livelyLease{b, queue, owner, ttl, time.Now().Add(ttl)}
	b.leases[queue] = l
	return l, nil
}

func (l *livelyLease) Renew(context.Context) error {
	if err := l.b.answer("renew"); err != nil {
		return err
	}
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	if l.b.leases[l.queue] != l || !l.until.After(time.Now()) {
		return buffer.ErrLost
	}
	l.until = time.Now().Add(l.ttl)
	return nil
}

func (l *livelyLease) Release(context.Context) error {
	if err := l.b.answer("release"); err != nil {
		return err
	}
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	if l.b.leases[l.queue] == l {
		delete(l.b.leases, l.queue)
	}
	return nil
}

// stage is a world, a lively buffer and workers that run over both.
type stage struct {
	role message.Role // of the messages that are sent; 0: Data
	*testing.T
	world  *world
	buffer *lively
	store  *process // whose calls the workers' store makes
	next   map[int]uint64
}

func newStage(t *testing.T, queues int) *stage {
	w, p := handWorld(t)
	return &stage{T: t, world: w, buffer: newLively(queues), store: p, next: map[int]uint64{}}
}

// worker makes a worker; start runs it.
func (s *stage) worker(name string, set func(*Options)) *Worker {
	o := s.options(name)
	if set != nil {
		set(&o)
	}
	return New(o)
}

func (s *stage) options(name string) Options {
	return Options{
		Name: name, Config: Default(), Buffer: s.buffer, Dead: s.buffer, Leases: s.buffer, Tables: simStore{s.store},
		Book: s.store.book(s.buffer.Queues()), Kinds: func(string) sample.Kind { return 0 }, Now: time.Now,
		Random: s.random,
	}
}

func (s *stage) random() uint64 {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	return s.world.rng.Uint64()
}

// send puts the next message of a queue's one life into it: one float64.
func (s *stage) send(queue int) message.ID {
	return s.sendSeries(queue, "power", sample.FloatValue(float64(s.next[queue])))
}

func (s *stage) sendSeries(queue int, metric string, v sample.Value) message.ID {
	key := sample.Series{Metric: metric}.Key()
	week := simWeeks()[0]
	t := &truth{message: message.Message{
		Role: cmp.Or(s.role, message.Data), Life: message.Life(100 + queue), Number: s.next[queue], Queue: queue,
		Stamp: message.Stamp(time.Now().UnixNano()) + message.Stamp(s.next[queue]), Week: week,
	}}
	x := sample.Sample{Time: week.Start() + int64(s.next[queue]%5), Value: v}
	s.next[queue]++
	b := &block.Batch{}
	b.AddSample(x)
	b.EndKeyRun(key, v.Kind)
	t.body = withBlock(t.message, b)
	t.message.Samples, t.samples = 1, []sent{{key, x}}
	s.world.mu.Lock()
	s.world.truths[t.message.ID()] = t
	s.world.mu.Unlock()
	s.buffer.Send(s.Context(), queue, [][]byte{t.body})
	return t.message.ID()
}

// commits gives how many commits there are.
func (s *stage) commits() int {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	n := 0
	for _, j := range s.world.book {
		n += len(j.commits)
	}
	return n
}

// settled wants all messages acked and named, and the laws to hold. No worker
// may run any more.
func (s *stage) settled() {
	s.Helper()
	if left, _ := s.buffer.left(); left > 0 {
		s.Errorf("%d messages are not acked", left)
	}
	for id, t := range s.world.truths {
		if !t.poison && s.world.named[id] == "" {
			s.Errorf("message %v is not named", id)
		}
	}
	mustSettle(s.T, s.world)
}
