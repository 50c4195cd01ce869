package merge

import (
	"fmt"
	"math/bits"

	"weir/internal/block"
	"weir/internal/journal"
	"weir/internal/sample"
	"weir/internal/settle"
	"weir/internal/store"
)

// builder makes the items of one merge, bucket by bucket, so that the samples
// of one bucket only are unpacked at a time.
type builder struct {
	entry   *journal.Merge
	small   bool // pack as small as can be
	handles func(from, to sample.Shard) []sample.Handle

	collector settle.Collector
	scratch   block.Batch
	items     []store.Item
}

// bucketsOf gives how many buckets the new items divide the shards into: so
// many that each has about the samples that are aimed at, but none holds more
// shards than what it replaces does.
func (c Config) bucketsOf(inputs []journal.Named) int {
	from, to := regionOf(inputs)
	coarsest := sample.Shards
	samples := uint64(0)
	for _, n := range inputs {
		coarsest = min(coarsest, n.Buckets)
		samples += uint64(n.Samples)
	}
	everywhere := samples * sample.Shards / uint64(to-from) // were all shards as full
	// The power of two next to it, so that buckets nest.
	n := 1 << max(bits.Len64((everywhere*2/3)/uint64(c.Samples)), 0)
	return min(max(n, coarsest), sample.Shards)
}

// regionOf gives the shards that items hold.
func regionOf(inputs []journal.Named) (from, to sample.Shard) {
	from = sample.Shards
	for _, n := range inputs {
		first, end := n.Shards()
		from, to = min(from, first), max(to, end)
	}
	return from, to
}

// unreadable is an item that is not what was written.
type unreadable struct {
	item journal.Named
	err  error
}

func (u *unreadable) Error() string {
	return fmt.Sprintf("item %v cannot be read and is left as it is: %v", u.item.Key, u.err)
}

func (u *unreadable) Unwrap() error { return u.err }

// build makes all items. bodies are those of the inputs, in their order.
func (b *builder) build(inputs []journal.Named, bodies [][]byte) error {
	from, to := regionOf(inputs)
	buckets := b.entry.Buckets
	for r := from.Range(buckets); r < buckets && sample.FirstShard(r, buckets) < to; r++ {
		first, end := sample.FirstShard(r, buckets), sample.FirstShard(r+1, buckets)
		b.collector.Reset()
		var handles []sample.Handle
		for i := range inputs {
			n := &inputs[i]
			switch start, stop := n.Shards(); {
			case stop <= first || start >= end:
				continue
			case start >= first && stop <= end:
				if err := block.Decode(&b.scratch, bodies[i]); err != nil {
					return &unreadable{*n, err}
				}
			default:
				if handles == nil {
					handles = b.handles(first, end)
				}
				if err := block.DecodeSeries(&b.scratch, bodies[i], handles); err != nil {
					return &unreadable{*n, err}
				}
			}
			b.collector.Add(&b.scratch, n.Position)
		}
		batch := b.collector.Batch()
		b.entry.Overwritten += b.collector.Overwritten()
		if batch.Samples() == 0 {
			continue
		}
		key := store.ItemKey{Bucket: first, Span: inputs[0].Key.Span, Flush: b.entry.Flush}
		if err := b.add(key, batch); err != nil {
			return err
		}
	}
	return nil
}

// add makes an item of a batch, or several where one would be larger than the
// store takes.
func (b *builder) add(key store.ItemKey, batch *block.Batch) error {
	encode := block.Encode
	if b.small {
		encode = block.EncodeSmall
	}
	body, err := encode(nil, batch)
	if err != nil {
		return err
	}
	if len(body) > store.MaxItem {
		if batch.Samples() < 2 {
			return fmt.Errorf("%w: an item of %d bytes for a sample", store.ErrTooLarge, len(body))
		}
		for _, half := range settle.Halves(batch) {
			if err := b.add(key, half); err != nil {
				return err
			}
		}
		return nil
	}
	for i := len(b.items) - 1; i >= 0 && b.items[i].Key.Bucket == key.Bucket; i-- {
		key.Part++
	}
	b.items = append(b.items, store.Item{Key: key, Body: body})
	b.entry.Items = append(b.entry.Items, journal.Item{
		Bucket: key.Bucket, Span: key.Span, Part: key.Part, Samples: uint32(batch.Samples()), Bytes: uint32(len(body)),
	})
	return nil
}
