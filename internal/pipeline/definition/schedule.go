package definition

import (
	"fmt"
	"iter"
	"math"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	"go.yaml.in/yaml/v4"
)

// Schedule divides time into windows: from Start on by Every, or between the
// ticks of a cron expression. The zero Schedule has none. All of it is pure.
type Schedule struct {
	Every Period
	Start Instant // first window's start; of a cron the first tick at or after it begins one
	From  bool    // whether Start is given; it must be with Every
	Cron  string
	Zone  *time.Location

	ticks *cron.SpecSchedule // of Cron, its fields alone
	place place
	sound bool // no fault was found in it alone
}

// Defined says whether the schedule has windows.
func (s Schedule) Defined() bool { return s.ticks != nil || s.Every != Period{} }

// Same says whether two schedules have the same windows by the same words.
func (s Schedule) Same(other Schedule) bool {
	zone := func(s Schedule) string {
		if s.Zone == nil {
			return ""
		}
		return s.Zone.String()
	}
	return s.Every == other.Every && s.Start == other.Start && s.From == other.From && s.Cron == other.Cron && zone(s) == zone(other)
}

// Windows gives the windows that begin at from or later and end at to or
// before, in order, each once, without a gap or an overlap.
func (s Schedule) Windows(from, to Instant) iter.Seq[Window] {
	return func(yield func(Window) bool) {
		start, ok := s.Ceil(from)
		for ok && start < to {
			var end Instant
			if end, ok = s.Next(start); !ok || end > to || !yield(Window{start, end}) {
				return
			}
			start = end
		}
	}
}

// Next gives the first boundary after t; ok is false past the end of time.
func (s Schedule) Next(t Instant) (boundary Instant, ok bool) {
	if s.From && t < s.Start {
		t = s.Start - 1
		if s.ticks == nil {
			return s.Start, true
		}
	}
	switch {
	case t >= LastInstant:
		return 0, false
	case s.ticks != nil:
		return s.nextTick(t)
	case s.Every.Days > 0:
		return s.nextDay(t)
	case s.Every.Clock > 0:
		every := Instant(s.Every.Clock)
		return t + every - (t-s.Start)%every, true
	}
	return 0, false
}

// LastInstant is far enough from the end of int64 for any period to be added:
// the year 2200.
const LastInstant = Instant(230 * 365 * Day)

// Ceil gives the first boundary at or after t.
func (s Schedule) Ceil(t Instant) (Instant, bool) {
	if t == math.MinInt64 {
		t++
	}
	return s.Next(t - 1)
}

// Floor gives the last boundary at or before t, at most twelve years back.
func (s Schedule) Floor(t Instant) (boundary Instant, ok bool) {
	if s.From && t < s.Start || t >= LastInstant {
		return 0, false
	}
	if s.Every.Clock > 0 {
		return t - (t-s.Start)%Instant(s.Every.Clock), true
	}
	for back := time.Minute; back < 12*366*Day; back *= 2 {
		b, found := s.Ceil(t.Add(-back))
		if !found || b > t {
			continue
		}
		for {
			next, more := s.Next(b)
			if !more || next > t {
				return b, true
			}
			b = next
		}
	}
	return 0, false
}

// nextDay gives the first boundary after t, at or after Start, of a period of
// days: the same time by the zone's clock.
func (s Schedule) nextDay(t Instant) (Instant, bool) {
	days := int(t-s.Start) / int(Day)
	// Clocks are turned by less than a day, but for zones that skipped one.
	for k := max(0, days/s.Every.Days-2); ; k++ {
		if b, _ := s.day(k); b > t {
			return b, true
		}
	}
}

