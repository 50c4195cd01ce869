// Package autoscale decides how many workers drain the queues. It is a pure
// policy: it has no goroutine and no clock, so that what runs the workers of a
// process is what its simulation shows, and what can be rendered for the
// scaling of machines.
//
// It follows target tracking on the backlog per instance (AWS, "Scaling based
// on Amazon SQS": acceptable backlog per instance = acceptable latency / time
// to process a message), with the arrivals added, so that a backlog of zero
// does not make fewer workers of those that keep it at zero:
//
//	C       = messages taken / time used          messages a second, of one worker
//	load(q) = min(1, (arrivals(q) + backlog(q) / L) / (C * U))    workers
//	need    = sum of load(q)                      workers
//	desired = ceil(need), within the bounds
//
// L is the target latency in seconds, U the share of a worker's time that is
// planned for. A queue counts for one worker at most, since one drains it at a
// time. Where the oldest message waits longer than L all the same, one worker
// more than now is needed.
//
// Workers become more at once, but not within the cool-down; they become fewer
// when the greatest need of the whole shrink cool-down, and a margin, would
// have been met by fewer. It imports nothing of ours.
package autoscale

import (
	"fmt"
	"math"
	"time"
)

// Queue is what is seen of one queue.
type Queue struct {
	Backlog  uint64        // messages that no worker has taken
	Bytes    uint64        // of those, as stored
	Oldest   time.Duration // how long the oldest of them has waited, at least
	Arrivals float64       // messages a second since the last observation
	Drained  float64       // messages a second that workers took since then
}

// Observation is what is seen of all queues at one time.
type Observation struct {
	At      time.Time
	Queues  []Queue
	Running int     // workers that are alive
	Busy    float64 // how much of their time they used since the last observation: 0 to Running
}

// Decision is how many workers should run, and why.
type Decision struct {
	Desired    int
	Need       float64 // workers, before rounding and bounds
	Capacity   float64 // messages a second that one worker takes when it does nothing else; 0: not known yet
	Acceptable float64 // backlog per worker that is worked off within the target latency, in messages
	Verdict    Verdict
	Reason     string // the verdict with its figures, for people
	Warnings   []string
}

// Verdict is what a decision came to.
type Verdict string

// The verdicts there are.
const (
	Steady    Verdict = "steady"     // as many as are needed
	Grown     Verdict = "grown"      // more than before: the need is greater
	GrownLate Verdict = "grown late" // more than before: the oldest message waits for too long
	Cooling   Verdict = "cooling"    // more are needed, but the last change is too recent
	Waiting   Verdict = "waiting"    // fewer would do, if that lasts
	Shrunk    Verdict = "shrunk"     // fewer than before
)

// Policy is the policy's memory. It is not safe for concurrent use.
type Policy struct {
	config Config

	current  int // the last decision; 0 before the first
	changed  time.Time
	last     time.Time
	capacity float64
	measured bool
	arrivals []float64 // by queue, averaged
	needs    []pastNeed
}

type pastNeed struct {
	at   time.Time
	need float64
}

// New makes a policy that has seen nothing. The config must be valid.
func New(c Config) *Policy { return &Policy{config: c} }

// idle is the least use of a worker's time from which its capacity is told.
const idle = 0.02

