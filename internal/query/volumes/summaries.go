package volumes

import (
	"slices"

	"weir/internal/block"
	"weir/internal/query"
	"weir/internal/sample"
)

// unknown is the place of the statistics of a run that has none.
const unknown = -1

// longRun is how many samples a run has from which on blocks tell its
// statistics (docs/formats/block.md).
const longRun = 60

// summarize puts the wanted runs of an item on the lists by what the item says
// of them. It gives false, and does nothing, where that is not worth it.
func (w *worker) summarize(t *task, item int, handles []sample.Handle) (bool, error) {
	b := w.bodies[item]
	body := w.arena[b.start:b.end]
	if worth, err := w.worthSummarizing(body); err != nil || !worth {
		return false, err
	}
	var err error
	if w.said, err = block.Summarize(w.said[:0], body, handles); err != nil {
		return false, err
	}
	at := 0
	for i := range w.said {
		s := &w.said[i]
		at = find(handles, s.Handle, at)
		if s.Count == 0 || s.Last < t.from || s.First >= t.to {
			continue
		}
		p := piece{known: unknown, kind: s.Kind, ascending: s.Ascending, first: s.First, last: s.Last,
			origin: origin{item, order{0, b.item.Position}}}
		whole := s.First >= t.from && s.Last < t.to && w.windowing.Covers(s.First, s.Last)
		if info := &w.series[t.wanted.places[t.first+at]]; whole && s.Known && s.Kind == info.Kind {
			p.known = len(w.known)
			w.known = append(w.known, query.Statistics{
				Count: s.Count, First: s.First, Last: s.Last, FirstBits: s.FirstBits, LastBits: s.LastBits,
				Min: s.Min, Max: s.Max, Sum: s.Sum,
			})
		}
		w.lists[at] = append(w.lists[at], p)
	}
	return true, nil
}

// worthSummarizing says whether runs of a block may be taken by their
// statistics: where they are long, and as long as the block not much longer
// than the windows.
func (w *worker) worthSummarizing(body []byte) (bool, error) {
	if w.windowing == nil {
		return false, nil
	}
	says, err := block.Inspect(body)
	if err != nil {
		return false, err
	}
	return says.Samples >= longRun*says.Runs() && uint64(says.MaxTime-says.MinTime)/2 <= uint64(w.windowing.Window), nil
}

// undecided strikes off the lists the runs whose statistics won't do: those
// that have none, or that another run of the series overlaps, so that samples
// of theirs may be overwritten. It gives, by item, the handles to decode.
func (w *worker) undecided(handles []sample.Handle) [][]sample.Handle {
	w.needed = slices.Grow(w.needed[:0], len(w.bodies))[:len(w.bodies)]
	for i := range w.needed {
		w.needed[i] = w.needed[i][:0]
	}
	for at, list := range w.lists {
		kept := list[:0]
		_ = stretches(list, func(s []piece) error { // which has no error of its own
			for _, p := range s {
				if p.batch != nil || plain(s) && p.known != unknown {
					kept = append(kept, p)
				} else if n := w.needed[p.item]; len(n) == 0 || n[len(n)-1] != handles[at] {
					w.needed[p.item] = append(n, handles[at])
				}
			}
			return nil
		})
		w.lists[at] = kept
	}
	return w.needed
}
