package autoscale

import (
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "draw docs/pictures/autoscale-*.svg anew")

// The simulated machine: four queues, and workers that take 100 messages a
// second each. A queue that moves is not drained for half a second, as its
// head is flushed; a dead worker's queues wait until its lease runs out, and
// the ten seconds of messages that were in its heads come again.
const (
	simQueues   = 4
	simCapacity = 100.0
	simLease    = 15
	simFlush    = 10
)

// moment is one second of a simulation, as it is drawn.
type moment struct {
	arrivals, backlog, oldest float64
	desired, running          int
}

// scenario is a load and what is asserted of the policy under it.
type scenario struct {
	name, title string
	seconds     int
	rate        func(second int) float64 // messages a second, of all queues
	speed       func(second int) float64 // of a worker, 1 as usual; nil: always
	dies        int                      // at this second one worker does, if more than 0

	calm    int // from this second on, the oldest message waits no longer than the target
	changes int // of the number of workers, at most
	peak    int // the most workers that must have run
	last    int // and how many run at the end
}

func between(second, from, to int) bool { return second >= from && second < to }

func scenarios() []scenario {
	return []scenario{
		{name: "steady", title: "Steady load: 150 messages a second", seconds: 600,
			rate: func(int) float64 { return 150 }, calm: 12, changes: 2, peak: 3, last: 3},
		{name: "bursts", title: "Bursts of twenty times the load", seconds: 900,
			rate: func(s int) float64 {
				if between(s, 120, 150) || between(s, 420, 450) || between(s, 465, 480) {
					return 300
				}
				return 15
			}, calm: 126, changes: 9, peak: 4, last: 1},
		{name: "slow-store", title: "A slow store: workers do a tenth from 120 s to 240 s", seconds: 900,
			rate:  func(int) float64 { return 80 },
			speed: func(s int) float64 { return map[bool]float64{true: 0.1, false: 1}[between(s, 120, 240)] },
			calm:  275, changes: 4, peak: 4, last: 2},
		{name: "death", title: "A worker dies at 200 s", seconds: 600,
			rate: func(int) float64 { return 100 }, dies: 200, calm: 235, changes: 5, peak: 2, last: 2},
		{name: "day", title: "A day, an hour a minute", seconds: 1440,
			rate: func(s int) float64 { return 125 - 115*math.Cos(2*math.Pi*float64(s)/1440) }, calm: 0, changes: 8, peak: 4, last: 1},
	}
}

// simulated is the machine's state.
type simulated struct {
	scenario
	rng     *rand.Rand
	waiting [simQueues][]parcel // by queue, oldest first
	holder  [simQueues]int      // of the worker, by place
	idle    [simQueues]float64  // seconds for which the queue is not drained
	running int
}

// parcel is messages that came in one second.
type parcel struct {
	came  int
	count float64
}

// resize moves queues so that n workers share them.
func (m *simulated) resize(n int) {
	if n == m.running {
		return
	}
	for q := range m.holder {
		if to := q % n; to != m.holder[q] {
			m.holder[q] = to
			m.idle[q] = max(m.idle[q], 0.5)
		}
	}
	m.running = n
}

func (m *simulated) die(second int) {
	for q := range m.holder {
		if m.holder[q] == 0 {
			m.idle[q] = simLease
			again := parcel{second - simFlush, simFlush * m.rate(second) / simQueues}
			m.waiting[q] = append([]parcel{again}, m.waiting[q]...)
		}
	}
}

// step lets a second pass, and observes it.
func (m *simulated) step(second int) Observation {
	speed := 1.0
	if m.speed != nil {
		speed = m.speed(second)
	}
	o := Observation{At: epoch.Add(time.Duration(second) * time.Second), Queues: make([]Queue, simQueues), Running: m.running}
	left := make([]float64, m.running) // of each worker's second
	for i := range left {
		left[i] = 1
	}
	for q := range o.Queues {
		came := math.Round(m.rate(second) / simQueues * (0.9 + 0.2*m.rng.Float64()))
		m.waiting[q] = append(m.waiting[q], parcel{second, came})
		o.Queues[q].Arrivals = came
	}
	for turn := range simQueues { // each worker begins with another queue every second
		q := (second + turn) % simQueues
		worker := &left[m.holder[q]]
		may := min(*worker, 1-min(m.idle[q], 1)) * simCapacity * speed
		m.idle[q] = max(m.idle[q]-1, 0)
		done := 0.0
		for len(m.waiting[q]) > 0 && done < may {
			n := min(m.waiting[q][0].count, may-done)
			done += n
			if m.waiting[q][0].count -= n; m.waiting[q][0].count < 1e-9 {
				m.waiting[q] = m.waiting[q][1:]
			}
		}
		*worker -= done / (simCapacity * speed)
		o.Busy += done / (simCapacity * speed)
		o.Queues[q].Drained = done
	}
	for q := range o.Queues {
		for _, p := range m.waiting[q] {
			o.Queues[q].Backlog += uint64(math.Ceil(p.count))
		}
		if len(m.waiting[q]) > 0 {
			o.Queues[q].Oldest = time.Duration(second-m.waiting[q][0].came) * time.Second
		}
	}
	return o
}

// run drives the policy through a scenario.
func (s scenario) run(seed uint64) []moment {
	m := &simulated{scenario: s, rng: rand.New(rand.NewPCG(seed, 9)), running: 1}
	p := New(Default())
	var out []moment
	for second := range s.seconds {
		o := m.step(second)
		if s.dies > 0 && second == s.dies {
			m.die(second)
			o.Running--
		}
		d := p.Decide(o)
		at := moment{desired: d.Desired, running: o.Running}
		for _, q := range o.Queues {
			at.arrivals += q.Arrivals
			at.backlog += float64(q.Backlog)
			at.oldest = max(at.oldest, q.Oldest.Seconds())
		}
		out = append(out, at)
		m.resize(d.Desired)
	}
	return out
}

// TestThePolicyUnderLoad asserts of each scenario, over many seeds, when the
// latency is back under its target and how often the size changes; the first
// seed's curves are drawn.
func TestThePolicyUnderLoad(t *testing.T) {
	target := Default().TargetLatency.Seconds()
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			for seed := range uint64(50) {
				got := s.run(seed)
				changes, peak, late := 0, 0, 0
				for i, m := range got {
					peak = max(peak, m.running)
					if i > 0 && m.desired != got[i-1].desired {
						changes++
					}
					if m.oldest > target {
						late = i + 1
					}
				}
				last := got[len(got)-1].running
				if changes > s.changes || peak < s.peak || last != s.last || late > s.calm {
					t.Fatalf("seed %d: %d changes (at most %d), %d workers at most (want %d), %d at the end (want %d), calm from second %d (want %d)",
						seed, changes, s.changes, peak, s.peak, last, s.last, late, s.calm)
				}
			}
			compare(t, "autoscale-"+s.name+".svg", picture(s, s.run(0)))
		})
	}
}

// compare holds a picture against the one in the documents.
func compare(t *testing.T, name string, picture []byte) {
	t.Helper()
	file := filepath.Join("..", "..", "..", "docs", "pictures", name)
	if *update {
		if err := os.WriteFile(file, picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if old, err := os.ReadFile(file); err != nil || !slices.Equal(old, picture) {
		t.Errorf("docs/pictures/%s is not what the policy does now (%v): run go test ./internal/worker/autoscale -update, and look at it", name, err)
	}
}
