package settle

import (
	"weir/internal/block"
	"weir/internal/sample"
)

// Halves divides a batch of registered series in two of about half its
// samples, by series where there are several, else by time.
func Halves(b *block.Batch) [2]*block.Batch {
	middle := b.Samples() / 2
	var out [2]*block.Batch
	for h, bounds := range [2][2]int{{0, middle}, {middle, b.Samples()}} {
		half := &block.Batch{}
		for i, handle := range b.Handles {
			start, end := b.Run(i)
			if b.Runs() > 1 { // whole runs: where they begin says which half
				if start < bounds[0] || start >= bounds[1] && h == 0 {
					continue
				}
			} else {
				start, end = bounds[0], bounds[1]
			}
			Part(half, b, i, start, end)
			half.EndRun(handle, b.Kinds[i])
		}
		out[h] = half
	}
	return out
}

// Part appends samples start to end of a run to a batch.
func Part(to, b *block.Batch, run, start, end int) {
	for i := start; i < end; i++ {
		to.AddSample(sample.Sample{Time: b.Times[i], Value: b.Value(b.Kinds[run], i), Quality: b.Quality(i)})
	}
	if b.Versions != nil {
		to.Versions = append(to.Versions, b.Versions[start:end]...)
	}
	if b.Positions != nil {
		to.Positions = append(to.Positions, b.Positions[start:end]...)
	}
}
