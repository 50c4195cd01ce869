package worker

import (
	"context"
	"sync"
	"time"
)

// budget is one goroutine's worth of work: it lets one at a time through, and
// counts for how long it was in use. Safe for concurrent use.
type budget struct {
	now  func() time.Time
	turn chan struct{}

	mu    sync.Mutex
	used  time.Duration
	since time.Time // when the one who is through began; zero when nobody is
}

func newBudget(now func() time.Time) *budget {
	return &budget{now: now, turn: make(chan struct{}, 1)}
}

// do waits for the turn and calls f.
func (b *budget) do(ctx context.Context, f func() error) error {
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	b.mu.Lock()
	b.since = b.now()
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.used += b.now().Sub(b.since)
		b.since = time.Time{}
		b.mu.Unlock()
		<-b.turn
	}()
	return f()
}

// soFar gives for how long it was in use, what is under way included.
func (b *budget) soFar() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.since.IsZero() {
		return b.used
	}
	return b.used + b.now().Sub(b.since)
}
