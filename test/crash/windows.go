package crash

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Pipelines of the test: one is scheduled and its windows are of the present,
// so late samples make them stale again and again; the other is run by hand
// over pieces of old weeks, which the first archives and drops meanwhile.
const (
	livePipeline = "live"
	oldPipeline  = "old"

	liveWindow = 3 * time.Second
	liveBin    = time.Second
	oldWindow  = 10 * time.Minute
	oldBin     = time.Minute
	oldSpan    = time.Hour // of each old week that has samples
	keptWeeks  = 4         // the archive step leaves these
)

// oldWeeksAgo gives the old weeks that clients send to; the first is too new
// to be archived.
func oldWeeksAgo() []int64 { return []int64{2, 9, 30, 52} }

// liveText is the scheduled definition. Its first window starts at begin.
func liveText(begin time.Time) []byte {
	return fmt.Appendf(nil, `pipeline: %s
schedule: {every: 3s, start: %s}
delay: 1s
concurrency: 2
retries: {attempts: 100, backoff: 100ms, most: 1s}
timeout: 1m
rerun_stale: true
steps:
%s  - name: tidy
    archive: {older_than: %dw, drop: true}
    after: [load]
`, livePipeline, begin.UTC().Format(time.RFC3339), steps("1s"), keptWeeks)
}

// oldText is the definition that is run by hand. Who sees a stale run of it
// has to ask for the next.
func oldText() []byte {
	return fmt.Appendf(nil, `pipeline: %s
concurrency: 2
retries: {attempts: 100, backoff: 100ms, most: 1s}
timeout: 1m
steps:
%s`, oldPipeline, steps("1m"))
}

func steps(bin string) string {
	return `  - name: rollup
    analyse: {analysis: rollup, select: '{__name__=~"crash_(number|count)"}', every: ` + bin + `, functions: [count, sum]}
  - name: load
    load: {from: rollup}
  - name: report
    export: {from: rollup, format: csv, folder: reports}
    after: [load]
`
}

// window is one of a pipeline's, in ns.
type window struct {
	pipeline   string
	start, end int64
}

func (w window) String() string {
	const form = "2006-01-02T15:04:05Z"
	return fmt.Sprintf("%s %s/%s", w.pipeline, time.Unix(0, w.start).UTC().Format(form), time.Unix(0, w.end).UTC().Format(form))
}

// calendar says what windows there are.
type calendar struct {
	begin  int64 // of the first live window
	monday int64 // of the present week
}

// newCalendar begins now. Live samples must not lie in an old week's windows.
func newCalendar(now time.Time) calendar {
	day := now.UTC().Truncate(24 * time.Hour)
	monday := day.AddDate(0, 0, -(int(day.Weekday())+6)%7)
	return calendar{begin: now.Truncate(time.Second).UnixNano(), monday: monday.UnixNano()}
}

// oldWindows gives the windows that are run by hand.
func (c calendar) oldWindows() []window {
	var all []window
	for _, ago := range oldWeeksAgo() {
		week := slotStart(c.monday, ago, 0)
		for at := week; at < week+int64(oldSpan); at += int64(oldWindow) {
			all = append(all, window{oldPipeline, at, at + int64(oldWindow)})
		}
	}
	return all
}

// place says in which window and bin a sample lies.
func (c calendar) place(at int64) (w window, bin int64) {
	if at >= c.begin {
		start := c.begin + (at-c.begin)/int64(liveWindow)*int64(liveWindow)
		return window{livePipeline, start, start + int64(liveWindow)}, at - at%int64(liveBin)
	}
	start := at - at%int64(oldWindow)
	return window{oldPipeline, start, start + int64(oldWindow)}, at - at%int64(oldBin)
}

// maxTimed is how many attempts have times of their own in each second.
const maxTimed = uint64(time.Second/time.Microsecond) / maxLines

// windowSource makes attempts whose samples lie in the pipelines' windows: of
// old weeks first, then most of the present, some of them late.
type windowSource struct {
	random   *rand.Rand
	client   int
	calendar calendar
	now      func() time.Time
	next     func() uint64
}

// firstOld is how many attempts of all clients are of old weeks, before any other.
const firstOld = 150

// Make makes the next attempt. No two samples have the same time.
func (s *windowSource) Make() *Attempt {
	a := &Attempt{Number: s.next(), Client: s.client}
	lane := fmt.Sprint(s.random.IntN(lanes))
	if s.random.IntN(20) == 0 {
		lane = fmt.Sprintf("n%d", a.Number)
	}
	own := int64(a.Number % maxTimed * maxLines)
	for i := range 1 + s.random.IntN(maxLines) {
		at := s.second(a.Number) + (own+int64(i))*lineStep
		a.addLine(s.client, lane, at, i)
	}
	return a
}

// second gives the second of a sample.
func (s *windowSource) second(number uint64) int64 {
	if number <= firstOld || number%20 == 0 {
		ago := oldWeeksAgo()[s.random.IntN(len(oldWeeksAgo()))]
		return slotStart(s.calendar.monday, ago, 0) + s.random.Int64N(int64(oldSpan/time.Second))*int64(time.Second)
	}
	at := s.now().Truncate(time.Second)
	if s.random.IntN(8) == 0 {
		at = at.Add(-time.Duration(s.random.IntN(20)) * time.Second)
	}
	return max(at.UnixNano(), s.calendar.begin)
}
