package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	api "github.com/nats-io/nats.go/jetstream"

	"weir/internal/buffer"
)

// reasonHeader carries why a message was buried, quoted, since a header is one
// line.
const reasonHeader = "Weir-Reason"

// maxReason bounds a reason as quoted, so that it fits beside a body.
const maxReason = 4 << 10

// deadQueue is the dead letters of one queue. An ID is a sequence of its
// stream.
type deadQueue struct {
	stream api.Stream
	sender *sender
}

// bury makes a letter durable.
func (q *deadQueue) bury(ctx context.Context, body []byte, reason string) error {
	letter := &nats.Msg{Data: body, Header: nats.Header{}}
	letter.Header.Set(reasonHeader, quoteReason(reason))
	errs := make([]error, 1)
	q.sender.send(ctx, []*nats.Msg{letter}, errs)
	return errs[0]
}

func quoteReason(reason string) string {
	quoted := strconv.QuoteToASCII(reason)
	for n := maxReason; len(quoted) > maxReason; n /= 2 {
		reason = strings.ToValidUTF8(reason[:min(n, len(reason))], "")
		quoted = strconv.QuoteToASCII(reason + "…")
	}
	return quoted
}

// list gives letters after a sequence.
func (q *deadQueue) list(ctx context.Context, after uint64, limit int) ([]buffer.DeadLetter, error) {
	var letters []buffer.DeadLetter
	for next := after + 1; len(letters) < limit; {
		m, err := q.stream.GetMsg(ctx, next, api.WithGetMsgSubject(q.sender.subject))
		if errors.Is(err, api.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return nil, err
		}
		reason := m.Header.Get(reasonHeader)
		if unquoted, err := strconv.Unquote(reason); err == nil {
			reason = unquoted
		}
		letters = append(letters, buffer.DeadLetter{
			ID: strconv.FormatUint(m.Sequence, 10), Body: m.Data, Reason: reason, Sent: m.Time,
		})
		next = m.Sequence + 1
	}
	return letters, nil
}

// letterID reads an ID of a dead letter.
func letterID(id string) (uint64, error) {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%w: %q is no ID of one", buffer.ErrNotFound, id)
	}
	return n, nil
}

// Bury implements buffer.DeadLetters.
func (d *Driver) Bury(ctx context.Context, queue int, delivery buffer.Delivery, reason string) error {
	e, err := d.engine(ctx, queue)
	if err == nil {
		err = e.dead[queue].bury(ctx, delivery.Body(), reason)
	}
	if err != nil {
		return failure("bury", queue, err)
	}
	return delivery.Ack(ctx)
}

// List implements buffer.DeadLetters.
func (d *Driver) List(ctx context.Context, queue int, after string, limit int) ([]buffer.DeadLetter, error) {
	var from uint64
	var err error
	if after != "" {
		if from, err = letterID(after); err != nil {
			return nil, failure("list", queue, err)
		}
	}
	e, err := d.engine(ctx, queue)
	if err != nil {
		return nil, failure("list", queue, err)
	}
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	letters, err := e.dead[queue].list(ctx, from, limit)
	if err != nil {
		return nil, failure("list", queue, e.asPort(ctx, err))
	}
	return letters, nil
}

// Redrive implements buffer.DeadLetters.
func (d *Driver) Redrive(ctx context.Context, queue int, id string) error {
	sequence, err := letterID(id)
	if err != nil {
		return failure("redrive", queue, err)
	}
	e, err := d.engine(ctx, queue)
	if err != nil {
		return failure("redrive", queue, err)
	}
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	letter, err := e.dead[queue].stream.GetMsg(ctx, sequence)
	if errors.Is(err, api.ErrMsgNotFound) {
		return failure("redrive", queue, buffer.ErrNotFound)
	}
	if err != nil {
		return failure("redrive", queue, e.asPort(ctx, err))
	}
	errs := make([]error, 1)
	e.queues[queue].sender.send(ctx, []*nats.Msg{{Data: letter.Data}}, errs)
	if errs[0] != nil {
		return failure("redrive", queue, errs[0])
	}
	d.config.removals.RLock()
	defer d.config.removals.RUnlock()
	err = e.dead[queue].stream.DeleteMsg(ctx, sequence)
	if err != nil && !errors.Is(err, api.ErrMsgNotFound) {
		return failure("redrive", queue, e.asPort(ctx, err))
	}
	return nil
}
