// Package folder keeps objects as files below a folder of this machine. It
// imports its port alone.
//
// A file is written under a name of its own that begins with a dot, synced, and
// renamed; then the folders that lead to it are synced. What a crash left of one
// is removed by the next New.
package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"weir/internal/objects"
)

// Folder is the driver. Safe for concurrent use.
type Folder struct {
	dir string
	// removals is held for reading while objects are removed: see Snapshot.
	removals sync.RWMutex
}

var (
	_ objects.Objects = (*Folder)(nil)
	_ objects.Paths   = (*Folder)(nil)
)

// createTries bounds how often a folder is made again that a Delete found empty.
const createTries = 100

// partial begins the names of files that are being written.
const partial = ".partial-"

// New opens a folder, makes it where there is none, and removes what writers
// left that did not end. No other process may be writing to it.
func New(dir string) (*Folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, wrap("open", dir, err)
	}
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasPrefix(e.Name(), partial) {
			return err
		}
		return os.Remove(path)
	})
	if err != nil {
		return nil, wrap("open", dir, err)
	}
	return &Folder{dir: dir}, nil
}

// Path gives the path of an object's file.
func (f *Folder) Path(name string) (string, error) {
	if err := objects.CheckName(name); err != nil {
		return "", err
	}
	return filepath.Join(f.dir, filepath.FromSlash(name)), nil
}

// Create begins an object.
func (f *Folder) Create(_ context.Context, name string) (objects.Writer, error) {
	path, err := f.Path(name)
	if err != nil {
		return nil, wrap("create", name, err)
	}
	var file *os.File
	for range createTries {
		if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			file, err = os.CreateTemp(filepath.Dir(path), partial+"*")
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return nil, wrap("create", name, err)
	}
	return &writer{folder: f, name: name, path: path, file: file}, nil
}

type writer struct {
	folder *Folder
	name   string
	path   string
	file   *os.File // nil: closed, or given up
}

func (w *writer) Write(p []byte) (int, error) {
	if w.file == nil {
		return 0, wrap("write", w.name, fs.ErrClosed)
	}
	n, err := w.file.Write(p)
	return n, wrap("write", w.name, err)
}

func (w *writer) Close() error {
	if w.file == nil {
		return nil
	}
	file := w.file
	w.file = nil
	err := file.Chmod(0o644)
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(file.Name(), w.path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
		return wrap("close", w.name, err)
	}
	// Folders that were made on the way have to be durable too.
	for dir := filepath.Dir(w.path); err == nil; dir = filepath.Dir(dir) {
		err = syncFolder(dir)
		if dir == w.folder.dir {
			break
		}
	}
	return wrap("close", w.name, err)
}

func (w *writer) Abort() {
	if w.file == nil {
		return
	}
	_ = w.file.Close()
	_ = os.Remove(w.file.Name())
	w.file = nil
}

func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

type reader struct {
	*os.File
	size int64
}

func (r *reader) Size() int64 { return r.size }

// Open opens an object's file.
func (f *Folder) Open(_ context.Context, name string) (objects.Reader, error) {
	path, err := f.Path(name)
	if err != nil {
		return nil, wrap("open", name, err)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, wrap("open", name, err)
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, errors.Join(wrap("open", name, err), file.Close())
	}
	return &reader{file, info.Size()}, nil
}

// List walks the folder that the prefix names.
func (f *Folder) List(ctx context.Context, prefix string) ([]objects.Info, error) {
	root := f.dir
	if prefix != "" {
		path, err := f.Path(strings.TrimSuffix(prefix, "/"))
		if err != nil || !strings.HasSuffix(prefix, "/") {
			return nil, wrap("list", prefix, fmt.Errorf("%w: a prefix ends in '/'", objects.ErrName))
		}
		root = path
	}
	var out []objects.Info
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // removed meanwhile
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case e.IsDir() || strings.HasPrefix(e.Name(), "."):
			return nil
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(f.dir, path)
		out = append(out, objects.Info{Name: filepath.ToSlash(name), Size: info.Size(), Modified: info.ModTime()})
		return err
	})
	slices.SortFunc(out, func(a, b objects.Info) int { return strings.Compare(a.Name, b.Name) })
	return out, wrap("list", prefix, err)
}

// Delete removes an object's file, and its folders that are empty then.
func (f *Folder) Delete(_ context.Context, name string) error {
	path, err := f.Path(name)
	if err != nil {
		return wrap("delete", name, err)
	}
	f.removals.RLock()
	defer f.removals.RUnlock()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return wrap("delete", name, err)
	}
	dir := filepath.Dir(path)
	for dir != f.dir && os.Remove(dir) == nil {
		dir = filepath.Dir(dir)
	}
	err = syncFolder(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // its folder was never there
	}
	return wrap("delete", name, err)
}

// wrap gives an error of the port.
func wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	e := &objects.Error{Op: op, Name: name, Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Err = fmt.Errorf("%w: %w", objects.ErrNotFound, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Err, e.Hint = fmt.Errorf("%w: %w", objects.ErrUnavailable, err), "the disk is full: free space on it and try again"
	}
	return e
}
