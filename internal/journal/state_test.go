package journal

import (
	"errors"
	"testing"

	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

func unitApply(t *testing.T, s *State, entries ...*Entry) (news []Registered) {
	t.Helper()
	for _, e := range entries {
		got, err := s.apply(e)
		if err != nil {
			t.Fatal(err)
		}
		news = append(news, got...)
	}
	return news
}

func TestTheKindThatIsRegisteredFirstStays(t *testing.T) {
	s, key := newState(), sample.Series{Metric: "m"}.Key()
	news := unitApply(t, s,
		&Entry{Register: &Register{Series: []Registration{{key, sample.Int64}, {key, sample.Bool}}}},
		&Entry{Register: &Register{Series: []Registration{{key, sample.String}}}})
	if len(news) != 1 || news[0].Kind != sample.Int64 {
		t.Errorf("new are %v; want one of int64", news)
	}
	h, kind, ok := s.Handle(key)
	if r, known := s.Registration(h); !ok || !known || kind != sample.Int64 || r.Kind != kind || s.Series() != 1 {
		t.Errorf("the series has kind %v, and %v by handle; want int64", kind, r.Kind)
	}
}

func TestOrdinalsAreDenseInEachShard(t *testing.T) {
	s, next := newState(), map[sample.Shard]int{}
	for n := range uint64(3000) { // three times the shards, so that many share one
		h := unitApply(t, s, unitOther(n))[0].Handle
		if int(h.Ordinal()) != next[h.Shard()] {
			t.Fatalf("series %d of shard %d has ordinal %d", next[h.Shard()], h.Shard(), h.Ordinal())
		}
		next[h.Shard()]++
	}
}

func TestTheHorizonNeverGoesBack(t *testing.T) {
	s := newState()
	for i, c := range []struct{ horizon, want message.Stamp }{{5, 5}, {9, 9}, {7, 9}, {0, 9}, {10, 10}} {
		unitApply(t, s, &Entry{Commit: &Commit{Flush: store.FlushID{Nonce: uint64(i)}, Horizon: c.horizon}})
		if s.Horizon(Steady) != c.want {
			t.Errorf("after horizon %d it is %d; want %d", c.horizon, s.Horizon(Steady), c.want)
		}
	}
}

func TestAFlushThatIsCommittedTwiceChangesNothing(t *testing.T) {
	s := newState()
	first := &Commit{Flush: store.FlushID{Nonce: 1}, Lives: []Life{{Life: 1, Ranges: []Range{{0, 0}}, Samples: 2}}}
	again := &Commit{Flush: store.FlushID{Nonce: 1}, Lives: []Life{{Life: 1, Ranges: []Range{{1, 1}}, Samples: 2}}}
	unitApply(t, s, &Entry{Commit: first})
	if _, err := s.apply(&Entry{Commit: again}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("%v; want ErrCorrupt", err)
	}
	if s.Cut() != 1 || s.Samples() != 2 || len(s.Commits()) != 1 || s.Named(message.ID{Life: 1, Number: 1}) {
		t.Errorf("cut %d, %d samples, %d commits", s.Cut(), s.Samples(), len(s.Commits()))
	}
}

func TestMessagesAreNamedByLife(t *testing.T) {
	s := newState()
	unitApply(t, s,
		&Entry{Commit: &Commit{Flush: store.FlushID{Nonce: 1}, Lives: []Life{{Life: 1, Ranges: []Range{{0, 2}, {4, 4}}}}}},
		&Entry{Commit: &Commit{Flush: store.FlushID{Nonce: 2}, Lives: []Life{{Life: 2, Ranges: []Range{{3, 3}}}, {Life: 1, Ranges: []Range{{3, 3}}}}}})
	for id, want := range map[message.ID]bool{
		{Life: 1, Number: 0}: true, {Life: 1, Number: 3}: true, {Life: 1, Number: 4}: true, {Life: 1, Number: 5}: false,
		{Life: 2, Number: 3}: true, {Life: 2, Number: 0}: false, {Life: 3, Number: 0}: false,
	} {
		if s.Named(id) != want {
			t.Errorf("message %v is named: %v", id, !want)
		}
	}
}
