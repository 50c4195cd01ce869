package worker

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
)

// simulation is one interleaving: two processes, each a worker of the one
// queue, stepped from port call to port call. The one that stands still while
// the other goes on, and then goes on itself, is the zombie.
type simulation struct {
	*world
	gateways  *gateways
	processes [2]*process
	current   int
	started   int
	outage    int // for so many steps more nothing answers
	law       int
}

// How long a simulation is.
const (
	simSteps    = 320
	simMessages = 22
)

// simulate runs the interleaving of a seed and gives what became of it.
func simulate(seed uint64, law int, broken breakage) *world {
	w := newWorld(rand.New(rand.NewPCG(seed, uint64(law))), broken)
	s := &simulation{world: w, gateways: newGateways(w), law: law}
	for range simSteps {
		switch n := w.rng.IntN(100); {
		case len(w.late) > 0 && n < 25:
			w.arrive()
		case n < 8 && len(w.truths) < simMessages:
			s.gateways.send()
		case n < 10 && len(w.dead) > 0:
			w.redrive(w.rng.IntN(len(w.dead)), w.rng.IntN(4) == 0)
		case n < 12:
			w.forget()
		case n < 16:
			s.check()
		default:
			s.step()
		}
	}
	s.finish()
	return w
}

// step lets one process go on to its next port call.
func (s *simulation) step() {
	if s.rng.IntN(12) == 0 {
		s.current = 1 - s.current
	}
	p := s.processes[s.current]
	if p == nil {
		s.started++
		s.processes[s.current] = startProcess(s.world, fmt.Sprintf("worker %d", s.started))
		return
	}
	o := succeed
	switch n := s.rng.IntN(200); {
	case n < 8:
		o = fail
	case n < 18:
		o = lose
	case n < 24:
		o = defers
	case n < 26:
		o = crashBefore
		s.counts["crashes"]++
	case n < 28:
		o = crashAfter
		s.counts["crashes"]++
	}
	if s.outage--; s.outage > 0 {
		o = [...]outcome{fail, fail, lose, defers}[s.rng.IntN(4)]
	} else if s.rng.IntN(150) == 0 {
		s.outage = 40
	}
	p.most = 1 + s.rng.IntN(4)
	switch n := s.rng.IntN(20); {
	case n < 11:
		p.task = receiveSome
	case n < 15:
		p.task = flushHeads
	case n < 19:
		p.task = flushFast
	default:
		p.task = giveUp
	}
	if !p.resume(o) {
		s.processes[s.current] = nil
	}
}

// check watches the law of this simulation, at any moment.
func (s *simulation) check() {
	switch s.law {
	case 1:
		for _, j := range s.journals() {
			s.checkReading(j, s.rng.IntN(len(j.commits)+1))
		}
	case 2:
		s.checkBytes()
	case 6:
		for _, j := range s.journals() {
			s.checkOrder(j)
		}
	}
	for _, p := range s.processes {
		if p != nil && p.idle && s.broken == (breakage{}) {
			p.checkHeads()
		}
	}
}

// finish lets one worker drain the queue without faults, then a zombie of
// before it go on, then another worker drain what that left; and checks.
func (s *simulation) finish() {
	zombie := s.processes[s.rng.IntN(2)]
	for _, p := range s.processes {
		if p != nil && p != zombie {
			p.kill()
		}
	}
	s.drainAll()
	if zombie != nil {
		alive := true
		for i := 0; i < 60 && alive; i++ {
			zombie.task, zombie.most = task(i%3), 4
			alive = zombie.resume(succeed)
		}
		if alive {
			zombie.kill()
		}
		s.drainAll()
	}
	for len(s.late) > 0 {
		s.arrive()
	}
	for _, j := range s.journals() {
		s.checkReading(j, len(j.commits))
		s.checkOrder(j)
	}
	s.checkBytes()
	s.checkSettled()
}

// drainAll has a new worker take all there is, without faults, and flush it.
func (s *simulation) drainAll() {
	s.started++
	p := startProcess(s.world, fmt.Sprintf("worker %d", s.started))
	settle := func() {
		for alive := true; alive; alive = p.resume(succeed) {
			if p.idle {
				return
			}
		}
	}
	for range 12 {
		for i := len(s.dead) - 1; i >= 0; i-- {
			if !s.truths[s.dead[i].message].poison {
				s.redrive(i, false)
			}
		}
		if len(s.waiting()) == 0 {
			break
		}
		for _, t := range []task{receiveSome, flushHeads} {
			p.task, p.most = t, 1<<20
			p.resume(succeed)
			settle()
		}
	}
	p.kill()
}

