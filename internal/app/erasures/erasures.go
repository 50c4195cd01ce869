// Package erasures puts together what erases, and serves it: it knows which places the
// embedded profile has. It is a part of the composition, and may import what that may.
package erasures

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"weir/internal/archive"
	"weir/internal/buffer"
	"weir/internal/catalog"
	"weir/internal/erase"
	"weir/internal/journal"
	"weir/internal/objects"
	"weir/internal/objects/folder"
	"weir/internal/pipeline"
	"weir/internal/result"
	"weir/internal/sample"
	"weir/internal/store"
	"weir/internal/warehouse"
)

// wait is how long an erasure waits for who holds what is to go: longer than a
// pin of an archive that its holder left.
const wait = 2*time.Minute + 30*time.Second

// Heads is what workers have not committed yet.
type Heads interface {
	CatchUp(ctx context.Context) error
	Commit(ctx context.Context, week sample.Week) error
}

// Queues is the buffer.
type Queues interface {
	buffer.Buffer
	buffer.DeadLetters
}

// Options is what erasures work with. Nothing may be nil.
type Options struct {
	Data             string // the data folder
	Book             *journal.Book
	Tables           store.Tables
	Queues           Queues
	Heads            Heads
	AllTaken         func(context.Context) error // waits until the heads hold all that queues do
	Catalog          *catalog.Catalog
	Archiver         *archive.Archiver
	Results, Exports objects.Objects
	Pipelines        *pipeline.Scheduler
	Warehouse        warehouse.Warehouse
	Random           func() uint64
	Logger           *slog.Logger
}

// Erasures serves erasures. Safe for concurrent use.
type Erasures struct {
	Options
	eraser  *erase.Eraser
	records objects.Objects
	letters *erase.Letters
	exports *erase.Exports
}

var _ erase.Runs = (*Erasures)(nil)

// New puts together what erases.
func New(o Options) (*Erasures, error) {
	records, err := folder.New(filepath.Join(o.Data, "erasures"))
	if err != nil {
		return nil, err
	}
	pause := func(ctx context.Context, d time.Duration) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	e := &Erasures{
		Options: o, records: records, letters: &erase.Letters{Queues: o.Queues.Queues(), Dead: o.Queues, Book: o.Book}, exports: &erase.Exports{Objects: o.Exports},
	}
	e.eraser = erase.New(erase.Options{
		Sources: []erase.Place{
			e.letters, &erase.Volumes{Book: o.Book, Tables: o.Tables, Now: time.Now, Pause: pause},
			&erase.Archives{Book: o.Book, Archiver: o.Archiver}, &erase.Quarantine{Tables: o.Tables},
		},
		Derived: []erase.Place{
			&erase.Results{Objects: o.Results, Runs: e, Attempt: func() string { return fmt.Sprintf("%016x", o.Random()) }},
			e.exports, &erase.Warehouse{Warehouse: o.Warehouse},
		},
		Records: records, Now: time.Now, Random: o.Random, Pause: pause,
		Commit: e.commit, Reading: e.reading, Notes: e.notes, Wait: wait,
	})
	return e, nil
}

// Records is where the records of erasures are kept.
func (e *Erasures) Records() objects.Objects { return e.records }

// commitTime bounds how long it waits for what was acknowledged before.
const commitTime = time.Minute

// commit commits all that was accepted before, of every week.
func (e *Erasures) commit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, commitTime)
	defer cancel()
	if err := e.Heads.CatchUp(ctx); err != nil {
		return err
	}
	if err := e.AllTaken(ctx); err != nil {
		return fmt.Errorf("see weir queue: %w", err)
	}
	weeks, err := e.Book.Weeks(ctx)
	if err != nil {
		return err
	}
	for _, week := range weeks {
		if err := e.Heads.Commit(ctx, week); err != nil {
			return err
		}
	}
	return nil
}

// allRuns is more than there are.
const allRuns = 1 << 30

func (e *Erasures) reading(ctx context.Context) (names []string, err error) {
	runs, err := e.Pipelines.Status(ctx, pipeline.Filter{Limit: allRuns})
	for i := range runs {
		if runs[i].Reading() {
			names = append(names, runs[i].RunKey.String())
		}
	}
	return names, err
}

// ownStep is a step of a run with what it handed on.
type ownStep struct {
	pipeline.TaskName
	output pipeline.Output
}

// Results gives what steps of all runs have handed on.
func (e *Erasures) Results(ctx context.Context) (all []erase.Handed, err error) {
	runs, err := e.Pipelines.Status(ctx, pipeline.Filter{Limit: allRuns})
	if err != nil {
		return nil, err
	}
	for i := range runs {
		for _, s := range runs[i].Steps {
			var of struct{ Manifest, SHA256 string }
			if len(s.Output) == 0 || json.Unmarshal(s.Output, &of) != nil || of.Manifest == "" {
				continue
			}
			n := pipeline.TaskName{RunKey: runs[i].RunKey, Step: s.Name, Attempt: s.Attempt}
			all = append(all, erase.Handed{Manifest: of.Manifest, SHA256: of.SHA256, Run: ownStep{n, s.Output}})
		}
	}
	return all, nil
}

// Replace makes a step hand on another manifest.
func (e *Erasures) Replace(ctx context.Context, old erase.Handed, manifest, sum string, m *result.Manifest) error {
	of, ok := old.Run.(ownStep)
	if !ok {
		return fmt.Errorf("%s is of no run", old.Manifest)
	}
	next, err := erase.Output(of.output, manifest, sum, m)
	if err != nil {
		return err
	}
	return e.Pipelines.ReplaceOutput(ctx, of.TaskName, of.output, next, "rows of erased series were taken out")
}

// notes tells what an erasure does not reach.
func (e *Erasures) notes(ctx context.Context, t *erase.Target) ([]string, error) {
	notes := []string{
		"the series stay registered: their names are in the journals, and are listed by weir series",
		"bytes of deleted items and settled messages may stay in the files of the store and the queues until these are written anew; nothing reads them",
		"copies outside of this folder are not reached: backups, and exports that were taken away",
	}
	unreadable := 0
	if err := e.letters.Each(ctx, t, func(_ int, _ *buffer.DeadLetter, _ int, err error) {
		if err != nil {
			unreadable++
		}
	}); err != nil {
		return nil, err
	}
	if unreadable > 0 {
		notes = append(notes, fmt.Sprintf("%d dead letters can't be read: whose samples they hold is not known (weir queue dead-letters)", unreadable))
	}
	aside, err := os.ReadDir(filepath.Join(e.Data, "store", "damaged"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for _, table := range aside {
		notes = append(notes, fmt.Sprintf("store/damaged/%s was set aside since it can't be read: it may hold samples; delete it to be sure", table.Name()))
	}
	unknown, err := e.exports.Unknown(ctx, t)
	for _, name := range unknown {
		notes = append(notes, fmt.Sprintf("exports/%s has no columns that say whose its rows are, and was left: look at it yourself", name))
	}
	return notes, err
}

// Samples gives how many of the samples that commits stored erasures have taken
// out since. Which lives' they were nobody knows any more.
func (e *Erasures) Samples(ctx context.Context) (n uint64, err error) {
	for _, j := range e.Book.Journals() {
		volumes, err := e.Book.Volumes(ctx, j.ID().Week)
		if err != nil {
			return 0, err
		}
		for _, v := range volumes {
			switch {
			case !v.Gone():
				j.View(func(s *journal.State) { n += s.Erased(v.Revision) })
			case v.Archive != nil && j.ID().Partition == 0: // the archive's is of all partitions
				n += v.Archive.Erased
			}
		}
	}
	return n, nil
}
