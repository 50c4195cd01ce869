package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/block"
	"weir/internal/buffer"
	"weir/internal/message"
	"weir/internal/sample"
)

// lane is the way into one queue: it gathers what requests bring while the
// messages before are being written (group commit), numbers the messages, and
// sends each until the queue has it. One goroutine runs it.
type lane struct {
	*Gateway
	queue  int
	logger *slog.Logger
	inbox  *inbox
	group  grouping
	stuck  atomic.Bool // the queue is full or does not answer

	mu       sync.Mutex // guards what follows, which run alone changes
	next     uint64     // number of the next message
	accepted uint64     // running total of samples in numbered messages
	durable  uint64     // how many messages, from 0 on, the queue has
	last     message.Stamp
	settled  message.Stamp // of the last durable message
}

// refuses says that the lane takes nothing now.
func (l *lane) refuses() bool { return l.stuck.Load() || l.inbox.full() }

// run opens the life in its queue, sends what comes until stop is closed, and
// then closes the life. An end of ctx cuts it short: what is not durable was
// not answered. What comes after that is refused at once.
func (l *lane) run(ctx context.Context, stop <-chan struct{}, opened func()) {
	defer l.end()
	if !l.sendControl(ctx, message.Start) {
		return
	}
	opened()
	beat := time.NewTimer(l.config.BeatEvery)
	defer beat.Stop()
	for stopping := false; ctx.Err() == nil; {
		select {
		case <-stop: // looked at first, or a steady flow would never let it be seen
			stopping = true
			l.inbox.close()
		default:
		}
		if group := l.gather(ctx, stop); len(group) > 0 {
			l.commit(ctx, group)
			continue
		}
		if stopping {
			l.sendControl(ctx, message.Close)
			return
		}
		beat.Reset(l.config.BeatEvery)
		select {
		case <-l.inbox.wake:
		case <-stop:
		case <-beat.C:
			l.sendControl(ctx, message.Beat)
		case <-ctx.Done():
		}
	}
}

// end refuses what comes from now on, and what came and was not sent.
func (l *lane) end() {
	l.inbox.close()
	left, _ := l.inbox.take(nil, 0, math.MaxInt)
	l.settle(left, fmt.Errorf("%w: the gateway has stopped", errBusy))
}

// gather takes what has come meanwhile, up to a message's worth, and waits a
// linger for more where one is configured, unless the lane is to stop.
func (l *lane) gather(ctx context.Context, stop <-chan struct{}) []parcel {
	most := l.config.GroupSamples
	group, samples := l.inbox.take(nil, 0, most)
	if len(group) == 0 || l.config.Linger == 0 {
		return group
	}
	linger := time.NewTimer(l.config.Linger)
	defer linger.Stop()
	for samples < most {
		select {
		case <-l.inbox.wake:
			group, samples = l.inbox.take(group, samples, most)
		case <-linger.C:
			return group
		case <-stop:
			return group
		case <-ctx.Done():
			return group
		}
	}
	return group
}

// commit makes a group durable and answers its requests.
func (l *lane) commit(ctx context.Context, group []parcel) {
	byWeek := map[sample.Week][]*bundle{}
	var weeks []sample.Week
	for _, p := range group {
		for _, u := range p.bundles {
			if byWeek[u.week] == nil {
				weeks = append(weeks, u.week)
			}
			byWeek[u.week] = append(byWeek[u.week], u)
		}
	}
	var messages []message.Message
	var err error
	for _, week := range weeks {
		if messages, err = l.encode(messages, week, byWeek[week]); err != nil {
			break
		}
	}
	answer := func(err error) {
		l.settle(group, err)
		group = nil // answered once
	}
	if err == nil {
		err = l.send(ctx, messages, answer)
	}
	answer(err)
}

// settle answers the requests of a group and takes its memory back.
func (l *lane) settle(group []parcel, err error) {
	for _, p := range group {
		l.inbox.settle(p.weight)
		for _, u := range p.bundles {
			l.bundles.put(u)
		}
		p.done <- err
	}
}

