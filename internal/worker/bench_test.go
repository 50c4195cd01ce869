package worker

import (
	"testing"

	"weir/internal/block"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

const benchSeries = 5_000

// benchBlocks are messages of TSBS's shape, half of its 10,000 series: in each
// five samples a series, ten seconds apart. Every fourth overtakes another.
func benchBlocks(t testing.TB, n int) ([][]byte, *ordinals) {
	t.Helper()
	const week = sample.Week(2900)
	o := &ordinals{total: benchSeries}
	for shard := 1; shard <= sample.Shards; shard++ {
		o.first[shard] = min(o.first[shard-1]+benchSeries*2/sample.Shards+1, benchSeries)
	}
	blocks := make([][]byte, n)
	for m := range blocks {
		b := &block.Batch{}
		at := m
		if m%4 >= 2 {
			at = m ^ 1 // 2 and 3 change places
		}
		for shard := range sample.Shard(sample.Shards) {
			for i := o.first[shard]; i < o.first[shard+1]; i++ {
				for j := range 5 {
					b.AddSample(sample.Sample{Time: week.Start() + int64(at*5+j)*10e9, Value: sample.IntValue(int64((i*7 + at + j) % 100))})
				}
				b.EndRun(sample.NewHandle(shard, uint32(i-o.first[shard])), sample.Int64)
			}
		}
		body, err := block.Encode(nil, b)
		if err != nil {
			t.Fatal(err)
		}
		blocks[m] = body
	}
	return blocks, o
}

// decodeAll makes entries of blocks.
func decodeAll(t testing.TB, blocks [][]byte) []*entry {
	entries := make([]*entry, len(blocks))
	for i, body := range blocks {
		b := &block.Batch{}
		if err := block.Decode(b, body); err != nil {
			t.Fatal(err)
		}
		entries[i] = &entry{message: message.Message{Stamp: message.Stamp(i + 1), Samples: uint64(b.Samples())}, batch: b}
	}
	return entries
}

// BenchmarkDecode is what a worker does with a message's block as it comes.
func BenchmarkDecode(b *testing.B) {
	blocks, _ := benchBlocks(b, 10)
	for b.Loop() {
		decodeAll(b, blocks)
	}
	perSample(b, len(blocks))
}

// BenchmarkItems is a flush up to its writing: items made of ten messages, of
// 250,000 samples in all.
func BenchmarkItems(b *testing.B) {
	blocks, o := benchBlocks(b, 10)
	entries := decodeAll(b, blocks)
	var builder itemBuilder
	b.ReportAllocs()
	for b.Loop() {
		if _, err := builder.build(2900, gather(entries, o, 0), &journal.Commit{Flush: store.FlushID{Epoch: 1}}); err != nil {
			b.Fatal(err)
		}
	}
	perSample(b, len(blocks))
}

func perSample(b *testing.B, blocks int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(blocks*benchSeries*5), "ns/sample")
}

// TestASteadyFlushAllocatesNothingASample: from the blocks of 50,000 samples to
// their items what is allocated is a few objects a message and an item.
func TestASteadyFlushAllocatesNothingASample(t *testing.T) {
	blocks, o := benchBlocks(t, 2)
	var builder itemBuilder
	run := func() {
		c := &journal.Commit{Flush: store.FlushID{Epoch: 1}}
		items, err := builder.build(2900, gather(decodeAll(t, blocks), o, 0), c)
		stored := uint32(0)
		for _, i := range c.Items {
			stored += i.Samples
		}
		if err != nil || stored != 50_000 {
			t.Fatalf("%d items with %d samples: %v", len(items), stored, err)
		}
	}
	run() // makes the memory of those that follow
	if n := testing.AllocsPerRun(5, run); n > 200 {
		t.Errorf("%.0f allocations for 50,000 samples", n)
	}
}
