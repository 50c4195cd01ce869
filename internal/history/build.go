package history

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"sort"
	"time"

	"weir/internal/block"
	"weir/internal/catalog"
	"weir/internal/journal"
	"weir/internal/sample"
	"weir/internal/settle"
	"weir/internal/store"
)

// Aims of the layout, as of merged items: long runs, and few samples to unpack
// for one series.
const (
	samplesPerItem = 64 << 10 // more are divided among more buckets
	samplesPerHour = 16 << 10 // fewer, and items hold a day
	samplesPerDay  = 2 << 10  // fewer, and items hold the week
)

// run is one series' samples of a message.
type run struct {
	handle     sample.Handle
	kind       sample.Kind
	index      uint32 // catalog.Series.Index
	start, end int    // in the builder's columns
}

// builder makes the items of one message after the other, in the memory of the
// first. It is not safe for concurrent use.
type builder struct {
	slots  []int32 // by series index: 1 + its run, 0 for none yet, or others
	runs   []run
	counts []int32 // by run, until they are sorted: how many samples
	next   []int   // by run: where its next sample goes

	times     []int64
	bits      []uint64
	qualities []sample.Quality // empty: all Good
	texts     []string
	order     []int

	overwritten uint64
	hours       map[int64]uint64

	open  map[int64]*block.Batch // by span, of the bucket at hand
	spare []*block.Batch
}

// find finds the series of a message, and how many samples each has.
func (b *builder) find(g *gathered, all []*catalog.Series) {
	b.slots = slices.Grow(b.slots[:0], len(all))[:len(all)]
	clear(b.slots)
	b.runs, b.counts = b.runs[:0], b.counts[:0]
	for _, c := range g.columns {
		for i, index := range c.series {
			slot := b.slots[index]
			if slot == 0 {
				slot = others
				if all[index].Shard().Range(g.partitions) == g.partition {
					b.runs, b.counts = append(b.runs, run{index: index, kind: c.kinds[i]}), append(b.counts, 0)
					slot = int32(len(b.runs))
				}
				b.slots[index] = slot
			}
			if slot > 0 {
				b.counts[slot-1]++
			}
		}
	}
}

// others is the slot of a series of another partition.
const others = -1

// registrations gives the series that the week does not know.
func (b *builder) registrations(all []*catalog.Series, s *journal.State) []journal.Registration {
	var news []journal.Registration
	for i := range b.runs {
		of := all[b.runs[i].index]
		if _, _, ok := s.Handle(of.Key); !ok {
			news = append(news, journal.Registration{Key: of.Key, Kind: b.runs[i].kind})
		}
	}
	return news
}

// otherKinds is the error of series that are registered with another kind than
// their samples were read for.
type otherKinds struct{ known known }

func (o *otherKinds) Error() string {
	return fmt.Sprintf("%d series were registered with other kinds meanwhile", len(o.known))
}

// name gives each run its handle, and sorts them by it.
func (b *builder) name(g *gathered, all []*catalog.Series, s *journal.State) error {
	differ := known{}
	for i := range b.runs {
		r := &b.runs[i]
		handle, kind, ok := s.Handle(all[r.index].Key)
		if !ok {
			return fmt.Errorf("series %s is not registered in %s", all[r.index], g.week)
		}
		r.handle, r.kind, r.end = handle, kind, int(b.counts[i])
	}
	for _, c := range g.columns {
		for i, index := range c.series {
			if slot := b.slots[index]; slot > 0 && b.runs[slot-1].kind != c.kinds[i] {
				differ[place{g.week, index}] = b.runs[slot-1].kind
			}
		}
	}
	if len(differ) > 0 {
		return &otherKinds{differ}
	}
	slices.SortFunc(b.runs, func(x, y run) int { return cmp.Compare(x.handle, y.handle) })
	return nil
}

