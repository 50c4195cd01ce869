package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/internal/store"
)

// Errors of a volume's end.
var (
	// ErrUndropped means that a volume has its table yet: only the archive of a
	// dropped one ends.
	ErrUndropped = errors.New("volume is not dropped")
	// ErrEnded means that a volume's archive was removed when its retention ended.
	ErrEnded = errors.New("volume has ended: its retention is over, and its archive is removed")
)

// End says when a volume ended, and which entry of each partition's journal tells a
// cut that was taken before from one that was taken after: a second seal, which says
// nothing else.
type End struct {
	At        time.Time `json:"at"`
	Positions []uint64  `json:"positions"`
}

// Gone says that a volume has no table: it is dropped, or has ended.
func (v *VolumeRecord) Gone() bool { return v.State == VolumeDropped || v.State == VolumeEnded }

// EndedBefore says that a volume ended before a cut was taken that names this
// position: it is no part of what that cut reads.
func (v *VolumeRecord) EndedBefore(partition int, position uint64) bool {
	return v.State == VolumeEnded && v.Ended != nil && position > at(v.Ended.Positions, partition)
}

// EndVolume ends a dropped volume, unless a pin holds it: from then on it reads as
// empty. The record says so first; removing the archive is the caller's, once
// readers that began before have ended. The journals stay: what they name is not
// stored again, whatever is delivered again (law 7). Cut short anywhere, it is
// called again.
func (b *Book) EndVolume(ctx context.Context, id VolumeID, now time.Time) (VolumeRecord, error) {
	week, ok, err := b.Week(ctx, id.Week)
	if err == nil && !ok {
		err = fmt.Errorf("week %s: %w", id.Week, store.ErrNotFound)
	}
	if err != nil {
		return VolumeRecord{}, err
	}
	if v, err := b.Volume(ctx, id.Week, id.Revision); err != nil || v.State == VolumeEnded {
		return v, err
	} else if err := v.mayEnd(now); err != nil {
		return v, err
	}
	end := &End{At: now.UTC(), Positions: make([]uint64, week.Partitions)}
	for partition := range end.Positions {
		if end.Positions[partition], err = b.mark(ctx, store.JournalID{Week: id.Week, Partition: partition}, id.Revision); err != nil {
			return VolumeRecord{}, err
		}
	}
	// A cut that was taken since the marks is either pinned by now, or taken after
	// the turn.
	return b.turn(ctx, id, func(v *VolumeRecord) (bool, error) {
		if v.State == VolumeEnded {
			return false, nil
		}
		if err := v.mayEnd(now); err != nil {
			return false, err
		}
		v.State, v.Pins, v.Ended = VolumeEnded, nil, end
		return true, nil
	})
}

// mayEnd says why a volume can't end.
func (v *VolumeRecord) mayEnd(now time.Time) error {
	switch {
	case v.State != VolumeDropped:
		return fmt.Errorf("volume %s: %w: it is %s", v.id(), ErrUndropped, v.State)
	case v.Restoring != "":
		return fmt.Errorf("volume %s: %w: it is being restored into %s", v.id(), ErrUndropped, v.Restoring)
	}
	if pins := v.live(now); len(pins) > 0 {
		return fmt.Errorf("volume %s: %w by %s until %s", v.id(), ErrPinned, pins[0].Holder, pins[0].Expires.UTC().Format(time.RFC3339))
	}
	return nil
}

// mark appends a second seal of a revision and gives its position.
func (b *Book) mark(ctx context.Context, id store.JournalID, revision int) (uint64, error) {
	j := b.Journal(id)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.refresh(ctx, nil); err != nil {
		return 0, err
	}
	a := &appender{journal: j, id: b.random()}
	return a.append(ctx, &Entry{Seal: &Seal{Revision: revision}}, func() error {
		if _, sealed := j.state.SealedAt(revision); !sealed {
			return fmt.Errorf("%w: journal %s has no seal of revision %d, whose volume is dropped", ErrCorrupt, id, revision)
		}
		return nil
	})
}
