package journal

import (
	"context"
	"fmt"
	"time"

	"weir/internal/sample"
	"weir/internal/store"
)

// Expunge removes at once what the merges of a volume have replaced by now, for
// an erasure: nobody may read it any more. ErrPinned where somebody holds a cut
// that names some of it; the error says who, and until when. What no pin holds is
// removed all the same. Cut short, it is called again.
func (b *Book) Expunge(ctx context.Context, w sample.Week, revision int, now time.Time) (int, error) {
	week, ok, err := b.Week(ctx, w)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, fmt.Errorf("week %s: %w", w, store.ErrNotFound)
	}
	before := make([]uint64, week.Partitions)
	for partition := range before {
		j := b.Journal(store.JournalID{Week: w, Partition: partition})
		if err := j.Refresh(ctx); err != nil {
			return 0, err
		}
		before[partition] = j.Snapshot().Cut
	}
	removed, err := b.Sweep(ctx, w, revision, before, now)
	if err != nil {
		return removed, err
	}
	v, err := b.Volume(ctx, w, revision)
	if err != nil || v.Gone() {
		return removed, err
	}
	for partition := range before {
		left, held := uint64(0), false
		b.Journal(store.JournalID{Week: w, Partition: partition}).View(func(s *State) {
			for _, r := range s.retired {
				if r.Revision == revision && r.At < before[partition] {
					left, held = r.At+1, true
				}
			}
		})
		if held {
			return removed, heldError(&v, partition, left, now)
		}
	}
	return removed, nil
}

// heldError says who keeps a sweep from a position.
func heldError(v *VolumeRecord, partition int, position uint64, now time.Time) error {
	for _, p := range v.holding(now) {
		if at(p.Cut, partition) < position {
			return fmt.Errorf("volume %s: %w by %s until %s", v.id(), ErrPinned, p.Holder, p.Expires.UTC().Format(time.RFC3339))
		}
	}
	return fmt.Errorf("volume %s: %w by one that has let go of it meanwhile", v.id(), ErrPinned)
}

// TakeOver appends an epoch to a journal: what was written for an earlier one and
// is not named is an orphan from then on, and its writer is fenced (laws 1 and 2).
func (b *Book) TakeOver(ctx context.Context, id store.JournalID, who string) error {
	_, err := OpenWriter(ctx, b.Journal(id), who, b.random)
	return err
}

// ReplaceArchive names another archive of a volume in the place of one that it
// was made of by taking samples out of it. The volume stays in its state: what is
// left was verified before. Where the record names the new one already, nothing is
// changed. ErrChanged: the record names neither, or the volume is being restored,
// so that its archive is being read.
func (b *Book) ReplaceArchive(ctx context.Context, id VolumeID, archive Archive, instead string) (VolumeRecord, error) {
	return b.turn(ctx, id, func(v *VolumeRecord) (bool, error) {
		switch {
		case v.Archive == nil:
			return false, fmt.Errorf("volume %s: %w", id, ErrNoArchive)
		case v.Archive.Manifest == archive.Manifest:
			return false, nil
		case v.Archive.Manifest != instead:
			return false, fmt.Errorf("volume %s: %w: its archive is not %s", id, ErrChanged, instead)
		case v.Restoring != "":
			return false, fmt.Errorf("volume %s: %w: it is being restored; let weir archive restore end first", id, ErrChanged)
		}
		v.Archive = &archive
		return true, nil
	})
}
