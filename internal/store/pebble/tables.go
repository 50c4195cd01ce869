package pebble

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	engine "github.com/cockroachdb/pebble/v2"

	"weir/internal/sample"
	"weir/internal/store"
)

// maxBatch is about how many bytes of items go into one batch of Pebble. A
// Write of more is cut, and may be stored in part.
const maxBatch = 32 << 20

const maxTableName = 64

func validTable(name string) bool {
	for _, c := range []byte(name) {
		if c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && len(name) <= maxTableName
}

func badTable(name string) error {
	return fmt.Errorf("%w: table %q: use lower-case letters, digits and underscores, at most %d", errName, name, maxTableName)
}

// syncWeeks makes the tables' names durable, where an earlier sync failed.
func (s *Store) syncWeeks() error {
	if !s.unsynced.Load() {
		return nil
	}
	s.shape.Lock()
	defer s.shape.Unlock()
	return s.syncShape()
}

// syncShape is syncWeeks for a caller that holds shape.
func (s *Store) syncShape() error {
	if !s.unsynced.Load() {
		return nil
	}
	if err := s.sync(s.path(folderWeeks)); err != nil {
		return err
	}
	s.unsynced.Store(false)
	return nil
}

// Ensure makes a table unless it is there.
func (s *Store) Ensure(ctx context.Context, table string) error {
	if err := s.enter(ctx); err != nil {
		return wrap("ensure", table, err)
	}
	defer s.calls.Done()
	if !validTable(table) {
		return wrap("ensure", table, badTable(table))
	}
	s.mu.Lock()
	there := s.tables[table] != nil
	s.mu.Unlock()
	if there {
		return wrap("ensure", table, s.syncWeeks())
	}
	return wrap("ensure", table, s.makeTable(table))
}

func (s *Store) makeTable(table string) error {
	s.shape.Lock()
	defer s.shape.Unlock()
	s.mu.Lock()
	there := s.tables[table] != nil
	s.mu.Unlock()
	if !there {
		s.unsynced.Store(true)
		if err := s.makeFolder(s.path(folderWeeks), table, true); err != nil {
			return err
		}
		s.mu.Lock()
		s.tables[table] = &folder{name: table, path: s.path(folderWeeks, table)}
		s.mu.Unlock()
	}
	return s.syncShape()
}

// Names lists the tables.
func (s *Store) Names(ctx context.Context) ([]string, error) {
	if err := s.enter(ctx); err != nil {
		return nil, wrap("list tables", s.cfg.Dir, err)
	}
	defer s.calls.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.tables)), nil
}

// Drop removes a table. It is gone once its folder has another name; what is
// left of that after a crash is removed by the next Open.
func (s *Store) Drop(ctx context.Context, table string) error {
	if err := s.enter(ctx); err != nil {
		return wrap("drop", table, err)
	}
	defer s.calls.Done()
	if !validTable(table) {
		return wrap("drop", table, badTable(table))
	}
	aside, err := s.setAside(table)
	if err != nil || aside == "" {
		return wrap("drop", table, err)
	}
	if err := s.cfg.FS.RemoveAll(aside); err != nil {
		// The table is dropped all the same; only its room is not free yet.
		s.cfg.Logger.Warn("a dropped table's folder could not be removed; the next start will try again", "path", aside, "error", err)
	}
	return nil
}

