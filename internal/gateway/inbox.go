package gateway

import (
	"slices"
	"sync"

	"weir/internal/catalog"
	"weir/internal/sample"
)

// bundle is a request's samples of one week and queue: columns, in the order
// they came. A busy gateway holds millions, so they are small, and nothing in
// them is looked at by the garbage collector.
type bundle struct {
	week      sample.Week
	series    []uint32 // catalog.Series.Index
	times     []int64
	bits      []uint64 // of a string its place in texts
	kinds     []sample.Kind
	qualities []sample.Quality // nil: all Good
	texts     []string
}

func (u *bundle) samples() int { return len(u.series) }

// add takes one sample.
func (u *bundle) add(series *catalog.Series, s *sample.Sample) {
	bits := s.Value.Bits
	if s.Value.Kind == sample.String {
		bits = uint64(len(u.texts))
		u.texts = append(u.texts, s.Value.Text)
	}
	if s.Quality != sample.Good && u.qualities == nil {
		u.qualities = make([]sample.Quality, len(u.series), max(cap(u.series), 16))
	}
	if u.qualities != nil {
		u.qualities = append(u.qualities, s.Quality)
	}
	if len(u.series) == cap(u.series) {
		u.grow(1)
	}
	u.series, u.times = append(u.series, series.Index), append(u.times, s.Time)
	u.bits, u.kinds = append(u.bits, bits), append(u.kinds, s.Value.Kind)
}

// addLine takes those values of a line that a share says.
func (u *bundle) addLine(s *share, time int64, line []uint64) {
	n, k := len(u.series), len(s.series)
	if n+k > cap(u.series) {
		u.grow(k)
	}
	u.series, u.kinds = u.series[:n+k], u.kinds[:n+k]
	u.times, u.bits = u.times[:n+k], u.bits[:n+k]
	series, kinds, times, bits := u.series[n:], u.kinds[n:], u.times[n:], u.bits[n:]
	fields, all := s.fields[:k], s.kinds[:k]
	for i, index := range s.series { // a few: copying them by calls costs more
		series[i], kinds[i], times[i], bits[i] = index, all[i], time, line[fields[i]]
	}
	if u.qualities != nil {
		u.qualities = slices.Grow(u.qualities, k)[:n+k]
		clear(u.qualities[n:])
	}
}

// grow makes room for so many samples more in each column but the rare ones:
// in each at least as much as in series, so that there is one question to ask.
func (u *bundle) grow(k int) {
	room := max(2*cap(u.series), len(u.series)+k, 256)
	u.series = slices.Grow(u.series, room-len(u.series))
	room = cap(u.series)
	u.kinds = slices.Grow(u.kinds, room-len(u.kinds))
	u.times = slices.Grow(u.times, room-len(u.times))
	u.bits = slices.Grow(u.bits, room-len(u.bits))
}

// part gives samples from to to. They share u's memory.
func (u *bundle) part(from, to int) *bundle {
	p := &bundle{week: u.week, series: u.series[from:to], times: u.times[from:to], bits: u.bits[from:to], kinds: u.kinds[from:to], texts: u.texts}
	if u.qualities != nil {
		p.qualities = u.qualities[from:to]
	}
	return p
}

// bundleKept is the largest bundle, in samples, that is kept for reuse, so
// that one large request does not hold its memory for good.
const bundleKept = 64 << 10

// bundles lends out bundles. Safe for concurrent use.
type bundles struct{ idle idle[*bundle] }

func newBundles(most int) bundles {
	return bundles{idle: idle[*bundle]{most: most, make: func() *bundle { return &bundle{} }}}
}

func (b *bundles) get(week sample.Week) *bundle {
	u := b.idle.get()
	u.week = week
	return u
}

// put takes a bundle back; the caller has no more of it.
func (b *bundles) put(u *bundle) {
	if cap(u.series) > bundleKept || cap(u.texts) > bundleKept {
		return
	}
	clear(u.texts)
	*u = bundle{series: u.series[:0], times: u.times[:0], bits: u.bits[:0], kinds: u.kinds[:0], texts: u.texts[:0]}
	b.idle.put(u)
}

// parcel is a request's samples for one queue, waiting to be durable.
type parcel struct {
	bundles []*bundle
	samples int
	weight  int64
	done    chan<- error // gets one answer; has room for it
}

// textWeight is how many bytes of text weigh as much as a sample.
const textWeight = 32

// add puts a bundle into the parcel.
func (p *parcel) add(u *bundle) {
	p.bundles = append(p.bundles, u)
	p.samples += u.samples()
	p.weight += int64(u.samples())
	for _, text := range u.texts {
		p.weight += int64(len(text) / textWeight)
	}
}

// inbox is what requests have handed to a lane. It is bounded by weight, not
// by number: many small requests at once are as welcome as a few large ones.
type inbox struct {
	limit int64
	wake  chan struct{} // gets a token when something came

	mu      sync.Mutex
	parcels []parcel
	weight  int64 // handed in and not settled
	closed  bool
}

func newInbox(limit int) *inbox {
	return &inbox{limit: int64(limit), wake: make(chan struct{}, 1)}
}

// full says whether hand would refuse.
func (b *inbox) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed || b.weight >= b.limit
}

// hand puts a parcel in and says whether there was room. One that is larger
// than all the room is taken when nothing else waits.
func (b *inbox) hand(p parcel) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.weight >= b.limit {
		return false
	}
	b.parcels = append(b.parcels, p)
	b.weight += p.weight
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return true
}

// take appends parcels to group, in the order they came, until it has most
// samples, and gives how many it has.
func (b *inbox) take(group []parcel, samples, most int) ([]parcel, int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for n < len(b.parcels) && samples < most {
		samples += b.parcels[n].samples
		n++
	}
	group = append(group, b.parcels[:n]...)
	rest := copy(b.parcels, b.parcels[n:])
	clear(b.parcels[rest:])
	b.parcels = b.parcels[:rest]
	return group, samples
}

// settle makes room again for what take gave.
func (b *inbox) settle(weight int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.weight -= weight
}

// close refuses whatever comes from now on.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}
