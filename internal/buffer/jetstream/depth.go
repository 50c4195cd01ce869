package jetstream

import (
	"context"

	"weir/internal/buffer"
)

// depth asks the server what the queue holds.
func (q *queue) depth(ctx context.Context) (buffer.Depth, error) {
	stream, err := q.stream.Info(ctx)
	if err != nil {
		return buffer.Depth{}, err
	}
	consumer, err := q.stream.Consumer(ctx, consumerName)
	if err != nil {
		return buffer.Depth{}, err
	}
	d := buffer.Depth{Messages: stream.State.Msgs, Bytes: stream.State.Bytes}
	if d.Messages > 0 {
		d.Oldest = stream.State.FirstTime
	}
	q.mu.Lock()
	nacked := uint64(len(q.nacked))
	q.mu.Unlock()
	// The server counts what was given back and waits among the pending.
	if pending := uint64(consumer.CachedInfo().NumAckPending); pending > nacked {
		d.InFlight = min(pending-nacked, d.Messages)
	}
	return d, nil
}
