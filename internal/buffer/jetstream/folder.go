package jetstream

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// settled is how old a folder's time of change must be before an equal one
// proves that nothing changed since. The kernel stamps changes by a clock
// that ticks every few ms, so two changes can carry the same time.
const settled = 50 * time.Millisecond

// coarse is settled for file systems that keep whole seconds only.
const coarse = 2100 * time.Millisecond

// folder makes a folder's entries durable, and asks the disk only when the
// folder may have changed. Safe for concurrent use.
type folder struct {
	path string
	now  func() time.Time // the machine's clock, which stamps files
	stat func(path string) (time.Time, error)
	sync func(path string) error

	mu     sync.Mutex
	synced time.Time // the folder's time of change ahead of the last sync; zero: unknown
	proven bool      // that time was old enough to prove that it is the last change
}

func newFolder(path string) *folder {
	return &folder{path: path, now: time.Now, stat: changed, sync: syncFolder}
}

// changed gives when entries of a folder were last made, renamed or removed.
func changed(path string) (time.Time, error) {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// Sync returns when every entry that was there when it was called is
// durable.
func (f *folder) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	// The clock is read first: a change after the stat has a later time, or
	// the same one, and then that time is not old enough yet.
	now := f.now()
	at, err := f.stat(f.path)
	if err != nil {
		return err
	}
	if f.proven && at.Equal(f.synced) {
		return nil
	}
	f.proven = false
	if err := f.sync(f.path); err != nil {
		return err
	}
	wait := settled
	if at.Nanosecond() == 0 {
		wait = coarse
	}
	f.synced, f.proven = at, now.Sub(at) > wait
	return nil
}

// syncFolder makes a folder's entries durable.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// syncTree makes durable the entries of root and of all folders below it, and
// root's own entry.
func syncTree(root string) error {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the server removed it meanwhile
		}
		if err != nil || !d.IsDir() {
			return err
		}
		if err := syncFolder(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(root))
}

// makeFolder makes a folder and those above it that are missing, durably.
func makeFolder(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(path)
	if err := makeFolder(parent); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(parent)
}
