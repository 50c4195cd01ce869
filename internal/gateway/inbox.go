package gateway

import (
	"sync"

	"weir/internal/catalog"
	"weir/internal/sample"
)

// pending is one accepted sample that is not in a message yet. It is kept
// small: a busy gateway holds millions. Of a string, bits is the place in the
// bundle's texts.
type pending struct {
	series  *catalog.Series
	time    int64
	bits    uint64
	quality sample.Quality
	kind    sample.Kind
}

// bundle is a request's samples of one week and queue.
type bundle struct {
	week  sample.Week
	list  []pending
	texts []string
}

// bundleKept is the largest bundle, in samples, that is kept for reuse, so
// that one large request does not hold its memory for good.
const bundleKept = 64 << 10

// bundles lends out bundles. The zero value is ready. Safe for concurrent use.
type bundles struct{ pool sync.Pool }

func (b *bundles) get(week sample.Week) *bundle {
	u, _ := b.pool.Get().(*bundle)
	if u == nil {
		u = &bundle{}
	}
	u.week = week
	return u
}

// put takes a bundle back; the caller has no more of it.
func (b *bundles) put(u *bundle) {
	if cap(u.list) > bundleKept || cap(u.texts) > bundleKept {
		return
	}
	clear(u.texts)
	u.list, u.texts = u.list[:0], u.texts[:0]
	b.pool.Put(u)
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
	p.samples += len(u.list)
	p.weight += int64(len(u.list))
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
