package worker

import (
	"context"
	"time"

	"weir/internal/buffer"
	"weir/internal/worker/autoscale"
)

// watch makes the policy's observations of a pool. It is the pool's goroutine
// alone that looks.
type watch struct {
	pool  *Pool
	at    time.Time
	taken []uint64 // by queue, at the last look
	left  []uint64 // messages that no worker had taken then
}

func newWatch(p *Pool) *watch {
	return &watch{pool: p, at: p.options.Now(), taken: make([]uint64, len(p.seen)), left: make([]uint64, len(p.seen))}
}

// first is what is seen before anything runs.
func (w *watch) first() autoscale.Observation {
	return autoscale.Observation{At: w.at, Queues: make([]autoscale.Queue, len(w.taken))}
}

// look observes the time since the last look. The backlog is what no worker
// has taken: what waits in heads for its flush does so by intent.
func (w *watch) look(ctx context.Context) (autoscale.Observation, error) {
	now := w.pool.options.Now()
	elapsed := max(now.Sub(w.at), time.Millisecond).Seconds()
	o := autoscale.Observation{At: now, Queues: make([]autoscale.Queue, len(w.taken))}
	depths := make([]buffer.Depth, len(w.taken))
	for i := range depths {
		var err error
		if depths[i], err = w.pool.options.Buffer.Depth(ctx, i); err != nil {
			return o, err
		}
	}
	for i, s := range w.pool.seen {
		q, d := &o.Queues[i], depths[i]
		q.Backlog = d.Messages - min(d.InFlight, d.Messages)
		if q.Backlog > 0 {
			q.Bytes = uint64(float64(d.Bytes) * float64(q.Backlog) / float64(d.Messages))
			// The oldest of all may be in a head; it stays there this long.
			q.Oldest = max(now.Sub(d.Oldest)-w.pool.options.Config.FlushAge-w.pool.scale.Every, 0)
		}
		taken := s.takenSoFar()
		drained := taken - w.taken[i]
		q.Drained = float64(drained) / elapsed
		q.Arrivals = max(float64(drained)+float64(q.Backlog)-float64(w.left[i]), 0) / elapsed
		w.taken[i], w.left[i] = taken, q.Backlog
	}
	w.at = now
	o.Running, o.Busy = w.pool.busy(elapsed)
	return o, nil
}

// busy gives how many workers there are, and how much of their time they used
// since the last call: each the more used of its two turns.
func (p *Pool) busy(elapsed float64) (running int, busy float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.members {
		handling, flushing := m.worker.handleTurn.soFar(), m.worker.flushTurn.soFar()
		used := max(handling-m.handled, flushing-m.flushed)
		m.handled, m.flushed = handling, flushing
		busy += min(used.Seconds()/elapsed, 1)
	}
	return len(p.members), busy
}
