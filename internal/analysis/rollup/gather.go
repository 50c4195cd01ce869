package rollup

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"slices"

	"github.com/DataDog/sketches-go/ddsketch"

	"weir/internal/analysis"
	"weir/internal/exact"
	"weir/internal/jsonline"
	"weir/internal/result"
	"weir/internal/sample"
)

// The most groups, each window of one counted, that a run may have: each core may hold
// all of them.
const (
	maxGroups   = 1 << 20 // about 300 bytes each
	maxSketched = 1 << 18 // of quantiles: about 2 KB each
)

// group is the series of one metric that have the same values of some tags, in one
// window.
type group struct {
	metric string
	tags   string // a JSON object, names in order
	from   int64
	to     int64
}

// gatherer takes series into groups. All that it gathers is exact or, as the places of
// a sketch, counted, so it hangs on no order.
type gatherer struct {
	*Rollup
	partials map[group]*partial
	most     int
	floats   []uint64 // scratch
	squares  []uint64 // scratch
	last     *analysis.Series
	group    group // of last's series
}

var _ analysis.Gatherer = (*gatherer)(nil)

func newGatherer(r *Rollup) *gatherer {
	g := &gatherer{Rollup: r, partials: map[group]*partial{}, most: maxGroups}
	if len(r.quantiles) > 0 {
		g.most = maxSketched
	}
	return g
}

// Analyse takes a series' samples into its group.
func (g *gatherer) Analyse(_ *result.Rows, s *analysis.Samples, start, end int64) error {
	of := g.groupOf(s.Series)
	for i, guess := 0, 1; i < len(s.Times); {
		of.from, of.to = g.window(s.Times[i], start, end)
		j := windowEnd(s.Times, i, guess, of.to)
		guess = j - i
		p, err := g.partial(of)
		if err != nil {
			return err
		}
		if err := g.add(p, s, i, j); err != nil {
			return err
		}
		i = j
	}
	return nil
}

// groupOf gives the group of a series, without a window.
func (g *gatherer) groupOf(s *analysis.Series) group {
	if g.last == s {
		return g.group
	}
	var tags []sample.Tag
	for _, t := range s.Of.Tags {
		if slices.Contains(g.by, t.Name) {
			tags = append(tags, t)
		}
	}
	g.last, g.group = s, group{metric: s.Metric, tags: string(jsonline.AppendTags(nil, tags))}
	return g.group
}

func (g *gatherer) partial(of group) (*partial, error) {
	p := g.partials[of]
	if p != nil {
		return p, nil
	}
	if len(g.partials) >= g.most {
		return nil, fmt.Errorf("%w: by %v gives more than %d rows: take fewer tags, a longer every, or a shorter window", analysis.ErrParameters, g.by, g.most)
	}
	p = &partial{low: math.NaN(), high: math.NaN()}
	if len(g.quantiles) > 0 {
		var err error
		if p.sketch, err = newSketch(); err != nil {
			return nil, err
		}
	}
	g.partials[of] = p
	return p, nil
}

// add takes samples i to j of a series into a partial.
func (g *gatherer) add(p *partial, s *analysis.Samples, i, j int) error {
	p.count += int64(j - i)
	if s.Series.Kind == sample.String {
		return nil
	}
	kind, values := s.Series.Kind, s.Bits[i:j]
	p.numbers += int64(j - i)
	if g.wanted.least || g.wanted.most {
		low, high := bounds(kind, values)
		p.low, p.high = lesser(p.low, low), greater(p.high, high)
	}
	if g.sums {
		if kind == sample.Float64 {
			p.sum.Add(values)
		} else {
			p.sum.AddWide(exact.SumInts(values))
		}
	}
	p.first.offer(s.Times[i], s.Series.ID, floatOf(kind, values[0]), -1)
	p.last.offer(s.Times[j-1], s.Series.ID, floatOf(kind, values[len(values)-1]), 1)
	if g.wanted.stddev {
		g.squares = p.squares.add(asFloats(&g.floats, kind, values), g.squares[:0])
	}
	if p.sketch != nil {
		return sketch(p.sketch, asFloats(&g.floats, kind, values))
	}
	return nil
}

// Join takes in another's partials.
func (g *gatherer) Join(other analysis.Gatherer) error {
	more, ok := other.(*gatherer)
	if !ok {
		return fmt.Errorf("a rollup can't join %T", other)
	}
	for of, o := range more.partials {
		p, err := g.partial(of)
		if err == nil {
			err = p.join(o)
		}
		if err != nil {
			return err
		}
	}
	more.partials = nil
	return nil
}

