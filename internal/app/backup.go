package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"weir/internal/archive"
	"weir/internal/backup"
	"weir/internal/journal"
	"weir/internal/ledger"
	"weir/internal/store/pebble/checkpoint"
	"weir/internal/warehouse"
)

// openLender makes what lends copies of this instance for backups. The order of
// the parts is the contract's.
func (a *App) openLender() (err error) {
	of := func(part any) backup.Copier {
		c, _ := part.(backup.Copier)
		return c
	}
	always, never := func(string) bool { return true }, func(string) bool { return false }
	a.lender, err = backup.NewLender(backup.LenderOptions{
		Data: a.config.Data, Version: a.version, Now: time.Now,
		Logger: a.logger.With("role", "backup"), Free: backup.Free,
		Parts: []backup.Part{
			{Folder: "warehouse", Copier: of(a.warehouse), Fixed: never, Doubled: true},
			{Folder: "buffer", Copier: of(a.queues), Fixed: never, Doubled: true},
			{Folder: "archive", Copier: of(a.objects), Fixed: always},
			{Folder: "results", Copier: of(a.results), Fixed: always},
			{Folder: "exports", Copier: of(a.exports), Fixed: always},
			{Folder: "erasures", Copier: of(a.erasures.Records()), Fixed: never},
			{Folder: "store", Copier: of(a.store), Fixed: checkpoint.Fixed},
		},
	})
	return err
}

// trialTime bounds how long a restored instance may take to settle.
const trialTime = 5 * time.Minute

// TryRestored opens a restored data folder as an instance would, has the workers
// commit what its queues hold, and reads all: journals, items, archives, the
// warehouse and the ledger. The folder is changed by that as an instance changes
// it. It gives what is wrong as the report's problems.
func TryRestored(ctx context.Context, dir, version string) (Report, error) {
	config := Default()
	config.Data = dir
	a, err := Inspect(ctx, config, version, slog.New(slog.DiscardHandler))
	if err != nil {
		return Report{}, err
	}
	r, err := a.try(ctx)
	return r, errors.Join(err, a.Close())
}

func (a *App) try(ctx context.Context) (Report, error) {
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- a.workers.Run(working) }()
	problems, err := a.tryRunning(ctx)
	stop()
	if err = errors.Join(err, <-ended); err != nil {
		return Report{}, err
	}
	r, err := Check(ctx, a)
	r.Problems = append(r.Problems, problems...)
	return r, err
}

// tryRunning looks at what needs workers.
func (a *App) tryRunning(ctx context.Context) (problems []string, err error) {
	settling, cancel := context.WithTimeout(ctx, trialTime)
	defer cancel()
	if err := a.allTaken(settling); err != nil {
		problems = append(problems, fmt.Sprintf("queues: %v", err))
	}
	l, err := ledger.Draw(ctx, &accounts{a.heads(), a.book, a.queues, a.queues}, 0, ledger.Everything)
	if err != nil {
		return nil, err
	}
	if !l.Balanced() || l.Unproven > 0 {
		problems = append(problems, fmt.Sprintf("ledger: %+v, of them %d unproven", l.Counts, l.Unproven))
	}
	weeks, err := a.book.Weeks(ctx)
	if err != nil {
		return nil, err
	}
	for _, week := range weeks {
		volumes, err := a.book.Volumes(ctx, week)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(volumes, func(v journal.VolumeRecord) bool { return v.Archive != nil }) {
			continue
		}
		// A revision that is newer than the archived ones may have none yet.
		err = a.archiver.Verify(ctx, week, func(archive.Progress) {})
		if err != nil && !errors.Is(err, journal.ErrNoArchive) {
			problems = append(problems, fmt.Sprintf("archive of %s: %v", week, err))
		}
	}
	// No statement or load may have made one yet.
	if entries, _ := os.ReadDir(filepath.Join(a.config.Data, "warehouse")); len(entries) > 0 {
		if err := warehouse.ReadAll(ctx, a.warehouse, warehouse.Limits{Rows: a.config.Warehouse.Rows, Timeout: trialTime}); err != nil {
			problems = append(problems, err.Error())
		}
	}
	return problems, ctx.Err()
}
