package worker

import (
	"fmt"
	"math/bits"
	"slices"
	"sort"
	"time"

	"weir/internal/block"
	"weir/internal/journal"
	"weir/internal/sample"
	"weir/internal/store"
)

// Aims of the layout. An item is written whole and billed by the KB, so it
// should be 10 to 100 KB; a sample takes one to two bytes.
const (
	samplesPerItem = 48 << 10 // more are divided among more buckets
	samplesPerHour = 16 << 10 // fewer, and items hold a day
	samplesPerDay  = 2 << 10  // fewer, and items hold the week
)

// layout is how a flush divides its samples into items.
type layout struct {
	week    sample.Week
	buckets int
	span    int64 // ns
}

// planLayout chooses span and buckets by how dense the samples are. What of
// them is overwritten, or out of order within a run, may be misjudged.
func planLayout(week sample.Week, g *gathered) layout {
	var hours hourly
	for _, e := range g.entries {
		for i := range e.batch.Runs() {
			from, to := e.batch.Run(i)
			hours.add(e.batch.Times[from:to])
		}
	}
	l := layout{week: week}
	samples, days := 0, map[int64]struct{}{}
	for start, n := range hours.counts {
		samples += int(*n)
		days[start/int64(24*time.Hour)] = struct{}{}
	}
	spans := 1
	switch {
	case samples >= samplesPerHour*len(hours.counts):
		l.span, spans = int64(time.Hour), len(hours.counts)
	case samples >= samplesPerDay*len(days):
		l.span, spans = int64(24*time.Hour), len(days)
	default:
		l.span = int64(7 * 24 * time.Hour)
	}
	items := samples / max(spans, 1) / samplesPerItem
	l.buckets = min(1<<bits.Len(uint(items)), sample.Shards)
	return l
}

