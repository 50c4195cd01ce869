package journal

import (
	"context"
	"fmt"
	"math"
	"sync"

	"weir/internal/store"
)

// readPage is how many entries one read asks for.
const readPage = 512

// Journal is one process's knowledge of one journal, kept up by reading on.
// Safe for concurrent use.
type Journal struct {
	id       store.JournalID
	log      store.Journals
	register func(store.JournalID, []Registered)
	changed  *signal // raised at each entry that is applied

	mu    sync.Mutex // guards state; held while entries are read and applied
	state *State
}

// newJournal makes a journal that knows nothing yet. register is told of new
// series, in order, while the journal is locked.
func newJournal(log store.Journals, id store.JournalID, register func(store.JournalID, []Registered), changed *signal) *Journal {
	return &Journal{id: id, log: log, register: register, changed: changed, state: newState()}
}

// ID gives which journal this is.
func (j *Journal) ID() store.JournalID { return j.id }

// Refresh reads what was appended since.
func (j *Journal) Refresh(ctx context.Context) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.refresh(ctx, nil)
}

// refresh reads on to the end. seen, if given, is shown each entry as it is
// applied. The caller holds mu.
func (j *Journal) refresh(ctx context.Context, seen func(*Entry)) error {
	return j.read(ctx, math.MaxUint64, seen)
}

// read is refresh up to a position.
func (j *Journal) read(ctx context.Context, position uint64, seen func(*Entry)) error {
	for j.state.next < position {
		page := int(min(readPage, position-j.state.next))
		bodies, err := j.log.Read(ctx, j.id, j.state.next, page)
		if err != nil {
			return fmt.Errorf("journal %s: %w", j.id, err)
		}
		for _, body := range bodies {
			e, err := DecodeEntry(body)
			if err != nil {
				return fmt.Errorf("journal %s, position %d: %w", j.id, j.state.next, err)
			}
			if err := j.apply(e); err != nil {
				return err
			}
			if seen != nil {
				seen(e)
			}
		}
		if len(bodies) < page {
			return nil
		}
	}
	return nil
}

func (j *Journal) apply(e *Entry) error {
	news, err := j.state.apply(e)
	if err != nil {
		return fmt.Errorf("journal %s: %w", j.id, err)
	}
	if len(news) > 0 && j.register != nil {
		j.register(j.id, news)
	}
	j.changed.raise()
	return nil
}

// View calls f with the state as of one position. f must not keep the State,
// nor call the journal.
func (j *Journal) View(f func(*State)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f(j.state)
}
