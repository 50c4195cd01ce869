package crash

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"weir/internal/client"
)

// windowOf gives the window of a run.
func windowOf(k client.RunKey) (window, error) {
	start, err := time.Parse(time.RFC3339Nano, k.Start)
	if err != nil {
		return window{}, err
	}
	end, err := time.Parse(time.RFC3339Nano, k.End)
	return window{k.Pipeline, start.UnixNano(), end.UnixNano()}, err
}

// key names a window's run.
func (w window) key() client.RunKey {
	text := func(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }
	return client.RunKey{Pipeline: w.pipeline, Start: text(w.start), End: text(w.end)}
}

// newestOf gives each window's newest run. Revisions have to follow each other
// without one twice, those before the newest have to be finished, and no run may
// have been done twice.
func newestOf(runs []client.Run) (map[window]client.Run, error) {
	byWindow := map[window][]client.Run{}
	for _, r := range runs {
		w, err := windowOf(r.RunKey)
		if err != nil {
			return nil, err
		}
		byWindow[w] = append(byWindow[w], r)
	}
	newest := map[window]client.Run{}
	var wrong []error
	for w, all := range byWindow {
		slices.SortFunc(all, func(a, b client.Run) int { return a.Revision - b.Revision })
		last := all[len(all)-1]
		for i, r := range all {
			switch {
			case r.Revision != i:
				wrong = append(wrong, fmt.Errorf("%v: its %d. run is revision %d", w, i, r.Revision))
			case r.Revision < last.Revision && !r.Finished():
				wrong = append(wrong, fmt.Errorf("%v: revision %d is %s, and %d is there", w, r.Revision, r.State, last.Revision))
			case timesDone(r) != 1 && r.State == "done":
				wrong = append(wrong, fmt.Errorf("%v: revision %d is done, %d times: %+v", w, r.Revision, timesDone(r), r.Events))
			}
		}
		newest[w] = last
	}
	return newest, errors.Join(wrong[:min(len(wrong), maxExamples)]...)
}

func timesDone(r client.Run) int {
	n := 0
	for _, e := range r.Events {
		if e.Step == "" && e.Text == "done" {
			n++
		}
	}
	return n
}

// windowsDue gives the windows that need a run: all old ones, and the live ones
// up to the last that has samples.
func windowsDue(c calendar, last window) []window {
	all := c.oldWindows()
	for at := c.begin; at <= last.start; at += int64(liveWindow) {
		all = append(all, window{livePipeline, at, at + int64(liveWindow)})
	}
	return all
}

// checkRuns wants the newest run of each window done and not stale, the
// warehouse to have its rows, and no window that is none of the calendar.
func checkRuns(c calendar, due []window, newest map[window]client.Run, loads map[window]loaded) error {
	var wrong []error
	for _, w := range due {
		switch r, there := newest[w]; {
		case !there:
			wrong = append(wrong, fmt.Errorf("%v has no run", w))
		case r.State != "done" || r.Stale:
			wrong = append(wrong, fmt.Errorf("%v, revision %d is %s, stale %v: %s", w, r.Revision, r.State, r.Stale, r.Error))
		case loads[w].revision != int64(r.Revision):
			wrong = append(wrong, fmt.Errorf("%v: revision %d is done, the warehouse has %d", w, r.Revision, loads[w].revision))
		}
	}
	old := c.oldWindows()
	for w := range newest {
		aligned := w.pipeline == livePipeline && (w.start-c.begin)%int64(liveWindow) == 0 && w.end-w.start == int64(liveWindow)
		if !aligned && !slices.Contains(old, w) {
			wrong = append(wrong, fmt.Errorf("%v is no window of the calendar", w))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%d windows are not as they should be: %w", len(wrong), errors.Join(wrong[:min(len(wrong), maxExamples)]...))
	}
	return nil
}
