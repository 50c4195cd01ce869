package autoscale

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

// draw makes a random observation a while after the one before.
func draw(rng *rand.Rand, at time.Time, queues, running int) Observation {
	o := Observation{At: at, Queues: make([]Queue, queues), Running: running, Busy: rng.Float64() * float64(running)}
	for i := range o.Queues {
		q := &o.Queues[i]
		q.Arrivals, q.Drained = rng.Float64()*200, rng.Float64()*200
		if rng.IntN(3) == 0 {
			q.Backlog = uint64(rng.IntN(3000))
			q.Oldest = time.Duration(rng.IntN(5000)) * time.Millisecond
		}
	}
	return o
}

func drawConfig(rng *rand.Rand) Config {
	c := Default()
	c.MinWorkers = 1 + rng.IntN(3)
	if rng.IntN(2) == 0 {
		c.MaxWorkers = c.MinWorkers + rng.IntN(4)
	}
	c.Utilization, c.Hysteresis = 30+rng.IntN(70), rng.IntN(50)
	c.GrowCooldown = time.Duration(rng.IntN(20)) * time.Second
	c.ShrinkCooldown = c.GrowCooldown + time.Duration(rng.IntN(60))*time.Second
	return c
}

// TestBoundsAndCooldownsAlwaysHold, whatever is observed.
func TestBoundsAndCooldownsAlwaysHold(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		c := drawConfig(rng)
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		p, queues := New(c), 1+rng.IntN(6)
		least, most := c.bounds(queues)
		now, last, changed := epoch, 0, time.Time{}
		for range 200 {
			now = now.Add(time.Duration(rng.IntN(4000)) * time.Millisecond)
			d := p.Decide(draw(rng, now, queues, max(last, 1)))
			if d.Desired < least || d.Desired > most || most > queues {
				t.Fatalf("seed %d: %d workers for %d queues, bounds %d to %d", seed, d.Desired, queues, least, most)
			}
			if last > 0 && d.Desired != last {
				if since := now.Sub(changed); !changed.IsZero() && (d.Desired > last && since < c.GrowCooldown || d.Desired < last && since < c.ShrinkCooldown) {
					t.Fatalf("seed %d: from %d to %d workers %s after the last change", seed, last, d.Desired, since)
				}
				if want := map[bool]string{true: "grown", false: "shrunk"}[d.Desired > last]; !strings.HasPrefix(string(d.Verdict), want) {
					t.Fatalf("seed %d: from %d to %d workers is called %s", seed, last, d.Desired, d.Verdict)
				}
				changed = now
			}
			last = d.Desired
		}
	}
}

// TestMoreBacklogNeverWantsFewer: of two policies of one past, the one that
// sees more waiting, and for longer, does not want fewer workers.
func TestMoreBacklogNeverWantsFewer(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 2))
		c, queues := drawConfig(rng), 1+rng.IntN(6)
		one, two := New(c), New(c)
		now := epoch
		for range 1 + rng.IntN(60) {
			now = now.Add(time.Duration(rng.IntN(4000)) * time.Millisecond)
			o := draw(rng, now, queues, 2)
			one.Decide(o)
			two.Decide(o)
		}
		less := draw(rng, now.Add(time.Minute), queues, 2)
		more := less
		more.Queues = append([]Queue(nil), less.Queues...)
		for i := range more.Queues {
			more.Queues[i].Backlog += uint64(rng.IntN(1000))
			more.Queues[i].Oldest += time.Duration(rng.IntN(3000)) * time.Millisecond
		}
		a, b := one.Decide(less), two.Decide(more)
		if b.Desired < a.Desired || b.Need < a.Need {
			t.Fatalf("seed %d: more backlog wants %d instead of %d workers, need %.2f instead of %.2f", seed, b.Desired, a.Desired, b.Need, a.Need)
		}
	}
}

// steady observes a constant load that n workers keep up with.
func steady(at time.Time, queues int, each, capacity float64, running int) Observation {
	o := Observation{At: at, Queues: make([]Queue, queues), Running: running, Busy: min(each*float64(queues)/capacity, float64(running))}
	for i := range o.Queues {
		o.Queues[i].Arrivals, o.Queues[i].Drained = each, each
	}
	return o
}

