package jetstream

import (
	"context"
	"sync"
	"time"

	"weir/internal/buffer"
)

// leases keeps the queues' leases in memory: the queues live in this process,
// so a crash that frees all leases has ended all holders too.
type leases struct {
	now func() time.Time

	mu   sync.Mutex
	held map[int]*lease
}

type lease struct {
	leases *leases
	queue  int
	owner  string
	ttl    time.Duration
	until  time.Time // guarded by leases.mu
}

func newLeases(now func() time.Time) *leases {
	return &leases{now: now, held: map[int]*lease{}}
}

func (l *leases) acquire(queue int, owner string, ttl time.Duration) (*lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if held := l.held[queue]; held != nil && now.Before(held.until) {
		return nil, &buffer.Error{Op: "acquire", Queue: queue, Hint: "its holder is " + held.owner, Err: buffer.ErrHeld}
	}
	taken := &lease{leases: l, queue: queue, owner: owner, ttl: ttl, until: now.Add(ttl)}
	l.held[queue] = taken
	return taken, nil
}

// Renew implements buffer.Lease. A lease that ran out is lost, even if
// nobody took it since: its holder may have stopped for long.
func (l *lease) Renew(context.Context) error {
	l.leases.mu.Lock()
	defer l.leases.mu.Unlock()
	now := l.leases.now()
	if l.leases.held[l.queue] != l || !now.Before(l.until) {
		return &buffer.Error{Op: "renew", Queue: l.queue, Err: buffer.ErrLost}
	}
	l.until = now.Add(l.ttl)
	return nil
}

// Release implements buffer.Lease.
func (l *lease) Release(context.Context) error {
	l.leases.mu.Lock()
	defer l.leases.mu.Unlock()
	if l.leases.held[l.queue] == l {
		delete(l.leases.held, l.queue)
	}
	return nil
}
