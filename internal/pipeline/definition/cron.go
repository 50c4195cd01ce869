package definition

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// parseCron reads the five fields of a cron expression: minute, hour, day of
// month, month, day of week. The parser's own zones and descriptors are not
// taken, since the definition has keys for them.
func parseCron(text string) (*cron.SpecSchedule, error) {
	const hint = "write five fields: minute, hour, day of month, month, day of week (0 to 6 from Sunday), such as \"0 2 * * *\""
	if strings.ContainsAny(text, "@=") {
		return nil, fmt.Errorf("%q: %s", text, hint)
	}
	parsed, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%q: %w; %s", text, err, hint)
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("%q: %s", text, hint)
	}
	// The fields are read as times of a clock that is never turned; nextTick
	// holds them against the zone's.
	spec.Location = time.UTC
	if spec.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, fmt.Errorf("%q never ticks: no month has such a day", text)
	}
	return spec, nil
}

// everyHour says whether all hours tick, so that an hour which the clock shows
// twice ticks in both.
func (s Schedule) everyHour() bool {
	const all = 1<<24 - 1
	return s.ticks.Hour&all == all
}

// nextTick gives the first tick after t. Time is walked in the stretches
// between changes of the zone's clocks: within one, the clock is UTC's, moved.
// A time that the clocks skip does not tick; one that they show twice ticks
// the first time, unless every hour ticks.
func (s Schedule) nextTick(t Instant) (Instant, bool) {
	at := t.Time().In(s.Zone)
	for after := clockAt(at); ; after = clockAt(at).Add(-1) {
		start, end := at.ZoneBounds()
		if !start.IsZero() && !s.everyHour() {
			if shown := clockBefore(start).Add(-1); after.Before(shown) {
				after = shown
			}
		}
		tick := s.ticks.Next(after)
		if tick.IsZero() {
			return 0, false
		}
		if found := at.Add(tick.Sub(clockAt(at))); end.IsZero() || found.Before(end) {
			return InstantOf(found), true
		}
		at = end
	}
}

// clockAt gives what the zone's clocks show, as a time in UTC.
func clockAt(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// clockBefore gives what the clocks would show at a change if they were not
// turned.
func clockBefore(change time.Time) time.Time { return clockAt(change.Add(-1)).Add(1) }

// skippedTick gives the first change of clocks within some years that skips a
// tick; the zero time where none does. An hour that begins with '*' is no
// fixed time: such ticks are left out.
func (s Schedule) skippedTick(now time.Time) time.Time {
	if fields := strings.Fields(s.Cron); len(fields) > 1 && strings.HasPrefix(fields[1], "*") {
		return time.Time{}
	}
	until := now.AddDate(yearsAhead, 0, 0)
	for at := now.In(s.Zone); ; {
		_, change := at.ZoneBounds()
		if change.IsZero() || change.After(until) {
			return time.Time{}
		}
		from, to := clockBefore(change), clockAt(change)
		if tick := s.ticks.Next(from.Add(-1)); !tick.IsZero() && tick.Before(to) {
			return change
		}
		at = change
	}
}
