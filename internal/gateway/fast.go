package gateway

import (
	"iter"

	"weir/internal/block"
	"weir/internal/catalog"
	"weir/internal/message"
	"weir/internal/sample"
)

// divide gives the batch that build made as it is, or where some of its series
// are fast and some are not as two, each with the role of its message. fast,
// which may be nil, says which are; it is asked once for each series. The
// batches are valid until the next build.
func (g *grouping) divide(all []*catalog.Series, fast func(sample.Series) bool) iter.Seq2[message.Role, *block.Batch] {
	return func(yield func(message.Role, *block.Batch) bool) {
		n := g.countFast(all, fast)
		switch runs := g.batch.Runs(); n {
		case 0:
			yield(message.Data, &g.batch)
		case runs:
			yield(message.Fast, &g.batch)
		default:
			if yield(message.Data, g.part(false)) {
				yield(message.Fast, g.part(true))
			}
		}
	}
}

// countFast gives how many runs of the batch are of fast series.
func (g *grouping) countFast(all []*catalog.Series, fast func(sample.Series) bool) int {
	if fast == nil {
		return 0
	}
	if missing := len(all) - len(g.pace); missing > 0 {
		g.pace = append(g.pace, make([]pace, missing)...)
	}
	n := 0
	for _, index := range g.series {
		if g.pace[index] == 0 {
			g.pace[index] = steady
			if fast(all[index].Series) {
				g.pace[index] = quick
			}
		}
		if g.pace[index] == quick {
			n++
		}
	}
	return n
}

// pace says what is known of a series; 0: it was not asked yet.
type pace uint8

const (
	steady pace = 1
	quick  pace = 2
)

// part copies the runs of the batch that are, or are not, of fast series.
func (g *grouping) part(fast bool) *block.Batch {
	b, p := &g.batch, &g.parted
	p.Reset()
	for i := range b.Runs() { // in the order in which order named them
		var run int32
		if i < len(g.known) {
			run = g.known[i].run
		} else {
			run = g.unknown[i-len(g.known)]
		}
		if (g.pace[g.series[run]] == quick) != fast {
			continue
		}
		start, end := b.Run(i)
		for k := start; k < end; k++ {
			p.AddSample(sample.Sample{Time: b.Times[k], Value: b.Value(b.Kinds[i], k), Quality: b.Quality(k)})
		}
		if i < len(b.Handles) {
			p.EndRun(b.Handles[i], b.Kinds[i])
		} else {
			p.EndKeyRun(b.Keys[i-len(b.Handles)], b.Kinds[i])
		}
	}
	return p
}
