package crash

import (
	"context"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"weir/test/harness"
)

func fakePlan(resend bool) Plan {
	return Plan{
		Kills: 4, Seed: 7, Clients: 2, Resend: resend,
		Flags:  func(int) []string { return nil },
		Uptime: [2]time.Duration{40 * time.Millisecond, 80 * time.Millisecond},
		Settle: time.Second,
	}
}

func TestFaithfulVictimPasses(t *testing.T) {
	for _, resend := range []bool{false, true} {
		summary, err := Run(t.Context(), newFake(t), fakePlan(resend))
		if err != nil {
			t.Fatalf("resend %v: %v", resend, err)
		}
		if summary.Kills != 4 || summary.Items.Answered == 0 || summary.Attempts == 0 {
			t.Fatalf("resend %v: %+v", resend, summary)
		}
		if line := summary.String(); len(line) > 100 || strings.Contains(line, "\n") {
			t.Errorf("%d characters: %s", len(line), line)
		}
	}
}

// Each way to break the promise must be seen, also where few requests suffer.
func TestUnfaithfulVictimsFail(t *testing.T) {
	loseOne := func(n int, s []copyOf) []copyOf {
		if n%5 == 0 {
			return s[:len(s)-1]
		}
		return s
	}
	doubleOne := func(n int, s []copyOf) []copyOf {
		if n%5 == 0 {
			return append(s, s[0])
		}
		return s
	}
	changeOne := func(n int, s []copyOf) []copyOf {
		if n%5 == 0 {
			s[0].value += "1"
		}
		return s
	}
	moveOne := func(n int, s []copyOf) []copyOf {
		if n%5 == 0 {
			s[0].time += int64(time.Hour)
		}
		return s
	}
	hidden := ""
	for name, test := range map[string]struct {
		set    func(*fake)
		resend bool
		want   string
	}{
		"loses a sample":              {func(f *fake) { f.fault = loseOne }, false, "[1-9][0-9]* answered samples lost"},
		"loses a sample, sent again":  {func(f *fake) { f.fault = loseOne }, true, "[1-9][0-9]* answered samples lost"},
		"doubles a sample":            {func(f *fake) { f.fault = doubleOne }, false, "[1-9][0-9]* doubled"},
		"changes a value":             {func(f *fake) { f.fault = changeOne }, false, "[1-9][0-9]* with a wrong value"},
		"stores it at another time":   {func(f *fake) { f.fault = moveOne }, false, "[1-9][0-9]* never sent|is not there"},
		"refuses a good request":      {func(f *fake) { f.status = 400 }, false, "a good request was refused"},
		"answers nothing":             {func(f *fake) { f.status = 503 }, false, "nothing was answered"},
		"keeps what is discarded":     {func(f *fake) { f.discards = func(copyOf) bool { return false } }, false, "[1-9][0-9]* discarded and there"},
		"discards too much":           {func(f *fake) { f.greedy = true }, false, "[1-9][0-9]* answered samples lost"},
		"does not read what it keeps": {func(f *fake) { f.hide = func(s copyOf) bool { return hides(&hidden, s) } }, false, "[1-9][0-9]* answered samples lost"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			test.set(f)
			_, err := Run(t.Context(), f, fakePlan(test.resend))
			if err == nil || !regexp.MustCompile(test.want).MatchString(err.Error()) {
				t.Fatalf("want an error that matches %q, got %v", test.want, err)
			}
		})
	}
}

// What volumes had that were dropped is what is gone: every answered sample,
// and none that may still be there.
func TestDroppedIsWhatIsGone(t *testing.T) {
	report := Report{Discarded: 4, Unknown: 2}
	for dropped, ok := range map[uint64]bool{3: false, 4: true, 6: true, 7: false} {
		if err := checkDiscarded(dropped, report, false); (err == nil) != ok {
			t.Errorf("%d dropped: %v", dropped, err)
		}
	}
	a := &Attempt{Fate: Gone, Outcome: Answered, Samples: []Sample{{Series: Series{"count", "c0-1"}, Time: 5, Value: "7"}}}
	report = Check(itemsRule(false), []*Attempt{a}, NewTally())
	if report.Err() != nil || report.Discarded != 1 || report.Answered != 0 {
		t.Errorf("%+v", report)
	}
}

// hides hides one lane: the first that is asked for.
func hides(lane *string, s copyOf) bool {
	if *lane == "" {
		*lane = s.series.Lane
	}
	return *lane == s.series.Lane
}

// dying is a victim that ends by itself.
type dying struct{ *fake }

func (d dying) Kill() error {
	return errors.Join(errors.New("weir ended by itself"), d.fake.Kill())
}