// Gathered gives the rows by metric, tags and window.
func (g *gatherer) Gathered(yield func(func(*result.Rows)) error) error {
	groups := make([]group, 0, len(g.partials))
	for of := range g.partials {
		groups = append(groups, of)
	}
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.metric, b.metric), cmp.Compare(a.tags, b.tags), cmp.Compare(a.from, b.from))
	})
	for _, of := range groups {
		var err error
		yielded := yield(func(rows *result.Rows) {
			c := rows.Columns
			c[0].Text("")
			c[1].Text(of.metric)
			c[2].Text(of.tags)
			c[3].Int(of.from)
			c[4].Int(of.to)
			err = g.functions(rows, g.partials[of])
			rows.EndRow()
		})
		if err == nil {
			err = yielded
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// functions appends the functions of a partial.
func (g *gatherer) functions(rows *result.Rows, p *partial) error {
	at := fixed
	next := func() *result.Values {
		at++
		return &rows.Columns[at-1]
	}
	if g.wanted.count {
		next().Int(p.count)
	}
	total := 0.0
	if g.sums {
		total = p.sum.Value()
	}
	for _, of := range []struct {
		wanted bool
		value  func() float64
		least  int64 // numbers that it takes
	}{
		{g.wanted.least, func() float64 { return p.low }, 1},
		{g.wanted.most, func() float64 { return p.high }, 1},
		{g.wanted.mean, func() float64 { return total / float64(p.numbers) }, 1},
		{g.wanted.sum, func() float64 { return total }, 1},
		{g.wanted.first, func() float64 { return p.first.value }, 1},
		{g.wanted.last, func() float64 { return p.last.value }, 1},
		{g.wanted.stddev, p.deviation, 2},
	} {
		switch {
		case !of.wanted:
		case p.numbers < of.least:
			next().None()
		default:
			next().Float(of.value())
		}
	}
	if p.sketch == nil {
		return nil
	}
	return g.readSketch(p.sketch, next)
}

// partial is what was gathered of a group.
type partial struct {
	count   int64 // of samples
	numbers int64 // of these: not strings
	low     float64
	high    float64
	sum     exact.Sum
	squares squares
	first   edge
	last    edge
	sketch  *ddsketch.DDSketch // nil: no quantiles are wanted
}

func (p *partial) join(o *partial) error {
	p.count += o.count
	p.numbers += o.numbers
	p.low, p.high = lesser(p.low, o.low), greater(p.high, o.high)
	p.sum.Join(o.sum)
	p.squares.join(&o.squares)
	if o.numbers > 0 {
		p.first.offer(o.first.at, o.first.series, o.first.value, -1)
		p.last.offer(o.last.at, o.last.series, o.last.value, 1)
	}
	if p.sketch == nil {
		return nil
	}
	if err := p.sketch.MergeWith(o.sketch); err != nil {
		return fmt.Errorf("quantiles: %w", err)
	}
	return nil
}

// lesser and greater pass NaN over; -0 lies below 0.
func lesser(a, b float64) float64 {
	switch {
	case math.IsNaN(a):
		return b
	case math.IsNaN(b):
		return a
	}
	return min(a, b)
}

func greater(a, b float64) float64 {
	switch {
	case math.IsNaN(a):
		return b
	case math.IsNaN(b):
		return a
	}
	return max(a, b)
}

// edge is the sample at one end of a window: of several series that have one at its
// time, that of the least series id at the beginning, of the greatest at the end.
type edge struct {
	series string // "": there is none yet
	at     int64
	value  float64
}

func (e *edge) offer(at int64, series string, value float64, side int) {
	if e.series == "" || side*cmp.Or(cmp.Compare(at, e.at), cmp.Compare(series, e.series)) > 0 {
		*e = edge{series, at, value}
	}
}

// squares is the exact sum of the squares of values.
type squares struct {
	sum  exact.Sum
	wide *big.Float // of values whose squares are no sum of two float64; nil: none
}

// wideBits is enough for the sum of any squares.
const wideBits = 4400

// add adds values; room is scratch, which is given back.
func (q *squares) add(values, room []uint64) []uint64 {
	for _, b := range values {
		x := math.Float64frombits(b)
		if size := math.Abs(x); size > 0x1p500 && size <= math.MaxFloat64 || size != 0 && size < 0x1p-480 {
			if q.wide == nil {
				q.wide = new(big.Float).SetPrec(wideBits)
			}
			wide := new(big.Float).SetPrec(wideBits).SetFloat64(x)
			q.wide.Add(q.wide, wide.Mul(wide, wide))
			continue
		}
		// The product and its rounding error, both exact.
		product := float64(x * x)
		room = append(room, math.Float64bits(product))
		if rest := math.FMA(x, x, -product); rest != 0 && !math.IsNaN(rest) {
			room = append(room, math.Float64bits(rest))
		}
	}
	q.sum.Add(room)
	return room
}

func (q *squares) join(o *squares) {
	q.sum.Join(o.sum)
	if o.wide == nil {
		return
	}
	if q.wide == nil {
		q.wide = new(big.Float).SetPrec(wideBits)
	}
	q.wide.Add(q.wide, o.wide)
}

// deviation gives the standard deviation of a sample: of exact sums, rounded at the
// end, NaN where a value is not finite.
func (p *partial) deviation() float64 {
	total, ok := p.sum.Exact()
	ofSquares, finite := p.squares.sum.Exact()
	if !ok || !finite {
		return math.NaN()
	}
	wide := func() *big.Float { return new(big.Float).SetPrec(2 * wideBits) }
	all := wide().Set(ofSquares)
	if p.squares.wide != nil {
		all.Add(all, p.squares.wide)
	}
	n := wide().SetInt64(p.numbers)
	square := wide().Mul(total, total)
	spread := all.Mul(all, n)
	spread.Sub(spread, square)
	pairs := wide().Mul(n, wide().SetInt64(p.numbers-1))
	variance := new(big.Float).SetPrec(200).Quo(spread, pairs)
	if variance.Sign() <= 0 {
		return 0
	}
	root, _ := variance.Sqrt(variance).Float64()
	return root
}
