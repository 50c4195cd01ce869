package journal

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// unitEdges are the numbers where a set of all uint64 can go wrong, and some
// between. The naive set knows these alone.
func unitEdges() []uint64 {
	return []uint64{
		0, 1, 2, 3, 4, 1 << 20, 1<<20 + 1, 1<<63 - 1, 1 << 63, 1<<63 + 1,
		math.MaxUint64 - 4, math.MaxUint64 - 3, math.MaxUint64 - 2, math.MaxUint64 - 1, math.MaxUint64,
	}
}

func TestNumbersHoldFromZeroToTheLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		edges := unitEdges()
		index := rapid.IntRange(0, len(edges)-1)
		var s Numbers
		plain := map[uint64]bool{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			i, k := index.Draw(t, "from"), index.Draw(t, "to")
			within := edges[min(i, k) : max(i, k)+1]
			r := Range{within[0], within[len(within)-1]}
			if !unitWidens(s, r) && s.overlaps(r) != slices.ContainsFunc(within, func(n uint64) bool { return plain[n] }) {
				t.Fatalf("%v overlaps %v: %v", s, r, s.overlaps(r))
			}
			switch rapid.IntRange(0, 2).Draw(t, "op") {
			case 0:
				s = s.Add(r)
				for _, n := range within {
					plain[n] = true
				}
			case 1:
				s, plain[r.To] = s.AddNumber(r.To), true
			case 2:
				s, plain[r.From] = s.Remove(r.From), false
			}
			unitAgree(t, s, plain)
		}
	})
}

// unitWidens says whether r and s may share a number that is no edge, which
// the naive set knows nothing of.
func unitWidens(s Numbers, r Range) bool {
	return slices.ContainsFunc(s, func(in Range) bool {
		from, to := max(r.From, in.From), min(r.To, in.To)
		return from <= to && !slices.ContainsFunc(unitEdges(), func(n uint64) bool { return n >= from && n <= to })
	})
}

func unitAgree(t *rapid.T, s Numbers, plain map[uint64]bool) {
	for _, n := range unitEdges() {
		if s.Has(n) != plain[n] {
			t.Fatalf("%v has %d: %v", s, n, s.Has(n))
		}
	}
	for i, r := range s {
		if r.From > r.To || i > 0 && (s[i-1].To == math.MaxUint64 || s[i-1].To+1 >= r.From) {
			t.Fatalf("%v is not sorted, or its parts touch", s)
		}
	}
	want := uint64(0) // which the edges tell only as far as they are dense
	for want < 5 && plain[want] {
		want++
	}
	if got := s.Through(); min(got, 5) != want {
		t.Fatalf("%v goes through to %d", s, got)
	}
}

func TestNumbersThatAreAllThereAre(t *testing.T) {
	all := Numbers{}.Add(Range{0, math.MaxUint64})
	if all.Through() != math.MaxUint64 || !all.Has(0) || !all.Has(math.MaxUint64) || !all.overlaps(Range{7, 7}) {
		t.Errorf("all numbers go through to %d", all.Through())
	}
	if again := slices.Clone(all).AddNumber(math.MaxUint64).AddNumber(0); !slices.Equal(again, all) {
		t.Errorf("all numbers and their ends are %v", again)
	}
	inner := all.Remove(0).Remove(math.MaxUint64)
	if !slices.Equal(inner, Numbers{{1, math.MaxUint64 - 1}}) || inner.Through() != 0 {
		t.Errorf("all but the ends are %v", inner)
	}
	if none := (Numbers{}).Remove(3); len(none) != 0 || none.Has(3) || none.overlaps(Range{0, math.MaxUint64}) {
		t.Errorf("nothing less a number is %v", none)
	}
}