// day gives the k-th boundary of a period of days. Where the clock skips its
// time it is the moment of the change.
func (s Schedule) day(k int) (boundary Instant, skipped bool) {
	if k == 0 {
		return s.Start, false
	}
	local := s.Start.Time().In(s.Zone)
	civil := time.Date(local.Year(), local.Month(), local.Day()+k*s.Every.Days,
		local.Hour(), local.Minute(), local.Second(), local.Nanosecond(), time.UTC)
	at, skipped := onClock(civil, s.Zone)
	return InstantOf(at), skipped
}

// onClock gives the first time at which a zone's clocks show what civil does
// in UTC; where they skip it, the moment of the change.
func onClock(civil time.Time, zone *time.Location) (at time.Time, skipped bool) {
	t := civil.Add(-2 * Day).In(zone)
	for {
		_, offset := t.Zone()
		start, end := t.ZoneBounds()
		at = civil.Add(-time.Duration(offset) * time.Second)
		if at.Before(start) && !start.IsZero() {
			return start, true
		}
		if end.IsZero() || at.Before(end) {
			return at, false
		}
		t = end
	}
}

// schedule reads a definition's schedule.
func (r *reader) schedule(n *yaml.Node, d *Definition) {
	f, ok := r.mapping(n, "schedule", "every", "start", "cron", "zone")
	if !ok {
		return
	}
	s, before := &d.Schedule, len(r.faults)
	s.place, s.From = f.at("cron"), f.has("start")
	if f.has("every") {
		s.place = f.at("every")
	}
	s.Every = parsed(r, f, "every", Period{}, ParsePeriod)
	s.Start = parsed(r, f, "start", 0, parseStart)
	s.Zone = parsed(r, f, "zone", time.UTC, parseZone)
	if text, ok := r.text(f, "cron"); ok {
		var err error
		if s.ticks, err = parseCron(text); err != nil {
			r.fault(placeOf(f.values["cron"]), "cron: %v", err)
		}
		s.Cron = text
	}
	switch {
	case f.has("every") == f.has("cron"):
		r.fault(f.at(""), "a schedule has either \"every\" with \"start\", or \"cron\"")
	case f.has("every") && !f.has("start"):
		r.fault(f.at("every"), "schedule lacks \"start\": when its first window starts, such as 2026-01-01T00:00:00Z")
	case f.has("zone") && s.Every.Clock > 0:
		r.fault(f.at("zone"), "zone says nothing for a period of hours or less; leave it out, or give the period in days")
	}
	s.sound = len(r.faults) == before
}

func parseStart(text string) (Instant, error) {
	i, err := ParseInstant(text)
	if err == nil && (i < 0 || i >= LastInstant) {
		err = fmt.Errorf("time %q: a schedule starts between 1970 and 2199", text)
	}
	return i, err
}

func parseZone(text string) (*time.Location, error) {
	zone, err := time.LoadLocation(text)
	if err != nil || strings.EqualFold(text, "local") {
		return nil, fmt.Errorf("time zone %q is not known: write its IANA name, such as Europe/Berlin", text)
	}
	return zone, nil
}

// yearsAhead is for how long a schedule is looked over for skipped ticks.
const yearsAhead = 10

// checkClocks refuses a schedule with a tick that a change of clocks skips.
func (s Schedule) checkClocks(now time.Time) error {
	var first time.Time
	switch {
	case s.ticks != nil:
		first = s.skippedTick(now)
	case s.Every.Days > 0:
		end := InstantOf(now.AddDate(yearsAhead, 0, 0))
		for k := max(0, int(InstantOf(now)-s.Start)/int(Day)/s.Every.Days); first.IsZero(); k++ {
			at, skipped := s.day(k)
			if at > end {
				break
			}
			if skipped {
				first = at.Time().In(s.Zone)
			}
		}
	}
	if first.IsZero() {
		return nil
	}
	return fmt.Errorf("on %s the clocks of %s skip this tick: they go from %s to %s; choose a time outside, or the zone UTC",
		first.Format(time.DateOnly), s.Zone, clockBefore(first).Format("15:04"), clockAt(first).Format("15:04"))
}
