package journal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"weir/internal/sample"
	"weir/internal/store"
)

// Sweep removes a volume's items that merges replaced before the given
// positions, by partition, as far as no pin holds them, and gives how many it
// removed. The record says first up to where (law 5): cut short after that, the
// next sweep removes what is left.
func (b *Book) Sweep(ctx context.Context, w sample.Week, revision int, before []uint64, now time.Time) (int, error) {
	id := VolumeID{w, revision}
	limits := make([]uint64, len(before)) // no further than where something is to be removed
	for partition := range before {
		b.Journal(store.JournalID{Week: w, Partition: partition}).View(func(s *State) {
			for _, r := range s.retired {
				if r.Revision == revision && r.At < before[partition] {
					limits[partition] = r.At + 1
				}
			}
		})
	}
	if !slices.ContainsFunc(limits, func(limit uint64) bool { return limit > 0 }) {
		return 0, nil
	}
	v, err := b.turn(ctx, id, func(v *VolumeRecord) (bool, error) { return v.remove(limits, now), nil })
	if err != nil {
		return 0, err
	}
	if v.Gone() { // the drop removes them all
		for partition := range before {
			b.Journal(store.JournalID{Week: w, Partition: partition}).forget(revision, math.MaxUint64)
		}
		return 0, nil
	}
	removed := 0
	for partition := range v.Removed {
		n, err := b.sweepPartition(ctx, &v, partition)
		removed += n
		if err != nil {
			return removed, fmt.Errorf("sweep of volume %s: %w", id, err)
		}
	}
	_, err = b.turn(ctx, id, func(now *VolumeRecord) (bool, error) {
		return raise(&now.Swept, v.Removed), nil
	})
	return removed, err
}

// sweepPartition removes what the record says is to be removed and is not yet.
// The record may be ahead of what this process has read of the journal, where
// another raised it and was cut short: it reads on, or that would stay for ever.
func (b *Book) sweepPartition(ctx context.Context, v *VolumeRecord, partition int) (int, error) {
	from, to := at(v.Swept, partition), at(v.Removed, partition)
	j := b.Journal(store.JournalID{Week: v.Week, Partition: partition})
	var keys []store.ItemKey
	if from < to && j.Snapshot().Cut < to {
		if err := j.Refresh(ctx); err != nil {
			return 0, err
		}
	}
	j.View(func(s *State) {
		for _, r := range s.retired {
			if r.Revision == v.Revision && r.At >= from && r.At < to {
				keys = append(keys, r.Key)
			}
		}
	})
	if len(keys) > 0 {
		// A table that is gone was dropped meanwhile, and they with it.
		if err := b.store.Delete(ctx, v.Table, keys); err != nil && !errors.Is(err, store.ErrNoTable) {
			return 0, err
		}
	}
	j.forget(v.Revision, to)
	return len(keys), nil
}

// remove raises the record's positions up to the limits, as far as the pins
// let it, and says whether that changes anything.
func (v *VolumeRecord) remove(limits []uint64, now time.Time) bool {
	if v.Gone() {
		return false
	}
	limits = slices.Clone(limits)
	for partition := range limits {
		for _, p := range v.holding(now) {
			limits[partition] = min(limits[partition], at(p.Cut, partition))
		}
	}
	return raise(&v.Removed, limits)
}

// raise lifts positions to those given, where they are lower, and says whether
// it did.
func raise(positions *[]uint64, to []uint64) bool {
	changes := false
	for partition, p := range to {
		if p <= at(*positions, partition) {
			continue
		}
		for len(*positions) <= partition {
			*positions = append(*positions, 0)
		}
		(*positions)[partition], changes = p, true
	}
	return changes
}

func (j *Journal) forget(revision int, before uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.state.forget(revision, before)
}

// SweepOrphans removes from a volume's table the items of flushes and merges
// that no entry names and that can never be named: those of epochs before the
// last one of their journal. It gives how many it removed. The store has to be
// able to list a table's keys.
//
// A flush of the last epoch may yet be named, and is left alone; so is a merge.
// One of an epoch before was named before that epoch, which has been read by
// then, or never is: its writer is fenced, and its merge does not count. The
// nonce says whose flush it is. One of version 1 was random: where it names no
// partition of the week it is left while it may be of any journal's last epoch;
// where by chance it does, its writer is of a program before this one, and no
// two programs hold one embedded store.
func (b *Book) SweepOrphans(ctx context.Context, w sample.Week, revision int) (int, error) {
	lister, ok := b.store.(store.Lister)
	if !ok {
		return 0, nil
	}
	week, ok, err := b.Week(ctx, w)
	if err != nil || !ok {
		return 0, err
	}
	v, err := b.Volume(ctx, w, revision)
	if err != nil || v.Gone() {
		return 0, err
	}
	// The keys first, the journals after: what is named in between is known.
	var keys []store.ItemKey
	switch err := lister.Keys(ctx, v.Table, func(k store.ItemKey) bool { keys = append(keys, k); return true }); {
	case errors.Is(err, store.ErrNoTable):
		return 0, nil // dropped meanwhile
	case err != nil:
		return 0, fmt.Errorf("orphans of volume %s, revision %d: %w", w, revision, err)
	}
	orphans := keys
	for partition := range week.Partitions {
		j := b.Journal(store.JournalID{Week: w, Partition: partition})
		if err := j.Refresh(ctx); err != nil {
			return 0, err
		}
		j.View(func(s *State) {
			epoch, taken := s.Epoch()
			orphans = slices.DeleteFunc(orphans, func(k store.ItemKey) bool {
				of := partitionOf(k.Flush)
				ours := of == partition || of >= week.Partitions
				if !taken { // what was listed before cannot be a flush of an epoch that is not there
					return of == partition
				}
				return ours && k.Flush.Epoch >= epoch || s.NamesFlush(k.Flush)
			})
		})
	}
	if len(orphans) == 0 {
		return 0, nil
	}
	if err := b.store.Delete(ctx, v.Table, orphans); err != nil && !errors.Is(err, store.ErrNoTable) {
		return 0, fmt.Errorf("orphans of volume %s, revision %d: %w", w, revision, err)
	}
	return len(orphans), nil
}