// TestAConstantLoadSettles at once, and stays: also where its figures tremble
// by less than the hysteresis around what decides between two sizes.
func TestAConstantLoadSettles(t *testing.T) {
	for _, load := range []float64{0, 10, 69, 70, 71, 139, 140, 141, 500} {
		rng := rand.New(rand.NewPCG(uint64(load), 3))
		p, last, changes := New(Default()), 0, 0
		for second := range 3600 {
			trembling := load * (1 + (rng.Float64()-0.5)*0.15)
			d := p.Decide(steady(epoch.Add(time.Duration(second)*time.Second), 4, trembling/4, 100, max(last, 1)))
			if d.Desired != last && last != 0 {
				changes++
			}
			last = d.Desired
		}
		want := map[float64]int{0: 1, 10: 1, 69: 2, 70: 2, 71: 2, 139: 3, 140: 3, 141: 3, 500: 4}[load]
		if load == 69 || load == 139 { // what trembles over the line, or does not
			want = last
		}
		if last != want || changes > 3 {
			t.Errorf("a load of %v: %d workers after an hour and %d changes; want %d", load, last, changes, want)
		}
	}
}

// TestIdleWorkersGo, down to the least there may be, within the cool-down.
func TestIdleWorkersGo(t *testing.T) {
	c := Default()
	c.MinWorkers = 2
	p := New(c)
	last := Decision{}
	for second := range 200 {
		each := 200.0
		if second > 60 {
			each = 0
		}
		last = p.Decide(steady(epoch.Add(time.Duration(second)*time.Second), 4, each, 100, 4))
		if second == 60 && last.Desired != 4 {
			t.Errorf("%d workers under a load of eight", last.Desired)
		}
	}
	if last.Desired != 2 || last.Verdict != Steady {
		t.Errorf("%+v after two idle minutes", last)
	}
}

// TestWhatMoreWorkersDoNotMend is told.
func TestWhatMoreWorkersDoNotMend(t *testing.T) {
	c := Default()
	c.MaxWorkers = 2
	p := New(c)
	p.Decide(steady(epoch, 4, 90, 100, 4))
	d := p.Decide(steady(epoch.Add(time.Minute), 4, 90, 100, 4))
	text := strings.Join(d.Warnings, "\n")
	if strings.Count(text, "plan more partitions") != 4 || !strings.Contains(text, "more than the 2 workers") {
		t.Errorf("%q", d.Warnings)
	}
	if d = p.Decide(steady(epoch.Add(5*time.Minute), 4, 10, 100, 2)); len(d.Warnings) > 0 {
		t.Errorf("%q under a low load", d.Warnings)
	}
}

// TestLateMessagesBringAWorker where nothing else is known.
func TestLateMessagesBringAWorker(t *testing.T) {
	p := New(Default())
	o := Observation{At: epoch, Queues: []Queue{{Backlog: 9, Oldest: 3 * time.Second}, {}}}
	if d := p.Decide(o); d.Desired != 2 || d.Verdict != GrownLate || !strings.Contains(d.Reason, "3s") {
		t.Errorf("%+v", d)
	}
}

func TestConfigNamesWhatCannotWork(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Config){
		"min_workers": func(c *Config) { c.MinWorkers = 0 }, "max_workers": func(c *Config) { c.MinWorkers, c.MaxWorkers = 3, 2 },
		"target_latency": func(c *Config) { c.TargetLatency = 0 }, "utilization": func(c *Config) { c.Utilization = 101 },
		"hysteresis": func(c *Config) { c.Hysteresis = -1 }, "grow_cooldown": func(c *Config) { c.GrowCooldown = -1 },
		"shrink_cooldown": func(c *Config) { c.ShrinkCooldown = 0 }, "window": func(c *Config) { c.Window = 0 },
		"every": func(c *Config) { c.Every = 0 },
	} {
		c := Default()
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "workers."+name+":") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
