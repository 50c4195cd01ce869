package journal

import (
	"fmt"
	"math"
	"slices"

	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

// State is what a journal says up to a position: the fold of its entries. It
// is not safe for concurrent use; Journal guards it.
//
// It is kept for as long as the week is known. A week of one partition, flushed
// every ten seconds by one gateway and merged each minute, keeps 19.6 MB of
// commits, 3.5 MB of flush ids and, until it is swept, 3.4 MB of what was
// replaced (BenchmarkWeekInMemory). The ids are kept since an orphan is what is
// not among them.
type State struct {
	next     uint64 // the position after the last entry
	epoch    uint64 // the position after the last epoch entry; 0: there is none
	revision int    // the open one: how many seals there are

	handles map[string]sample.Handle        // by canonical key
	shards  map[sample.Shard][]Registration // by ordinal
	lives   map[message.Life]Numbers        // the messages that are named
	flushes map[store.FlushID]struct{}      // those that a commit or a merge names
	commits []Placed                        // in order of position
	items   set
	retired []Retired // in order of position
	horizon Horizons
	samples uint64
	merged  MergeCounts

	seals       []uint64       // by revision: the position behind its seal
	overwritten map[int]uint64 // by revision: by merges
	erased      map[int]uint64 // by revision
}

// Placed is a commit and its position: together they order it. It is never
// changed once it is in a State. Its items are among those of the State; it
// has none of its own.
type Placed struct {
	Position uint64
	*Commit
}

// Horizons are the stamps up to which commits took messages, by class. A
// message with a stamp not above its class's is late (law 6).
type Horizons [Classes]message.Stamp

// Latest gives the stamp up to which any commit took messages.
func (h Horizons) Latest() message.Stamp { return slices.Max(h[:]) }

// Retired is an item that a merge has replaced, and where that merge stands:
// a cut above At does not name the item any more.
type Retired struct {
	Key      store.ItemKey
	Revision int
	At       uint64
}

// MergeCounts is what the merges that count have done, in samples and merges.
type MergeCounts struct {
	Merges      int
	Void        int    // merges that do not count
	Rewritten   uint64 // samples in merged items
	Overwritten uint64
	Erased      uint64 // samples that erasures took out
}

func newState() *State {
	return &State{
		handles: map[string]sample.Handle{},
		shards:  map[sample.Shard][]Registration{},
		lives:   map[message.Life]Numbers{},
		flushes: map[store.FlushID]struct{}{}, overwritten: map[int]uint64{}, erased: map[int]uint64{},
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
	case kindMerge:
		if err := s.merge(e.Merge); err != nil {
			return nil, fmt.Errorf("position %d: %w", s.next, err)
		}
	case kindSeal:
		if e.Seal.Revision == s.revision { // a second seal says nothing
			s.revision++
			s.seals = append(s.seals, s.next+1)
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
	switch {
	case c.Revision != s.revision:
		return fmt.Errorf("%w: flush %s is of revision %d, and revision %d is open", ErrCorrupt, c.Flush, c.Revision, s.revision)
	case c.Buckets < 1 && len(c.Items) > 0:
		return fmt.Errorf("%w: flush %s has items in %d buckets", ErrCorrupt, c.Flush, c.Buckets)
	}
	for i := range c.Lives {
		l := &c.Lives[i]
		for _, r := range l.Ranges {
			s.lives[l.Life] = s.lives[l.Life].Add(r)
		}
	}
	s.flushes[c.Flush] = struct{}{}
	for _, i := range c.Items {
		n := Named{
			Key: c.Key(i), Revision: c.Revision, Buckets: c.Buckets, Length: c.Span,
			Position: s.next, Samples: i.Samples, Bytes: i.Bytes,
		}
		n.From, n.To = timesOf(i.Span, c.Span, c.Hours)
		s.items.add(n)
	}
	kept := *c
	kept.Items = nil
	s.commits = append(s.commits, Placed{s.next, &kept})
	s.horizon[c.Class] = max(s.horizon[c.Class], c.Horizon)
	s.samples += c.Stored()
	return nil
}

// merge replaces items where the merge counts (law 4); else it says nothing,
// and its own items are orphans.
func (s *State) merge(m *Merge) error {
	if m.Buckets < 1 && len(m.Items) > 0 {
		return fmt.Errorf("%w: merge %s has items in %d buckets", ErrCorrupt, m.Flush, m.Buckets)
	}
	from, to, ok := s.current(m)
	if !ok {
		s.merged.Void++
		return nil
	}
	s.flushes[m.Flush] = struct{}{}
	s.items.remove(m.Replaces)
	for _, key := range m.Replaces {
		s.retired = append(s.retired, Retired{Key: key, Revision: m.Revision, At: s.next})
	}
	for _, i := range m.Items {
		n := Named{
			Key: m.Key(i), Revision: m.Revision, Buckets: m.Buckets, Length: m.Span,
			Position: s.next, Merged: true, Samples: i.Samples, Bytes: i.Bytes,
		}
		n.From, n.To = max(from, i.Span), min(to, spanEnd(i.Span, m.Span))
		s.items.add(n)
		s.merged.Rewritten += uint64(i.Samples)
	}
	s.merged.Merges++
	s.merged.Overwritten += m.Overwritten
	s.overwritten[m.Revision] += m.Overwritten
	s.erased[m.Revision] += m.Erased
	s.merged.Erased += m.Erased
	return nil
}

// current says whether a merge counts at the next position, and gives the
// bounds of the times of what it replaces.
func (s *State) current(m *Merge) (from, to int64, ok bool) {
	if _, known := s.flushes[m.Flush]; known || len(m.Replaces) == 0 || m.Flush.Epoch+1 != s.epoch {
		return 0, 0, false
	}
	from, to = math.MaxInt64, math.MinInt64
	for i, key := range m.Replaces {
		at, item, found := s.items.find(key)
		if !found || s.items.spans[at].items[item].Revision != m.Revision || i > 0 && key == m.Replaces[i-1] {
			return 0, 0, false
		}
		n := &s.items.spans[at].items[item]
		from, to = min(from, n.From), max(to, n.To)
	}
	return from, to, true
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

// Shard gives a shard's registered series by their ordinals. It is not to be
// changed.
func (s *State) Shard(shard sample.Shard) []Registration { return s.shards[shard] }

// Horizon is the stamp up to which commits took messages of a class.
func (s *State) Horizon(c Class) message.Stamp { return s.horizon[c] }

// Revision is the one that is open: how often the journal was sealed.
func (s *State) Revision() int { return s.revision }

// Epoch is what the flush ids of who reads the journal now carry; ok is false
// for a journal that nobody took over yet.
func (s *State) Epoch() (epoch uint64, ok bool) { return s.epoch - 1, s.epoch > 0 }

// Items gives the items that count now.
func (s *State) Items() Items { return s.items.view() }

// forget drops from memory the items of a revision that merges before a
// position replaced, once they are removed.
func (s *State) forget(revision int, before uint64) {
	s.retired = slices.DeleteFunc(s.retired, func(r Retired) bool { return r.Revision == revision && r.At < before })
}

// Merged gives what merges have done.
func (s *State) Merged() MergeCounts { return s.merged }

// NamesFlush says whether an entry that counts named a flush's items. Those of
// any other flush of an earlier epoch are orphans.
func (s *State) NamesFlush(f store.FlushID) bool {
	_, ok := s.flushes[f]
	return ok
}

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
