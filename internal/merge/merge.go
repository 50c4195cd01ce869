// Package merge owns what happens to a volume in the background: short runs of
// many flushes are brought together into long ones, what was replaced is
// removed once nobody reads it, and so are the orphans of crashes.
//
// It believes and changes only what journals say: items are written first and
// named by one merge entry after, so it can be killed between any two
// statements, or run twice at once (laws 2 and 4). What it cannot read it
// reports and leaves as it is.
//
// It works on the store through journal, and imports no driver and no service.
package merge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"weir/internal/journal"
	"weir/internal/sample"
	"weir/internal/store"
)

// Config is when items are merged and removed, and what that may cost.
type Config struct {
	Every   time.Duration `yaml:"every" doc:"how often the volumes are looked at; 0: nothing is merged or removed"`
	FanIn   int           `yaml:"fan_in" doc:"how many items of about one size are merged at once; a sample is rewritten about once for each power of it"`
	Settle  time.Duration `yaml:"settle" doc:"how long nothing must have come for a span of time until its items are merged to the end"`
	Grace   time.Duration `yaml:"grace" doc:"how long replaced items stay for readers that began before"`
	Samples int           `yaml:"samples" doc:"how many samples an item of merged runs should have: more make reading one series dearer"`
	Memory  int           `yaml:"memory" doc:"bytes of items, packed, that a merge reads at most"`
}

// Default gives the embedded profile's values.
func Default() Config {
	return Config{
		Every: 5 * time.Second, FanIn: 8, Settle: 30 * time.Second, Grace: time.Minute,
		Samples: 64 << 10, Memory: 32 << 20,
	}
}

// Validate names the first value that cannot work.
func (c Config) Validate() error {
	for _, v := range []struct {
		name string
		ok   bool
		want string
	}{
		{"every", c.Every == 0 || c.Every >= 10*time.Millisecond, "0, or at least 10ms"},
		{"fan_in", c.FanIn >= 2 && c.FanIn <= 64, "2 to 64"},
		{"settle", c.Settle >= 0, "at least 0"},
		{"grace", c.Grace >= 0, "at least 0"},
		{"samples", c.Samples >= 1 && c.Samples <= 1<<20, "1 to 1048576"},
		{"memory", c.Memory >= store.MaxItem, fmt.Sprintf("at least %d", store.MaxItem)},
	} {
		if !v.ok {
			return fmt.Errorf("merge.%s: want %s", v.name, v.want)
		}
	}
	return nil
}

// Options is what a Merger works with. Nothing may be nil but Logger.
type Options struct {
	Config Config
	Tables store.Tables
	Book   *journal.Book
	Now    func() time.Time
	Logger *slog.Logger
}

// Counts is what a Merger has done since it was made.
type Counts struct {
	Merges, Void       uint64 // merges that count, and those that came too late
	Items, Samples     uint64 // that were rewritten
	ReadBytes, Written uint64 // of items
	Swept, Orphans     uint64 // items that were removed
	Unreadable         uint64 // items that could not be read, and were left alone
}

// Merger merges and sweeps. Several may work on one store at once; all is
// done by journals. Its methods are for one goroutine, but Counts.
type Merger struct {
	config Config
	tables store.Tables
	book   *journal.Book
	now    func() time.Time
	logger *slog.Logger

	changed map[spanID]change          // when spans last changed
	marks   map[sample.Week][]mark     // positions that were reached, oldest first
	epochs  map[store.JournalID]uint64 // as of the last look for orphans
	left    map[store.ItemKey]struct{} // items that cannot be read

	mu     sync.Mutex
	counts Counts
}

// New makes a merger; Run starts it.
func New(o Options) *Merger {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Merger{
		config: o.Config, tables: o.Tables, book: o.Book, now: o.Now, logger: o.Logger,
		changed: map[spanID]change{}, marks: map[sample.Week][]mark{},
		epochs: map[store.JournalID]uint64{}, left: map[store.ItemKey]struct{}{},
	}
}

// Counts gives what was done.
func (m *Merger) Counts() Counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts
}

func (m *Merger) count(add func(*Counts)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	add(&m.counts)
}

// Run looks at the volumes again and again until ctx ends.
func (m *Merger) Run(ctx context.Context) error {
	if m.config.Every == 0 {
		<-ctx.Done()
		return nil
	}
	if err := m.finishDrops(ctx); err != nil && ctx.Err() == nil {
		m.logger.Warn("dropped volumes are not all removed; the next start tries again", "error", err)
	}
	tick := time.NewTicker(m.config.Every)
	defer tick.Stop()
	for {
		if err := m.Pass(ctx); err != nil && ctx.Err() == nil {
			m.logger.Warn("merging met an error; trying again", "in", m.config.Every, "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Pass looks at every volume once: merges what is to be merged, and removes
// what may be removed. What fails in one journal does not keep it from the
// others.
func (m *Merger) Pass(ctx context.Context) error {
	weeks, err := m.book.Weeks(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, week := range weeks {
		if err := m.passWeek(ctx, week); err != nil {
			failed = append(failed, fmt.Errorf("week %s: %w", week, err))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return errors.Join(failed...)
}

func (m *Merger) passWeek(ctx context.Context, week sample.Week) error {
	record, ok, err := m.book.Week(ctx, week)
	if err != nil || !ok {
		return err
	}
	var failed []error
	for partition := range record.Partitions {
		id := store.JournalID{Week: week, Partition: partition}
		for _, j := range m.plan(id) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := m.merge(ctx, id, j); err != nil {
				failed = append(failed, err)
			}
		}
	}
	failed = append(failed, m.sweep(ctx, week, record.Partitions))
	return errors.Join(failed...)
}
