package autoscale

import (
	"fmt"
	"time"
)

// Config is what the policy aims at, and how fast it may change its mind.
type Config struct {
	MinWorkers     int           `yaml:"min_workers" doc:"how many workers run at least"`
	MaxWorkers     int           `yaml:"max_workers" doc:"how many workers run at most, never more than there are queues; 0: one a queue"`
	TargetLatency  time.Duration `yaml:"target_latency" doc:"how long a message may wait in its queue until a worker takes it"`
	Utilization    int           `yaml:"utilization" doc:"percent of a worker's time that is planned for; the rest is for what was not foreseen"`
	Hysteresis     int           `yaml:"hysteresis" doc:"percent by which the load must lie below what fewer workers do before they become fewer"`
	GrowCooldown   time.Duration `yaml:"grow_cooldown" doc:"how long after a change the workers do not become more"`
	ShrinkCooldown time.Duration `yaml:"shrink_cooldown" doc:"how long the load must have been low, and nothing changed, before workers become fewer"`
	Window         time.Duration `yaml:"window" doc:"over how long rates are averaged"`
	Every          time.Duration `yaml:"every" doc:"how often the number of workers is decided"`
}

// Default gives the embedded profile's values.
func Default() Config {
	return Config{
		MinWorkers: 1, TargetLatency: 2 * time.Second, Utilization: 70, Hysteresis: 20,
		GrowCooldown: 3 * time.Second, ShrinkCooldown: time.Minute, Window: 5 * time.Second, Every: time.Second,
	}
}

// Validate names the first value that cannot work.
func (c Config) Validate() error {
	for _, v := range []struct {
		name string
		ok   bool
		want string
	}{
		{"min_workers", c.MinWorkers >= 1, "at least 1"},
		{"max_workers", c.MaxWorkers == 0 || c.MaxWorkers >= c.MinWorkers, "0, or at least min_workers"},
		{"target_latency", c.TargetLatency >= 10*time.Millisecond && c.TargetLatency <= time.Hour, "10ms to 1h"},
		{"utilization", c.Utilization >= 10 && c.Utilization <= 100, "10 to 100"},
		{"hysteresis", c.Hysteresis >= 0 && c.Hysteresis <= 100, "0 to 100"},
		{"grow_cooldown", c.GrowCooldown >= 0, "at least 0"},
		{"shrink_cooldown", c.ShrinkCooldown >= c.GrowCooldown, "at least grow_cooldown"},
		{"window", c.Window > 0, "more than 0"},
		{"every", c.Every >= 10*time.Millisecond, "at least 10ms"},
	} {
		if !v.ok {
			return fmt.Errorf("workers.%s: want %s", v.name, v.want)
		}
	}
	return nil
}

// bounds gives the least and the most workers over that many queues: a queue
// is drained by one worker at a time, so more than one a queue have no work.
func (c Config) bounds(queues int) (least, most int) {
	most = max(queues, 1)
	if c.MaxWorkers > 0 {
		most = min(most, c.MaxWorkers)
	}
	return min(c.MinWorkers, most), most
}
