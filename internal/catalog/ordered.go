package catalog

import (
	"slices"
	"sync"
)

// ordered is a list of series that is brought in order when that is asked for,
// and stays so: what is added later waits behind until then.
type ordered struct {
	series []*Series // grows, or is replaced; what was given of it does not change
	sorted int       // so many of them are in order
}

func (o *ordered) add(s *Series) { o.series = append(o.series, s) }

func addTo[K comparable](lists map[K]*ordered, key K, s *Series) {
	list := lists[key]
	if list == nil {
		list = &ordered{}
		lists[key] = list
	}
	list.add(s)
}

// inOrder gives the series in the order of Compare. The list is not to be
// changed. The lock, which guards the list, is not held while series are
// compared.
func (o *ordered) inOrder(lock *sync.RWMutex) []*Series {
	lock.RLock()
	now, sorted := o.series, o.sorted
	lock.RUnlock()
	if sorted == len(now) {
		return now
	}
	merged := insert(now[:sorted], now[sorted:])
	n := len(merged)
	lock.Lock()
	defer lock.Unlock()
	if o.sorted == sorted { // nobody else brought it in order meanwhile
		o.series, o.sorted = append(merged, o.series[n:]...), n
	}
	return merged[:n:n]
}

// insert gives a new list of a sorted one and what comes to it. That is few
// as a rule, so places are searched rather than all series compared.
func insert(sorted, more []*Series) []*Series {
	more = slices.Clone(more)
	slices.SortFunc(more, compare)
	out := make([]*Series, 0, len(sorted)+len(more))
	for _, s := range more {
		at, _ := slices.BinarySearchFunc(sorted, s, compare)
		out = append(append(out, sorted[:at]...), s)
		sorted = sorted[at:]
	}
	return append(out, sorted...)
}

func compare(a, b *Series) int { return a.Compare(b.Series) }
