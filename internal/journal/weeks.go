package journal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"weir/internal/sample"
	"weir/internal/store"
)

// WeekRecord is what is fixed when a week's journals are made.
type WeekRecord struct {
	Partitions int `json:"partitions"`
}

// VolumeRecord is a volume's name and state. It is turned by conditional puts.
type VolumeRecord struct {
	Week     sample.Week `json:"-"`
	Revision int         `json:"-"`
	Table    string      `json:"table"`
	State    string      `json:"state"` // VolumeOpen
}

// VolumeOpen is the state of a volume that takes items.
const VolumeOpen = "open"

func weekKey(w sample.Week) string { return "weeks/" + strings.ToLower(w.String()) }

func volumeKey(w sample.Week, revision int) string {
	return fmt.Sprintf("volumes/%s/%04d", strings.ToLower(w.String()), revision)
}

func tableName(w sample.Week, revision int) string {
	name := "samples_" + strings.ToLower(strings.ReplaceAll(w.String(), "-", "_"))
	if revision > 0 {
		name += fmt.Sprintf("_r%d", revision)
	}
	return name
}

// Week gives a week's record; ok is false for a week that was never made.
func (b *Book) Week(ctx context.Context, w sample.Week) (WeekRecord, bool, error) {
	b.mu.Lock()
	known, ok := b.weeks[w]
	b.mu.Unlock()
	if ok {
		return known, true, nil
	}
	r, err := b.store.Get(ctx, weekKey(w))
	if errors.Is(err, store.ErrNotFound) {
		return WeekRecord{}, false, nil
	}
	if err != nil {
		return WeekRecord{}, false, fmt.Errorf("week %s: %w", w, err)
	}
	var week WeekRecord
	if err := json.Unmarshal(r.Value, &week); err != nil || week.Partitions < 1 || week.Partitions > sample.Shards {
		return WeekRecord{}, false, fmt.Errorf("%w: the record of week %s: %q", ErrCorrupt, w, r.Value)
	}
	b.mu.Lock()
	b.weeks[w] = week
	b.mu.Unlock()
	return week, true, nil
}

// EnsureWeek makes a week unless it is made: its table, the record of its
// first volume and then its own, which decides. It is safe to be cut short
// anywhere and to be called by several at once; all get the same answer.
func (b *Book) EnsureWeek(ctx context.Context, w sample.Week) (WeekRecord, error) {
	if week, ok, err := b.Week(ctx, w); ok || err != nil {
		return week, err
	}
	table := tableName(w, 0)
	if err := b.store.Ensure(ctx, table); err != nil {
		return WeekRecord{}, fmt.Errorf("week %s: %w", w, err)
	}
	if err := b.putNew(ctx, volumeKey(w, 0), VolumeRecord{Table: table, State: VolumeOpen}); err != nil {
		return WeekRecord{}, fmt.Errorf("week %s: %w", w, err)
	}
	if err := b.putNew(ctx, weekKey(w), WeekRecord{Partitions: b.partitions}); err != nil {
		return WeekRecord{}, fmt.Errorf("week %s: %w", w, err)
	}
	week, ok, err := b.Week(ctx, w)
	if err == nil && !ok {
		err = fmt.Errorf("week %s: %w right after it was put", w, store.ErrNotFound)
	}
	return week, err
}

// putNew puts a record unless one is there.
func (b *Book) putNew(ctx context.Context, key string, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if _, err = b.store.Put(ctx, key, body, 0); errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

// Weeks lists the weeks that are made, in order.
func (b *Book) Weeks(ctx context.Context) ([]sample.Week, error) {
	records, err := b.store.Scan(ctx, "weeks/")
	if err != nil {
		return nil, err
	}
	var weeks []sample.Week
	for _, r := range records {
		w, err := sample.ParseWeek(strings.ToUpper(strings.TrimPrefix(r.Key, "weeks/")))
		if err != nil {
			return nil, fmt.Errorf("%w: record %s: %w", ErrCorrupt, r.Key, err)
		}
		weeks = append(weeks, w)
	}
	slices.Sort(weeks)
	return weeks, nil
}

// Volume gives the record of a week's volume of this revision.
func (b *Book) Volume(ctx context.Context, w sample.Week, revision int) (VolumeRecord, error) {
	r, err := b.store.Get(ctx, volumeKey(w, revision))
	if err != nil {
		return VolumeRecord{}, fmt.Errorf("volume %s, revision %d: %w", w, revision, err)
	}
	v := VolumeRecord{Week: w, Revision: revision}
	if err := json.Unmarshal(r.Value, &v); err != nil {
		return VolumeRecord{}, fmt.Errorf("%w: record %s: %w", ErrCorrupt, r.Key, err)
	}
	return v, nil
}

func sortedJournals(m map[store.JournalID]*Journal) []*Journal {
	return slices.SortedFunc(maps.Values(m), func(a, b *Journal) int {
		return cmp.Or(cmp.Compare(a.id.Week, b.id.Week), cmp.Compare(a.id.Partition, b.id.Partition))
	})
}
