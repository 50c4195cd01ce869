package compute

import (
	"context"
	"math/bits"

	"weir/internal/sample"
)

// Slice is a range of shards, complete in its series, so that slices can be
// computed apart. It is computed stretch by stretch, one after the other, where
// the analysis allows: so that what is read at once fits a core's cache.
type Slice struct {
	First, End int     // shards, half-open
	Stretches  []int64 // where each begins, and where the last ends
	// Ranges is into how many ranges of shards the slice is divided where all of
	// the time is read at once.
	Ranges int
}

// partSamples is how many samples are read at once, about, of 16 bytes each.
const partSamples = 512 << 10

const hour = int64(3600e9)

// Divide divides a job into slices, in order of shards. It hangs on the samples
// and the job alone: slices and stretches decide the order of the rows.
func Divide(ctx context.Context, j *Job) ([]Slice, error) {
	samples, err := j.Input.Estimate(ctx, j.Start, j.End)
	if err != nil {
		return nil, err
	}
	stretches := []int64{j.Start, j.End}
	if each := j.Analysis.Independent(); each > 0 && hour%each == 0 && j.Start%hour == 0 && j.Analysis.Lookback() == 0 {
		stretches = divideTime(j.Start, j.End, samples)
	}
	// Ranges of shards are powers of two, as buckets of items are.
	n := min(1<<bits.Len64(samples/uint64(len(stretches)-1)/partSamples), sample.Shards)
	ranges := min(1<<bits.Len64(samples/uint64(n)/partSamples), sample.Shards/n)
	var out []Slice
	for i := range n {
		s := Slice{First: i * sample.Shards / n, End: (i + 1) * sample.Shards / n, Stretches: stretches, Ranges: ranges}
		if j.Input.Series(s.First, s.End) > 0 {
			out = append(out, s)
		}
	}
	return out, nil
}

// divideTime divides a window into stretches of whole hours, a power of two of
// them, each of no more samples than are read at once if an hour is not.
func divideTime(start, end int64, samples uint64) []int64 {
	hours := uint64((end - start + hour - 1) / hour)
	length := hour
	for length < end-start && samples/hours*uint64(2*length/hour) <= partSamples {
		length *= 2
	}
	var out []int64
	for at := start; at < end; at += length {
		out = append(out, at)
	}
	return append(out, end)
}
