package worker

import (
	"context"
	"sync"

	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/store"
)

// seen is what this process has taken of one queue, by life, whichever worker
// took it, and those who wait for more. Safe for concurrent use.
//
// What is seen stays readable: it is in the head of the runner that drains the
// queue, or a journal names it, or it was refused. A runner that ends cleanly
// has all of it named. One that does not loses its heads: that is told here
// before they are forgotten, and readers of those journals wait until all of
// it has come again. So who waited for a message never misses it later.
type seen struct {
	mu      sync.Mutex
	lives   map[message.Life]journal.Numbers
	lost    map[store.JournalID]map[message.ID]struct{} // was in a head, and has not come again
	losses  uint64                                      // how often heads were lost
	runner  *runner                                     // that drains the queue now, nil if none does
	taken   uint64                                      // deliveries, whatever became of them
	changed chan struct{}                               // closed and made anew at a change, if anyone waits
	waiting int
}

func newSeen() *seen {
	return &seen{
		lives: map[message.Life]journal.Numbers{}, lost: map[store.JournalID]map[message.ID]struct{}{}, changed: make(chan struct{}),
	}
}

func (s *seen) add(id message.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lives[id.Life] = s.lives[id.Life].AddNumber(id.Number)
	for of, ids := range s.lost {
		if delete(ids, id); len(ids) == 0 {
			delete(s.lost, of)
		}
	}
	if s.waiting > 0 {
		close(s.changed)
		s.changed, s.waiting = make(chan struct{}), 0
	}
}

// lose forgets messages of heads that are about to be dropped: they come
// again.
func (s *seen) lose(heads map[store.JournalID]*head) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.losses++
	for of, h := range heads {
		for _, e := range h.all() {
			id := e.message.ID()
			s.lives[id.Life] = s.lives[id.Life].Remove(id.Number)
			if s.lost[of] == nil {
				s.lost[of] = map[message.ID]struct{}{}
			}
			s.lost[of][id] = struct{}{}
		}
	}
}

// wait waits until all messages of a life up to and including id are seen.
func (s *seen) wait(ctx context.Context, id message.ID) error {
	return s.until(ctx, func() bool { return s.lives[id.Life].Through() > id.Number })
}

// whole waits until nothing of a journal is lost. It gives the runner that
// drains the queue then, and the count of losses by which its caller finds out
// whether that still holds.
func (s *seen) whole(ctx context.Context, of store.JournalID) (r *runner, losses uint64, err error) {
	err = s.until(ctx, func() bool {
		r, losses = s.runner, s.losses
		return len(s.lost[of]) == 0
	})
	return r, losses, err
}

// until waits for a condition, which is looked at under mu.
func (s *seen) until(ctx context.Context, holds func() bool) error {
	for {
		s.mu.Lock()
		if holds() {
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

func (s *seen) lossesSoFar() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.losses
}

// drains says which runner drains the queue from now on.
func (s *seen) drains(r *runner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runner = r
}

func (s *seen) drainer() *runner {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runner
}

// take counts a delivery; takenSoFar gives the count.
func (s *seen) take() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken++
}

func (s *seen) takenSoFar() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken
}