// eachSeed runs interleavings until one of them violates the law, in a way that
// is about something.
func eachSeed(t *testing.T, law, runs int, broken breakage, about string) (seed uint64, violation string) {
	t.Helper()
	first, last := uint64(1), uint64(runs)
	if *lawSeed != 0 {
		first, last = *lawSeed, *lawSeed
	}
	for seed = first; seed <= last; seed++ {
		if violation = simulate(seed, law, broken).violations[law]; violation != "" && strings.Contains(violation, about) {
			return seed, violation
		}
	}
	return 0, ""
}

// holds wants no interleaving to violate a law.
func holds(t *testing.T, law int) {
	synctest.Test(t, func(t *testing.T) {
		runs := 1000
		if testing.Short() || underRace {
			runs = 150
		}
		if *lawRuns > 0 {
			runs = *lawRuns
		}
		if seed, violation := eachSeed(t, law, runs, breakage{}, ""); violation != "" {
			t.Errorf("law %d, seed %d: %s\nagain: go test -run %s -laws.seed %d", law, seed, violation, t.Name(), seed)
		}
	})
}

// fails wants some interleaving to violate a law that is broken on purpose,
// in the way that the breakage is about.
func fails(t *testing.T, law int, about string, broken breakage) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		seed, violation := eachSeed(t, law, 400, broken, about)
		if violation == "" {
			t.Errorf("law %d is broken by %+v, and 400 interleavings did not show anything about %q", law, broken, about)
			return
		}
		t.Logf("law %d, seed %d: %s", law, seed, violation)
	})
}

func TestLawOneBelieveOnlyWhatIsNamed(t *testing.T) { holds(t, 1) }
func TestLawTwoItemsThenTheEntry(t *testing.T)      { holds(t, 2) }
func TestLawThreeAckWhatIsNamed(t *testing.T)       { holds(t, 3) }
func TestLawSixOneTotalOrder(t *testing.T)          { holds(t, 6) }

// TestLawsFailWhenBroken breaks each law on purpose.
func TestLawsFailWhenBroken(t *testing.T) {
	for name, b := range map[string]struct {
		law    int
		about  string
		broken breakage
	}{
		"LawOneReaderBelievesEverything":      {1, "named up to commit", breakage{believeAll: true}},
		"LawTwoWriteAnswersBeforeItStores":    {2, "which is not there", breakage{lazyWrite: true}},
		"LawTwoLostAppendIsRepeatedFurtherOn": {2, "stands twice", breakage{repeatBlindly: true}},
		"LawTwoAppendIsNotConditional":        {2, "after the epoch of another", breakage{unconditional: true}},
		"LawTwoOrdinalsAreNotRegistered":      {2, "not registered yet", breakage{shortRegister: true}},
		"LawThreeAckAtReceive":                {3, "is named in the end: false", breakage{ackAtReceive: true}},
		"LawThreeNamedMessagesAreHidden":      {3, "and again by", breakage{hideNamed: true}},
		"LawSixLateSamplesGetTheHorizon":      {6, "the winner of", breakage{oneVersion: true}},
		"LawSixFlushesAreReversed":            {6, "the winner of", breakage{reversed: true}},
	} {
		t.Run(name, func(t *testing.T) { fails(t, b.law, b.about, b.broken) })
	}
}

// TestSimulationsReachWhatTheyAreFor counts what the interleavings bring
// about: a simulation in which nothing happens proves nothing.
func TestSimulationsReachWhatTheyAreFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counts := map[string]int{}
		const runs = 60
		for seed := range uint64(runs) {
			for what, n := range simulate(seed, 0, breakage{}).counts {
				counts[what] += n
			}
		}
		t.Logf("in %d interleavings: %v", runs, counts)
		for what, least := range map[string]int{
			"appends with no known outcome": runs / 8, "commits": 5 * runs, "journals taken over": 5 * runs, "fenced workers": runs,
			"appends whose answer is lost": runs, "appends that arrive after their error": runs / 6,
			"deliveries of what is named already": 5 * runs, "deliveries of what waits in the head": runs,
			"acks that are forgotten": 2 * runs, "redriven dead letters": runs, "crashes": runs,
			"fast commits": runs, "steady commits": runs,
			"late messages": 2 * runs, "messages with the stamp of the horizon before": runs / 6,
			"equal stamps of two lives in a flush": runs / 6,
			"commits with refused samples":         runs, "commits with overwritten samples": runs,
		} {
			if counts[what] < least {
				t.Errorf("%d %s in %d interleavings; want at least %d", counts[what], what, runs, least)
			}
		}
	})
}
