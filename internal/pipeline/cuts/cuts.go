// Package cuts takes and holds what runs read: where the journals of their weeks stand,
// once what was acknowledged is committed, and pins on the volumes. It is the pipeline
// package's Cutter. It imports pipeline, compute, feed and the core.
package cuts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/internal/compute"
	"weir/internal/feed"
	"weir/internal/journal"
	"weir/internal/pipeline"
	"weir/internal/sample"
	"weir/internal/store"
)

// Cutter takes and holds the cuts of runs.
type Cutter struct {
	Book   *journal.Book
	Commit func(context.Context, sample.Week) error // what was acknowledged of a week before
	Now    func() time.Time
}

var (
	_ pipeline.Cutter    = (*Cutter)(nil)
	_ pipeline.CutKeeper = (*Cutter)(nil)
)

// Bounds of a cut.
const (
	pinTime    = 15 * time.Minute // a pin outlives that much silence
	commitTime = time.Minute      // for what was acknowledged before
)

// Cut commits what was acknowledged of the weeks of a run, and holds where their
// journals stand then.
func (c *Cutter) Cut(ctx context.Context, k pipeline.RunKey) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commitTime)
	defer cancel()
	cut := &feed.Cut{}
	weeks, err := c.Book.Weeks(ctx)
	if err != nil {
		return "", err
	}
	for _, week := range weeks {
		if week.End() <= int64(k.Start) || week.Start() >= int64(k.End) {
			continue
		}
		record, _, err := c.Book.Week(ctx, week)
		if err == nil {
			err = c.Commit(ctx, week)
		}
		if err != nil {
			return "", err
		}
		for partition := range record.Partitions {
			j := c.Book.Journal(store.JournalID{Week: week, Partition: partition})
			if err := j.Refresh(ctx); err != nil {
				return "", err
			}
			cut.Set(feed.Journal{Week: week, Partition: partition}, j.Snapshot().Cut)
		}
	}
	token := cut.Token()
	return token, c.Keep(ctx, k, token)
}

// Keep holds a cut on.
func (c *Cutter) Keep(ctx context.Context, k pipeline.RunKey, cut string) error {
	return c.each(ctx, cut, func(week sample.Week, revision int, positions []uint64) error {
		now := c.Now()
		err := c.Book.Pin(ctx, week, revision, journal.Pin{Holder: Holder(k), Cut: positions, Expires: now.Add(pinTime)}, now)
		if errors.Is(err, journal.ErrRemoved) {
			return fmt.Errorf("%w: %w", compute.ErrInput, err)
		}
		return err
	})
}

// Release lets go of a cut.
func (c *Cutter) Release(ctx context.Context, k pipeline.RunKey, cut string) error {
	return c.each(ctx, cut, func(week sample.Week, revision int, _ []uint64) error {
		return c.Book.Unpin(ctx, week, revision, Holder(k))
	})
}

// Holder names a run as it holds volumes.
func Holder(k pipeline.RunKey) string { return OfRun + k.String() }

// OfRun begins the names under which runs hold volumes.
const OfRun = "run "

// each calls do for each volume that a cut names something of.
func (c *Cutter) each(ctx context.Context, cut string, do func(sample.Week, int, []uint64) error) error {
	token, err := feed.ParseToken(cut)
	if err != nil {
		return err
	}
	positions := map[sample.Week][]uint64{}
	for _, j := range token.Journals() {
		for len(positions[j.Week]) <= j.Partition {
			positions[j.Week] = append(positions[j.Week], 0)
		}
		positions[j.Week][j.Partition] = token.Position(j)
	}
	for week, at := range positions {
		list, err := c.Book.Volumes(ctx, week)
		if err != nil {
			return err
		}
		for _, v := range list {
			if v.Gone() && v.Serves(at) != journal.FromArchive {
				continue // there is nothing to hold
			}
			if err := do(week, v.Revision, at); err != nil {
				return err
			}
		}
	}
	return nil
}