// setAside renames a table's folder to one that is no table, and gives its new
// path, or "" when there is no such table. Whoever uses the table meanwhile
// goes on reading what is still there, and no longer writes.
func (s *Store) setAside(table string) (string, error) {
	s.shape.Lock()
	defer s.shape.Unlock()
	s.mu.Lock()
	f := s.tables[table]
	s.mu.Unlock()
	if f == nil {
		return "", s.syncShape()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current != nil {
		f.current.guard.freeze(store.ErrNoTable)
		f.retire(s)
	}
	aside, err := s.freeName(table)
	if err != nil {
		return "", err
	}
	s.unsynced.Store(true)
	if err := s.cfg.FS.Rename(f.path, aside); err != nil {
		return "", err
	}
	f.dropped = true
	s.mu.Lock()
	delete(s.tables, table)
	s.recent = without(s.recent, f)
	s.mu.Unlock()
	return aside, s.syncShape()
}

// freeName gives a path for a dropped table that nothing has: an earlier one
// of the same name may not be removed yet.
func (s *Store) freeName(table string) (string, error) {
	for n := range 1 << 20 {
		if path := s.path(folderWeeks, prefixDropped+table+"-"+strconv.Itoa(n)); !s.exists(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: too many dropped folders of %s are left in %s", store.ErrUnavailable, table, s.path(folderWeeks))
}

// Write stores items.
func (s *Store) Write(ctx context.Context, table string, items []store.Item) error {
	for _, item := range items {
		if len(item.Body) > store.MaxItem {
			return wrap("write", table, fmt.Errorf("%w: an item of %d bytes; the limit is %d", store.ErrTooLarge, len(item.Body), store.MaxItem))
		}
	}
	begun, stored := false, 0
	err := s.callTable(ctx, "write", table, func(i *instance) error {
		for stored < len(items) {
			if err := ctx.Err(); err != nil {
				return err
			}
			begun = true
			n, err := i.writeBatch(items[stored:])
			if err != nil {
				return err
			}
			stored += n
		}
		return nil
	})
	if err == nil || !begun {
		return err
	}
	keys := make([]store.ItemKey, 0, len(items)-stored)
	for _, item := range items[stored:] {
		keys = append(keys, item.Key)
	}
	return &store.Unwritten{Keys: keys, Err: err}
}

// writeBatch stores the first of the items, and gives how many.
func (i *instance) writeBatch(items []store.Item) (int, error) {
	n, size := 0, 0
	for n < len(items) && (n == 0 || size+len(items[n].Body) <= maxBatch) {
		size += len(items[n].Body) + store.KeySize + 16
		n++
	}
	b := i.db.NewBatchWithSize(size)
	for _, item := range items[:n] {
		op := b.SetDeferred(store.KeySize, len(item.Body))
		item.Key.Append(op.Key[:0])
		copy(op.Value, item.Body)
		if err := op.Finish(); err != nil {
			return 0, err
		}
	}
	if err := i.commit(b); err != nil {
		return 0, err // Pebble may still hold the batch: it is not closed
	}
	return n, b.Close()
}

// Query reads the items of a bucket.
func (s *Store) Query(ctx context.Context, table string, bucket sample.Shard, from, to int64, yield func(store.Item) bool) error {
	return s.callTable(ctx, "query", table, func(i *instance) error {
		if from > to {
			return nil
		}
		last := store.ItemKey{
			Bucket: bucket, Span: to,
			Flush: store.FlushID{Epoch: math.MaxUint64, Nonce: math.MaxUint64}, Part: math.MaxUint16,
		}
		it, err := i.db.NewIterWithContext(ctx, &engine.IterOptions{
			LowerBound: store.ItemKey{Bucket: bucket, Span: from}.Append(nil),
			UpperBound: append(last.Append(nil), 0),
		})
		if err != nil {
			return err
		}
		err = scanItems(ctx, it, yield)
		if e := it.Close(); err == nil {
			err = e
		}
		return err
	})
}

func scanItems(ctx context.Context, it *engine.Iterator, yield func(store.Item) bool) error {
	for ok := it.First(); ok; ok = it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		key, err := store.ParseItemKey(it.Key())
		if err != nil {
			return err
		}
		body, err := itemBody(it)
		if err != nil {
			return err
		}
		if !yield(store.Item{Key: key, Body: body}) {
			return nil
		}
	}
	return it.Error()
}

// itemBody reads the item's body. Pebble panics on a blob file that is corrupt
// (cockroachdb/pebble #5127), holding nothing; any other panic goes on.
func itemBody(it *engine.Iterator) (body []byte, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case string:
			if !strings.HasPrefix(p, "unknown metadata type") {
				panic(p)
			}
			err = fmt.Errorf("%w: a blob file cannot be read", store.ErrCorrupt)
		default:
			panic(p)
		}
	}()
	return it.ValueAndErr()
}

// Size gives what a table takes on the disk, its log included. It need not
// open the table for that.
func (s *Store) Size(ctx context.Context, table string) (uint64, error) {
	if err := s.enter(ctx); err != nil {
		return 0, wrap("size", table, err)
	}
	defer s.calls.Done()
	s.mu.Lock()
	f := s.tables[table]
	s.mu.Unlock()
	if f == nil {
		return 0, wrap("size", table, store.ErrNoTable)
	}
	names, err := s.cfg.FS.List(f.path)
	if err != nil {
		return 0, wrap("size", table, err)
	}
	var size uint64
	for _, name := range names {
		info, err := s.cfg.FS.Stat(s.cfg.FS.PathJoin(f.path, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a compaction removed it meanwhile
		}
		if err != nil {
			return 0, wrap("size", table, err)
		}
		size += uint64(info.Size())
	}
	return size, nil
}
