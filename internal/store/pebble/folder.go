package pebble

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"weir/internal/store"
)

// Backoff between attempts to open a folder that failed.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// folder is one Pebble folder: a table's, or the journals'. It is opened when
// it is used, and anew after it failed.
type folder struct {
	name string
	path string

	mu       sync.Mutex // held while opening, closing and dropping
	current  *instance  // nil when not open
	dropped  bool
	failures int
	retry    time.Time // no attempt to open before
	// syncFailed is set after a sync failed, until the folder was opened to be
	// written to, which writes what the log holds anew.
	syncFailed bool
	last       error // why the last attempt failed
}

// instance is a folder while it is open. It is closed when it was retired and
// nobody uses it any more.
type instance struct {
	db       *engine.DB
	readOnly error // why it is open to be read only, or nil
	guard    *guard
	journals journalEnds
	records  recordLocks
	tidying  sync.Mutex    // held while room is given back
	moving   sync.RWMutex  // held for writing while items are moved, for reading by deletes
	deletes  atomic.Int64  // since room was given back
	sick     chan struct{} // closed when damage was found
	sickOnce sync.Once

	mu      sync.Mutex
	users   int
	retired bool
}

// acquire gives the folder's instance to use, and opens it where needed. The
// caller releases it.
func (f *folder) acquire(s *Store) (*instance, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dropped {
		return nil, store.ErrNoTable
	}
	late := !s.cfg.Now().Before(f.retry)
	if f.current != nil {
		cause := f.current.guard.failure()
		if cause == nil && (f.current.readOnly == nil || !late) {
			f.current.use()
			return f.current, nil
		}
		f.syncFailed = f.syncFailed || f.current.guard.syncFailed.Load()
		f.retire(s)
		if cause != nil {
			f.postpone(s, cause)
			late = false
		}
	}
	if !late {
		return f.acquireToRead(s, fmt.Errorf("waiting to open %s again: %w", f.path, f.last))
	}
	opened, err := s.openInstance(f.path, f != s.journals, mustExist)
	if err != nil {
		f.postpone(s, err)
		return f.acquireToRead(s, fmt.Errorf("open %s: %w", f.path, f.last))
	}
	f.failures, f.last, f.syncFailed = 0, nil, false
	s.mended(f.path, false)
	f.current = opened
	opened.use()
	return opened, nil
}

// acquireToRead opens a folder that cannot be written to, so that reading goes
// on, on a full disk for instance. It gives the cause of that where it cannot
// be read either. f.mu is held.
func (f *folder) acquireToRead(s *Store, cause error) (*instance, error) {
	if !errors.Is(cause, store.ErrUnavailable) || f.syncFailed || s.syncLogs(f.path) != nil {
		return nil, cause
	}
	opened, err := s.openInstance(f.path, f != s.journals, readOnly)
	if err != nil {
		return nil, cause
	}
	opened.readOnly = cause
	f.current = opened
	opened.use()
	return opened, nil
}

// syncLogs makes durable what the failed instance left in its logs: who reads it
// believes it.
func (s *Store) syncLogs(path string) error {
	names, err := s.cfg.FS.List(path)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		f, err := s.cfg.FS.OpenReadWrite(s.cfg.FS.PathJoin(path, name), vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return s.sync(path)
}

// postpone notes a failure and when to try again. f.mu is held.
func (f *folder) postpone(s *Store, cause error) {
	wait := min(firstRetry<<min(f.failures, 10), lastRetry)
	f.failures++
	f.retry = s.cfg.Now().Add(wait)
	f.last = cause
	if !isPort(cause) {
		f.last = fmt.Errorf("%w: %w", classify(cause), cause)
	}
	if errors.Is(f.last, store.ErrCorrupt) {
		s.damaged(f.path, f.last.Error())
	}
	s.failures.Add(1)
	s.cfg.Logger.Error("store folder failed", "path", f.path, "error", f.last, "retry_after", wait)
}

// retire lets go of the open instance, which may be in use. One that is not
// frozen must have no users, so that two never write to one folder; one that is
// frozen or only read may outlive its successor's opening. f.mu is held.
func (f *folder) retire(s *Store) {
	i := f.current
	f.current = nil
	if i.guard.failure() != nil {
		i.guard.drain()
	}
	i.mu.Lock()
	i.retired = true
	idle := i.users == 0
	i.mu.Unlock()
	if idle {
		i.close(s, f.path)
	}
}

// evict closes the folder unless it is in use or busy, and says whether it is
// closed.
func (f *folder) evict(s *Store) bool {
	if !f.mu.TryLock() {
		return false
	}
	defer f.mu.Unlock()
	if f.current == nil {
		return true
	}
	f.current.mu.Lock()
	used := f.current.users > 0
	f.current.mu.Unlock()
	if used {
		return false
	}
	f.retire(s)
	return true
}

func (f *folder) isDropped() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dropped
}

func (i *instance) use() {
	i.mu.Lock()
	i.users++
	i.mu.Unlock()
}

func (i *instance) release(s *Store, path string) {
	i.mu.Lock()
	i.users--
	last := i.users == 0 && i.retired
	i.mu.Unlock()
	if last {
		i.close(s, path)
	}
}

// close closes Pebble. An error here loses nothing: what was answered is
// synced, and what a frozen one complains of is known.
func (i *instance) close(s *Store, path string) {
	if err := i.db.Close(); err != nil && i.guard.failure() == nil {
		s.cfg.Logger.Warn("store folder did not close cleanly", "path", path, "error", err)
	}
}

// commit writes a batch and returns when it is durable. Pebble answers nil
// also where it gave up; the guard tells.
func (i *instance) commit(b *engine.Batch) error {
	if i.readOnly != nil {
		return errors.Join(i.readOnly, b.Close())
	}
	err := i.db.Apply(b, engine.Sync)
	if cause := i.guard.failure(); cause != nil {
		return unavailable(cause)
	}
	return err
}

// unavailable makes the error of a call that met a frozen folder.
func unavailable(cause error) error {
	if errors.Is(cause, store.ErrNoTable) || errors.Is(cause, store.ErrUnavailable) {
		return cause
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, cause)
}
