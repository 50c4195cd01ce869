package gateway

import (
	"slices"
	"sync"

	"weir/internal/catalog"
	"weir/internal/sample"
)

// bundle is a request's samples of one week and queue, in the order they came.
// A busy gateway holds millions, so what a line's samples have in common is
// kept once: where they go, and when they were taken.
type bundle struct {
	week      sample.Week
	lines     []line
	bits      []uint64         // of all lines; of a string its place in texts
	singles   []single         // of the lines that are one sample
	qualities []sample.Quality // one a sample; nil: all Good
	texts     []string
}

// line is samples of one time.
type line struct {
	of   *share // nil: one sample, of the next of singles
	time int64
}

type single struct {
	series uint32 // catalog.Series.Index
	kind   sample.Kind
}

// samples gives how many there are.
func (u *bundle) samples() int { return len(u.bits) }

// add takes one sample.
func (u *bundle) add(series *catalog.Series, s *sample.Sample) {
	bits := s.Value.Bits
	if s.Value.Kind == sample.String {
		bits = uint64(len(u.texts))
		u.texts = append(u.texts, s.Value.Text)
	}
	if s.Quality != sample.Good && u.qualities == nil {
		u.qualities = make([]sample.Quality, len(u.bits), max(cap(u.bits), 16))
	}
	if u.qualities != nil {
		u.qualities = append(u.qualities, s.Quality)
	}
	u.lines = append(u.lines, line{nil, s.Time})
	u.bits = append(u.bits, bits)
	u.singles = append(u.singles, single{series.Index, s.Value.Kind})
}

// addLine takes those values of a line that a share says.
func (u *bundle) addLine(s *share, time int64, values []uint64) {
	u.lines = append(u.lines, line{s, time})
	n, k := len(u.bits), len(s.targets)
	u.bits = slices.Grow(u.bits, k)[:n+k]
	bits := u.bits[n:]
	for i, t := range s.targets {
		bits[i] = values[t.field]
	}
	if u.qualities != nil {
		u.qualities = slices.Grow(u.qualities, k)[:n+k]
		clear(u.qualities[n:])
	}
}

// halves divides u after the line in which sample n lies. What it gives shares
// u's memory.
func (u *bundle) halves(n int) (first, second *bundle) {
	lines, samples, singles := 0, 0, 0
	for ; samples < n; lines++ {
		if s := u.lines[lines].of; s != nil {
			samples += len(s.targets)
			continue
		}
		samples++
		singles++
	}
	first, second = &bundle{}, &bundle{}
	*first, *second = *u, *u
	first.lines, second.lines = u.lines[:lines], u.lines[lines:]
	first.bits, second.bits = u.bits[:samples], u.bits[samples:]
	first.singles, second.singles = u.singles[:singles], u.singles[singles:]
	if u.qualities != nil {
		first.qualities, second.qualities = u.qualities[:samples], u.qualities[samples:]
	}
	return first, second
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
	if max(cap(u.bits), cap(u.lines), cap(u.texts)) > bundleKept {
		return
	}
	clear(u.lines)
	clear(u.texts)
	*u = bundle{lines: u.lines[:0], bits: u.bits[:0], singles: u.singles[:0], texts: u.texts[:0]}
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
