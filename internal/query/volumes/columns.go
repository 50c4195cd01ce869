package volumes

import (
	"cmp"
	"fmt"
	"slices"
	gosort "sort"

	"weir/internal/block"
	"weir/internal/query"
	"weir/internal/sample"
)

// order decides between samples of one series and time (law 6): the highest
// version, then the latest position, then the one that was added last.
type order struct{ version, position uint64 }

// piece is a run of one series, or what of it lies in range: a view into the
// columns of a batch, or its statistics alone.
type piece struct {
	batch      *block.Batch // nil: only statistics are known
	known      int          // where those are; unknown: they are not
	start, end int          // of its samples in the batch
	kind       sample.Kind
	ascending  bool  // its times ascend strictly
	first      int64 // the least and the greatest time
	last       int64
	origin
}

// origin is where a run comes from.
type origin struct {
	item  int   // which of the task's items it is of; past them: of the head
	order order // of samples whose batch does not say theirs
}

// cut makes a piece of a run's samples with from ≤ time < to; ok is false
// where there is none.
func cut(b *block.Batch, run int, from, to int64) (p piece, ok bool) {
	start, end := b.Run(run)
	if start == end {
		return p, false
	}
	p = piece{batch: b, start: start, end: end, kind: b.Kinds[run], ascending: true}
	times := b.Times[start:end]
	p.first, p.last = times[0], times[len(times)-1]
	if p.ascending = ascend(times); !p.ascending {
		p.first, p.last = slices.Min(times), slices.Max(times)
	}
	if p.last < from || p.first >= to {
		return p, false
	}
	if p.first >= from && p.last < to {
		return p, true
	}
	if !p.ascending {
		return p, slices.ContainsFunc(times, func(t int64) bool { return t >= from && t < to }) // settle leaves the rest out
	}
	p.start = start + gosort.Search(len(times), func(i int) bool { return times[i] >= from })
	p.end = start + gosort.Search(len(times), func(i int) bool { return times[i] >= to })
	if p.start == p.end {
		return p, false
	}
	p.first, p.last = b.Times[p.start], b.Times[p.end-1]
	return p, true
}

// ascend says whether times ascend strictly.
func ascend(times []int64) bool {
	for i := 1; i < len(times); i++ {
		if times[i] <= times[i-1] {
			return false
		}
	}
	return true
}

// orderOf gives the order of sample i of the batch.
func (p *piece) orderOf(i int) order {
	o := p.order
	if p.batch.Versions != nil {
		o.version = p.batch.Versions[i]
	}
	if p.batch.Positions != nil {
		o.position = p.batch.Positions[i]
	}
	return o
}

// stretches sorts pieces by time and calls yield for each list of them that no
// other overlaps. Of a list of one that ascends every sample counts; between
// those of any other the order decides.
func stretches(pieces []piece, yield func([]piece) error) error {
	if !slices.IsSortedFunc(pieces, byFirst) {
		slices.SortStableFunc(pieces, byFirst)
	}
	for len(pieces) > 0 {
		n, last := 1, pieces[0].last
		for n < len(pieces) && pieces[n].first <= last {
			last = max(last, pieces[n].last)
			n++
		}
		if err := yield(pieces[:n]); err != nil {
			return err
		}
		pieces = pieces[n:]
	}
	return nil
}

func plain(list []piece) bool { return len(list) == 1 && list[0].ascending }

func byFirst(a, b piece) int { return cmp.Compare(a.first, b.first) }

// columns is the settled samples of one series.
type columns struct {
	info *query.SeriesInfo // as in Points
	query.Points
	seen query.Points // of a view

	ordered             bool // versions and positions are wanted
	versions, positions []uint64
}

// reset empties the columns and keeps their memory.
func (c *columns) reset(info *query.SeriesInfo) {
	c.info = info
	c.Points = query.Points{Info: info, Times: c.Times[:0], Bits: c.Bits[:0], Texts: c.Texts[:0]}
	c.versions, c.positions = c.versions[:0], c.positions[:0]
}

// view gives the samples of a piece as they lie in its batch, where nothing else
// is in range and nothing is to be converted. The piece was cut.
func (c *columns) view(list []piece) (*query.Points, bool) {
	p := &list[0]
	if !plain(list) || p.kind != c.info.Kind || p.kind == sample.String {
		return nil, false
	}
	b := p.batch
	c.seen = query.Points{Info: c.info, Times: b.Times[p.start:p.end], Bits: b.Bits[p.start:p.end]}
	if b.Qualities != nil && slices.ContainsFunc(b.Qualities[p.start:p.end], notGood) {
		c.seen.Qualities = b.Qualities[p.start:p.end]
	}
	return &c.seen, true
}

// append adds samples start to end of a piece, which lie behind all there are.
func (c *columns) append(p *piece, start, end int) error {
	b := p.batch
	if start == end {
		return nil
	}
	if c.Qualities == nil && b.Qualities != nil && slices.ContainsFunc(b.Qualities[start:end], notGood) {
		c.Qualities = make([]sample.Quality, len(c.Times), cap(c.Times))
	}
	c.Times = append(c.Times, b.Times[start:end]...)
	if c.ordered {
		for i := start; i < end; i++ {
			o := p.orderOf(i)
			c.versions, c.positions = append(c.versions, o.version), append(c.positions, o.position)
		}
	}
	if c.Qualities != nil {
		if b.Qualities == nil {
			c.Qualities = append(c.Qualities, make([]sample.Quality, end-start)...)
		} else {
			c.Qualities = append(c.Qualities, b.Qualities[start:end]...)
		}
	}
	switch {
	case p.kind != c.info.Kind:
		return c.convert(p, start, end)
	case p.kind == sample.String:
		for _, at := range b.Bits[start:end] {
			c.Texts = append(c.Texts, b.Texts[at])
		}
	default:
		c.Bits = append(c.Bits, b.Bits[start:end]...)
	}
	return nil
}

func notGood(q sample.Quality) bool { return q != sample.Good }

// convert is append for values of another kind than the series'.
func (c *columns) convert(p *piece, start, end int) error {
	for i := start; i < end; i++ {
		v, err := p.batch.Value(p.kind, i).As(c.info.Kind)
		if err != nil {
			return fmt.Errorf("series %s, registered with two kinds by two weeks: %w", c.info.Series, err)
		}
		c.Bits = append(c.Bits, v.Bits)
	}
	return nil
}

// grow makes room for all samples of some pieces.
func (c *columns) grow(pieces []piece) {
	n := 0
	for i := range pieces {
		n += pieces[i].end - pieces[i].start
	}
	c.Times = slices.Grow(c.Times, n)
	if c.info.Kind == sample.String {
		c.Texts = slices.Grow(c.Texts, n)
	} else {
		c.Bits = slices.Grow(c.Bits, n)
	}
}

// settle appends the samples of a stretch that lie in range and count.
func (c *columns) settle(list []piece, from, to int64) error {
	if plain(list) {
		return c.append(&list[0], list[0].start, list[0].end)
	}
	m := makeMerge(list)
	for len(m.cursors) > 0 {
		winner := m.next()
		at := winner.index()
		if t := winner.piece.batch.Times[at]; t < from || t >= to {
			continue
		}
		if err := c.append(winner.piece, at, at+1); err != nil {
			return err
		}
	}
	return nil
}