func compareInt64(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// spanStart gives the start of the span that a time of the layout's week lies in.
func (l *layout) spanStart(t int64) int64 {
	return l.week.Start() + (t-l.week.Start())/l.span*l.span
}

// itemBuilder makes a flush's items: a batch for each span of the bucket at
// hand, encoded when the bucket ends. One makes the items of many flushes, one
// after the other, in the memory of the first.
type itemBuilder struct {
	layout
	g      *gathered
	commit *journal.Commit
	items  []store.Item
	bucket int
	open   map[int64]*block.Batch
	spare  []*block.Batch
	column column
	hours  hourly
}

// spareBatches is how many batches a builder keeps, so that a flush of many
// spans does not hold its memory for good.
const spareBatches = 4

// build fills the commit's layout and items and gives their bodies.
func (b *itemBuilder) build(week sample.Week, g *gathered, c *journal.Commit) ([]store.Item, error) {
	defer func() { b.g, b.commit, b.items = nil, nil, nil }()
	b.layout, b.g, b.commit, b.bucket, b.hours = planLayout(week, g), g, c, 0, hourly{}
	b.open = map[int64]*block.Batch{}
	c.Buckets, c.Span = b.buckets, b.span
	if err := g.each(b.addSeries); err != nil {
		return nil, err
	}
	if err := b.closeBucket(); err != nil {
		return nil, err
	}
	for start, n := range b.hours.counts {
		c.Hours = append(c.Hours, journal.Hour{Start: start, Samples: *n})
	}
	slices.SortFunc(c.Hours, func(a, b journal.Hour) int { return compareInt64(a.Start, b.Start) })
	slices.SortFunc(c.Items, compareItems)
	return b.items, nil
}

func compareItems(a, b journal.Item) int {
	if c := compareInt64(a.Span, b.Span); c != 0 {
		return c
	}
	if a.Bucket != b.Bucket {
		return int(a.Bucket) - int(b.Bucket)
	}
	return int(a.Part) - int(b.Part)
}

// addSeries divides a series' samples by span.
func (b *itemBuilder) addSeries(handle sample.Handle, runs []place) error {
	if next := handle.Shard().Range(b.buckets); next != b.bucket {
		if err := b.closeBucket(); err != nil {
			return err
		}
		b.bucket = next
	}
	kind, overwritten := b.g.collect(&b.column, runs)
	b.commit.Overwritten += overwritten
	times := b.column.times
	b.hours.add(times)
	for at := 0; at < len(times); {
		span := b.spanStart(times[at])
		from := at
		if at = len(times); times[at-1]-span >= b.span {
			at = from + sort.Search(len(times)-from, func(i int) bool { return times[from+i]-span >= b.span })
		}
		batch := b.open[span]
		if batch == nil {
			batch = b.empty()
			b.open[span] = batch
		}
		b.column.appendTo(batch, kind, from, at, uint64(b.g.horizon))
		batch.EndRun(handle, kind)
	}
	return nil
}

func (b *itemBuilder) empty() *block.Batch {
	n := len(b.spare)
	if n == 0 {
		return &block.Batch{}
	}
	batch := b.spare[n-1]
	b.spare = b.spare[:n-1]
	return batch
}

// closeBucket makes the items of the bucket at hand.
func (b *itemBuilder) closeBucket() error {
	for span, batch := range b.open {
		key := store.ItemKey{Bucket: sample.FirstShard(b.bucket, b.buckets), Span: span, Flush: b.commit.Flush}
		items, err := encodeParts(nil, key, batch)
		if err != nil {
			return err
		}
		for _, i := range items {
			b.commit.Items = append(b.commit.Items, i.named)
			b.items = append(b.items, i.Item)
		}
		versions := batch.Versions[:0]
		batch.Reset()
		batch.Versions = versions
		if len(b.spare) < spareBatches {
			b.spare = append(b.spare, batch)
		}
	}
	clear(b.open)
	return nil
}

// part is an item and what its commit says of it.
type part struct {
	store.Item
	named journal.Item
}

// encodeParts encodes a batch as one item, or as several where one would be
// larger than the store takes.
func encodeParts(parts []part, key store.ItemKey, b *block.Batch) ([]part, error) {
	body, err := block.Encode(nil, b)
	if err != nil {
		return nil, err
	}
	if len(body) <= store.MaxItem {
		key.Part = uint16(len(parts))
		return append(parts, part{
			Item: store.Item{Key: key, Body: body},
			named: journal.Item{
				Bucket: key.Bucket, Span: key.Span, Part: key.Part,
				Samples: uint32(b.Samples()), Bytes: uint32(len(body)),
			},
		}), nil
	}
	if b.Samples() < 2 || len(parts) >= 1<<15 {
		return nil, fmt.Errorf("%w: an item of %d bytes for %d samples", store.ErrTooLarge, len(body), b.Samples())
	}
	half := b.Samples() / 2
	for _, half := range [][2]int{{0, half}, {half, b.Samples()}} {
		if parts, err = encodeParts(parts, key, slice(b, half[0], half[1])); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// slice copies samples from to to of b, cutting runs where they straddle.
func slice(b *block.Batch, from, to int) *block.Batch {
	out := &block.Batch{Versions: []uint64{}}
	for i := range b.Runs() {
		start, end := b.Run(i)
		start, end = max(start, from), min(end, to)
		if start >= end {
			continue
		}
		for j := start; j < end; j++ {
			out.AddSample(sample.Sample{Time: b.Times[j], Value: b.Value(b.Kinds[i], j), Quality: b.Quality(j)})
			if b.Versions != nil {
				out.Versions = append(out.Versions, b.Versions[j])
			}
		}
		if i < len(b.Handles) {
			out.EndRun(b.Handles[i], b.Kinds[i])
		} else {
			out.EndKeyRun(b.Keys[i-len(b.Handles)], b.Kinds[i])
		}
	}
	if b.Versions == nil {
		out.Versions = nil
	}
	return out
}
