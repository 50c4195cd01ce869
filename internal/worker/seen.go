package worker

import (
	"context"
	"sync"

	"weir/internal/journal"
	"weir/internal/message"
)

// seen is the messages of one queue that a worker has taken, by life, and
// those who wait for more. Safe for concurrent use.
type seen struct {
	mu      sync.Mutex
	lives   map[message.Life]journal.Numbers
	changed chan struct{} // closed and made anew at a change, if anyone waits
	waiting int
}

func newSeen() *seen {
	return &seen{lives: map[message.Life]journal.Numbers{}, changed: make(chan struct{})}
}

func (s *seen) add(id message.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lives[id.Life] = s.lives[id.Life].AddNumber(id.Number)
	if s.waiting > 0 {
		close(s.changed)
		s.changed, s.waiting = make(chan struct{}), 0
	}
}

// remove forgets a message that was dropped and will come again.
func (s *seen) remove(id message.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lives[id.Life] = s.lives[id.Life].Remove(id.Number)
}

func (s *seen) wait(ctx context.Context, id message.ID) error {
	for {
		s.mu.Lock()
		if s.lives[id.Life].Through() > id.Number {
			s.mu.Unlock()
			return nil
		}
		s.waiting++
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