// gather brings the samples together by series, in order of time, and of one time
// the last that came.
func (b *builder) gather(g *gathered) {
	b.times = slices.Grow(b.times[:0], g.samples)[:g.samples]
	b.bits = slices.Grow(b.bits[:0], g.samples)[:g.samples]
	b.qualities, b.next = b.qualities[:0], b.next[:0]
	clear(b.texts)
	b.texts = b.texts[:0]
	if slices.ContainsFunc(g.columns, func(c *columns) bool { return c.qualities != nil }) {
		b.qualities = slices.Grow(b.qualities, g.samples)[:g.samples]
		clear(b.qualities)
	}
	at := 0
	for i := range b.runs {
		r := &b.runs[i]
		b.slots[r.index] = int32(i) + 1
		b.next = append(b.next, at)
		r.start, r.end = at, at+r.end
		at = r.end
	}
	for _, c := range g.columns {
		base := uint64(len(b.texts))
		b.texts = append(b.texts, c.texts...)
		for i, index := range c.series {
			of := b.slots[index] - 1
			if of < 0 {
				continue
			}
			at := b.next[of]
			b.next[of]++
			b.times[at], b.bits[at] = c.times[i], c.bits[i]
			if c.kinds[i] == sample.String {
				b.bits[at] += base
			}
			if c.qualities != nil {
				b.qualities[at] = c.qualities[i]
			}
		}
	}
	b.overwritten, b.hours = 0, map[int64]uint64{}
	for i := range b.runs {
		b.sort(&b.runs[i])
		b.count(b.times[b.runs[i].start:b.runs[i].end])
	}
}

// sort sorts a run by time and leaves one sample a time: the last that came.
func (b *builder) sort(r *run) {
	ascends := true
	for i := r.start + 1; i < r.end && ascends; i++ {
		ascends = b.times[i] > b.times[i-1]
	}
	if ascends {
		return
	}
	order := b.order[:0]
	for i := r.start; i < r.end; i++ {
		order = append(order, i)
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(b.times[x], b.times[y]) })
	kept := order[:0]
	for n, i := range order {
		if n+1 < len(order) && b.times[order[n+1]] == b.times[i] {
			b.overwritten++
			continue
		}
		kept = append(kept, i)
	}
	permute(b.times[r.start:], b.times, kept)
	permute(b.bits[r.start:], b.bits, kept)
	if len(b.qualities) > 0 {
		permute(b.qualities[r.start:], b.qualities, kept)
	}
	r.end = r.start + len(kept)
	b.order = order
}

// permute puts what order says of a column to to, which may be part of it.
func permute[T any](to, column []T, order []int) {
	moved := make([]T, len(order))
	for i, at := range order {
		moved[i] = column[at]
	}
	copy(to, moved)
}

// count counts sorted times by their hours.
func (b *builder) count(times []int64) {
	for len(times) > 0 {
		start := floor(times[0], int64(time.Hour))
		n := sort.Search(len(times), func(i int) bool { return uint64(times[i]-start) >= uint64(time.Hour) })
		b.hours[start] += uint64(n)
		times = times[n:]
	}
}

// floor gives the largest multiple of unit that is not above t.
func floor(t, unit int64) int64 {
	if rest := t % unit; rest < 0 {
		return t - rest - unit
	} else {
		return t - rest
	}
}

// plan says into how many buckets and how long spans the samples are divided.
func (b *builder) plan() (buckets int, span int64) {
	samples, days := 0, map[int64]struct{}{}
	for start, n := range b.hours {
		samples += int(n)
		days[floor(start, int64(24*time.Hour))] = struct{}{}
	}
	spans := 1
	switch {
	case samples >= samplesPerHour*len(b.hours):
		span, spans = int64(time.Hour), len(b.hours)
	case samples >= samplesPerDay*len(days):
		span, spans = int64(24*time.Hour), len(days)
	default:
		span = int64(7 * 24 * time.Hour)
	}
	items := samples / max(spans, 1) * 2 / 3 / samplesPerItem
	return min(1<<bits.Len(uint(items)), sample.Shards), span
}

// maxSpare is how many batches a builder keeps, so that a message of many spans
// does not hold its memory for good.
const maxSpare = 8

