package journal

import (
	"context"
	"fmt"
	"sync"
)

// Changed gives a channel that is closed at the next entry that this process
// applies to any of the book's journals. Who asks for it, then looks at the
// journals, and then waits for it, misses no entry. What other processes append
// is applied, and told, when a journal is refreshed.
func (b *Book) Changed() <-chan struct{} { return b.changed.wait() }

// Entries reads at most so many of the entries at positions [from, to) anew;
// to must not be above the journal's cut. It applies nothing. The state keeps
// of a commit all but its items: who wants to know what a commit brought reads
// it again.
func (j *Journal) Entries(ctx context.Context, from, to uint64, most int) ([]*Entry, error) {
	if from >= to {
		return nil, nil
	}
	bodies, err := j.log.Read(ctx, j.id, from, int(min(uint64(most), to-from)))
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", j.id, err)
	}
	if len(bodies) == 0 {
		return nil, fmt.Errorf("journal %s: %w: nothing stands at position %d, which was read before", j.id, ErrCorrupt, from)
	}
	entries := make([]*Entry, len(bodies))
	for i, body := range bodies {
		if entries[i], err = DecodeEntry(body); err != nil {
			return nil, fmt.Errorf("journal %s, position %d: %w", j.id, from+uint64(i), err)
		}
	}
	return entries, nil
}

// signal tells any number of waiters, once each, that something changed. Safe
// for concurrent use.
type signal struct {
	mu   sync.Mutex
	next chan struct{} // nil: nobody waits
}

// wait gives a channel that the next raise closes.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = make(chan struct{})
	}
	return s.next
}

func (s *signal) raise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil {
		close(s.next)
		s.next = nil
	}
}
