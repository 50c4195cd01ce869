package definition

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// schedule parses one line of a definition.
func schedule(t testing.TB, line string) Schedule {
	t.Helper()
	return mustParse(t, "pipeline: p\nschedule: {"+line+"}"+oneStep).Schedule
}

func at(t testing.TB, text string) Instant {
	t.Helper()
	i, err := ParseInstant(text)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func windows(s Schedule, from, to Instant) []Window { return slices.Collect(s.Windows(from, to)) }

func TestDaysFollowTheCalendar(t *testing.T) {
	s := schedule(t, "every: 1d, start: 2026-01-01T00:00:00+01:00, zone: Europe/Berlin")
	hours := map[float64]int{}
	for _, w := range windows(s, at(t, "2026-01-01T00:00:00+01:00"), at(t, "2027-01-01T00:00:00+01:00")) {
		hours[time.Duration(w.End-w.Start).Hours()]++
		if local := w.Start.Time().In(s.Zone); local.Hour() != 0 || local.Minute() != 0 {
			t.Errorf("a day starts at %s", local)
		}
	}
	if fmt.Sprint(hours) != "map[23:1 24:363 25:1]" {
		t.Errorf("days by their hours: %v", hours)
	}
}

func TestCronOverChangesOfClocks(t *testing.T) {
	for name, c := range map[string]struct{ line, from, to, want string }{
		"ambiguous ticks once": {"cron: 30 2 * * *, zone: Europe/Berlin", "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z",
			"24T00:30 25T00:30 26T01:30"},
		"every hour ticks in both": {"cron: 0 * * * *, zone: Europe/Berlin", "2026-10-24T23:30:00Z", "2026-10-25T03:00:00Z",
			"25T00:00 25T01:00 25T02:00 25T03:00"},
		"quarters in both": {"cron: '*/30 * * * *', zone: Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z",
			"25T00:00 25T00:30 25T01:00 25T01:30 25T02:00"},
		"second hours once": {"cron: 0 */2 * * *, zone: Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T04:00:00Z",
			"24T22:00 25T00:00 25T03:00"},
		"skipped does not tick": {"cron: 0 */2 * * *, zone: Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T04:00:00Z",
			"28T23:00 29T02:00 29T04:00"},
		"at the change itself": {"cron: 0 3 * * *, zone: Europe/Berlin", "2026-03-28T00:00:00Z", "2026-03-30T12:00:00Z",
			"28T02:00 29T01:00 30T01:00"},
		"half an hour": {"cron: 45 1 * * *, zone: Australia/Lord_Howe", "2026-04-03T00:00:00Z", "2026-04-06T00:00:00Z",
			"03T14:45 04T14:45 05T15:15"},
		"midnight that is skipped elsewhere": {"cron: 0 6 * * *, zone: America/Sao_Paulo", "2018-11-03T00:00:00Z", "2018-11-05T12:00:00Z",
			"03T09:00 04T08:00 05T08:00"},
		"start bounds it": {"cron: 0 2 * * *, start: 2026-01-03T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-05T12:00:00Z",
			"03T02:00 04T02:00 05T02:00"},
	} {
		t.Run(name, func(t *testing.T) {
			s := schedule(t, c.line)
			var ticks []string
			for _, w := range windows(s, at(t, c.from), at(t, c.to)) {
				if ticks == nil {
					ticks = append(ticks, w.Start.Time().Format("02T15:04"))
				}
				ticks = append(ticks, w.End.Time().Format("02T15:04"))
			}
			if got := strings.Join(ticks, " "); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestSkippedTicksAreRefused(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for line, want := range map[string]string{
		"cron: 30 2 * * *, zone: Europe/Berlin":                            "p.yaml:2:12: on 2026-03-29 the clocks of Europe/Berlin skip this tick: they go from 02:00 to 03:00; choose a time outside, or the zone UTC",
		"cron: 30 2 29 3 *, zone: Europe/Berlin":                           "on 2026-03-29",
		"cron: 30 2 28 3 *, zone: Europe/Berlin":                           "on 2027-03-28",
		"cron: 0 1-5 * * *, zone: Europe/Berlin":                           "on 2026-03-29",
		"cron: 0 0 * * *, zone: Africa/Cairo":                              "on 2026-04-24 the clocks of Africa/Cairo skip this tick: they go from 00:00 to 01:00",
		"every: 1d, start: 2026-01-01T02:30:00+01:00, zone: Europe/Berlin": "p.yaml:2:12: on 2026-03-29",
		"every: 1w, start: 2025-01-05T02:00:00+01:00, zone: Europe/Berlin": "on 2026-03-29",
		"cron: 30 3 * * *, zone: Europe/Berlin":                            "",
		"cron: 30 2 * * *":                                                 "",
		"cron: 30 2 1 * *, zone: Europe/Berlin":                            "",
		"cron: 30 * * * *, zone: Europe/Berlin":                            "",
		"cron: 0 */2 * * *, zone: Europe/Berlin":                           "",
		"cron: 30 2 * * *, zone: Asia/Tokyo":                               "",
		"every: 1d, start: 2026-01-01T00:00:00+01:00, zone: Europe/Berlin": "",
		"every: 1w, start: 2026-01-01T02:30:00+01:00, zone: Europe/Berlin": "",
		"every: 1h, start: 2026-01-01T02:30:00Z":                           "",
	} {
		_, err := Parser{Now: now}.Parse("p.yaml", []byte("pipeline: p\nschedule: {"+line+"}"+oneStep))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v; want %q", line, err, want)
		}
	}
}

func zones() []string {
	return []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo",
		"Africa/Casablanca", "Pacific/Apia", "Asia/Kathmandu", "Africa/Cairo", "America/St_Johns"}
}

func drawSchedule(t *rapid.T, tb testing.TB) Schedule {
	zone := rapid.SampledFrom(zones()).Draw(t, "zone")
	if rapid.Bool().Draw(t, "cron") {
		pick := func(name string, fields ...string) string { return rapid.SampledFrom(fields).Draw(t, name) }
		return schedule(tb, fmt.Sprintf("cron: '%s %s %s * %s', zone: %s", pick("minute", "0", "30", "*/20", "15,45"),
			pick("hour", "*", "0", "2", "*/2", "1-3", "0,1,23"), pick("day", "*", "1", "28-31"), pick("weekday", "*", "0", "1-5"), zone))
	}
	start := Instant(rapid.Int64Range(1_262_304_000, 1_830_000_000).Draw(t, "start") / 900 * 900 * 1e9)
	if rapid.Bool().Draw(t, "days") {
		return schedule(tb, fmt.Sprintf("every: %dd, start: %s, zone: %s", rapid.IntRange(1, 9).Draw(t, "n"), start, zone))
	}
	return schedule(tb, fmt.Sprintf("every: %dm, start: %s", rapid.IntRange(1, 3000).Draw(t, "n"), start))
}

// TestWindowsTile: over years and zones, windows follow each other without
// gap or overlap, and wherever one begins to look, the same come.
func TestWindowsTile(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := drawSchedule(r, t)
		from := Instant(rapid.Int64Range(1_262_304_000, 1_893_456_000).Draw(r, "from") * 1e9)
		to := from.Add(time.Duration(rapid.IntRange(1, 1000).Draw(r, "hours")) * time.Hour)
		all := windows(s, from, to)
		for i, w := range all {
			switch {
			case w.Start < from || w.End > to || w.Start >= w.End:
				r.Fatalf("window %s of %s to %s", w, from, to)
			case i > 0 && w.Start != all[i-1].End:
				r.Fatalf("window %s comes after %s", w, all[i-1])
			}
			if next, ok := s.Next(w.Start); !ok || next != w.End {
				r.Fatalf("next after %s is %s; want %s", w.Start, next, w.End)
			}
		}
		middle := from.Add(time.Duration(rapid.Int64Range(0, int64(to-from)).Draw(r, "middle")))
		var rest []Window
		for _, w := range all {
			if w.Start >= middle {
				rest = append(rest, w)
			}
		}
		if got := windows(s, middle, to); !slices.Equal(got, rest) {
			r.Fatalf("from %s: %v; want %v", middle, got, rest)
		}
		if floor, ok := s.Floor(middle); ok {
			if next, _ := s.Next(floor); floor > middle || next <= middle {
				r.Fatalf("floor of %s is %s, the next boundary %s", middle, floor, next)
			}
		} else if s.ticks != nil || middle >= s.Start {
			r.Fatalf("no floor of %s", middle)
		}
	})
}

// TestCronAgainstEveryMinute: ticks are exactly the minutes whose clock
// matches, of those shown twice the first unless each hour ticks.
func TestCronAgainstEveryMinute(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		zone := rapid.SampledFrom(zones()).Draw(r, "zone")
		hour := rapid.SampledFrom([]string{"*", "0", "1", "2", "*/2", "1-3", "0,23"}).Draw(r, "hour")
		minute := rapid.SampledFrom([]string{"0", "30", "*/20", "15,45"}).Draw(r, "minute")
		s := schedule(t, fmt.Sprintf("cron: '%s %s * * *', zone: %s", minute, hour, zone))
		year := rapid.IntRange(2009, 2027).Draw(r, "year")
		day := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 360).Draw(r, "day")).In(s.Zone)
		// A change of clocks nearby is where it matters.
		if _, change := day.ZoneBounds(); !change.IsZero() && change.Before(day.AddDate(1, 0, 0)) {
			day = change.Add(-30 * time.Hour).Truncate(time.Hour)
		}
		from, to := InstantOf(day), InstantOf(day.Add(60*time.Hour))
		var want []Instant
		seen := map[string]bool{}
		for m := day.Add(-26 * time.Hour); m.Before(day.Add(60 * time.Hour)); m = m.Add(time.Minute) {
			clock := clockAt(m)
			shown := clock.Format(time.DateTime)
			if s.ticks.Next(clock.Add(-1)).Equal(clock) && (hour == "*" || !seen[shown]) && InstantOf(m) >= from {
				want = append(want, InstantOf(m))
			}
			seen[shown] = true
		}
		var got []Instant
		for tick, ok := s.Ceil(from); ok && tick < to; tick, ok = s.Next(tick) {
			got = append(got, tick)
		}
		if !slices.Equal(got, want) {
			r.Fatalf("got  %v\nwant %v", got, want)
		}
	})
}