// items makes what a commit names: c's layout, hours and items, whose bodies it
// gives, in their order. Their keys lack the flush.
func (b *builder) items(week sample.Week, version uint64, c *journal.Commit) ([]store.Item, error) {
	c.Buckets, c.Span = b.plan()
	c.Overwritten = b.overwritten
	for start, n := range b.hours {
		c.Hours = append(c.Hours, journal.Hour{Start: start, Samples: n})
	}
	slices.SortFunc(c.Hours, func(x, y journal.Hour) int { return cmp.Compare(x.Start, y.Start) })
	var items []store.Item
	b.open = map[int64]*block.Batch{}
	b.spare = b.spare[:min(len(b.spare), maxSpare)]
	for from := 0; from < len(b.runs); {
		bucket := b.runs[from].handle.Shard().Range(c.Buckets)
		to := from + 1
		for to < len(b.runs) && b.runs[to].handle.Shard().Range(c.Buckets) == bucket {
			to++
		}
		b.spans(week, b.runs[from:to], c.Span)
		for start, batch := range b.open {
			batch.Versions = batch.Versions[:0]
			for range batch.Times {
				batch.Versions = append(batch.Versions, version)
			}
			key := store.ItemKey{Bucket: sample.FirstShard(bucket, c.Buckets), Span: start}
			var err error
			if items, err = appendItems(items, key, batch, c); err != nil {
				return nil, err
			}
			batch.Reset()
			b.spare = append(b.spare, batch)
		}
		clear(b.open)
		from = to
	}
	slices.SortFunc(items, func(x, y store.Item) int { return journal.CompareKeys(x.Key, y.Key) })
	slices.SortFunc(c.Items, func(x, y journal.Item) int {
		return cmp.Or(cmp.Compare(x.Span, y.Span), cmp.Compare(x.Bucket, y.Bucket), cmp.Compare(x.Part, y.Part))
	})
	return items, nil
}

// spans divides the samples of runs by spans of the week, into open.
func (b *builder) spans(week sample.Week, runs []run, span int64) {
	for _, r := range runs {
		for at := r.start; at < r.end; {
			start := week.Start() + (b.times[at]-week.Start())/span*span
			to := at + sort.Search(r.end-at, func(i int) bool { return b.times[at+i]-start >= span })
			batch := b.open[start]
			if batch == nil {
				batch = &block.Batch{}
				if n := len(b.spare); n > 0 {
					batch, b.spare = b.spare[n-1], b.spare[:n-1]
				}
				b.open[start] = batch
			}
			b.append(batch, r.kind, at, to)
			batch.EndRun(r.handle, r.kind)
			at = to
		}
	}
}

// append adds samples at to to of a run to a batch.
func (b *builder) append(batch *block.Batch, kind sample.Kind, at, to int) {
	if len(b.qualities) > 0 {
		if batch.Qualities == nil {
			batch.Qualities = make([]sample.Quality, len(batch.Times))
		}
		batch.Qualities = append(batch.Qualities, b.qualities[at:to]...)
	}
	batch.Times = append(batch.Times, b.times[at:to]...)
	if kind != sample.String {
		batch.Bits = append(batch.Bits, b.bits[at:to]...)
		return
	}
	for _, text := range b.bits[at:to] {
		batch.Bits = append(batch.Bits, uint64(len(batch.Texts)))
		batch.Texts = append(batch.Texts, b.texts[text])
	}
}

// appendItems encodes a batch as one item, or as several where one would be
// larger than the store takes, and names them in the commit.
func appendItems(items []store.Item, key store.ItemKey, batch *block.Batch, c *journal.Commit) ([]store.Item, error) {
	body, err := block.EncodeSmall(nil, batch)
	if err != nil {
		return nil, err
	}
	if len(body) > store.MaxItem {
		if batch.Samples() < 2 {
			return nil, fmt.Errorf("%w: an item of %d bytes for a sample", store.ErrTooLarge, len(body))
		}
		for _, half := range settle.Halves(batch) {
			if items, err = appendItems(items, key, half, c); err != nil {
				return nil, err
			}
		}
		return items, nil
	}
	for i := len(items) - 1; i >= 0 && items[i].Key.Bucket == key.Bucket && items[i].Key.Span == key.Span; i-- {
		key.Part++
	}
	c.Items = append(c.Items, journal.Item{
		Bucket: key.Bucket, Span: key.Span, Part: key.Part, Samples: uint32(batch.Samples()), Bytes: uint32(len(body)),
	})
	return append(items, store.Item{Key: key, Body: body}), nil
}