func TestVictimThatDiesByItselfFails(t *testing.T) {
	_, err := Run(t.Context(), dying{newFake(t)}, fakePlan(false))
	if err == nil || !strings.Contains(err.Error(), "ended by itself") {
		t.Fatal(err)
	}
}

// An unanswered attempt may be there or not, but not twice.
func TestUnansweredAtMostOnce(t *testing.T) {
	a := &Attempt{Number: 1, Sends: 1, Samples: []Sample{{Series: Series{"count", "c0-1"}, Time: 5, Value: "7"}}}
	for copies, ok := range map[int]bool{0: true, 1: true, 2: false} {
		tally := NewTally()
		for range copies {
			tally.Add("crash_count", map[string]string{"lane": "c0-1"}, 5, "7")
		}
		report := Check(itemsRule(false), []*Attempt{a}, tally)
		if (report.Err() == nil) != ok {
			t.Errorf("%d copies: %v", copies, report.Err())
		}
		if report.Unanswered != min(copies, 1) || report.Answered != 0 {
			t.Errorf("%d copies: %+v", copies, report)
		}
	}
}

func TestLedgerThatDoesNotBalanceFails(t *testing.T) {
	report := Report{Answered: 3, Unanswered: 1}
	items := &Tally{total: 4}
	for name, test := range map[string]struct {
		ledger harness.Ledger
		resend bool
		ok     bool
	}{
		"right":               {harness.Ledger{Accepted: 4, Stored: 4}, false, true},
		"too few":             {harness.Ledger{Accepted: 3, Stored: 3}, false, false},
		"too many":            {harness.Ledger{Accepted: 5, Stored: 5}, false, false},
		"more when resent":    {harness.Ledger{Accepted: 5, Stored: 5}, true, true},
		"fewer when resent":   {harness.Ledger{Accepted: 3, Stored: 3}, true, false},
		"not stored":          {harness.Ledger{Accepted: 4, Stored: 3}, false, false},
		"in flight":           {harness.Ledger{Accepted: 4, Stored: 3, InFlight: 1}, false, false},
		"unproven":            {harness.Ledger{Accepted: 4, Stored: 4, Unproven: 1}, false, false},
		"in the quarantine":   {harness.Ledger{Accepted: 4, Stored: 3, Quarantined: 1}, false, false},
		"in the dead letters": {harness.Ledger{Accepted: 4, Stored: 3, DeadLettered: 1}, false, false},
		"rejected":            {harness.Ledger{Accepted: 4, Stored: 4, Rejected: 1}, false, false},
	} {
		if err := checkLedger(test.ledger, report, items, 0, test.resend); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSelectMustAgreeWithItems(t *testing.T) {
	one, two := NewTally(), NewTally()
	one.Add("crash_count", map[string]string{"lane": "x"}, 5, "7")
	if sameFound(one, two) == nil || sameFound(two, one) == nil {
		t.Error("a difference passed")
	}
	if err := sameFound(one, one); err != nil {
		t.Error(err)
	}
}

func TestReadItemsRefusesWhatItCannotRead(t *testing.T) {
	for _, text := range []string{"{", `{"metric":"m"}`, "plain text"} {
		if err := NewTally().ReadItems(strings.NewReader(text)); err == nil {
			t.Errorf("%q passed", text)
		}
	}
	tally := NewTally()
	err := tally.ReadItems(strings.NewReader(`{"metric":"other","tags":{},"time":1,"value":2}`))
	if err != nil || tally.others != 1 {
		t.Error(err, tally.others)
	}
}

// What the clients send must not depend on anything but seed and client.
func TestSourcesAreDeterminedAndDisjoint(t *testing.T) {
	seen := map[place]bool{}
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for client := range 3 {
		number := uint64(client * 1000)
		next := func() uint64 { number++; return number }
		source := NewSource(1, client, now, next)
		if time.Unix(0, source.monday).UTC() != time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC) {
			t.Fatal(time.Unix(0, source.monday).UTC())
		}
		for range 200 {
			for _, s := range source.Make().Samples {
				at := place{s.Series, s.Time}
				if seen[at] {
					t.Fatalf("%v is sent twice", at)
				}
				seen[at] = true
			}
		}
	}
}

var _ Victim = (*fake)(nil)
var _ Victim = victim{}

// The doctor's stream ends early where weir crashes.
func TestItemsErrorIsSeen(t *testing.T) {
	_, err := Run(t.Context(), brokenDoctor{newFake(t)}, fakePlan(false))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
}

type brokenDoctor struct{ *fake }

func (b brokenDoctor) Items(_ context.Context, read func(io.Reader) error) error {
	return read(strings.NewReader(`{"metric":`))
}
