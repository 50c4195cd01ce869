package merge

import (
	"context"
	"strings"
	"testing"
	"time"

	"weir/internal/block"
	"weir/internal/sample"
	"weir/internal/settle"
)

func TestValidateNamesTheKey(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	for key, spoil := range map[string]func(*Config){
		"merge.every":   func(c *Config) { c.Every = time.Nanosecond },
		"merge.fan_in":  func(c *Config) { c.FanIn = 1 },
		"merge.settle":  func(c *Config) { c.Settle = -1 },
		"merge.grace":   func(c *Config) { c.Grace = -1 },
		"merge.samples": func(c *Config) { c.Samples = 0 },
		"merge.memory":  func(c *Config) { c.Memory = 1 },
	} {
		c := Default()
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), key+":") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestRunWorksUntilItIsStopped ends a run in the middle of its first pass.
func TestRunWorksUntilItIsStopped(t *testing.T) {
	r := newRig(t, 8, 1, 4)
	for range 4 {
		r.flush(0, 3)
	}
	for _, every := range []time.Duration{0, time.Hour} {
		ctx, cancel := context.WithCancel(t.Context())
		if every == 0 {
			cancel() // a merger that is turned off only waits
		}
		m := New(Options{Config: Config{Every: every, FanIn: 2, Samples: 40, Memory: 1 << 20}, Tables: r.store, Book: r.book, Now: func() time.Time {
			cancel()
			return r.clock
		}})
		if err := m.Run(ctx); err != nil {
			t.Error(err)
		}
		cancel()
	}
	r.check(8)
}

// TestHalvesHoldTheWhole cuts batches as items that are too large are.
func TestHalvesHoldTheWhole(t *testing.T) {
	for runs := 1; runs <= 3; runs++ {
		b := &block.Batch{Versions: []uint64{}, Positions: []uint64{}}
		for run := range runs {
			for i := range 5 {
				b.AddSample(sample.Sample{Time: int64(i), Value: sample.StringValue("a")})
				b.Versions, b.Positions = append(b.Versions, 1), append(b.Positions, 2)
			}
			b.EndRun(sample.Handle(run), sample.String)
		}
		samples := 0
		for _, half := range settle.Halves(b) {
			if err := half.Validate(); err != nil || half.Samples() == b.Samples() {
				t.Errorf("%d runs: a half of %d samples, %v", runs, half.Samples(), err)
			}
			samples += half.Samples()
		}
		if samples != b.Samples() {
			t.Errorf("%d runs: the halves have %d samples of %d", runs, samples, b.Samples())
		}
	}
}
