package volumes

import (
	"context"
	"sync"

	"weir/internal/journal"
	"weir/internal/store"
)

// At gives a source that reads journals as of a cut, without any head: what it
// gives never changes, as long as the cut is pinned. positions says how far each
// journal is read; one at 0 reads as empty.
func (s *Source) At(positions func(store.JournalID) uint64) *Source {
	past := *s
	past.past = true
	past.heads = &pastHeads{book: s.book, positions: positions, read: map[store.JournalID]journal.Snapshot{}}
	return &past
}

// pastHeads gives journals as of a cut where a source asks for heads.
type pastHeads struct {
	book      *journal.Book
	positions func(store.JournalID) uint64

	mu   sync.Mutex
	read map[store.JournalID]journal.Snapshot
}

var _ Heads = (*pastHeads)(nil)

// CatchUp has nothing to wait for.
func (p *pastHeads) CatchUp(context.Context) error { return nil }

// Snapshot gives a journal as of the cut.
func (p *pastHeads) Snapshot(ctx context.Context, id store.JournalID) (journal.Snapshot, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s, ok := p.read[id]; ok {
		return s, true, nil
	}
	s, err := p.book.At(ctx, id, p.positions(id))
	if err == nil {
		p.read[id] = s
	}
	return s, true, err
}
