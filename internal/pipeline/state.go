package pipeline

import (
	"slices"
)

// ask is a run that was asked for: by a tick, by hand, or because of late data.
type ask struct {
	Window
	Revision   int     `json:"revision"`
	Definition string  `json:"definition"` // hash of its text
	Due        Instant `json:"due,omitzero"`
	Why        Why     `json:"why"`
	Continue   bool    `json:"continue,omitempty"` // a failed run goes on
	Opening    string  `json:"opening,omitempty"`  // once open: a name that no other opening has
}

func (a ask) sameRun(b ask) bool { return a.Window == b.Window && a.Revision == b.Revision }

// stretch is windows that are to be made, those of the schedule within
// [From, To).
type stretch struct {
	From Instant `json:"from"`
	To   Instant `json:"to"`
	Due  Instant `json:"due,omitzero"` // when it was asked for; 0: each window at its tick
}

// state is a pipeline's record: what is scheduled, and which runs are asked
// for and open. It alone decides which runs there are and how many at once.
type state struct {
	Format     int       `json:"format"`
	Name       string    `json:"name"`
	Definition string    `json:"definition,omitempty"` // hash of the scheduled text; none was given where empty
	Paused     bool      `json:"paused"`
	Noticed    Instant   `json:"noticed"` // ticks of windows that end up to here were noticed
	Pending    []stretch `json:"pending"` // in order
	Asked      []ask     `json:"asked"`   // in order of asking
	Open       []ask     `json:"open"`    // runs that are being carried out
	First      Instant   `json:"first"`   // the earliest start of a run's window
	Last       Instant   `json:"last"`    // and the latest
	Runs       bool      `json:"runs"`    // whether there were any
}

// due gives what becomes pending at now: of the windows whose ticks came
// since the last look, those that the definition makes up, and at any rate the
// newest. ok is false where no tick came.
func due(d Definition, noticed, now Instant) (s stretch, ok bool) {
	horizon := now.Add(-d.Delay)
	last, ok := d.Schedule.Floor(horizon)
	from, begun := d.Schedule.Ceil(noticed)
	if !ok || !begun || from >= last {
		return stretch{}, false
	}
	if !d.Backfill.All {
		from = max(from, oldest(d, horizon, last))
	}
	return stretch{From: from, To: last}, true
}

// oldest gives the start of the first window that is made up of those that end
// up to last: the newest, or one that ended within Backfill.Within before the
// horizon.
func oldest(d Definition, horizon, last Instant) Instant {
	newest, _ := d.Schedule.Floor(last - 1)
	end, ok := d.Schedule.Ceil(horizon.Add(-d.Backfill.Within))
	if !ok || end >= last {
		return newest
	}
	start, ok := d.Schedule.Floor(end - 1)
	if !ok {
		return end // the schedule's first boundary, which ends no window
	}
	return start
}

// notice makes pending what is due.
func (s *state) notice(d Definition, now Instant) (changed bool) {
	fresh, ok := due(d, s.Noticed, now)
	if ok {
		s.Noticed = fresh.To
		s.pend(fresh)
	}
	return ok
}

// pend adds a stretch in its place, joined to one that ends where it begins.
func (s *state) pend(add stretch) {
	for i, p := range s.Pending {
		if p.To == add.From && p.Due == add.Due {
			s.Pending[i].To = add.To
			return
		}
	}
	at := len(s.Pending)
	for at > 0 && s.Pending[at-1].From > add.From {
		at--
	}
	s.Pending = slices.Insert(s.Pending, at, add)
}

// next gives the run that begins next: the first that was asked for whose
// window has no open run, else the first pending window. Stretches without a
// window are dropped.
func (s *state) next(d Definition) (a ask, ok bool) {
	for _, a := range s.Asked {
		if !s.opened(a.Window) {
			return a, true
		}
	}
	for len(s.Pending) > 0 {
		p := s.Pending[0]
		for w := range d.Schedule.Windows(p.From, p.To) {
			why := ByTick
			if p.Due != 0 {
				why = ByBackfill
			}
			return ask{Window: w, Definition: d.Hash, Due: p.Due, Why: why}, true
		}
		s.Pending = s.Pending[1:]
	}
	return ask{}, false
}

func (s *state) opened(w Window) bool {
	return slices.ContainsFunc(s.Open, func(o ask) bool { return o.Window == w })
}

// take removes what next gave from where it waited, and opens it under a
// unique name, unless that is empty.
func (s *state) take(a ask, opening string) {
	if i := slices.IndexFunc(s.Asked, a.sameRun); i >= 0 {
		s.Asked = slices.Delete(s.Asked, i, i+1)
	} else {
		s.Pending[0].From = a.End
	}
	if opening != "" && !s.opened(a.Window) {
		a.Opening = opening
		s.Open = append(s.Open, a)
	}
	s.extend(a.Start)
}

// extend notes that there are runs of windows that start there.
func (s *state) extend(start Instant) {
	if !s.Runs {
		s.First, s.Last, s.Runs = start, start, true
	}
	s.First, s.Last = min(s.First, start), max(s.Last, start)
}

// leave closes a run. One that was closed, and opened again since, stays.
func (s *state) leave(a ask) (changed bool) {
	before := len(s.Open)
	s.Open = slices.DeleteFunc(s.Open, func(o ask) bool { return o.Opening == a.Opening })
	return len(s.Open) < before
}

// reschedule takes a new definition. Windows that were not made under a
// schedule that has changed are noticed again under the new one.
func (s *state) reschedule(was, d Definition, now Instant) {
	first := s.Definition == ""
	s.Definition = d.Hash
	switch {
	case !d.Scheduled() || !first && was.Schedule.Same(d.Schedule):
	case first || !was.Scheduled():
		s.Noticed = now
		if tick, ok := d.Schedule.Floor(now); ok {
			s.Noticed = tick
		}
		if d.Schedule.From {
			s.Noticed = d.Schedule.Start
		}
	default:
		if n := len(s.Pending); n > 0 && s.Pending[n-1].To == s.Noticed {
			s.Noticed = s.Pending[n-1].From
			s.Pending = s.Pending[:n-1]
		}
	}
}