// Decide takes the next observation; their times must not go back.
func (p *Policy) Decide(o Observation) Decision {
	least, most := p.config.bounds(len(o.Queues))
	if p.current == 0 {
		p.current, p.changed, p.last = least, o.At.Add(-p.config.GrowCooldown), o.At
	}
	p.current = min(max(p.current, least), most)
	p.learn(o)
	need, late := p.need(o)
	highest := p.remember(o.At, need)
	d := Decision{
		Need: need, Capacity: p.capacity, Acceptable: p.capacity * p.config.TargetLatency.Seconds(),
		Warnings: p.warnings(o, need, most),
	}
	want := min(max(whole(need), least), most)
	fewer := min(max(whole(highest*(1+float64(p.config.Hysteresis)/100)), least), most)
	switch since := o.At.Sub(p.changed); {
	case want > p.current && since < p.config.GrowCooldown:
		d.Verdict, d.Reason = Cooling, fmt.Sprintf("%d needed; cooling down after the last change", want)
	case want > p.current:
		d.Verdict, d.Reason = Grown, fmt.Sprintf("need of %.2f workers", need)
		if late > 0 {
			d.Verdict, d.Reason = GrownLate, fmt.Sprintf("the oldest message waits %s, target %s", late.Round(10*time.Millisecond), p.config.TargetLatency)
		}
		p.current, p.changed = want, o.At
	case fewer < p.current && since >= p.config.ShrinkCooldown:
		d.Verdict, d.Reason = Shrunk, fmt.Sprintf("need of at most %.2f workers for %s", highest, p.config.ShrinkCooldown)
		p.current, p.changed = fewer, o.At
	case fewer < p.current:
		d.Verdict, d.Reason = Waiting, fmt.Sprintf("%d would do; waiting whether that lasts", fewer)
	default:
		d.Verdict, d.Reason = Steady, "as many as are needed"
	}
	d.Desired = p.current
	return d
}

// learn averages rates and what a worker does, over about the config's window.
func (p *Policy) learn(o Observation) {
	elapsed := max(o.At.Sub(p.last), 0).Seconds()
	p.last = o.At
	weight := 1 - math.Exp(-elapsed/p.config.Window.Seconds())
	if len(p.arrivals) != len(o.Queues) {
		p.arrivals, weight = make([]float64, len(o.Queues)), 1
	}
	drained := 0.0
	for i, q := range o.Queues {
		p.arrivals[i] += weight * (q.Arrivals - p.arrivals[i])
		drained += q.Drained
	}
	if o.Busy < idle {
		return // too little was done to tell
	}
	if !p.measured {
		weight, p.measured = 1, true
	}
	p.capacity += weight * (drained/o.Busy - p.capacity)
}

// need gives how many workers the queues are worth, and how long the oldest
// message waits where that is too long for those that there are.
func (p *Policy) need(o Observation) (need float64, late time.Duration) {
	latency := p.config.TargetLatency
	var oldest time.Duration
	for i, q := range o.Queues {
		oldest = max(oldest, q.Oldest)
		rate := p.arrivals[i] + float64(q.Backlog)/latency.Seconds()
		if !p.measured || rate <= 0 {
			continue
		}
		planned := p.capacity * float64(p.config.Utilization) / 100
		if rate >= planned {
			need++
		} else {
			need += rate / planned
		}
	}
	if oldest > latency && whole(need) <= p.current+1 {
		return float64(p.current + 1), oldest
	}
	return need, 0
}

// remember keeps the need for as long as it holds back a shrinking, and gives
// the greatest that is kept.
func (p *Policy) remember(at time.Time, need float64) (highest float64) {
	kept := p.needs[:0]
	for _, n := range p.needs {
		if at.Sub(n.at) <= p.config.ShrinkCooldown {
			kept = append(kept, n)
		}
	}
	p.needs = append(kept, pastNeed{at, need})
	for _, n := range p.needs {
		highest = max(highest, n.need)
	}
	return highest
}

// warnings tells what more workers will not mend.
func (p *Policy) warnings(o Observation, need float64, most int) []string {
	var out []string
	for i := range o.Queues {
		if p.measured && p.arrivals[i] > p.capacity/2 {
			out = append(out, fmt.Sprintf("queue %d brings more than half of what a worker does; plan more partitions", i))
		}
	}
	if whole(need) > most {
		out = append(out, fmt.Sprintf("more than the %d workers that may run are needed", most))
	}
	return out
}

// whole rounds up, but for what is only the noise of floating point.
func whole(need float64) int { return int(math.Ceil(need - 1e-9)) }
