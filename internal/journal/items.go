package journal

import (
	"iter"
	"slices"

	"weir/internal/sample"
	"weir/internal/store"
)

// Named is an item that counts (laws 1 and 4), and what its journal says of it.
type Named struct {
	Key      store.ItemKey
	Revision int    // whose volume's table has it
	Buckets  int    // how many its flush divides the shards into: its bucket is one of them
	Length   int64  // of its span, ns
	From, To int64  // its samples' times lie in [From, To), which is within the span
	Position uint64 // of the entry that names it
	Merged   bool   // its samples say their commits' positions; else theirs is Position
	Samples  uint32
	Bytes    uint32
}

// Shards gives the half-open range of shards that the item's bucket holds.
func (n *Named) Shards() (from, to sample.Shard) {
	r := n.Key.Bucket.Range(n.Buckets)
	return sample.FirstShard(r, n.Buckets), sample.FirstShard(r+1, n.Buckets)
}

// Items is the items that count at one position of a journal, by span. It
// never changes; what is made of it by a State is another.
type Items struct{ spans []span }

// span is the current items of one aligned stretch of time, in the order in
// which they were named.
type span struct {
	start, length int64
	items         []Named
}

// end gives the end of the span, at the far end of int64 the last time.
func (s *span) end() int64 { return spanEnd(s.start, s.length) }

// All gives the items in order of span, then of position. They are not to be
// changed.
func (s Items) All() iter.Seq[*Named] {
	return func(yield func(*Named) bool) {
		for i := range s.spans {
			for k := range s.spans[i].items {
				if !yield(&s.spans[i].items[k]) {
					return
				}
			}
		}
	}
}

// Overlapping gives the items that may hold samples with from ≤ time < to, as
// All does.
func (s Items) Overlapping(from, to int64) iter.Seq[*Named] {
	return func(yield func(*Named) bool) {
		for i := range s.spans {
			if s.spans[i].start >= to {
				return
			}
			if s.spans[i].end() <= from {
				continue
			}
			for k := range s.spans[i].items {
				if n := &s.spans[i].items[k]; n.From < to && n.To > from && !yield(n) {
					return
				}
			}
		}
	}
}

// Spans gives the items of each span together: what a merger looks at.
func (s Items) Spans() iter.Seq[[]Named] {
	return func(yield func([]Named) bool) {
		for i := range s.spans {
			if !yield(slices.Clip(s.spans[i].items)) {
				return
			}
		}
	}
}

// Len gives how many items there are.
func (s Items) Len() int {
	n := 0
	for i := range s.spans {
		n += len(s.spans[i].items)
	}
	return n
}

// set is the Items of a State, which change. What was given out stays as it
// is: a change after it is made to a copy. An item that is added goes behind
// those that a copy's slice shows, so that only its list of spans is copied.
type set struct {
	Items
	shared bool // the list of spans was given out
}

// view gives the items as they are now.
func (s *set) view() Items {
	s.shared = true
	return s.Items
}

func (s *set) own() {
	if s.shared {
		s.spans, s.shared = slices.Clone(s.spans), false
	}
}

func compareSpans(s span, of *Named) int {
	switch start := of.Key.Span; {
	case s.start != start:
		if s.start < start {
			return -1
		}
		return 1
	case s.length < of.Length:
		return -1
	case s.length > of.Length:
		return 1
	}
	return 0
}

func (s *set) add(n Named) {
	s.own()
	i, found := slices.BinarySearchFunc(s.spans, &n, compareSpans)
	if !found {
		s.spans = slices.Insert(s.spans, i, span{start: n.Key.Span, length: n.Length})
	}
	s.spans[i].items = append(s.spans[i].items, n)
}

// find gives the places of an item, or false where it is not current.
func (s *set) find(key store.ItemKey) (at, item int, ok bool) {
	at, _ = slices.BinarySearchFunc(s.spans, key.Span, func(s span, start int64) int {
		if s.start < start {
			return -1
		}
		return 1
	})
	for ; at < len(s.spans) && s.spans[at].start == key.Span; at++ {
		if i := slices.IndexFunc(s.spans[at].items, func(n Named) bool { return n.Key == key }); i >= 0 {
			return at, i, true
		}
	}
	return 0, 0, false
}

// remove takes items out that are current; keys may be in any order.
func (s *set) remove(keys []store.ItemKey) {
	s.own()
	touched := map[int]map[store.ItemKey]struct{}{}
	for _, key := range keys {
		at, _, _ := s.find(key)
		if touched[at] == nil {
			touched[at] = map[store.ItemKey]struct{}{}
		}
		touched[at][key] = struct{}{}
	}
	for at, gone := range touched {
		left := make([]Named, 0, len(s.spans[at].items)) // the old one may be shown elsewhere
		for _, n := range s.spans[at].items {
			if _, ok := gone[n.Key]; !ok {
				left = append(left, n)
			}
		}
		s.spans[at].items = left
	}
	s.spans = slices.DeleteFunc(s.spans, func(s span) bool { return len(s.items) == 0 })
}

// timesOf gives the bounds of the times that a commit's samples of one span
// have, by the hours that it counts.
func timesOf(start, length int64, hours []Hour) (from, to int64) {
	const hour = int64(3600e9)
	end := spanEnd(start, length)
	from, to = end, start
	for _, h := range hours {
		if last := spanEnd(h.Start, hour); h.Start < end && last > start {
			from, to = min(from, max(h.Start, start)), max(to, min(last, end))
		}
	}
	if from >= to { // hours that say nothing: believe the span
		return start, end
	}
	return from, to
}

func spanEnd(start, length int64) int64 {
	if end := start + length; end >= start {
		return end
	}
	return 1<<63 - 1
}
