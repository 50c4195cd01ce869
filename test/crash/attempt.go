package crash

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// Outcome is what a client learned of an attempt.
type Outcome int

// The outcomes. An attempt that was answered 503, or whose answer was lost,
// is Unanswered: its samples may be stored or not.
const (
	Unanswered Outcome = iota
	Answered
)

// Attempt is one request that is sent once, or, with the same samples, until
// it is answered. Its samples are those that no other attempt has.
type Attempt struct {
	Number  uint64
	Client  int
	Samples []Sample
	Outcome Outcome
	Fate    Fate
	Sends   int     // how often it was sent
	Weeks   []int64 // those that its samples may lie in, as weeksAgo counts
}

// Sample is one sample as it was sent. Value is spelled as a query answers it.
type Sample struct {
	Series Series
	Time   int64
	Value  string
}

// Series is the name of one of the clients' series.
type Series struct {
	Field string // the metric without its prefix
	Lane  string
}

// lineFields is how many samples a line has.
const lineFields = 4

// fields gives the metrics of a line, one for each kind.
func fields() [lineFields]string { return [lineFields]string{"number", "count", "text", "flag"} }

const (
	measurement = "crash"
	// Each attempt has a slot of time to itself, in every week that it
	// touches, and a line a microsecond of its own in the slot.
	slot     = int64(time.Millisecond)
	lineStep = int64(time.Microsecond)
	maxLines = 24
)

// weeksAgo gives the weeks that samples lie in, counted back from the present.
func weeksAgo() []int64 { return []int64{0, 1, 2, 9, 52, 300} }

// lanes is how many of a client's lanes are used again and again; the other
// lanes are new series, for registrations under fire.
const lanes = 6

// Source makes attempts. It is for one client's goroutine.
type Source struct {
	random *rand.Rand
	client int
	monday int64 // the start of the present week, in ns
	next   func() uint64
}

// NewSource makes a source for a client. Numbers come from next, which all
// clients share.
func NewSource(seed uint64, client int, now time.Time, next func() uint64) *Source {
	day := now.UTC().Truncate(24 * time.Hour)
	monday := day.AddDate(0, 0, -(int(day.Weekday())+6)%7)
	return &Source{
		random: rand.New(rand.NewPCG(seed, uint64(client)+1)),
		client: client, monday: monday.UnixNano(), next: next,
	}
}

// Make makes the next attempt: one line or many, of one week or several, of
// lanes that are known or new.
func (s *Source) Make() *Attempt {
	a := &Attempt{Number: s.next(), Client: s.client}
	weeks := 1 + s.random.IntN(3)
	for _, i := range s.random.Perm(len(weeksAgo()))[:weeks] {
		a.Weeks = append(a.Weeks, weeksAgo()[i])
	}
	if s.random.IntN(3) > 0 && !slices.Contains(a.Weeks, 0) {
		a.Weeks[0] = 0 // most of what devices send is of the present
	}
	return s.fill(a)
}

// MakeIn makes an attempt of one week.
func (s *Source) MakeIn(ago int64) *Attempt {
	return s.fill(&Attempt{Number: s.next(), Client: s.client, Weeks: []int64{ago}})
}

// fill adds the lines.
func (s *Source) fill(a *Attempt) *Attempt {
	lines := 1 + s.random.IntN(maxLines)
	fresh := s.random.IntN(4) == 0
	for i := range lines {
		lane := strconv.Itoa(s.random.IntN(lanes))
		if fresh {
			lane = "n" + strconv.FormatUint(a.Number, 10)
		}
		ago := a.Weeks[s.random.IntN(len(a.Weeks))]
		at := slotStart(s.monday, ago, a.Number) + int64(i)*lineStep
		a.addLine(s.client, lane, at, i)
	}
	return a
}

// slotStart gives where an attempt's slot begins in a week.
func slotStart(monday, ago int64, number uint64) int64 {
	return monday - ago*int64(7*24*time.Hour) + int64(number)*slot
}

// addLine adds a sample of each kind. All but the flag's say whose they are.
func (a *Attempt) addLine(client int, lane string, at int64, line int) {
	number := strconv.FormatUint(a.Number, 10)
	flag := "false"
	if (a.Number+uint64(line))%2 == 0 {
		flag = "true"
	}
	values := [...]string{
		strconv.FormatFloat(float64(a.Number)+float64(line)/64, 'g', -1, 64),
		strconv.FormatUint(a.Number*maxLines+uint64(line), 10),
		strconv.Quote("attempt " + number + " line " + strconv.Itoa(line)),
		flag,
	}
	lane = "c" + strconv.Itoa(client) + "-" + lane
	for i, field := range fields() {
		a.Samples = append(a.Samples, Sample{Series: Series{Field: field, Lane: lane}, Time: at, Value: values[i]})
	}
}
