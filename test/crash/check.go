package crash

import (
	"errors"
	"fmt"

	"weir/test/harness"
)

// Rule says how often an answered sample is to be found, and how often one
// whose attempt was never answered may be.
type Rule struct {
	Name       string
	Answered   [2]int // at least, at most
	Unanswered int    // at most
}

// maxCopies is far above how often a request is sent.
const maxCopies = 1 << 20

// maxExamples bounds how many faults a report spells out.
const maxExamples = 5

var errNothingSent = errors.New("nothing was answered: the run shows nothing")

// itemsRule: attempts that carry samples of their own are stored exactly
// once; what is sent again is stored once or more.
func itemsRule(resend bool) Rule {
	if resend {
		return Rule{Name: "items as written", Answered: [2]int{1, maxCopies}, Unanswered: maxCopies}
	}
	return Rule{Name: "items as written", Answered: [2]int{1, 1}, Unanswered: 1}
}

// readRule: whatever is stored is read once.
func readRule() Rule { return Rule{Name: "select", Answered: [2]int{1, 1}, Unanswered: 1} }

// Report is what a check found, in samples.
type Report struct {
	Rule       Rule
	Lost       int // answered, found less often than they must be
	Doubled    int // found more often than they may be
	Wrong      int // found with another value
	Strangers  int // found, never sent
	Back       int // discarded, and found
	Answered   int // answered, found or not, but for those that may be gone
	Unanswered int // never answered, and found
	Discarded  int // answered, may be gone, and not found
	Unknown    int // not answered, may be gone, and not found
	Examples   []string
}

// Err gives an error unless the report is clean.
func (r Report) Err() error {
	if r.Lost+r.Doubled+r.Wrong+r.Strangers+r.Back == 0 {
		return nil
	}
	text := fmt.Sprintf("%s: %d answered samples lost, %d doubled, %d with a wrong value, %d never sent, %d discarded and there",
		r.Rule.Name, r.Lost, r.Doubled, r.Wrong, r.Strangers, r.Back)
	for _, example := range r.Examples {
		text += "\n    " + example
	}
	return errors.New(text)
}

func (r *Report) example(format string, values ...any) {
	if len(r.Examples) < maxExamples {
		r.Examples = append(r.Examples, fmt.Sprintf(format, values...))
	}
}

// Check holds a tally against the attempts under a rule.
func Check(rule Rule, attempts []*Attempt, tally *Tally) Report {
	report := Report{Rule: rule, Strangers: tally.others}
	if tally.others > 0 {
		report.example("%d samples of series that no client has", tally.others)
	}
	known := 0
	for _, a := range attempts {
		for _, s := range a.Samples {
			values, there := tally.found[place{series: s.Series, time: s.Time}]
			if there {
				known++
			}
			report.sample(a, s, values)
		}
	}
	if extra := len(tally.found) - known; extra > 0 {
		report.Strangers += extra
		report.example("%d places hold samples that no attempt sent", extra)
	}
	return report
}

func (r *Report) sample(a *Attempt, s Sample, values []string) {
	least, most := 0, r.Rule.Unanswered
	if a.Outcome == Answered {
		least, most = r.Rule.Answered[0], r.Rule.Answered[1]
	}
	if a.Fate != Kept {
		least = 0
	}
	r.count(a, len(values))
	switch {
	case a.Fate == Gone && len(values) > 0:
		r.Back++
		r.example("attempt %d: %v at %d was discarded, and is there", a.Number, s.Series, s.Time)
	case len(values) < least:
		r.Lost++
		r.example("attempt %d, answered, sent %d times: %v at %d = %s is not there", a.Number, a.Sends, s.Series, s.Time, s.Value)
	case len(values) > most:
		r.Doubled++
		r.example("attempt %d, sent %d times: %v at %d is there %d times", a.Number, a.Sends, s.Series, s.Time, len(values))
	}
	for _, value := range values {
		if value != s.Value {
			r.Wrong++
			r.example("attempt %d: %v at %d = %s reads %s", a.Number, s.Series, s.Time, s.Value, value)
		}
	}
}

func (r *Report) count(a *Attempt, found int) {
	switch gone := a.Fate != Kept && found == 0; {
	case gone && a.Outcome == Answered:
		r.Discarded++
	case gone:
		r.Unknown++
	case a.Outcome == Answered:
		r.Answered++
	case found > 0:
		r.Unanswered++
	}
}

// checkDiscarded holds the samples of dropped volumes against those that are
// gone: the answered ones, and any of the others.
func checkDiscarded(dropped uint64, report Report, resend bool) error {
	least, most := uint64(report.Discarded), uint64(report.Discarded+report.Unknown)
	if dropped < least || dropped > most && !resend {
		return fmt.Errorf("dropped volumes had %d samples; %d answered ones are gone, and at most %d others", dropped, least, report.Unknown)
	}
	return nil
}

// sameFound says which samples one tally has and the other lacks.
func sameFound(read, items *Tally) error {
	missing, extra := 0, 0
	for at := range items.found {
		if len(read.found[at]) == 0 {
			missing++
		}
	}
	for at := range read.found {
		if len(items.found[at]) == 0 {
			extra++
		}
	}
	if missing+extra > 0 {
		return fmt.Errorf("select does not read %d samples that the items have, and reads %d that they lack", missing, extra)
	}
	return nil
}

// checkLedger holds the settled ledger against what the items have. The
// accepted samples of attempts that were sent once are the answered ones,
// those unanswered ones that were found, and what dropped volumes had; of samples sent again, copies that
// overwrote each other within a flush are counted by the ledger alone.
func checkLedger(ledger harness.Ledger, report Report, items *Tally, dropped uint64, resend bool) error {
	var wrong []error
	if !ledger.Balanced() || ledger.InFlight != 0 {
		wrong = append(wrong, errors.New("accepted is not stored, or something is unproven"))
	}
	if ledger.DeadLettered+ledger.Quarantined+ledger.Rejected != 0 {
		wrong = append(wrong, errors.New("samples were dead-lettered, quarantined or rejected, and all were good"))
	}
	found := uint64(report.Answered+report.Unanswered) + dropped
	switch {
	case !resend && ledger.Accepted != found:
		wrong = append(wrong, fmt.Errorf("accepted should be %d: %d answered, %d found of those unanswered, %d dropped",
			found, report.Answered, report.Unanswered, dropped))
	case resend && (ledger.Accepted < found || ledger.Accepted < uint64(items.total)+dropped):
		wrong = append(wrong, fmt.Errorf("accepted should be at least the %d samples and the %d copies in items", found, items.total))
	}
	if len(wrong) > 0 {
		return fmt.Errorf("ledger %+v: %w", ledger, errors.Join(wrong...))
	}
	return nil
}
