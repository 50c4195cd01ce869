package journal

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"weir/internal/message"
	"weir/internal/store"
)

// lifeSteps is how long an interleaving is.
const lifeSteps, lifeProcesses = 900, 4

// liveLife runs the interleaving of a seed: several processes, each doing what
// comes, stepped from port call to port call. One that stands still for long
// and then goes on is the zombie.
func liveLife(seed uint64, broken lifeBreakage) *lifeWorld {
	w := newLifeWorld(seed, broken)
	var processes [lifeProcesses]*lifeProcess
	started, current := 0, 0
	for range lifeSteps {
		w.clock++
		switch n := w.rng.IntN(100); {
		case n < 4 && len(w.late) > 0:
			i := w.rng.IntN(len(w.late))
			late := w.late[i]
			w.late = slices.Delete(w.late, i, i+1)
			late()
		case n < 10 && len(w.messages) < 40:
			w.send()
		}
		if w.rng.IntN(8) == 0 {
			current = w.rng.IntN(lifeProcesses)
		}
		if processes[current] == nil {
			started++
			processes[current] = startLifeProcess(w, fmt.Sprint("process ", started))
		}
		p := processes[current]
		if p.idle {
			p.doing = w.task()
		}
		if !p.resume(lifeChance(w.rng.IntN(400 + w.calm))) {
			w.counts["crashes"]++
			processes[current] = nil
		}
	}
	w.finishLife(processes[:])
	return w
}

// task draws what a process does next. Every other world is one of archivers,
// so that volumes are dropped and restored again and again.
func (w *lifeWorld) task() string {
	type share struct {
		below int
		name  string
	}
	shares := []share{
		{33, "flush"}, {52, "merge"}, {56, "seal"}, {60, "discard"}, {63, "archive"}, {66, "verify"}, {68, "drop"}, {70, "restore"},
		{76, "sweep"}, {80, "orphans"}, {85, "pin"}, {87, "unpin"}, {94, "held"}, {100, "read"},
	}
	if w.archivers {
		shares = []share{
			{15, "flush"}, {25, "merge"}, {28, "seal"}, {40, "archive"}, {51, "verify"}, {64, "drop"}, {83, "restore"},
			{86, "sweep"}, {88, "orphans"}, {92, "pin"}, {93, "unpin"}, {96, "held"}, {100, "read"},
		}
	}
	n := w.rng.IntN(100)
	return shares[slices.IndexFunc(shares, func(s share) bool { return n < s.below })].name
}

func lifeChance(n int) lifeOutcome {
	switch {
	case n < 6:
		return lifeFail
	case n < 12:
		return lifeLose
	case n < 18:
		return lifeDefer
	case n < 21:
		return lifeCrashBefore
	case n < 24:
		return lifeCrashAfter
	}
	return lifeSucceed
}

// finishLife lets one drain the queue, the others go on where they stood, and
// another drain what is left; then it looks at all of it.
func (w *lifeWorld) finishLife(zombies []*lifeProcess) {
	run := func(p *lifeProcess, tasks ...string) {
		for _, task := range tasks {
			p.doing = task
			for alive := p.resume(lifeSucceed); alive && !p.idle; {
				alive = p.resume(lifeSucceed)
			}
		}
	}
	drain := func(name string) {
		p := startLifeProcess(w, name)
		for range 60 {
			run(p, "flush", "merge")
		}
		run(p, "orphans", "sweep", "orphans", "archive", "verify", "drop", "read", "restore", "read")
		for range w.pins {
			run(p, "held")
		}
		p.resume(lifeCrashBefore)
	}
	drain("the last but one")
	for _, p := range zombies {
		if p == nil {
			continue
		}
		w.counts["zombies"]++
		for !p.idle {
			p.resume(lifeSucceed)
		}
		p.resume(lifeCrashBefore)
	}
	for _, late := range w.late {
		late()
	}
	drain("the last")
	w.checkTotals()
}

