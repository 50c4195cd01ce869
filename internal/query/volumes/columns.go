package volumes

import (
	"cmp"
	"fmt"
	"slices"

	"weir/internal/query"
	"weir/internal/sample"
)

// order decides between samples of one series and time (law 6): the highest
// version, then the latest position, then the one that was added last.
type order struct{ version, position uint64 }

// columns is the samples of one series, as they come.
type columns struct {
	times     []int64
	values    []sample.Value
	qualities []sample.Quality // nil: all Good
	orders    []order
}

func (c *columns) add(t int64, v sample.Value, q sample.Quality, o order) {
	if q != sample.Good && c.qualities == nil {
		c.qualities = make([]sample.Quality, len(c.times), cap(c.times)+1)
	}
	c.times = append(c.times, t)
	c.values = append(c.values, v)
	c.orders = append(c.orders, o)
	if c.qualities != nil {
		c.qualities = append(c.qualities, q)
	}
}

// points gives the samples in time order, one a time.
func (c *columns) points(info *query.SeriesInfo) (*query.Points, error) {
	p := &query.Points{Info: info}
	for _, i := range c.settled() {
		v, err := c.values[i].As(info.Kind)
		if err != nil {
			return nil, fmt.Errorf("series %s, registered with two kinds by two weeks: %w", info.Series, err)
		}
		p.Times = append(p.Times, c.times[i])
		if info.Kind == sample.String {
			p.Texts = append(p.Texts, v.Text)
		} else {
			p.Bits = append(p.Bits, v.Bits)
		}
		if c.qualities != nil {
			p.Qualities = append(p.Qualities, c.qualities[i])
		}
	}
	return p, nil
}

// settled gives the places of the samples that count, in time order.
func (c *columns) settled() []int {
	places := make([]int, len(c.times))
	ascending := true
	for i := range places {
		places[i] = i
		ascending = ascending && (i == 0 || c.times[i-1] < c.times[i])
	}
	if ascending {
		return places
	}
	slices.SortStableFunc(places, func(a, b int) int {
		x, y := c.orders[a], c.orders[b]
		return cmp.Or(cmp.Compare(c.times[a], c.times[b]), cmp.Compare(x.version, y.version), cmp.Compare(x.position, y.position))
	})
	kept := places[:0]
	for i, at := range places {
		if i+1 < len(places) && c.times[places[i+1]] == c.times[at] {
			continue
		}
		kept = append(kept, at)
	}
	return kept
}
