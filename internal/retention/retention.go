// Package retention removes what nobody needs any more: it ends weeks whose time in
// the archive is over, and has the files swept that no record names or that runs left.
//
// It owns how long things stay, when it is looked, and what was removed. How a volume
// ends without anybody losing what he reads is journal's; which files are needed, say
// those who sweep. It imports journal and sample.
package retention

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"weir/internal/journal"
	"weir/internal/sample"
)

// Config is how long what nobody needs any more stays.
type Config struct {
	Archives Age `yaml:"archives" doc:"how long after its end a dropped week stays in the archive, such as 520w; then it reads as empty. 0: for ever"`
	Results  Age `yaml:"results" doc:"how long after the end of a pipeline's run the results of its analyses stay; what is loaded stays in the warehouse. 0: for ever"`
	Exports  Age `yaml:"exports" doc:"how long after the end of a run the files stay that it exported. 0: for ever"`
	Runs     Age `yaml:"runs" doc:"how long after its end the record of a run stays that has a newer revision, with all that it left. 0: for ever"`
	Every    Age `yaml:"every" doc:"how often it is looked for what is to be removed, leftovers of killed attempts too"`
}

// Default keeps everything, and looks once an hour for leftovers.
func Default() Config { return Config{Every: Age(time.Hour)} }

// Validate names the first value that cannot work.
func (c Config) Validate() error {
	for _, of := range []struct {
		key   string
		age   Age
		least time.Duration
	}{{"archives", c.Archives, week}, {"results", c.Results, time.Hour}, {"exports", c.Exports, time.Hour}, {"runs", c.Runs, time.Hour}} {
		if of.age != 0 && time.Duration(of.age) < of.least {
			return fmt.Errorf("%s is %s: want at least %s, or 0 for ever", of.key, of.age, Age(of.least))
		}
	}
	if time.Duration(c.Every) < time.Second {
		return fmt.Errorf("every is %s: want at least 1s", c.Every)
	}
	return nil
}

// Removed is files, and what they took.
type Removed struct {
	Files int
	Bytes int64
}

func (r *Removed) add(o Removed) {
	r.Files += o.Files
	r.Bytes += o.Bytes
}

// Counts is what was removed.
type Counts struct {
	Ended                     int // volumes
	Runs                      int // records
	Archive, Results, Exports Removed
}

func (c *Counts) add(o Counts) {
	c.Ended += o.Ended
	c.Runs += o.Runs
	c.Archive.add(o.Archive)
	c.Results.add(o.Results)
	c.Exports.add(o.Exports)
}

// Each gives the counts as metrics: their names, what they are, and labels, names and
// values in turn.
func (c Counts) Each(counter func(name, help string, value float64, labels ...string)) {
	counter("weir_retention_ended_volumes_total", "Volumes whose archives' retention ended.", float64(c.Ended))
	counter("weir_retention_runs_total", "Records of runs that were removed.", float64(c.Runs))
	for of, n := range map[string]Removed{"archive": c.Archive, "results": c.Results, "exports": c.Exports} {
		counter("weir_retention_files_total", "Files that were removed, leftovers of killed attempts too.", float64(n.Files), "of", of)
		counter("weir_retention_bytes_total", "Bytes of files that were removed.", float64(n.Bytes), "of", of)
	}
}

// Options is what a Keeper works with. Nothing may be nil.
type Options struct {
	Config Config
	Book   *journal.Book
	// Needed gives the weeks that somebody needs, though nothing may hold their
	// volumes now.
	Needed func(ctx context.Context) (map[sample.Week]bool, error)
	// Sweepers remove files, and may be cut short anywhere. What one can't do keeps
	// no other from its own.
	Sweepers []func(ctx context.Context) (Counts, error)
	Now      func() time.Time
	Logger   *slog.Logger
}

// Keeper removes what is due. It is safe for concurrent use.
type Keeper struct {
	Options

	mu     sync.Mutex
	counts Counts
}

// New makes a keeper. The config must be valid.
func New(o Options) *Keeper { return &Keeper{Options: o} }

// Counts gives what was removed so far.
func (k *Keeper) Counts() Counts {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.counts
}

// Run looks now and then, until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	every := time.NewTicker(time.Duration(k.Config.Every))
	defer every.Stop()
	for {
		if err := k.Look(ctx); err != nil && ctx.Err() == nil {
			k.Logger.Warn("not all that is due was removed; trying again", "in", k.Config.Every.String(), "error", err)
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

// Look removes what is due now.
func (k *Keeper) Look(ctx context.Context) error {
	var now Counts
	var failed []error
	if keep := time.Duration(k.Config.Archives); keep > 0 {
		n, err := k.end(ctx, k.Now().Add(-keep))
		now.Ended, failed = n, append(failed, err)
	}
	for _, sweep := range k.Sweepers {
		swept, err := sweep(ctx)
		now.add(swept)
		failed = append(failed, err)
	}
	if now != (Counts{}) {
		k.Logger.Info("removed", "weeks", now.Ended, "archive", now.Archive.Files, "results", now.Results.Files, "exports", now.Exports.Files,
			"runs", now.Runs, "bytes", now.Archive.Bytes+now.Results.Bytes+now.Exports.Bytes)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.counts.add(now)
	return errors.Join(failed...)
}

// end ends the dropped volumes of weeks that were over at a time, but those that
// somebody holds or needs, and gives how many.
func (k *Keeper) end(ctx context.Context, before time.Time) (ended int, err error) {
	needed, err := k.Needed(ctx)
	if err != nil {
		return 0, err
	}
	weeks, err := k.Book.Weeks(ctx)
	if err != nil {
		return 0, err
	}
	var failed []error
	for _, w := range weeks {
		if w.End() > before.UnixNano() || needed[w] {
			continue
		}
		volumes, err := k.Book.Volumes(ctx, w)
		failed = append(failed, err)
		for _, v := range volumes {
			if v.State != journal.VolumeDropped {
				continue
			}
			switch _, err := k.Book.EndVolume(ctx, journal.VolumeID{Week: w, Revision: v.Revision}, k.Now()); {
			case err == nil:
				k.Logger.Info("a week has ended: its archive is removed", "week", w.String(), "revision", v.Revision)
				ended++
			case !errors.Is(err, journal.ErrPinned) && !errors.Is(err, journal.ErrUndropped):
				failed = append(failed, err)
			}
		}
	}
	return ended, errors.Join(failed...)
}
