package tail

import (
	"cmp"
	"slices"

	"weir/internal/block"
	"weir/internal/feed"
	"weir/internal/sample"
)

// piece is a run of a series, one of several that a commit may have.
type piece struct {
	handle sample.Handle
	batch  *block.Batch
	run    int
}

// points gives a commit's samples by series, in the order of handles.
func (r *reader) points(c *commit) []feed.Points {
	var pieces []piece
	for _, p := range c.parts {
		for _, f := range p.found {
			for run, h := range f.batch.Handles {
				if start, end := f.batch.Run(run); start < end {
					pieces = append(pieces, piece{h, f.batch, run})
				}
			}
		}
	}
	// Runs of a series lie in spans, or in parts of one, that do not overlap.
	slices.SortFunc(pieces, func(a, b piece) int {
		return cmp.Or(cmp.Compare(a.handle, b.handle), cmp.Compare(a.start(), b.start()))
	})
	var out []feed.Points
	for i, p := range pieces {
		kind := p.batch.Kinds[p.run]
		if i == 0 || pieces[i-1].handle != p.handle {
			out = append(out, feed.Points{Series: r.series[p.handle], Kind: kind})
		}
		p.appendTo(&out[len(out)-1])
	}
	return out
}

func (p piece) start() int64 {
	start, _ := p.batch.Run(p.run)
	return p.batch.Times[start]
}

func (p piece) appendTo(to *feed.Points) {
	b := p.batch
	start, end := b.Run(p.run)
	had := len(to.Times)
	to.Times = append(to.Times, b.Times[start:end]...)
	if to.Kind == sample.String {
		for _, text := range b.Bits[start:end] {
			to.Texts = append(to.Texts, b.Texts[text])
		}
	} else {
		to.Bits = append(to.Bits, b.Bits[start:end]...)
	}
	if b.Qualities != nil && to.Qualities == nil {
		to.Qualities = make([]sample.Quality, had, had+end-start)
	}
	if to.Qualities != nil {
		for i := start; i < end; i++ {
			to.Qualities = append(to.Qualities, b.Quality(i))
		}
	}
}
