package worker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// errYield is why a runner is to drain and give its queue up while others go
// on: the cause of its context's end.
var errYield = errors.New("the queue goes to another worker")

// claims shares out the queues among the workers of one process: each gets a
// fair share, and a queue has one runner at a time here, whatever its lease
// says. Between processes the leases decide. Safe for concurrent use.
type claims struct {
	now func() time.Time

	mu      sync.Mutex
	queues  []claim
	members []*Worker
	changed chan struct{} // closed and made anew at each change
}

type claim struct {
	by        *Worker // nil: free
	yield     context.CancelCauseFunc
	yielding  bool      // it was told to give the queue up
	notBefore time.Time // a free queue is not tried before
}

func newClaims(queues int, now func() time.Time) *claims {
	return &claims{now: now, queues: make([]claim, queues), changed: make(chan struct{})}
}

// join gives a worker its share; leave ends it, and has its queues drained.
func (c *claims) join(w *Worker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members = append(c.members, w)
	c.balance()
}

func (c *claims) leave(w *Worker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members = slices.DeleteFunc(c.members, func(m *Worker) bool { return m == w })
	c.balance()
}

// next waits until the worker holds less than its share and a queue is free,
// and claims it. held ends when ctx does, or when the queue is to be given up.
func (c *claims) next(ctx context.Context, w *Worker) (queue int, held context.Context, err error) {
	for {
		queue, held, wait, changed := c.tryNext(ctx, w)
		if held != nil {
			return queue, held, nil
		}
		if err := waitFor(ctx, changed, wait); err != nil {
			return 0, nil, err
		}
	}
}

// waitFor waits for a change or for as long as wait says; 0 is for ever.
func waitFor(ctx context.Context, changed <-chan struct{}, wait time.Duration) error {
	var soon <-chan time.Time
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		soon = t.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-changed:
	case <-soon:
	}
	return nil
}

// tryNext claims a queue if it can; else it tells when, or at which change, it
// may be able to.
func (c *claims) tryNext(ctx context.Context, w *Worker) (queue int, held context.Context, wait time.Duration, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil || len(c.heldBy(w)) >= c.shares()[w] {
		return 0, nil, 0, c.changed
	}
	now := c.now()
	for queue := range c.queues {
		if c.queues[queue].by != nil {
			continue
		}
		if left := c.queues[queue].notBefore.Sub(now); left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		held, yield := context.WithCancelCause(ctx)
		c.queues[queue] = claim{by: w, yield: yield}
		return queue, held, 0, nil
	}
	return 0, nil, wait, c.changed
}

// give frees a queue, which nobody tries before that time has passed.
func (c *claims) give(queue int, later time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queues[queue].yield(context.Canceled)
	c.queues[queue] = claim{notBefore: c.now().Add(later)}
	c.tell()
}

// balance tells workers that hold more than their share to give up what is
// too much, the last of their queues.
func (c *claims) balance() {
	shares := c.shares()
	for queue := len(c.queues) - 1; queue >= 0; queue-- {
		q := &c.queues[queue]
		if q.by != nil && !q.yielding && len(c.heldBy(q.by)) > shares[q.by] {
			q.yielding = true
			q.yield(errYield)
		}
	}
	c.tell()
}

// shares divides the queues by the workers. Those that hold most get what is
// left over, so that as few queues move as can be. They add up to all queues.
func (c *claims) shares() map[*Worker]int {
	order := slices.Clone(c.members)
	held := map[*Worker]int{}
	for _, w := range order {
		held[w] = len(c.heldBy(w))
	}
	slices.SortStableFunc(order, func(a, b *Worker) int { return held[b] - held[a] })
	out := map[*Worker]int{}
	for i, w := range order {
		out[w] = len(c.queues) / len(order)
		if i < len(c.queues)%len(order) {
			out[w]++
		}
	}
	return out
}

// heldBy gives the queues that a worker holds and keeps.
func (c *claims) heldBy(w *Worker) (queues []int) {
	for queue := range c.queues {
		if c.queues[queue].by == w && !c.queues[queue].yielding {
			queues = append(queues, queue)
		}
	}
	return queues
}

func (c *claims) tell() {
	close(c.changed)
	c.changed = make(chan struct{})
}
