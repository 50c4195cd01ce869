package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
	api "github.com/nats-io/nats.go/jetstream"
)

// copyBytes is about how many bytes of messages are copied at a time.
const copyBytes = 4 << 20

// Snapshot makes a buffer in dir, which is not there yet, that holds every
// message and dead letter which this one holds while moment runs, in their
// order. From before moment until they are copied no message is removed: acks and
// redrives wait, and what is sent meanwhile may be in the copy or not. What was
// there before is copied ahead of that, so that the wait is short.
//
// A message that was removed before moment may be in the copy. Attempts are
// counted anew there, and messages have other times and IDs.
func (d *Driver) Snapshot(ctx context.Context, dir string, moment func(context.Context) error) (err error) {
	c := d.config
	c.Dir, c.Queues, c.removals = dir, d.queues, &sync.RWMutex{}
	c.lax = true             // what is cut short is never used
	c.MaxBytes += c.MaxBytes // a copy may not take less than what it is of
	into, err := Open(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, into) }()
	m := &mirror{from: d, into: into.current, seen: make([]uint64, 2*d.queues)}
	if err := m.catchUp(ctx); err != nil {
		return err
	}
	d.config.removals.Lock()
	defer d.config.removals.Unlock()
	if err := moment(ctx); err != nil {
		return err
	}
	return m.catchUp(ctx)
}

// mirror copies a buffer's streams.
type mirror struct {
	from *Driver
	into *engine
	seen []uint64 // sequences up to which the queues', then the dead letters' streams are copied
}

// catchUp copies what is there by now.
func (m *mirror) catchUp(ctx context.Context) error {
	for queue := range m.from.queues {
		e, err := m.from.engine(ctx, queue)
		if err == nil {
			err = m.copyStream(ctx, queue, e.queues[queue].stream, m.into.queues[queue].sender)
		}
		if err == nil {
			err = m.copyStream(ctx, m.from.queues+queue, e.dead[queue].stream, m.into.dead[queue].sender)
		}
		if err != nil {
			return failure("copy", queue, err)
		}
	}
	return nil
}

func (m *mirror) copyStream(ctx context.Context, place int, from api.Stream, to *sender) error {
	info, err := from.Info(ctx)
	if err != nil {
		return fmt.Errorf("read the state of a stream: %w", err)
	}
	var messages []*nats.Msg
	size := 0
	send := func() error {
		errs := make([]error, len(messages))
		to.send(ctx, messages, errs)
		messages, size = messages[:0], 0
		return errors.Join(errs...)
	}
	for m.seen[place] < info.State.LastSeq {
		found, err := from.GetMsg(ctx, m.seen[place]+1, api.WithGetMsgSubject(to.subject))
		if errors.Is(err, api.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return fmt.Errorf("read message %d: %w", m.seen[place]+1, err)
		}
		one := &nats.Msg{Data: found.Data}
		if reason := found.Header.Get(reasonHeader); reason != "" {
			one.Header = nats.Header{}
			one.Header.Set(reasonHeader, reason)
		}
		messages, size = append(messages, one), size+len(one.Data)
		m.seen[place] = found.Sequence
		if size >= copyBytes {
			if err := send(); err != nil {
				return err
			}
		}
	}
	m.seen[place] = max(m.seen[place], info.State.LastSeq)
	return send()
}