func TestEndsOfTime(t *testing.T) {
	for _, line := range []string{"every: 1h, start: 2026-01-01T00:00:00Z", "every: 1d, start: 2026-01-01T00:00:00Z", "cron: 0 2 * * *"} {
		s := schedule(t, line)
		if w := windows(s, LastInstant, 1<<63-1); len(w) != 0 {
			t.Errorf("%s: windows past the end of time: %v", line, w)
		}
		if _, ok := s.Floor(1<<63 - 1); ok {
			t.Errorf("%s: a boundary past the end of time", line)
		}
		for w := range s.Windows(-1<<63, at(t, "2030-01-01T00:00:00Z")) {
			if s.From && w.Start != s.Start {
				t.Errorf("%s: the first window is %s", line, w)
			}
			break
		}
	}
	if (Schedule{}).Defined() || len(windows(Schedule{}, 0, LastInstant)) > 0 {
		t.Error("no schedule has windows")
	}
	for i, want := range map[Instant]Instant{1<<63 - 1: 1<<63 - 1, 0: 1} {
		if got := i.Add(1); got != want {
			t.Errorf("%d and 1 is %d", i, got)
		}
	}
	if got := Instant(-1 << 63).Add(-1); got != -1<<63 {
		t.Errorf("before the beginning of time lies %d", got)
	}
}

// TestSkippedDayComesAtTheChange: a stored schedule that a later rule of its
// zone made wrong has all its windows none the less.
func TestSkippedDayComesAtTheChange(t *testing.T) {
	s := schedule(t, "every: 1d, start: 2026-01-01T02:30:00+01:00, zone: Europe/Berlin")
	got := windows(s, at(t, "2026-03-28T00:00:00Z"), at(t, "2026-03-31T00:00:00Z"))
	want := []string{"2026-03-28T01:30:00Z/2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z/2026-03-30T00:30:00Z"}
	if len(got) != 2 || got[0].String() != want[0] || got[1].String() != want[1] {
		t.Errorf("got %v; want %v", got, want)
	}
}
