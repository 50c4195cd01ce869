package pebble

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	engine "github.com/cockroachdb/pebble/v2"

	"weir/internal/sample"
	"weir/internal/store"
	"weir/internal/store/pebble/names"
)

// A journal's entry has the key 'j', week, partition, position: int32 with its
// sign turned, uint16, uint64, all big-endian, so that bytes sort as they do.
const (
	journalMark   = 'j'
	journalPrefix = 1 + 4 + 2
	journalKey    = journalPrefix + 8
)

func appendJournal(dst []byte, id store.JournalID) []byte {
	dst = append(dst, journalMark)
	dst = binary.BigEndian.AppendUint32(dst, uint32(id.Week)^1<<31)
	return binary.BigEndian.AppendUint16(dst, uint16(id.Partition))
}

func entryKey(id store.JournalID, position uint64) []byte {
	return binary.BigEndian.AppendUint64(appendJournal(make([]byte, 0, journalKey), id), position)
}

func parseEntryKey(key []byte) (id store.JournalID, position uint64, err error) {
	if len(key) != journalKey || key[0] != journalMark {
		return id, 0, fmt.Errorf("%w: %x is no key of a journal", store.ErrCorrupt, key)
	}
	id.Week = sample.Week(binary.BigEndian.Uint32(key[1:]) ^ 1<<31)
	id.Partition = int(binary.BigEndian.Uint16(key[5:]))
	return id, binary.BigEndian.Uint64(key[journalPrefix:]), nil
}

// afterJournal is a key past all entries of a journal and before the next one.
func afterJournal(id store.JournalID) []byte { return append(entryKey(id, math.MaxUint64), 0) }

// journalEnds holds where journals end, as far as they were asked for. It
// lives as long as its instance: after a failure the disk is asked again.
type journalEnds struct {
	mu   sync.Mutex
	ends map[store.JournalID]*journalEnd
}

// journalEnd is one journal's end.
type journalEnd struct {
	// mu is held during an append, its sync included, so that who finds the
	// position taken finds a durable entry there. Appends to other journals
	// share the sync.
	mu     sync.Mutex
	known  atomic.Bool
	synced atomic.Uint64 // entries that are durable; set once known
}

// get gives a journal's end. It may not be known yet.
func (j *journalEnds) get(id store.JournalID) *journalEnd {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ends == nil {
		j.ends = map[store.JournalID]*journalEnd{}
	}
	e := j.ends[id]
	if e == nil {
		e = &journalEnd{}
		j.ends[id] = e
	}
	return e
}

// learn reads the end from the disk, unless known. e.mu is held, so nothing is
// under way, and what is there is durable.
func (e *journalEnd) learn(db *engine.DB, id store.JournalID) error {
	if e.known.Load() {
		return nil
	}
	it, err := db.NewIter(&engine.IterOptions{LowerBound: entryKey(id, 0), UpperBound: afterJournal(id)})
	if err != nil {
		return err
	}
	var end uint64
	if it.Last() {
		_, position, err := parseEntryKey(it.Key())
		if err != nil {
			_ = it.Close()
			return err
		}
		end = position + 1
	}
	if err := it.Close(); err != nil {
		return err
	}
	e.synced.Store(end)
	e.known.Store(true)
	return nil
}

// Append puts an entry at a journal's end.
func (s *Store) Append(ctx context.Context, id store.JournalID, position uint64, entry []byte) error {
	key := fmt.Sprintf("%s at %d", id, position)
	if err := checkJournal(id); err != nil {
		return wrap("append", key, err)
	}
	if len(entry) > store.MaxEntry {
		return wrap("append", key, fmt.Errorf("%w: an entry of %d bytes; the limit is %d", store.ErrTooLarge, len(entry), store.MaxEntry))
	}
	return s.call(ctx, "append", key, func(i *instance) error {
		e := i.journals.get(id)
		e.mu.Lock()
		defer e.mu.Unlock()
		if err := e.learn(i.db, id); err != nil {
			return err
		}
		switch end := e.synced.Load(); {
		case position < end:
			return store.ErrTaken
		case position > end:
			return fmt.Errorf("%w: it ends before %d", ErrGap, end)
		}
		b := i.db.NewBatchWithSize(len(entry) + 64)
		if err := b.Set(entryKey(id, position), entry, nil); err != nil {
			return err
		}
		if err := i.commit(b); err != nil {
			return err
		}
		e.synced.Store(position + 1)
		return b.Close()
	})
}