// checkTotals is laws 3 and 7 in the end: all is named, and all is counted.
func (w *lifeWorld) checkTotals() {
	sent := 0
	for _, m := range w.messages {
		sent += len(m.rows)
		if !w.models[m.partition].named[m.id] {
			w.violate(3, "message %v is not named in the end", m.id)
		}
	}
	stored := uint64(0)
	for partition := range lifePartitions {
		s := newState()
		for _, body := range w.logs[store.JournalID{Week: lifeWeek, Partition: partition}] {
			e, err := DecodeEntry(w.shown(body))
			if err == nil {
				_, err = s.apply(e)
			}
			if err != nil {
				w.violate(2, "the journal cannot be folded: %v", err)
				return
			}
		}
		stored += s.Samples()
		m := &w.models[partition]
		if s.Items().Len() != len(m.current) {
			w.violate(4, "%d items count; the naive fold has %d", s.Items().Len(), len(m.current))
		}
		for n := range s.Items().All() {
			if i, ok := m.current[n.Key]; !ok || i.Samples != n.Samples || m.of[n.Key] != n.Revision {
				w.violate(4, "item %v counts; the naive fold says %v, %v", n.Key, i, ok)
			}
		}
	}
	if stored != uint64(sent) {
		w.violate(7, "%d samples are stored by the journals, and %d were sent", stored, sent)
	}
}

// send puts a message into the queue.
func (w *lifeWorld) send() {
	if w.rng.IntN(4) > 0 {
		w.stamp += message.Stamp(1 + w.rng.IntN(3))
	}
	p := w.rng.IntN(lifePartitions)
	stamp := w.stamp
	if w.rng.IntN(5) == 0 { // one that took long
		stamp -= min(stamp-min(stamp, 1), message.Stamp(w.rng.IntN(12)))
	}
	// A series is of one class: Fast where its number is odd.
	class := Class(w.rng.IntN(int(Classes)))
	m := &lifeMessage{id: message.ID{Life: message.Life(p + 1), Number: uint64(len(w.messages))}, partition: p, stamp: stamp, class: class}
	for range 1 + w.rng.IntN(3) {
		w.value++
		m.rows = append(m.rows, lifeRow{Series: 2*w.rng.IntN(2) + int(class), Time: w.rng.IntN(2), Value: w.value})
	}
	w.messages = append(w.messages, m)
}

func lifeHolds(t *testing.T, law int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		runs := uint64(150)
		if testing.Short() || underRace {
			runs = 25
		}
		for seed := range runs {
			if v := liveLife(seed, lifeBreakage{}).violations[law]; v != "" {
				t.Fatalf("law %d, seed %d: %s", law, seed, v)
			}
		}
	})
}

func TestLawOneWithMergesSealsAndSweeps(t *testing.T)     { lifeHolds(t, 1) }
func TestLawTwoWithSealsAndDrops(t *testing.T)            { lifeHolds(t, 2) }
func TestLawThreeWithSealsAndDrops(t *testing.T)          { lifeHolds(t, 3) }
func TestLawFourAMergeIsInvisible(t *testing.T)           { lifeHolds(t, 4) }
func TestLawFiveACutNeverMoves(t *testing.T)              { lifeHolds(t, 5) }
func TestLawSixWithClassesAndMerges(t *testing.T)         { lifeHolds(t, 6) }
func TestLawSevenTheJournalOutlivesTheItems(t *testing.T) { lifeHolds(t, 7) }

