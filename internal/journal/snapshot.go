package journal

import (
	"weir/internal/block"
	"weir/internal/message"
)

// Pending is a message that waits in a worker's head, as a reader sees it.
// Nothing of it changes.
type Pending struct {
	Message message.Message // without its block
	Batch   *block.Batch    // registered series only
	Refused uint64          // samples of the message that go to the quarantine
	Class   Class
}

// Snapshot is a journal, and the head that writes it, as of one moment.
type Snapshot struct {
	Cut      uint64 // the journal's position: what is before it is in here
	Revision int    // the open one
	Series   int    // that are registered
	Commits  []Placed
	Items    Items // that count, of all revisions
	Horizons Horizons
	Pending  []Pending // none that Commits name, in the order of law 6
}

// Snapshot gives what the journal says by now; a head is the worker's to add.
func (j *Journal) Snapshot() Snapshot {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state.Snapshot()
}

// Snapshot gives what the journal says up to the state's position.
func (s *State) Snapshot() Snapshot {
	return Snapshot{Cut: s.next, Revision: s.revision, Series: s.Series(), Commits: s.Commits(), Items: s.Items(), Horizons: s.horizon}
}

// Latest gives the latest stamp that any commit names: a guest's is above no
// horizon.
func (s *Snapshot) Latest() message.Stamp {
	latest := s.Horizons.Latest()
	for _, c := range s.Commits {
		for i := range c.Lives {
			latest = max(latest, c.Lives[i].Last)
		}
	}
	return latest
}
