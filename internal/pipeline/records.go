package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"weir/internal/sample"
	"weir/internal/store"
)

// The keys of records; docs/formats/pipeline.md.
const (
	leaderKey   = "pipelines/leader"
	statePrefix = "pipelines/state/"
)

func stateKey(name string) string { return statePrefix + name }

func textKey(name, hash string) string { return "pipelines/text/" + name + "/" + hash }

// weekPrefix holds the runs whose windows start in a week.
func weekPrefix(name string, w sample.Week) string {
	return "pipelines/runs/" + name + "/" + strings.ToLower(w.String()) + "/"
}

// windowPrefix holds a window's revisions, which sort as they are numbered.
func windowPrefix(name string, w Window) string {
	return weekPrefix(name, sample.WeekOf(int64(w.Start))) + sortable(w.Start) + "-" + sortable(w.End) + "/"
}

func runKey(k RunKey) string {
	return windowPrefix(k.Pipeline, k.Window) + fmt.Sprintf("%06d", k.Revision)
}

// sortable writes an instant so that texts sort as times do.
func sortable(i Instant) string { return fmt.Sprintf("%016x", uint64(i)^(math.MaxInt64+1)) }

// record is what the records' shapes have in common.
type record struct {
	Format int `json:"format"`
}

// decode reads a record's value.
func decode[T any](r store.Record) (value T, err error) {
	var head record
	if err = json.Unmarshal(r.Value, &head); err == nil {
		if head.Format > recordFormat {
			return value, &store.Error{Op: "read", Key: r.Key, Err: store.ErrVersion, Hint: "a newer Weir wrote it; start that version"}
		}
		err = json.Unmarshal(r.Value, &value)
	}
	if err != nil {
		err = &store.Error{Op: "read", Key: r.Key, Err: fmt.Errorf("%w: %w", store.ErrCorrupt, err)}
	}
	return value, err
}

// read gives a record's value and version.
func read[T any](ctx context.Context, records store.Records, key string) (value T, version uint64, err error) {
	r, err := records.Get(ctx, key)
	if err != nil {
		return value, 0, err
	}
	value, err = decode[T](r)
	return value, r.Version, err
}

// write puts a value on condition of a version.
func write(ctx context.Context, records store.Records, key string, value any, version uint64) error {
	text, err := json.Marshal(value)
	if err == nil {
		_, err = records.Put(ctx, key, text, version)
	}
	return err
}

// errKeep is returned by a change that has nothing to change.
var errKeep = errors.New("nothing to change")

// change reads a record, changes it, and writes it if nobody did meanwhile;
// else it begins again. A record that is missing is the zero value at make,
// else ErrNotFound. f must leave the value alone when what it does is done
// already, since after an error other than its own it may have been.
func change[T any](ctx context.Context, records store.Records, key string, create bool, f func(*T) error) (T, error) {
	for {
		value, version, err := read[T](ctx, records, key)
		if err != nil && (!create || !errors.Is(err, store.ErrNotFound)) {
			return value, err
		}
		switch err := f(&value); {
		case errors.Is(err, errKeep):
			return value, nil
		case err != nil:
			return value, err
		}
		if err = write(ctx, records, key, value, version); !errors.Is(err, store.ErrConflict) {
			return value, err
		}
	}
}
