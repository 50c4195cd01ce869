package pebble

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	engine "github.com/cockroachdb/pebble/v2"

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
	last     error     // why the last attempt failed
}

// instance is a folder while it is open. It is closed when it was retired and
// nobody uses it any more.
type instance struct {
	db       *engine.DB
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
	if f.current != nil {
		cause := f.current.guard.failure()
		if cause == nil {
			f.current.use()
			return f.current, nil
		}
		f.retire(s)
		f.postpone(s, cause)
	}
	if s.cfg.Now().Before(f.retry) {
		return nil, fmt.Errorf("waiting to open %s again: %w", f.path, f.last)
	}
	opened, err := s.openInstance(f.path, f != s.journals, false)
	if err != nil {
		f.postpone(s, err)
		return nil, fmt.Errorf("open %s: %w", f.path, f.last)
	}
	f.failures, f.last = 0, nil
	s.mended(f.path, false)
	f.current = opened
	opened.use()
	return opened, nil
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
// frozen must have no users, so that two never write to one folder; a frozen
// one may outlive its successor's opening. f.mu is held.
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
