package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"weir/internal/sample"
)

// Errors of a volume's life with an archive.
var (
	// ErrUnverified means that a volume's archive was not read back and found
	// equal to it: only a verified volume may be dropped.
	ErrUnverified = errors.New("volume is not verified")
	// ErrNoArchive means that a volume has no archive.
	ErrNoArchive = errors.New("volume has no archive")
	// ErrArchived means that a volume has an archive, and is not to be discarded.
	ErrArchived = errors.New("volume has an archive")
	// ErrChanged means that another turned the record meanwhile, so that what
	// was done does not count. Look at the record, and begin anew.
	ErrChanged = errors.New("volume's record was turned by another meanwhile")
)

// Archive is what a volume's record says of the one archive that counts.
type Archive struct {
	Manifest string `json:"manifest"` // the object's name
	SHA256   string `json:"sha256"`   // of the manifest, in hex
	Rows     uint64 `json:"rows"`
	Bytes    uint64 `json:"bytes"` // of the manifest and its parts

	// Sealed is, by partition, the position behind the revision's seal: the
	// archive serves cuts from there on, and no other (law 5).
	Sealed []uint64 `json:"sealed"`

	// Erased counts samples that erasures took out of it.
	Erased uint64 `json:"erased,omitempty"`
}

// Serving is where a reader finds what a cut names of a volume.
type Serving int

// The sources of a volume's samples. A cut and the record decide which it is.
const (
	FromNowhere Serving = iota
	FromTable
	FromArchive
)

// Serves gives the one source of what a cut names, positions by partition
// (law 5): the table while it holds that, else the archive, once that is verified.
func (v *VolumeRecord) Serves(cut []uint64) Serving {
	switch {
	case v.State == VolumeEnded:
	case v.State != VolumeDropped && reaches(cut, v.Removed):
		return FromTable
	case v.Archive != nil && v.State != VolumeArchived && reaches(cut, v.Archive.Sealed):
		return FromArchive
	}
	return FromNowhere
}

// ServesAt is Serves for a reader of one partition: each says the same of a
// volume's samples, so partitions may be read from different sources. Where the
// archive does not serve a position, the table is tried though it may be swept: who
// misses something there takes a new cut.
func (v *VolumeRecord) ServesAt(partition int, position uint64) Serving {
	archived := v.Archive != nil && v.State != VolumeArchived && partition < len(v.Archive.Sealed) && position >= v.Archive.Sealed[partition]
	switch {
	case v.State == VolumeEnded:
	case v.State != VolumeDropped && (position >= at(v.Removed, partition) || !archived):
		return FromTable
	case archived:
		return FromArchive
	}
	return FromNowhere
}

// reaches says whether a cut is below none of the positions.
func reaches(cut, positions []uint64) bool {
	for partition, p := range positions {
		if at(cut, partition) < p {
			return false
		}
	}
	return true
}

// SealedAt gives the position behind a revision's seal; ok is false where the
// journal has not sealed it.
func (s *State) SealedAt(revision int) (position uint64, ok bool) {
	if revision >= len(s.seals) {
		return 0, false
	}
	return s.seals[revision], true
}

// Overwritten gives how many of the samples that a revision's commits stored
// are in none of its items: others of the same flush or merge counted more.
func (s *State) Overwritten(revision int) uint64 {
	n := s.overwritten[revision]
	for i := range s.commits {
		if s.commits[i].Revision == revision {
			n += s.commits[i].Overwritten
		}
	}
	return n
}

// Erased gives how many of the samples that a revision's commits stored erasures
// have taken out of its items.
func (s *State) Erased(revision int) uint64 { return s.erased[revision] }

// ArchiveVolume names the archive of a sealed volume, whose parts and manifest
// are stored. instead is the manifest that the caller saw named before, "" for
// none. Where the record names another by now, or the volume is verified or
// dropped, nothing is turned: the record that is returned says which archive
// counts.
func (b *Book) ArchiveVolume(ctx context.Context, id VolumeID, archive Archive, instead string) (VolumeRecord, error) {
	return b.turn(ctx, id, func(v *VolumeRecord) (bool, error) {
		named := ""
		if v.Archive != nil {
			named = v.Archive.Manifest
		}
		switch {
		case v.State == VolumeOpen:
			return false, fmt.Errorf("volume %s: %w; seal it first", id, ErrOpen)
		case v.State == VolumeVerified, v.Gone(), named == archive.Manifest, named != instead:
			return false, nil
		}
		v.State, v.Archive = VolumeArchived, &archive
		return true, nil
	})
}

// VerifyVolume says that the archive of this manifest was read back and is
// equal to the volume. ErrChanged: it is not the one that counts.
func (b *Book) VerifyVolume(ctx context.Context, id VolumeID, manifest string) (VolumeRecord, error) {
	return b.turn(ctx, id, func(v *VolumeRecord) (bool, error) {
		switch {
		case v.Archive == nil || v.Archive.Manifest != manifest:
			return false, fmt.Errorf("volume %s: %w: its archive is not %s", id, ErrChanged, manifest)
		case v.State != VolumeArchived:
			return false, nil
		}
		v.State = VolumeVerified
		return true, nil
	})
}

