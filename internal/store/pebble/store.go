package pebble

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"weir/internal/store"
	"weir/internal/store/pebble/names"
)

var (
	_ store.Store  = (*Store)(nil)
	_ store.Sizer  = (*Store)(nil)
	_ store.Lister = (*Store)(nil)
)

// Store is the embedded store. Make one with Open; one process at a time has
// a folder open. All methods are safe for concurrent use.
type Store struct {
	cfg      Config
	cache    *engine.Cache
	files    *engine.FileCache
	lock     io.Closer
	journals *folder
	failures atomic.Uint64 // folders that failed, ever
	damages  damages

	// removals is held for reading while items are deleted: see Snapshot.
	removals sync.RWMutex
	// shape is held while a table is made or dropped. unsynced is set while
	// the weeks' folder has names that a power cut could undo.
	shape    sync.Mutex
	unsynced atomic.Bool

	mu     sync.Mutex
	tables map[string]*folder
	aside  map[string]string // tables that were set aside, and where they are
	recent []*folder         // open tables, the one used last at the end
	closed bool
	calls  sync.WaitGroup // those under way; only added to while not closed
}

func (s *Store) path(elements ...string) string {
	return s.cfg.FS.PathJoin(append([]string{s.cfg.Dir}, elements...)...)
}

func (s *Store) exists(path string) bool {
	_, err := s.cfg.FS.Stat(path)
	return err == nil
}

// sync makes the names in a folder durable.
func (s *Store) sync(path string) error { return syncFolder(s.cfg.FS, path) }

func syncFolder(fs vfs.FS, path string) (err error) {
	d, err := fs.OpenDir(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	return closing(d, err)
}

// closing closes what was used, and gives the first error.
func closing(c io.Closer, err error) error {
	if e := c.Close(); err == nil {
		err = e
	}
	return err
}

// enter begins a call. The caller ends it with s.calls.Done.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	s.calls.Add(1)
	return nil
}

// call runs one call on the journals' folder and makes its error the port's.
func (s *Store) call(ctx context.Context, op, key string, do func(*instance) error) error {
	if err := s.enter(ctx); err != nil {
		return wrap(op, key, err)
	}
	defer s.calls.Done()
	return wrap(op, key, s.with(s.journals, do))
}

// callTable runs one call on a table's folder.
func (s *Store) callTable(ctx context.Context, op, table string, do func(*instance) error) error {
	if err := s.enter(ctx); err != nil {
		return wrap(op, table, err)
	}
	defer s.calls.Done()
	if !names.IsTable(table) {
		return wrap(op, table, names.BadTable(table))
	}
	s.mu.Lock()
	f, aside := s.tables[table], s.aside[table]
	s.mu.Unlock()
	if aside != "" {
		return wrap(op, table, asideError(aside))
	}
	if f == nil {
		return wrap(op, table, store.ErrNoTable)
	}
	if err := s.syncWeeks(); err != nil {
		return wrap(op, table, err)
	}
	return wrap(op, table, s.with(f, do))
}

// with opens a folder where needed and uses it. An error of a folder that
// froze meanwhile is that of what froze it.
func (s *Store) with(f *folder, do func(*instance) error) error {
	i, err := f.acquire(s)
	if err != nil {
		return err
	}
	defer i.release(s, f.path)
	if f != s.journals {
		s.used(f)
	}
	err = do(i)
	if cause := i.guard.failure(); err != nil && cause != nil {
		return unavailable(cause)
	}
	if err != nil && isLoss(err) && !s.isDamaged(f.path) {
		s.damaged(f.path, err.Error())
	}
	return err
}

// used notes that a table was used and closes those that were not used for
// the longest time, as far as they are idle.
func (s *Store) used(f *folder) {
	s.mu.Lock()
	s.recent = append(without(s.recent, f), f)
	var old []*folder
	if extra := len(s.recent) - s.cfg.MaxOpenTables; extra > 0 {
		old = append(old, s.recent[:extra]...)
	}
	s.mu.Unlock()
	for _, o := range old {
		if o == f || !o.evict(s) {
			continue
		}
		s.mu.Lock()
		s.recent = without(s.recent, o)
		s.mu.Unlock()
	}
}

// without gives a list without one folder, in a slice of its own.
func without(list []*folder, f *folder) []*folder {
	kept := make([]*folder, 0, len(list)+1)
	for _, g := range list {
		if g != f {
			kept = append(kept, g)
		}
	}
	return kept
}

// Close waits for the calls under way, and closes all folders.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.calls.Wait()

	folders := []*folder{s.journals}
	for _, f := range s.tables {
		folders = append(folders, f)
	}
	for _, f := range folders {
		f.mu.Lock()
		if f.current != nil {
			f.retire(s)
		}
		f.mu.Unlock()
	}
	s.files.Unref()
	s.cache.Unref()
	if s.lock == nil {
		return nil
	}
	if err := s.lock.Close(); err != nil {
		return fmt.Errorf("store: release the lock of %s: %w", s.cfg.Dir, err)
	}
	return nil
}

// Metrics is how the store fares.
type Metrics struct {
	Tables         int    // that there are
	OpenTables     int    // that are open
	Failures       uint64 // times that a folder failed since Open
	CompactionDebt uint64 // bytes that compactions have yet to move, of open folders
	LogBytes       uint64 // write-ahead logs at rest, of open folders
}

// Metrics reads how the store fares. A folder that is busy opening is left out.
func (s *Store) Metrics() Metrics {
	s.mu.Lock()
	m := Metrics{Tables: len(s.tables), Failures: s.failures.Load()}
	if s.closed {
		s.mu.Unlock()
		return m
	}
	s.calls.Add(1)
	folders := append([]*folder{s.journals}, s.recent...)
	s.mu.Unlock()
	defer s.calls.Done()
	for _, f := range folders {
		if !f.mu.TryLock() {
			continue
		}
		if f.current != nil {
			if f != s.journals {
				m.OpenTables++
			}
			of := f.current.db.Metrics()
			m.CompactionDebt += of.Compact.EstimatedDebt
			m.LogBytes += of.WAL.Size + of.WAL.ObsoletePhysicalSize
		}
		f.mu.Unlock()
	}
	return m
}
