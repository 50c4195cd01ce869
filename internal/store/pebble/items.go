package pebble

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"

	engine "github.com/cockroachdb/pebble/v2"

	"weir/internal/sample"
	"weir/internal/store"
)

// maxBatch is about how many bytes of items go into one batch of Pebble. A
// Write of more is cut, and may be stored in part.
const maxBatch = 32 << 20

// maxDeletes is how many items one batch of Pebble deletes at most.
const maxDeletes = 10_000

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

// Delete removes items.
func (s *Store) Delete(ctx context.Context, table string, keys []store.ItemKey) error {
	begun, deleted := false, 0
	err := s.callTable(ctx, "delete", table, func(i *instance) error {
		for deleted < len(keys) {
			if err := ctx.Err(); err != nil {
				return err
			}
			begun = true
			n := min(len(keys)-deleted, maxDeletes)
			s.removals.RLock()
			err := i.deleteBatch(keys[deleted : deleted+n])
			s.removals.RUnlock()
			if err != nil {
				return err
			}
			deleted += n
		}
		s.tidy(ctx, i, s.path(folderWeeks, table), len(keys))
		return nil
	})
	if err == nil || !begun {
		return err
	}
	return &store.Undeleted{Keys: slices.Clone(keys[deleted:]), Err: err}
}

func (i *instance) deleteBatch(keys []store.ItemKey) error {
	b := i.db.NewBatchWithSize(len(keys) * (store.KeySize + 16))
	for _, key := range keys {
		op := b.DeleteDeferred(store.KeySize)
		key.Append(op.Key[:0])
		if err := op.Finish(); err != nil {
			return err
		}
	}
	i.moving.RLock() // else an item that is being moved would come back
	err := i.commit(b)
	i.moving.RUnlock()
	if err != nil {
		return err // Pebble may still hold the batch: it is not closed
	}
	return b.Close()
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
		err = (&itemScan{ctx: ctx, it: it, yield: yield}).run()
		return closing(it, err)
	})
}

// Keys lists the keys of a table.
func (s *Store) Keys(ctx context.Context, table string, yield func(store.ItemKey) bool) error {
	return s.callTable(ctx, "list keys", table, func(i *instance) error {
		it, err := i.db.NewIterWithContext(ctx, nil)
		if err != nil {
			return err
		}
		for ok := it.First(); ok && err == nil; ok = it.Next() {
			var key store.ItemKey
			if key, err = store.ParseItemKey(it.Key()); err == nil && !yield(key) {
				break
			}
			err = errors.Join(err, ctx.Err())
		}
		return closing(it, errors.Join(err, it.Error()))
	})
}

// Size gives what a table takes on the disk, its log included. It need not
// open the table for that.
func (s *Store) Size(ctx context.Context, table string) (uint64, error) {
	if err := s.enter(ctx); err != nil {
		return 0, wrap("size", table, err)
	}
	defer s.calls.Done()
	s.mu.Lock()
	f, path := s.tables[table], s.aside[table]
	s.mu.Unlock()
	switch {
	case f != nil:
		path = f.path
	case path == "":
		return 0, wrap("size", table, store.ErrNoTable)
	}
	names, err := s.cfg.FS.List(path)
	if err != nil {
		return 0, wrap("size", table, err)
	}
	var size uint64
	for _, name := range names {
		info, err := s.cfg.FS.Stat(s.cfg.FS.PathJoin(path, name))
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
