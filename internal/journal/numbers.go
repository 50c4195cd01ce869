package journal

import "slices"

// Numbers is a set of message numbers of one life, as sorted ranges that
// neither overlap nor touch. Messages mostly come in order, so that the set
// mostly is a few ranges.
type Numbers []Range

// Has says whether n is in the set.
func (s Numbers) Has(n uint64) bool {
	i, found := s.find(n)
	return found || i > 0 && s[i-1].To >= n
}

// find gives the first range that begins after n, or (found) at n.
func (s Numbers) find(n uint64) (int, bool) {
	return slices.BinarySearchFunc(s, n, func(r Range, n uint64) int {
		switch {
		case r.From < n:
			return -1
		case r.From > n:
			return 1
		}
		return 0
	})
}

// Add puts a range in, merging what it overlaps or touches.
func (s Numbers) Add(r Range) Numbers {
	if n := len(s); n > 0 && s[n-1].To < r.From { // the usual case: at the end
		if s[n-1].To+1 == r.From {
			s[n-1].To = r.To
			return s
		}
		return append(s, r)
	}
	from, _ := s.find(r.From)
	if from > 0 && s[from-1].To >= r.From-1 { // it begins before r, so r.From is above 0
		from--
	}
	to := from
	for to < len(s) && (r.To == ^uint64(0) || s[to].From <= r.To+1) {
		r.From = min(r.From, s[to].From)
		r.To = max(r.To, s[to].To)
		to++
	}
	return slices.Replace(s, from, to, r)
}

// AddNumber puts one number in.
func (s Numbers) AddNumber(n uint64) Numbers { return s.Add(Range{n, n}) }

// overlaps says whether a number of r is in the set.
func (s Numbers) overlaps(r Range) bool {
	i, found := s.find(r.From)
	return found || i > 0 && s[i-1].To >= r.From || i < len(s) && s[i].From <= r.To
}

// Remove takes one number out.
func (s Numbers) Remove(n uint64) Numbers {
	i, found := s.find(n)
	if !found {
		if i--; i < 0 || s[i].To < n {
			return s
		}
	}
	var left []Range
	if r := s[i]; r.From < n {
		left = append(left, Range{r.From, n - 1})
	}
	if r := s[i]; n < r.To {
		left = append(left, Range{n + 1, r.To})
	}
	return slices.Replace(s, i, i+1, left...)
}

// Through gives how many numbers from 0 on are in the set without a gap; for
// all that there are, which no uint64 counts, the last of them.
func (s Numbers) Through() uint64 {
	if len(s) == 0 || s[0].From != 0 {
		return 0
	}
	return max(s[0].To, s[0].To+1)
}
