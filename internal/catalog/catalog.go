// Package catalog owns the index of series: the union of what the weeks'
// journals register. A gateway finds in it how to name a series in a message,
// a reader which series match.
//
// It lives in memory and is made anew from the journals at every start. It
// imports sample alone.
package catalog

import (
	"slices"
	"sync"
	"sync/atomic"

	"weir/internal/sample"
)

// Series is one series, the same pointer for as long as the process lives.
// Safe for concurrent use.
type Series struct {
	sample.Series
	Key   string // canonical form
	ID    sample.SeriesID
	Index uint32 // dense within this process, from 0

	weeks atomic.Pointer[[]InWeek] // sorted by week; replaced, never changed
}

// InWeek is what a week's journal calls a series.
type InWeek struct {
	Week   sample.Week
	Handle sample.Handle
	Kind   sample.Kind
}

// Shard gives the series' shard.
func (s *Series) Shard() sample.Shard { return s.ID.Shard() }

// Weeks gives the weeks that the series is registered in, sorted. It is not
// to be changed.
func (s *Series) Weeks() []InWeek {
	if w := s.weeks.Load(); w != nil {
		return *w
	}
	return nil
}

// In gives what a week calls the series.
func (s *Series) In(week sample.Week) (InWeek, bool) {
	weeks := s.Weeks()
	for i := len(weeks) - 1; i >= 0; i-- { // the newest are asked for most
		if weeks[i].Week == week {
			return weeks[i], true
		}
	}
	return InWeek{}, false
}

// Kind gives the kind of the series, 0 when it is registered nowhere. Weeks
// agree but where two of them were the first at once: then the earliest says.
func (s *Series) Kind() sample.Kind {
	if weeks := s.Weeks(); len(weeks) > 0 {
		return weeks[0].Kind
	}
	return 0
}

// Catalog is the index. Safe for concurrent use.
type Catalog struct {
	mu         sync.RWMutex
	byKey      map[string]*Series
	all        []*Series
	registered *ordered
	byMetric   map[string]*ordered
	byTag      map[sample.Tag]*ordered
}

// New makes an empty catalog.
func New() *Catalog {
	return &Catalog{
		byKey: map[string]*Series{}, registered: &ordered{},
		byMetric: map[string]*ordered{}, byTag: map[sample.Tag]*ordered{},
	}
}

// Intern gives the series of a canonical key, and makes it known if it is
// not: one that is registered nowhere is found by its key alone. It keeps
// nothing of key.
func (c *Catalog) Intern(key []byte) (*Series, error) {
	c.mu.RLock()
	s := c.byKey[string(key)]
	c.mu.RUnlock()
	if s != nil {
		return s, nil
	}
	parsed, err := sample.ParseKey(key)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.intern(string(key), parsed), nil
}

func (c *Catalog) intern(key string, parsed sample.Series) *Series {
	if s := c.byKey[key]; s != nil {
		return s
	}
	s := &Series{Series: parsed, Key: key, ID: sample.KeyID([]byte(key)), Index: uint32(len(c.all))}
	c.byKey[key] = s
	c.all = append(c.all, s)
	return s
}

// All gives the known series by their Index. It is not to be changed, and does
// not change: what becomes known later is not in it.
func (c *Catalog) All() []*Series {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.all[:len(c.all):len(c.all)]
}

// Register takes what a week's journal calls a series.
func (c *Catalog) Register(key string, in InWeek) error {
	parsed, err := sample.ParseKey([]byte(key))
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.intern(key, parsed)
	weeks := s.Weeks()
	if len(weeks) == 0 {
		c.registered.add(s)
		addTo(c.byMetric, s.Metric, s)
		for _, t := range s.Tags {
			addTo(c.byTag, t, s)
		}
	}
	at, found := slices.BinarySearchFunc(weeks, in.Week, func(w InWeek, week sample.Week) int { return int(w.Week) - int(week) })
	if found {
		return nil
	}
	weeks = slices.Insert(slices.Clone(weeks), at, in)
	s.weeks.Store(&weeks)
	return nil
}

// Find gives the series that are registered somewhere, carry this metric
// (if not "") and all these tags, in the order of sample.Series.Compare. What
// further matchers ask is the caller's to filter.
func (c *Catalog) Find(metric string, tags []sample.Tag) []*Series {
	list := c.shortest(metric, tags)
	if list == nil {
		return nil
	}
	sorted := list.inOrder(&c.mu)
	if metric == "" && len(tags) == 0 {
		return slices.Clone(sorted)
	}
	var found []*Series
	for _, s := range sorted {
		if metric != "" && s.Metric != metric {
			continue
		}
		if !slices.ContainsFunc(tags, func(t sample.Tag) bool { return s.Tag(t.Name) != t.Value }) {
			found = append(found, s)
		}
	}
	return found
}

// shortest gives the shortest list that holds all that may be found, nil where
// nothing is.
func (c *Catalog) shortest(metric string, tags []sample.Tag) *ordered {
	c.mu.RLock()
	defer c.mu.RUnlock()
	best := c.registered
	if metric != "" {
		best = c.byMetric[metric]
	}
	for _, t := range tags {
		if list := c.byTag[t]; best == nil || list == nil || len(list.series) < len(best.series) {
			best = list
		}
		if best == nil {
			return nil
		}
	}
	return best
}

// Len gives how many series are registered somewhere.
func (c *Catalog) Len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.registered.series)
}
