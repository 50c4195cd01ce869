package backup

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// disk is what a place needs of a file system, so that tests can cut it short
// between any two calls.
type disk interface {
	reading
	writing
}

type reading interface {
	Open(path string) (io.ReadCloser, error)
	List(path string) ([]fs.DirEntry, error)
	Size(path string) (int64, error)
}

type writing interface {
	// Create makes a file, or empties it.
	Create(path string) (file, error)
	// Mkdir makes a folder; one that is there is no error.
	Mkdir(path string) error
	Rename(from, to string) error
	Link(from, to string) error
	// Remove removes a file, or a folder with all in it; none is no error.
	Remove(path string) error
	// Sync makes the names in a folder durable.
	Sync(path string) error
}

type file interface {
	io.Writer
	Sync() error
	Close() error
}

// realDisk is the machine's.
type realDisk struct{}

func (realDisk) Create(path string) (file, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
}

func (realDisk) Open(path string) (io.ReadCloser, error) { return os.Open(path) }

func (realDisk) Mkdir(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (realDisk) List(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }

func (realDisk) Size(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (realDisk) Rename(from, to string) error { return os.Rename(from, to) }

func (realDisk) Remove(path string) error   { return os.RemoveAll(path) }
func (realDisk) Link(from, to string) error { return os.Link(from, to) }

func (realDisk) Sync(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeFile writes a whole file under another name, syncs it, and gives it its
// name. The folder is left to sync.
func writeFile(on disk, temporary, path string, data []byte) error {
	f, err := on.Create(temporary)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return on.Rename(temporary, path)
}