// TestLifeLawsFailWhenBroken breaks each law on purpose.
func TestLifeLawsFailWhenBroken(t *testing.T) {
	for name, b := range map[string]struct {
		law    int
		about  string
		broken lifeBreakage
	}{
		"OneReaderBelievesEverything":    {1, "a reader finds", lifeBreakage{believeAll: true}},
		"TwoCommitOfASealedRevision":     {2, "which is not there", lifeBreakage{staleRevision: true}},
		"TwoWriteAnswersBeforeItStores":  {2, "which is not there", lifeBreakage{lazyWrite: true}},
		"ThreeNamedMessagesAreHidden":    {3, "named twice", lifeBreakage{hideNamed: true}},
		"ThreeAckAtReceive":              {3, "not named in the end", lifeBreakage{ackAtReceive: true}},
		"FourMergedSamplesLosePositions": {4, "a reader finds", lifeBreakage{losePositions: true}},
		"FourMergeOfAnyEpochCounts":      {4, "which is not there", lifeBreakage{mergeAnyEpoch: true}},
		"FourMergeLeavesSomeOut":         {4, "a reader finds", lifeBreakage{mergeSome: true}},
		"FivePinsAreNotSeen":             {5, "misses an item", lifeBreakage{hidePins: true}},
		"FiveRecordsAreTurnedBlindly":    {5, "", lifeBreakage{blindPut: true}},
		"FiveRemovedBeforeTheRecord":     {5, "before its record says so", lifeBreakage{removeUnsaid: true}},
		"FiveArchivedBeforeTheSeal":      {5, "", lifeBreakage{archiveEarly: true}},
		"FiveAnotherArchiveIsVerified":   {5, "is verified, and is not", lifeBreakage{verifyAny: true}},
		"FiveDroppedUnverified":          {5, "that is not verified", lifeBreakage{dropUnverified: true}},
		"FiveRestoredIntoTheSameTable":   {5, "", lifeBreakage{restoreSame: true}},
		"FiveRestoredServesEveryCut":     {5, "", lifeBreakage{restoreUncut: true}},
		"SixClassesShareAHorizon":        {6, "a reader finds", lifeBreakage{oneHorizon: true}},
		"SixCommitsAreReversed":          {6, "a reader finds", lifeBreakage{reversed: true}},
		"SevenADropForgetsMessages":      {7, "", lifeBreakage{forgetDropped: true}},
		"SevenADropForgetsTotals":        {7, "were sent", lifeBreakage{forgetTotals: true}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for seed := range uint64(400) {
					if v := liveLife(seed, b.broken).violations[b.law]; v != "" {
						if !strings.Contains(v, b.about) {
							t.Errorf("seed %d: %s\nwant something about %q", seed, v, b.about)
						}
						t.Logf("seed %d: %.200s", seed, v)
						return
					}
				}
				t.Errorf("law %d is broken by %+v, and 400 interleavings did not show it", b.law, b.broken)
			})
		})
	}
}

// TestLivesReachWhatTheyAreFor counts what the interleavings bring about.
func TestLivesReachWhatTheyAreFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counts := map[string]int{}
		const runs = 60
		for seed := range uint64(runs) {
			for what, n := range liveLife(seed, lifeBreakage{}).counts {
				counts[what] += n
			}
		}
		t.Logf("in %d interleavings: %v", runs, counts)
		for what, least := range map[string]int{
			"commits": 5 * runs, "merges": 2 * runs, "merges that do not count": 10, "merges that are spared": 10, "seals": runs, "drops": 10,
			"drops that a pin refused": 10, "drops of what is not verified": 10, "archives": runs, "archives that another was before": 2,
			"archives that are damaged": 5, "verified": 10, "restores": 3, "readings of archives": 5, "drops of a restored table": 1, "pins that are refused": 2, "replaced items removed": runs, "orphans removed": runs,
			"flushes written anew": 10, "fenced workers": runs, "journals taken over": 2 * runs, "crashes": runs, "zombies": runs,
			"readers that started again": 5, "readings": 5 * runs, "readings of held cuts": runs, "late messages": runs,
			"deliveries of what is named already": 5 * runs, "deliveries of what is named already after a drop": runs,
			"calls that arrive after their error": runs / 4, "records turned by another": 5,
		} {
			if counts[what] < least {
				t.Errorf("%d %s in %d interleavings; want at least %d", counts[what], what, runs, least)
			}
		}
	})
}
