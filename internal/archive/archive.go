// Package archive owns a volume's life past its seal: its samples are written as
// Parquet, read back and compared, and only then dropped; and they are restored.
//
// It believes only what journals and the volume's record say. Parts and manifest
// have names of their attempt and are written first; then the record is turned
// by one conditional put, so it can be killed between any two statements, called
// again, or run twice at once. It refuses to know queues, heads and HTTP, and
// imports journal, store, objects, block, sample and settle.
// The format is docs/formats/archive.md.
package archive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/internal/archive/partfile"
	"weir/internal/journal"
	"weir/internal/objects"
	"weir/internal/sample"
	"weir/internal/store"
)

// Errors of this package.
var (
	// ErrCorrupt means that a manifest or a part is not what was written.
	ErrCorrupt = partfile.ErrCorrupt
	// ErrVersion means that a newer Weir wrote the archive.
	ErrVersion = partfile.ErrVersion
)

// Options is what an Archiver works with. Nothing may be nil.
type Options struct {
	Book    *journal.Book
	Tables  store.Tables
	Objects objects.Objects
	Now     func() time.Time
	Random  func() uint64 // numbers that nobody else is given
	// Commit returns once all that was accepted of a week before the call is
	// committed.
	Commit func(context.Context, sample.Week) error
	// PartRows is how many rows a part has at most, about; 0 for the usual.
	PartRows int
}

// Archiver archives, verifies, drops and restores volumes. Safe for concurrent
// use, also by several processes.
type Archiver struct {
	book     *journal.Book
	tables   store.Tables
	objects  objects.Objects
	now      func() time.Time
	random   func() uint64
	commit   func(context.Context, sample.Week) error
	partRows int

	keysAtOnce int // that one entry replaces
}

// New makes an archiver.
func New(o Options) *Archiver {
	if o.PartRows == 0 {
		o.PartRows = partRows
	}
	return &Archiver{book: o.Book, tables: o.Tables, objects: o.Objects, now: o.Now, random: o.Random, commit: o.Commit, partRows: o.PartRows, keysAtOnce: keysAtOnce}
}

// Progress is how far a step of one revision has come.
type Progress struct {
	Step     string // "archive", "verify", "restore"
	Revision int
	Done     uint64 // samples, of Total
	Total    uint64
	Bytes    uint64 // of parts, written or read so far
}

// Report is told of progress, by one goroutine at a time.
type Report func(Progress)

// step reports one step's progress.
type step struct {
	report Report
	now    Progress
}

func (s *step) add(samples, bytes uint64) {
	s.now.Done, s.now.Bytes = min(s.now.Done+samples, s.now.Total), s.now.Bytes+bytes
	s.report(s.now)
}

// maxTries bounds how often a step begins anew because the volume was merged,
// or its record turned, meanwhile.
const maxTries = 5

// Archive commits what was accepted before, seals the week's open revision,
// writes what is sealed to parts and a manifest, and verifies it. What comes
// later is the next revision's. Cut short anywhere, it is called again and goes
// on; what is verified is left as it is.
func (a *Archiver) Archive(ctx context.Context, week sample.Week, report Report) error {
	if err := a.commit(ctx, week); err != nil {
		return err
	}
	return a.each(ctx, week, func(v journal.VolumeRecord) error { return a.archive(ctx, volumeID(&v), report) })
}

func volumeID(v *journal.VolumeRecord) journal.VolumeID {
	return journal.VolumeID{Week: v.Week, Revision: v.Revision}
}

// each calls do with a week's volumes, in order of revision.
func (a *Archiver) each(ctx context.Context, week sample.Week, do func(journal.VolumeRecord) error) error {
	volumes, err := a.book.Volumes(ctx, week)
	if err != nil {
		return err
	}
	if len(volumes) == 0 {
		return fmt.Errorf("there is no week %s, weir weeks lists those there are: %w", week, store.ErrNotFound)
	}
	for _, v := range volumes {
		if err := do(v); err != nil {
			return fmt.Errorf("week %s, revision %d: %w", week, v.Revision, err)
		}
	}
	return nil
}

func (a *Archiver) archive(ctx context.Context, id journal.VolumeID, report Report) error {
	var last error
	for range maxTries {
		v, err := a.book.Volume(ctx, id.Week, id.Revision)
		if err != nil {
			return err
		}
		switch v.State {
		case journal.VolumeOpen:
			err = a.book.SealVolume(ctx, id.Week, id.Revision)
		case journal.VolumeSealed:
			err = a.write(ctx, v, "", report)
		case journal.VolumeArchived:
			err = a.verify(ctx, v, report)
			if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrUnequal) || errors.Is(err, objects.ErrNotFound) {
				// An archive that was damaged since, or by its writer: another.
				err = a.write(ctx, v, v.Archive.Manifest, report)
			}
		default:
			return nil
		}
		if err != nil && !again(err) {
			return err
		}
		last = err
	}
	return fmt.Errorf("the volume is not verified after %d steps: %w", maxTries, errors.Join(last, journal.ErrChanged))
}

// again says whether an error is one of a race, so that the same from a new look
// may succeed.
func again(err error) bool {
	var missing *missingError
	return errors.As(err, &missing) || errors.Is(err, journal.ErrRemoved) || errors.Is(err, journal.ErrChanged)
}

// Verify reads the parts of a week's archives back and compares them with their
// manifests, and where there is one with the volume, read anew from its items.
// What is equal is verified from then on; what was and is not any more is not.
func (a *Archiver) Verify(ctx context.Context, week sample.Week, report Report) error {
	return a.each(ctx, week, func(v journal.VolumeRecord) error {
		if v.State == journal.VolumeEnded {
			return nil // there is nothing any more
		}
		if v.Archive == nil {
			if v.State == journal.VolumeDropped {
				return nil // discarded without an archive
			}
			return fmt.Errorf("%w: it is %s; archive it first", journal.ErrNoArchive, v.State)
		}
		var err error
		for range maxTries {
			if err = a.verify(ctx, v, report); err == nil || !again(err) {
				return err
			}
			var e error
			if v, e = a.book.Volume(ctx, week, v.Revision); e != nil {
				return e
			}
		}
		return err
	})
}

// Drop removes the items of a week's volumes, all of which must be verified.
func (a *Archiver) Drop(ctx context.Context, week sample.Week) error {
	err := a.each(ctx, week, func(v journal.VolumeRecord) error {
		if v.State != journal.VolumeVerified && !v.Gone() {
			return fmt.Errorf("%w: it is %s; archive it first", journal.ErrUnverified, v.State)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return a.each(ctx, week, func(v journal.VolumeRecord) error {
		return a.book.DropVolume(ctx, week, v.Revision, a.now())
	})
}
