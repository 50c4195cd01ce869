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

// single makes cells of what the task's only item says of the wanted runs, and
// puts on the lists those that it does not say enough of: no other run can
// overlap them. It gives false, and does nothing, where there are others, or
// it is not worth it.
func (w *worker) single(t *task, handles []sample.Handle, made []result) (bool, error) {
	if len(w.bodies) != 1 || len(t.pending) > 0 || len(t.parts) > 0 {
		return false, nil
	}
	if worth, err := w.summaries(0, handles); err != nil || !worth {
		return false, err
	}
	for i := 1; i < len(w.said); i++ {
		if w.said[i].Handle <= w.said[i-1].Handle {
			return false, nil // more than one run of a series
		}
	}
	w.needed = slices.Grow(w.needed[:0], 1)[:1]
	undecided, at := w.needed[0][:0], 0
	var said query.Statistics
	most := 8*len(w.said) >= 7*len(handles)
	var row []query.Cell // of most of the handles, in the order in which they are asked for
	for i := range w.said {
		s := &w.said[i]
		if !w.within(t, s) {
			continue
		}
		at = find(handles, s.Handle, at)
		if w.whole(t, s, at) {
			fillStatistics(&said, s)
			if most {
				if row == nil {
					row = make([]query.Cell, len(handles))
				}
				rank := t.ranks[at]
				made[at].cells = w.windowing.Run(row[rank:rank:rank+1], s.Kind, &said)
				continue
			}
			w.giveRoom(&made[at], func(cells []query.Cell) []query.Cell { return w.windowing.Run(cells, s.Kind, &said) })
			continue
		}
		undecided = append(undecided, s.Handle)
	}
	w.needed[0] = undecided
	if len(undecided) == 0 {
		return true, nil
	}
	return true, w.decode(t, 0, undecided, handles)
}

// summaries reads what an item says of the wanted runs. It gives false where
// that is not worth it.
func (w *worker) summaries(item int, handles []sample.Handle) (bool, error) {
	b := w.bodies[item]
	body := w.arena[b.start:b.end]
	if worth, err := w.worthSummarizing(body); err != nil || !worth {
		return false, err
	}
	var err error
	w.said, err = block.Summarize(w.said[:0], body, handles)
	return err == nil, err
}

// within says whether a run may have samples of the task.
func (w *worker) within(t *task, s *block.Summary) bool {
	return s.Count > 0 && s.Last >= t.from && s.First < t.to
}

// whole says whether the statistics of a run, which is of one of the task's
// handles, are those of one window's samples.
func (w *worker) whole(t *task, s *block.Summary, at int) bool {
	return s.First >= t.from && s.Last < t.to && s.Known && s.Kind == t.wanted.kinds[t.first+at] && w.windowing.Covers(s.First, s.Last)
}

func fillStatistics(to *query.Statistics, s *block.Summary) {
	to.Count, to.First, to.Last = s.Count, s.First, s.Last
	to.FirstBits, to.LastBits, to.Min, to.Max, to.Sum = s.FirstBits, s.LastBits, s.Min, s.Max, s.Sum
}

// summarize puts the wanted runs of an item on the lists by what the item says
// of them. It gives false, and does nothing, where that is not worth it.
func (w *worker) summarize(t *task, item int, handles []sample.Handle) (bool, error) {
	if worth, err := w.summaries(item, handles); err != nil || !worth {
		return false, err
	}
	at := 0
	for i := range w.said {
		s := &w.said[i]
		if !w.within(t, s) {
			continue
		}
		at = find(handles, s.Handle, at)
		p := piece{known: unknown, kind: s.Kind, ascending: s.Ascending, first: s.First, last: s.Last,
			origin: origin{item, order{0, w.bodies[item].item.Position}}}
		if w.whole(t, s, at) {
			p.known = len(w.known)
			w.known = append(w.known, query.Statistics{})
			fillStatistics(&w.known[p.known], s)
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
