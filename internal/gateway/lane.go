package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/block"
	"weir/internal/buffer"
	"weir/internal/message"
	"weir/internal/sample"
)

// parcel is a request's samples for one week and queue, waiting to be durable.
type parcel struct {
	week    sample.Week
	samples []pending
	done    chan<- error // gets one answer; has room for it
}

// lane is the way into one queue: it gathers what requests bring while the
// messages before are being written (group commit), numbers the messages, and
// sends each until the queue has it. One goroutine runs it.
type lane struct {
	*Gateway
	queue  int
	logger *slog.Logger
	come   chan parcel
	group  grouping

	waiting atomic.Int64 // samples handed in and not durable yet
	stuck   atomic.Bool  // the queue is full or does not answer

	mu       sync.Mutex // guards what follows, which run alone changes
	next     uint64     // number of the next message
	accepted uint64     // running total of samples in numbered messages
	durable  uint64     // how many messages, from 0 on, the queue has
	last     message.Stamp
}

// hand gives a parcel to the lane, or says at once that it takes no more.
func (l *lane) hand(p parcel) error {
	if l.stuck.Load() || l.waiting.Load() >= int64(l.config.MaxUnsent) {
		return errBusy
	}
	l.waiting.Add(int64(len(p.samples)))
	select {
	case l.come <- p:
		return nil
	default:
		l.waiting.Add(-int64(len(p.samples)))
		return errBusy
	}
}

// run opens the life in its queue, sends what comes until stop is closed, and
// then closes the life. An end of ctx cuts it short: what is not durable was
// not answered.
func (l *lane) run(ctx context.Context, stop <-chan struct{}, opened func()) {
	if !l.sendControl(ctx, message.Start) {
		return
	}
	opened()
	beat := time.NewTimer(l.config.BeatEvery)
	defer beat.Stop()
	for ctx.Err() == nil {
		beat.Reset(l.config.BeatEvery)
		select {
		case p := <-l.come:
			l.commit(ctx, l.gather(p))
		case <-stop:
			select {
			case p := <-l.come: // handed in before the stop
				l.commit(ctx, l.gather(p))
				continue
			default:
			}
			l.sendControl(ctx, message.Close)
			return
		case <-beat.C:
			l.sendControl(ctx, message.Beat)
		case <-ctx.Done():
		}
	}
}

// gather takes what has come meanwhile, up to a message's worth, and waits a
// linger for more where one is configured.
func (l *lane) gather(first parcel) []parcel {
	group, samples := []parcel{first}, len(first.samples)
	var linger <-chan time.Time
	if l.config.Linger > 0 {
		t := time.NewTimer(l.config.Linger)
		defer t.Stop()
		linger = t.C
	}
	for samples < l.config.GroupSamples {
		select {
		case p := <-l.come:
			group, samples = append(group, p), samples+len(p.samples)
			continue
		default:
		}
		if linger == nil {
			return group
		}
		select {
		case p := <-l.come:
			group, samples = append(group, p), samples+len(p.samples)
		case <-linger:
			return group
		}
	}
	return group
}

// commit makes a group durable and answers its requests.
func (l *lane) commit(ctx context.Context, group []parcel) {
	byWeek := map[sample.Week][][]pending{}
	var weeks []sample.Week
	total := 0
	for _, p := range group {
		if byWeek[p.week] == nil {
			weeks = append(weeks, p.week)
		}
		byWeek[p.week] = append(byWeek[p.week], p.samples)
		total += len(p.samples)
	}
	var messages []message.Message
	var err error
	for _, week := range weeks {
		if messages, err = l.encode(messages, week, byWeek[week]); err != nil {
			break
		}
	}
	if err == nil {
		err = l.send(ctx, messages)
	}
	l.waiting.Add(-int64(total))
	for _, p := range group {
		p.done <- err
	}
}

// encode makes the messages of one week's samples: one, or several where one
// would be larger than the buffer takes.
func (l *lane) encode(messages []message.Message, week sample.Week, groups [][]pending) ([]message.Message, error) {
	b := l.group.build(week, groups)
	samples := b.Samples()
	body, err := block.Encode(nil, b)
	if err != nil {
		return nil, err
	}
	if len(body) <= l.buffer.MaxBody()-envelope {
		return append(messages, message.Message{Role: message.Data, Week: week, Samples: uint64(samples), Block: body}), nil
	}
	if samples < 2 {
		return nil, buffer.ErrTooLarge
	}
	flat := make([]pending, 0, samples)
	for _, g := range groups {
		flat = append(flat, g...)
	}
	if messages, err = l.encode(messages, week, [][]pending{flat[:samples/2]}); err != nil {
		return nil, err
	}
	return l.encode(messages, week, [][]pending{flat[samples/2:]})
}

// envelope is more than a message adds to its block.
const envelope = 512

func (l *lane) sendControl(ctx context.Context, role message.Role) bool {
	m := message.Message{Role: role}
	if role == message.Start {
		m.Instance = l.config.Instance
	}
	return l.send(ctx, []message.Message{m}) == nil
}

// send numbers and stamps messages and returns when the queue has them all.
// Once numbered, a message is sent until then, or until ctx ends with the life.
func (l *lane) send(ctx context.Context, messages []message.Message) error {
	bodies, bytes := make([][]byte, 0, len(messages)), 0
	l.mu.Lock()
	for i := range messages {
		m := &messages[i]
		l.accepted += m.Samples
		m.Life, m.Number, m.Queue = l.life, l.next, l.queue
		m.Stamp, m.Accepted, m.Rejected = l.clock.Now(), l.accepted, l.rejected.Swap(0)
		if m.Role != message.Data {
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
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
	if l.stuck.Swap(false) {
		l.logger.Info("the buffer takes messages again")
	}
	l.counts.sent.Add(uint64(bytes))
	l.mu.Lock()
	l.durable = l.next
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
