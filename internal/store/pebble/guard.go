package pebble

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"weir/internal/store/pebble/manifest"
)

// guard is the file system of one open folder. Once frozen it answers every
// change with success and does nothing, because Pebble answers most failed
// changes by ending the process, some of them beyond recover: a log that
// cannot be rotated unwinds through a mutex that is not held. Whoever uses the
// folder asks failure() before believing Pebble. Reads go on.
type guard struct {
	vfs.FS

	// busy is held for reading during each change, so that drain can tell
	// when the last one that began before the freeze is over.
	busy   sync.RWMutex
	cause  atomic.Pointer[error]
	frozen chan struct{} // closed when there is a cause
	// syncFailed is set when a sync failed: what was not synced then is in the
	// system's memory only, and a later sync does not tell.
	syncFailed atomic.Bool
	// sink makes the files of a frozen folder. They stay empty.
	sink *vfs.MemFS
	// report takes damage that is found in a file; it may be nil.
	report func(path, what string)
}

var _ vfs.FS = (*guard)(nil)

func newGuard(fs vfs.FS) *guard {
	return &guard{FS: fs, sink: vfs.NewMem(), frozen: make(chan struct{})}
}

// freeze stops all changes; the first cause stays.
func (g *guard) freeze(cause error) {
	if g.cause.CompareAndSwap(nil, &cause) {
		close(g.frozen)
	}
}

// failure gives what froze the folder, or nil. When it gives nil after a call
// of Pebble that wrote, all that the call wrote and synced is on the disk.
func (g *guard) failure() error {
	if p := g.cause.Load(); p != nil {
		return *p
	}
	return nil
}

// drain waits until no change is under way. Call it after freeze.
func (g *guard) drain() {
	g.busy.Lock()
	defer g.busy.Unlock()
}

// change runs one change of the disk, unless frozen, and freezes when it
// fails with an error that is not among the expected ones.
func (g *guard) change(do func() error, expected ...error) error {
	g.busy.RLock()
	defer g.busy.RUnlock()
	if g.failure() != nil {
		return nil
	}
	err := do()
	if err == nil {
		return nil
	}
	for _, e := range expected {
		if errors.Is(err, e) {
			return err
		}
	}
	g.freeze(err)
	return nil
}

// file runs a change that opens a file, and gives a sink where it was not run.
func (g *guard) file(open func() (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	err := g.change(func() (err error) {
		f, err = open()
		return err
	})
	if err != nil {
		return nil, err
	}
	if g.failure() != nil {
		if f != nil {
			_ = f.Close() // opened just before another change froze the folder
		}
		if f, err = g.sink.Create("sink", vfs.WriteCategoryUnspecified); err != nil {
			return nil, err
		}
	}
	return &guardedFile{File: f, guard: g}, nil
}

// Create syncs the folder before a marker is made in it: Pebble's marker names
// a manifest that was just made, and both become durable with the next sync,
// in an order that is up to the disk. A marker without its manifest cannot be
// opened.
func (g *guard) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasPrefix(g.FS.PathBase(name), "marker.") {
		if err := g.change(func() error { return syncFolder(g.FS, g.FS.PathDir(name)) }); err != nil {
			return nil, err
		}
	}
	f, err := g.file(func() (vfs.File, error) { return g.FS.Create(name, c) })
	switch {
	case err != nil:
		return nil, err
	case manifest.IsManifest(g.FS, name):
		return &manifestFile{File: f, guard: g, path: name}, nil
	}
	return f, nil
}

func (g *guard) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return g.file(func() (vfs.File, error) { return g.FS.OpenReadWrite(name, c, opts...) })
}

func (g *guard) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.file(func() (vfs.File, error) { return g.FS.ReuseForWrite(from, to, c) })
}

// OpenDir changes nothing, but what it opens is synced.
func (g *guard) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &guardedFile{File: f, guard: g}, nil
}

func (g *guard) Link(from, to string) error {
	return g.change(func() error { return g.FS.Link(from, to) }, fs.ErrNotExist, fs.ErrExist)
}

func (g *guard) Remove(name string) error {
	return g.change(func() error { return g.FS.Remove(name) }, fs.ErrNotExist, fs.ErrExist)
}

func (g *guard) RemoveAll(name string) error {
	return g.change(func() error { return g.FS.RemoveAll(name) }, fs.ErrNotExist, fs.ErrExist)
}

func (g *guard) Rename(from, to string) error {
	return g.change(func() error { return g.FS.Rename(from, to) })
}

func (g *guard) MkdirAll(dir string, perm os.FileMode) error {
	return g.change(func() error { return g.FS.MkdirAll(dir, perm) })
}

// Lock locks nothing: the store's own lock holds the whole layout, and a
// frozen Pebble must not keep the next one out.
func (g *guard) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (g *guard) Unwrap() vfs.FS { return g.FS }

// guardedFile is a file whose changes go through the guard.
type guardedFile struct {
	vfs.File
	guard *guard
}

func (f *guardedFile) Write(p []byte) (int, error) {
	return len(p), f.guard.change(func() error {
		_, err := f.File.Write(p)
		return err
	})
}

func (f *guardedFile) WriteAt(p []byte, offset int64) (int, error) {
	return len(p), f.guard.change(func() error {
		_, err := f.File.WriteAt(p, offset)
		return err
	})
}

func (f *guardedFile) Sync() error { return f.guard.change(f.noting(f.File.Sync)) }

func (f *guardedFile) SyncData() error { return f.guard.change(f.noting(f.File.SyncData)) }

// noting notes that a sync failed.
func (f *guardedFile) noting(sync func() error) func() error {
	return func() error {
		err := sync()
		if err != nil {
			f.guard.syncFailed.Store(true)
		}
		return err
	}
}

func (f *guardedFile) SyncTo(length int64) (full bool, err error) {
	err = f.guard.change(f.noting(func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	}))
	return full, err
}

// manifestFile is a manifest that is being written: how much of it was synced is
// noted beside it.
type manifestFile struct {
	vfs.File
	guard *guard
	path  string
}

func (f *manifestFile) Sync() error {
	if err := f.File.Sync(); err != nil {
		return err
	}
	return f.guard.change(func() error {
		if info, err := f.Stat(); err == nil {
			_ = manifest.NoteSynced(f.guard.FS, f.path, info.Size()) // without it less damage is found
		}
		return nil
	})
}

// Preallocate saves time only; that it fails is known to nobody.
func (f *guardedFile) Preallocate(offset, length int64) error {
	if f.guard.failure() != nil {
		return nil //nolint:nilerr // a frozen guard answers every change with success
	}
	return f.File.Preallocate(offset, length)
}

// Close closes the file even when frozen: it is a descriptor.
func (f *guardedFile) Close() error {
	if err := f.File.Close(); err != nil {
		f.guard.freeze(err)
	}
	return nil
}