// encode makes the messages of one week's samples: one for fast series and one
// for the others, or several where one would be larger than the buffer takes.
func (l *lane) encode(messages []message.Message, week sample.Week, of []*bundle) ([]message.Message, error) {
	all := l.catalog.All()
	b := l.group.build(all, week, of)
	samples, before, large := b.Samples(), len(messages), false
	for role, part := range l.group.divide(all, l.fast) {
		body, err := block.Encode(nil, part)
		if err != nil {
			return nil, err
		}
		large = large || len(body) > l.buffer.MaxBody()-envelope
		messages = append(messages, message.Message{Role: role, Week: week, Samples: uint64(part.Samples()), Block: body})
	}
	if !large {
		return messages, nil
	}
	messages = messages[:before]
	first, second := halve(of, samples/2)
	if len(first) == 0 || len(second) == 0 { // one sample, or one line's numbers
		return nil, buffer.ErrTooLarge
	}
	messages, err := l.encode(messages, week, first)
	if err != nil {
		return nil, err
	}
	return l.encode(messages, week, second)
}

// halve divides bundles after the line in which sample n lies. What it gives
// shares their memory.
func halve(of []*bundle, n int) (first, second []*bundle) {
	for _, u := range of {
		if u.samples() <= n {
			first = append(first, u)
			n -= u.samples()
			continue
		}
		before, after := u.halves(n)
		n = 0
		if before.samples() > 0 {
			first = append(first, before)
		}
		if after.samples() > 0 {
			second = append(second, after)
		}
	}
	return first, second
}

// envelope is more than a message adds to its block.
const envelope = 512

func (l *lane) sendControl(ctx context.Context, role message.Role) bool {
	m := message.Message{Role: role}
	if role == message.Start {
		m.Instance = l.config.Instance
	}
	return l.send(ctx, []message.Message{m}, func(error) {}) == nil
}

// send numbers and stamps messages and returns when the queue has them all.
// Once numbered, a message is sent until then, or until ctx ends with the life.
// full is called when the queue is full: who waits need not wait until it has
// room, for they are to send their samples again whatever comes of these.
func (l *lane) send(ctx context.Context, messages []message.Message, full func(error)) error {
	bodies, bytes := make([][]byte, 0, len(messages)), 0
	l.mu.Lock()
	for i := range messages {
		m := &messages[i]
		l.accepted += m.Samples
		m.Life, m.Number, m.Queue = l.life, l.next, l.queue
		m.Stamp, m.Accepted, m.Rejected = l.clock.Now(), l.accepted, l.rejected.Swap(0)
		if !m.Role.HasSamples() {
			m.Week = sample.WeekOf(int64(m.Stamp))
		}
		l.next++
		l.last = m.Stamp
		body := m.Append(nil)
		bytes += len(body)
		bodies = append(bodies, body)
	}
	l.mu.Unlock()
	for wait := 20 * time.Millisecond; len(bodies) > 0; wait = min(2*wait, time.Second) {
		failed := l.buffer.Send(ctx, l.queue, bodies)
		if failed == nil {
			break
		}
		bodies = left(bodies, failed)
		err := errors.Join(failed...)
		if len(bodies) > 0 && !l.stuck.Swap(true) {
			l.logger.Warn("the buffer takes no more; refusing requests until it does", "error", err)
		}
		if errors.Is(err, buffer.ErrFull) {
			full(fmt.Errorf("%w: %w", errBusy, err))
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", errBusy, errors.Join(err, ctx.Err()))
		}
	}
	if l.stuck.Swap(false) {
		l.logger.Info("the buffer takes messages again")
	}
	l.counts.sent.Add(uint64(bytes))
	l.mu.Lock()
	l.durable, l.settled = l.next, l.last
	l.mu.Unlock()
	return nil
}

// left gives the bodies that were not accepted.
func left(bodies [][]byte, failed []error) [][]byte {
	var out [][]byte
	for i, err := range failed {
		if err != nil {
			out = append(out, bodies[i])
		}
	}
	return out
}
