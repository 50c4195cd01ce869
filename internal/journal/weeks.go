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

func weekKey(w sample.Week) string { return "weeks/" + strings.ToLower(w.String()) }

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
	if _, err := b.EnsureVolume(ctx, w, 0); err != nil {
		return WeekRecord{}, err
	}
	if _, err := b.putNew(ctx, weekKey(w), WeekRecord{Partitions: b.partitions}); err != nil {
		return WeekRecord{}, fmt.Errorf("week %s: %w", w, err)
	}
	week, ok, err := b.Week(ctx, w)
	if err == nil && !ok {
		err = fmt.Errorf("week %s: %w right after it was put", w, store.ErrNotFound)
	}
	return week, err
}

// putNew puts a record unless one is there, and says whether it did.
func (b *Book) putNew(ctx context.Context, key string, value any) (bool, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return false, err
	}
	if _, err = b.store.Put(ctx, key, body, 0); errors.Is(err, store.ErrConflict) {
		return false, nil
	}
	return err == nil, err
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

func sortedJournals(m map[store.JournalID]*Journal) []*Journal {
	return slices.SortedFunc(maps.Values(m), func(a, b *Journal) int {
		return cmp.Or(cmp.Compare(a.id.Week, b.id.Week), cmp.Compare(a.id.Partition, b.id.Partition))
	})
}