// DoubtVolume takes back that a volume is verified: its archive was read again
// and is not what it was. Its table stays until another archive is verified; of
// a dropped volume nothing is changed.
func (b *Book) DoubtVolume(ctx context.Context, id VolumeID, manifest string) (VolumeRecord, error) {
	return b.turn(ctx, id, func(v *VolumeRecord) (bool, error) {
		if v.State != VolumeVerified || v.Archive.Manifest != manifest {
			return false, nil
		}
		v.State = VolumeArchived
		return true, nil
	})
}

// DropVolume removes a verified volume's items, unless a pin holds them: from
// then on its archive serves it. The record says so first, then the table goes:
// cut short in between, it is called again and goes on. The journals stay: what
// they name is not stored again, whatever is delivered again (law 7).
func (b *Book) DropVolume(ctx context.Context, w sample.Week, revision int, now time.Time) error {
	return b.drop(ctx, VolumeID{w, revision}, now, func(v *VolumeRecord) error {
		if v.State != VolumeVerified {
			return fmt.Errorf("volume %s: %w: it is %s; archive and verify it first", v.id(), ErrUnverified, v.State)
		}
		return nil
	})
}

// DiscardVolume is DropVolume of a sealed volume that has no archive: its
// samples are gone for good.
func (b *Book) DiscardVolume(ctx context.Context, w sample.Week, revision int, now time.Time) error {
	return b.drop(ctx, VolumeID{w, revision}, now, func(v *VolumeRecord) error {
		if v.Archive != nil {
			return fmt.Errorf("volume %s: %w: drop it by that", v.id(), ErrArchived)
		}
		return nil
	})
}

func (b *Book) drop(ctx context.Context, id VolumeID, now time.Time, may func(*VolumeRecord) error) error {
	v, err := b.turn(ctx, id, func(v *VolumeRecord) (bool, error) {
		switch v.State {
		case VolumeDropped, VolumeEnded:
			return false, nil
		case VolumeOpen:
			return false, fmt.Errorf("volume %s: %w; seal it first", id, ErrOpen)
		}
		if err := may(v); err != nil {
			return false, err
		}
		if pins := v.holding(now); len(pins) > 0 {
			return false, fmt.Errorf("volume %s: %w by %s until %s", id, ErrPinned, pins[0].Holder, pins[0].Expires.UTC().Format(time.RFC3339))
		}
		v.State = VolumeDropped
		v.Pins = v.live(now)
		return true, nil
	})
	if err != nil {
		return err
	}
	return b.store.Drop(ctx, v.Table)
}

// BeginRestore claims the table that a dropped volume is restored into, one of
// a name that was never used, and makes it; who comes later goes on with the
// same. A volume that is not dropped is left as it is.
func (b *Book) BeginRestore(ctx context.Context, id VolumeID) (VolumeRecord, error) {
	v, err := b.turn(ctx, id, func(v *VolumeRecord) (bool, error) {
		switch {
		case v.State == VolumeEnded:
			return false, fmt.Errorf("volume %s: %w; it cannot be restored", id, ErrEnded)
		case v.State != VolumeDropped || v.Restoring != "":
			return false, nil
		case v.Archive == nil:
			return false, fmt.Errorf("volume %s: %w; it cannot be restored", id, ErrNoArchive)
		}
		v.Restoring = fmt.Sprintf("%s_v%d", id.table(), v.version+1)
		return true, nil
	})
	if err != nil || v.State != VolumeDropped {
		return v, err
	}
	// Who dropped it may have been killed before the table was gone.
	if err := b.store.Drop(ctx, v.Table); err != nil {
		return v, err
	}
	return v, b.store.Ensure(ctx, v.Restoring)
}

// EndRestore turns the record to a table that a restore has filled. positions
// are those behind the merges that name its items, by partition: the table
// serves no cut below them. ErrChanged: the record is not of that restore.
func (b *Book) EndRestore(ctx context.Context, id VolumeID, table string, positions []uint64) (VolumeRecord, error) {
	return b.turn(ctx, id, func(v *VolumeRecord) (bool, error) {
		switch {
		case !v.Gone() && v.Table == table:
			return false, nil
		case v.Restoring != table:
			return false, fmt.Errorf("volume %s: %w: it is not restored into %s", id, ErrChanged, table)
		}
		v.Table, v.Restoring, v.State = table, "", VolumeVerified
		raise(&v.Removed, positions)
		raise(&v.Swept, positions)
		return true, nil
	})
}

// live gives the pins of a record that have not expired.
func (v *VolumeRecord) live(now time.Time) []Pin {
	return slices.DeleteFunc(slices.Clone(v.Pins), func(p Pin) bool { return !p.Expires.After(now) })
}

// holding gives the pins that the table serves: those hold its items.
func (v *VolumeRecord) holding(now time.Time) []Pin {
	return slices.DeleteFunc(v.live(now), func(p Pin) bool { return v.Serves(p.Cut) != FromTable })
}

func (v *VolumeRecord) id() VolumeID { return VolumeID{v.Week, v.Revision} }