func checkJournal(id store.JournalID) error {
	if id.Partition < 0 || id.Partition > math.MaxUint16 {
		return fmt.Errorf("%w: partition %d: 0 to %d will do", names.ErrInvalid, id.Partition, math.MaxUint16)
	}
	return nil
}

// Read gives entries of a journal that are durable.
func (s *Store) Read(ctx context.Context, id store.JournalID, from uint64, max int) ([][]byte, error) {
	var entries [][]byte
	if err := checkJournal(id); err != nil {
		return nil, wrap("read", id.String(), err)
	}
	err := s.call(ctx, "read", id.String(), func(i *instance) error {
		e := i.journals.get(id)
		if !e.known.Load() {
			e.mu.Lock()
			err := e.learn(i.db, id)
			e.mu.Unlock()
			if err != nil {
				return err
			}
		}
		end := e.synced.Load()
		if max <= 0 || from >= end {
			return nil
		}
		end = min(end-from, uint64(max)) + from
		it, err := i.db.NewIterWithContext(ctx, &engine.IterOptions{
			LowerBound: entryKey(id, from), UpperBound: entryKey(id, end),
		})
		if err != nil {
			return err
		}
		entries, err = readEntries(ctx, it, from, end)
		return closing(it, err)
	})
	if err != nil {
		return nil, err
	}
	return entries, nil
}

// readEntries reads the entries of [from, end), all of which must be there.
func readEntries(ctx context.Context, it *engine.Iterator, from, end uint64) ([][]byte, error) {
	entries := make([][]byte, 0, min(end-from, 1<<10))
	for ok := it.First(); ok; ok = it.Next() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		_, position, err := parseEntryKey(it.Key())
		if err != nil {
			return nil, err
		}
		if want := from + uint64(len(entries)); position != want {
			return nil, fmt.Errorf("%w: the journal has no entry %d before %d", store.ErrCorrupt, want, position)
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, err
		}
		entries = append(entries, append(make([]byte, 0, len(value)), value...))
	}
	if err := it.Error(); err != nil {
		return nil, err
	}
	if got := from + uint64(len(entries)); got != end {
		return nil, fmt.Errorf("%w: the journal ends at %d, not at %d", store.ErrCorrupt, got, end)
	}
	return entries, nil
}

// List gives the journals that have a durable entry.
func (s *Store) List(ctx context.Context) ([]store.JournalID, error) {
	var ids []store.JournalID
	err := s.call(ctx, "list journals", s.cfg.Dir, func(i *instance) error {
		it, err := i.db.NewIterWithContext(ctx, &engine.IterOptions{
			LowerBound: []byte{journalMark}, UpperBound: []byte{journalMark + 1},
		})
		if err != nil {
			return err
		}
		ids, err = i.listJournals(ctx, it)
		return closing(it, err)
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

func (i *instance) listJournals(ctx context.Context, it *engine.Iterator) ([]store.JournalID, error) {
	var ids []store.JournalID
	for ok := it.First(); ok; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		id, _, err := parseEntryKey(it.Key())
		if err != nil {
			return nil, err
		}
		// An end that is known to be 0 has its first append under way. One
		// that is not known has had none since the folder was opened.
		if e := i.journals.get(id); !e.known.Load() || e.synced.Load() > 0 {
			ids = append(ids, id)
		}
		ok = it.SeekGE(afterJournal(id))
	}
	return ids, it.Error()
}
