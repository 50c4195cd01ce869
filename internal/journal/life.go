package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"weir/internal/sample"
	"weir/internal/store"
)

// Merge appends a merge whose items are stored, and says whether it counts: it
// does not where something that it replaces was replaced meanwhile, or another
// epoch stands before it. Then, and after any error, its items are orphans (or,
// after ErrUncertain, may be). It may be called while others write the journal.
func (b *Book) Merge(ctx context.Context, id store.JournalID, m *Merge) (bool, error) {
	j := b.Journal(id)
	j.mu.Lock()
	defer j.mu.Unlock()
	a := &appender{journal: j, id: b.random()}
	void := errors.New("void")
	_, err := a.append(ctx, &Entry{Merge: m}, func() error {
		if _, _, ok := j.state.current(m); !ok {
			return void // the fold would say the same: spare the entry
		}
		return nil
	})
	if errors.Is(err, void) {
		return false, nil
	}
	return err == nil && j.state.NamesFlush(m.Flush), err
}

// NewMerge gives an id for a merge of what a journal says now; ok is false
// where nobody has taken the journal over yet.
func (b *Book) NewMerge(j *Journal) (id store.FlushID, ok bool) {
	j.View(func(s *State) {
		var epoch uint64
		if epoch, ok = s.Epoch(); ok {
			id = newFlushID(j.id, epoch, b.random())
		}
	})
	return id, ok
}

// SealVolume ends a revision in every partition's journal and then turns its
// record. It fences nobody: who flushes meanwhile writes anew, in the next
// revision. Cut short anywhere, it is called again and goes on; a second seal
// says nothing.
func (b *Book) SealVolume(ctx context.Context, w sample.Week, revision int) error {
	week, ok, err := b.Week(ctx, w)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("week %s: %w", w, store.ErrNotFound)
	}
	if _, err := b.Volume(ctx, w, revision); err != nil {
		return err // a revision that has no volume is not begun
	}
	if revision > 0 {
		// One journal may be a revision ahead where a seal was cut short. All
		// go on together, or a journal would skip a revision that others fill.
		if before, err := b.Volume(ctx, w, revision-1); err != nil {
			return err
		} else if before.State == VolumeOpen {
			return fmt.Errorf("volume %s: %w; seal it first", VolumeID{w, revision - 1}, ErrOpen)
		}
	}
	for partition := range week.Partitions {
		if err := b.seal(ctx, store.JournalID{Week: w, Partition: partition}, revision); err != nil {
			return err
		}
	}
	_, err = b.turn(ctx, VolumeID{w, revision}, func(v *VolumeRecord) (bool, error) {
		if v.State != VolumeOpen {
			return false, nil
		}
		v.State = VolumeSealed
		return true, nil
	})
	return err
}

func (b *Book) seal(ctx context.Context, id store.JournalID, revision int) error {
	j := b.Journal(id)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.refresh(ctx, nil); err != nil {
		return err
	}
	sealed := errors.New("sealed")
	a := &appender{journal: j, id: b.random()}
	_, err := a.append(ctx, &Entry{Seal: &Seal{Revision: revision}}, func() error {
		switch open := j.state.revision; {
		case open > revision:
			return sealed
		case open < revision:
			return fmt.Errorf("journal %s: revision %d is not begun; revision %d is open", id, revision, open)
		}
		return nil
	})
	if errors.Is(err, sealed) {
		return nil
	}
	return err
}

// Pin holds a cut of a volume for somebody, positions by partition, or holds
// it on. It is refused with ErrRemoved where what the cut names may be gone, and
// no archive has it.
func (b *Book) Pin(ctx context.Context, w sample.Week, revision int, pin Pin, now time.Time) error {
	id := VolumeID{w, revision}
	_, err := b.turn(ctx, id, func(v *VolumeRecord) (bool, error) {
		if v.Serves(pin.Cut) == FromNowhere {
			return false, fmt.Errorf("volume %s: %w: it is %s, swept up to %d, and the cut is at %d", id, ErrRemoved, v.State, v.Removed, pin.Cut)
		}
		v.Pins = slices.DeleteFunc(v.live(now), func(p Pin) bool { return p.Holder == pin.Holder })
		v.Pins = append(v.Pins, pin)
		return true, nil
	})
	return err
}

// Unpin lets go of what a holder holds.
func (b *Book) Unpin(ctx context.Context, w sample.Week, revision int, holder string) error {
	_, err := b.turn(ctx, VolumeID{w, revision}, func(v *VolumeRecord) (bool, error) {
		n := len(v.Pins)
		v.Pins = slices.DeleteFunc(v.Pins, func(p Pin) bool { return p.Holder == holder })
		return len(v.Pins) != n, nil
	})
	return err
}

// at gives a cut's position in a partition; a journal that a cut does not name
// reads as empty.
func at(cut []uint64, partition int) uint64 {
	if partition < len(cut) {
		return cut[partition]
	}
	return 0
}

// At gives a journal as of a position: what a reader that holds a cut reads.
func (b *Book) At(ctx context.Context, id store.JournalID, position uint64) (Snapshot, error) {
	j := b.Journal(id)
	if err := j.Refresh(ctx); err != nil {
		return Snapshot{}, err
	}
	if s := j.Snapshot(); s.Cut == position {
		return s, nil
	} else if s.Cut < position {
		return Snapshot{}, fmt.Errorf("journal %s ends at %d, and the cut is at %d", id, s.Cut, position)
	}
	past := newJournal(b.store, id, nil, &signal{})
	if err := past.read(ctx, position, nil); err != nil {
		return Snapshot{}, err
	}
	return past.Snapshot(), nil
}
