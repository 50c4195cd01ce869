package pebble

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/zeebo/xxh3"

	"weir/internal/store"
	"weir/internal/store/pebble/names"
)

// A record has the key 'r' and its own key; its value is the version, uint64
// big-endian, and the value.
const (
	recordMark    = 'r'
	recordVersion = 8
)

func recordKey(key string) []byte { return append([]byte{recordMark}, key...) }

func parseRecord(key, value []byte) (store.Record, error) {
	if len(value) < recordVersion {
		return store.Record{}, fmt.Errorf("%w: record %q has %d bytes", store.ErrCorrupt, key, len(value))
	}
	return store.Record{
		Key: string(key[1:]), Value: bytes.Clone(value[recordVersion:]), Version: binary.BigEndian.Uint64(value),
	}, nil
}

// recordLocks orders the use of records: a Put holds one for writing, its sync
// included, so that nobody reads what is not durable.
type recordLocks [64]sync.RWMutex

func (l *recordLocks) of(key string) *sync.RWMutex { return &l[xxh3.HashString(key)%uint64(len(l))] }

// lookup reads a record; its lock is held.
func (i *instance) lookup(key string) (store.Record, error) {
	k := recordKey(key)
	value, closer, err := i.db.Get(k)
	if errors.Is(err, engine.ErrNotFound) {
		return store.Record{}, store.ErrNotFound
	}
	if err != nil {
		return store.Record{}, err
	}
	r, err := parseRecord(k, value)
	if e := closer.Close(); err == nil {
		err = e
	}
	return r, err
}

// Get reads a record.
func (s *Store) Get(ctx context.Context, key string) (store.Record, error) {
	if err := names.CheckRecord(key); err != nil {
		return store.Record{}, wrap("get", key, err)
	}
	var r store.Record
	err := s.call(ctx, "get", key, func(i *instance) (err error) {
		lock := i.records.of(key)
		lock.RLock()
		defer lock.RUnlock()
		r, err = i.lookup(key)
		return err
	})
	if err != nil {
		return store.Record{}, err
	}
	return r, nil
}

// Put writes a record of a version.
func (s *Store) Put(ctx context.Context, key string, value []byte, version uint64) (store.Record, error) {
	if err := names.CheckRecord(key); err != nil {
		return store.Record{}, wrap("put", key, err)
	}
	if len(value) > store.MaxEntry {
		return store.Record{}, wrap("put", key, fmt.Errorf("%w: a record of %d bytes; the limit is %d", store.ErrTooLarge, len(value), store.MaxEntry))
	}
	err := s.change(ctx, "put", key, version, func(b *engine.Batch) error {
		return b.Set(recordKey(key), append(binary.BigEndian.AppendUint64(nil, version+1), value...), nil)
	})
	if err != nil {
		return store.Record{}, err
	}
	return store.Record{Key: key, Value: bytes.Clone(value), Version: version + 1}, nil
}

// Remove removes a record of a version.
func (s *Store) Remove(ctx context.Context, key string, version uint64) error {
	if err := names.CheckRecord(key); err != nil {
		return wrap("remove", key, err)
	}
	if version == 0 {
		return wrap("remove", key, fmt.Errorf("%w: no record is of version 0", store.ErrConflict))
	}
	return s.change(ctx, "remove", key, version, func(b *engine.Batch) error { return b.Delete(recordKey(key), nil) })
}

// change changes a record that is of a version.
func (s *Store) change(ctx context.Context, op, key string, version uint64, fill func(*engine.Batch) error) error {
	return s.call(ctx, op, key, func(i *instance) error {
		lock := i.records.of(key)
		lock.Lock()
		defer lock.Unlock()
		current, err := i.lookup(key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if current.Version != version {
			return fmt.Errorf("%w: it is of version %d, not %d", store.ErrConflict, current.Version, version)
		}
		b := i.db.NewBatch()
		if err := fill(b); err != nil {
			return err
		}
		if err := i.commit(b); err != nil {
			return err
		}
		return b.Close()
	})
}

// Scan lists the records below a prefix.
func (s *Store) Scan(ctx context.Context, prefix string) ([]store.Record, error) {
	if !strings.HasSuffix(prefix, "/") || names.CheckRecord(strings.TrimSuffix(prefix, "/")) != nil {
		return nil, wrap("scan", prefix, fmt.Errorf("%w: prefix %q: use segments of a record's key, each followed by '/'", names.ErrInvalid, prefix))
	}
	var records []store.Record
	err := s.call(ctx, "scan", prefix, func(i *instance) error {
		for n := range i.records {
			i.records[n].RLock()
		}
		defer func() {
			for n := range i.records {
				i.records[n].RUnlock()
			}
		}()
		upper := recordKey(prefix)
		upper[len(upper)-1]++ // the byte after '/'
		it, err := i.db.NewIterWithContext(ctx, &engine.IterOptions{LowerBound: recordKey(prefix), UpperBound: upper})
		if err != nil {
			return err
		}
		records, err = readRecords(ctx, it)
		return closing(it, err)
	})
	if err != nil {
		return nil, err
	}
	return records, nil
}

func readRecords(ctx context.Context, it *engine.Iterator) ([]store.Record, error) {
	var records []store.Record
	for ok := it.First(); ok; ok = it.Next() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, err
		}
		r, err := parseRecord(it.Key(), value)
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, it.Error()
}
