package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"weir/internal/sample"
	"weir/internal/store"
)

// VolumeRecord is a volume's name and state. It is turned by conditional puts
// on its version, so whoever was paused turns nothing that changed meanwhile.
type VolumeRecord struct {
	Week     sample.Week `json:"-"`
	Revision int         `json:"-"`
	Table    string      `json:"table"`
	State    VolumeState `json:"state"`

	// Removed is, by partition, the position up to which sweeps remove: what
	// merges before it replaced is gone, or going. It is written before
	// anything is removed (law 5). Swept is how far that is done.
	Removed []uint64 `json:"removed,omitempty"`
	Swept   []uint64 `json:"swept,omitempty"`
	Pins    []Pin    `json:"pins,omitempty"`

	Archive   *Archive `json:"archive,omitempty"`
	Restoring string   `json:"restoring,omitempty"` // of a dropped volume: the table that is being filled from its archive
	Ended     *End     `json:"ended,omitempty"`

	version uint64 // of the store's record
}

// VolumeState is where a volume is in its life.
type VolumeState string

// The states of a volume.
const (
	VolumeOpen     VolumeState = "open"     // it takes items
	VolumeSealed   VolumeState = "sealed"   // every partition's journal has sealed the revision
	VolumeArchived VolumeState = "archived" // an archive is written, and the record names it
	VolumeVerified VolumeState = "verified" // it was read back, and is equal to the volume
	VolumeDropped  VolumeState = "dropped"  // its items are removed, or going
	VolumeEnded    VolumeState = "ended"    // its archive is removed too, or going: it reads as empty
)

// Pin is a cut that somebody holds: until it ends, nothing is removed that the
// cut names.
type Pin struct {
	Holder  string    `json:"holder"`
	Cut     []uint64  `json:"cut"` // positions by partition
	Expires time.Time `json:"expires"`
}

// VolumeID names a volume: the unit of storage and of life.
type VolumeID struct {
	Week     sample.Week
	Revision int
}

func (id VolumeID) String() string { return fmt.Sprintf("%s, revision %d", id.Week, id.Revision) }

func (id VolumeID) key() string {
	return fmt.Sprintf("volumes/%s/%04d", strings.ToLower(id.Week.String()), id.Revision)
}

func (id VolumeID) table() string {
	name := "samples_" + strings.ToLower(strings.ReplaceAll(id.Week.String(), "-", "_"))
	if id.Revision > 0 {
		name += fmt.Sprintf("_r%d", id.Revision)
	}
	return name
}

// Volume gives the record of a week's volume of this revision.
func (b *Book) Volume(ctx context.Context, w sample.Week, revision int) (VolumeRecord, error) {
	id := VolumeID{w, revision}
	r, err := b.store.Get(ctx, id.key())
	if err != nil {
		return VolumeRecord{}, fmt.Errorf("volume %s: %w", id, err)
	}
	return parseVolume(id, r)
}

func parseVolume(id VolumeID, r store.Record) (VolumeRecord, error) {
	v := VolumeRecord{Week: id.Week, Revision: id.Revision, version: r.Version}
	if err := json.Unmarshal(r.Value, &v); err != nil || v.Table == "" {
		return VolumeRecord{}, fmt.Errorf("%w: record %s: %q", ErrCorrupt, r.Key, r.Value)
	}
	return v, nil
}

// Volumes lists a week's volumes in order of revision.
func (b *Book) Volumes(ctx context.Context, w sample.Week) ([]VolumeRecord, error) {
	records, err := b.store.Scan(ctx, "volumes/"+strings.ToLower(w.String())+"/")
	if err != nil {
		return nil, fmt.Errorf("volumes of week %s: %w", w, err)
	}
	var out []VolumeRecord
	for _, r := range records {
		revision, err := strconv.Atoi(r.Key[strings.LastIndexByte(r.Key, '/')+1:])
		if err != nil {
			return nil, fmt.Errorf("%w: record %s names no revision", ErrCorrupt, r.Key)
		}
		v, err := parseVolume(VolumeID{w, revision}, r)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// EnsureVolume makes a volume unless it was made: its table, then the record
// that names it. A table that was dropped is never made anew: who finds the
// record makes nothing, and who made the table and then finds that another's
// record is dropped already, or restored elsewhere, takes it back.
func (b *Book) EnsureVolume(ctx context.Context, w sample.Week, revision int) (VolumeRecord, error) {
	id := VolumeID{w, revision}
	v, err := b.Volume(ctx, w, revision)
	if !errors.Is(err, store.ErrNotFound) {
		return v, err
	}
	if err := b.store.Ensure(ctx, id.table()); err != nil {
		return VolumeRecord{}, fmt.Errorf("volume %s: %w", id, err)
	}
	v = VolumeRecord{Week: w, Revision: revision, Table: id.table(), State: VolumeOpen, version: 1}
	made, err := b.putNew(ctx, id.key(), v)
	if err != nil {
		return VolumeRecord{}, fmt.Errorf("volume %s: %w", id, err)
	}
	if made {
		return v, nil
	}
	if v, err = b.Volume(ctx, w, revision); err == nil && (v.Gone() || v.Table != id.table()) {
		err = b.store.Drop(ctx, id.table())
	}
	return v, err
}

// maxTurns bounds how often a record is read again because another turned it.
const maxTurns = 100

// turn changes a volume's record by one conditional put. change is asked anew
// whenever another was faster; it says false where there is nothing to change.
// An error of change ends it, and nothing is written.
func (b *Book) turn(ctx context.Context, id VolumeID, change func(*VolumeRecord) (bool, error)) (VolumeRecord, error) {
	for range maxTurns {
		v, err := b.Volume(ctx, id.Week, id.Revision)
		if err != nil {
			return VolumeRecord{}, err
		}
		changes, err := change(&v)
		if err != nil || !changes {
			return v, err
		}
		body, err := json.Marshal(v)
		if err != nil {
			return VolumeRecord{}, err
		}
		r, err := b.store.Put(ctx, id.key(), body, v.version)
		if err == nil {
			v.version = r.Version
			return v, nil
		}
		// What was lost with the answer is found by reading: each change is
		// such that one that is made already has nothing to change.
		if !errors.Is(err, store.ErrConflict) {
			return VolumeRecord{}, fmt.Errorf("volume %s: %w", id, err)
		}
	}
	return VolumeRecord{}, fmt.Errorf("volume %s: %w: its record was turned by others %d times", id, store.ErrUnavailable, maxTurns)
}
