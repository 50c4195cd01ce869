package settle

import (
	"slices"

	"weir/internal/block"
	"weir/internal/sample"
)

// Division is a batch in two. It keeps its memory.
type Division struct{ Kept, Gone block.Batch }

// Divide puts each sample of a batch of registered series, whose runs are in order
// of time, into one of two: those with from ≤ time < to of series that go into
// Gone, all others into Kept. Both are emptied first. The batch has to carry versions
// and positions.
func (d *Division) Divide(b *block.Batch, goes func(sample.Handle) bool, from, to int64) {
	kept, gone := &d.Kept, &d.Gone
	for _, out := range []*block.Batch{kept, gone} {
		out.Reset()
		out.Versions, out.Positions = []uint64{}, []uint64{}
	}
	for run, h := range b.Handles {
		start, end := b.Run(run)
		first, last := end, end // what goes of the run
		if goes(h) {
			n, _ := slices.BinarySearch(b.Times[start:end], from)
			first = start + n
			n, _ = slices.BinarySearch(b.Times[first:end], to)
			last = first + n
		}
		if first < last {
			Part(gone, b, run, first, last)
			gone.EndRun(h, b.Kinds[run])
		}
		if last-first < end-start {
			Part(kept, b, run, start, first)
			Part(kept, b, run, last, end)
			kept.EndRun(h, b.Kinds[run])
		}
	}
}
