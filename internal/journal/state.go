package journal

import (
	"fmt"
	"slices"

	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

// State is what a journal says up to a position: the fold of its entries. It
// is not safe for concurrent use; Journal guards it.
type State struct {
	next  uint64 // the position after the last entry
	epoch uint64 // the position after the last epoch entry; 0: there is none

	handles map[string]sample.Handle        // by canonical key
	shards  map[sample.Shard][]Registration // by ordinal
	lives   map[message.Life]Numbers        // the messages that are named
	flushes map[store.FlushID]struct{}      // those that a commit names
	commits []Placed                        // in order of position
	horizon message.Stamp
	samples uint64
}

// Placed is a commit and its position: together they order it. It is never
// changed once it is in a State.
type Placed struct {
	Position uint64
	*Commit
}

func newState() *State {
	return &State{
		handles: map[string]sample.Handle{},
		shards:  map[sample.Shard][]Registration{},
		lives:   map[message.Life]Numbers{},
		flushes: map[store.FlushID]struct{}{},
	}
}

// apply takes the entry at the next position. It returns the registrations
// that were new, with their handles.
func (s *State) apply(e *Entry) ([]Registered, error) {
	var news []Registered
	switch e.kind() {
	case kindEpoch:
		s.epoch = s.next + 1
	case kindRegister:
		for _, r := range e.Register.Series {
			if reg, isNew := s.register(r); isNew {
				news = append(news, reg)
			}
		}
	case kindCommit:
		if err := s.commit(e.Commit); err != nil {
			return nil, fmt.Errorf("position %d: %w", s.next, err)
		}
	}
	s.next++
	return news, nil
}

// Registered is a series with what its week's journal calls it.
type Registered struct {
	Registration
	Handle sample.Handle
}

func (s *State) register(r Registration) (Registered, bool) {
	if _, ok := s.handles[r.Key]; ok {
		return Registered{}, false // the kind is the one registered first
	}
	shard := sample.KeyID([]byte(r.Key)).Shard()
	h := sample.NewHandle(shard, uint32(len(s.shards[shard])))
	s.shards[shard] = append(s.shards[shard], r)
	s.handles[r.Key] = h
	return Registered{r, h}, true
}

func (s *State) commit(c *Commit) error {
	if _, ok := s.flushes[c.Flush]; ok {
		return fmt.Errorf("%w: flush %s is committed twice", ErrCorrupt, c.Flush)
	}
	for i := range c.Lives {
		l := &c.Lives[i]
		for _, r := range l.Ranges {
			s.lives[l.Life] = s.lives[l.Life].Add(r)
		}
	}
	s.flushes[c.Flush] = struct{}{}
	s.commits = append(s.commits, Placed{s.next, c})
	s.horizon = max(s.horizon, c.Horizon)
	s.samples += c.Stored()
	return nil
}

// Named says whether a commit names the message (law 3).
func (s *State) Named(id message.ID) bool { return s.lives[id.Life].Has(id.Number) }

// Handle gives a registered series' handle and kind.
func (s *State) Handle(key string) (sample.Handle, sample.Kind, bool) {
	h, ok := s.handles[key]
	if !ok {
		return 0, 0, false
	}
	return h, s.shards[h.Shard()][h.Ordinal()].Kind, true
}

// Registration gives what a handle stands for; ok is false for one that the
// journal does not know.
func (s *State) Registration(h sample.Handle) (r Registration, ok bool) {
	of := s.shards[h.Shard()]
	if int(h.Ordinal()) >= len(of) {
		return Registration{}, false
	}
	return of[h.Ordinal()], true
}

// Horizon is the stamp up to which commits took messages. One with a stamp
// not above it is late (law 6).
func (s *State) Horizon() message.Stamp { return s.horizon }

// Cut is the position after the last entry: what a reader takes now.
func (s *State) Cut() uint64 { return s.next }

// Ordinals calls f with each shard that has series and how many it has.
func (s *State) Ordinals(f func(sample.Shard, int)) {
	for shard, of := range s.shards {
		f(shard, len(of))
	}
}

// Series gives how many series are registered.
func (s *State) Series() int { return len(s.handles) }

// Commits gives the commits in order. The slice is the caller's to read: what
// is in it never changes, and later commits do not show in it.
func (s *State) Commits() []Placed { return slices.Clip(s.commits) }

// Samples gives how many samples the commits stored.
func (s *State) Samples() uint64 { return s.samples }

// Version is the version of the samples of a message within a flush (law 6):
// the flush's horizon, or for a message that came after the horizon before
// it, the message's own stamp.
func Version(stamp, before, horizon message.Stamp) uint64 {
	if stamp <= before {
		return uint64(stamp)
	}
	return uint64(horizon)
}
