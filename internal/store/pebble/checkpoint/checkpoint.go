// Package checkpoint owns how the files of a Pebble folder are copied elsewhere
// on the same file system.
//
// It refuses to know what is in them. It imports the client library alone.
package checkpoint

import (
	"io"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Fixed says whether a file of a Pebble folder never changes once it is there.
func Fixed(name string) bool {
	return strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob")
}

// Folder copies a folder that nobody changes meanwhile. Files that never change
// are linked where the file system can do that.
func Folder(disk vfs.FS, from, to string) error {
	names, err := disk.List(from)
	if err != nil {
		return err
	}
	if err := disk.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, name := range names {
		one := vfs.Copy
		if Fixed(name) {
			one = vfs.LinkOrCopy
		}
		if err := one(disk, disk.PathJoin(from, name), disk.PathJoin(to, name)); err != nil {
			return err
		}
	}
	return nil
}

// FS is the file system of a folder that is open: what is changed within goes by
// its own file system, what is changed elsewhere, as a checkpoint of it is, by
// another, which gives Pebble its errors as they are.
type FS struct {
	vfs.FS    // within
	Elsewhere vfs.FS
	Dir       string
}

var _ vfs.FS = FS{}

// of gives the file system of a path.
func (f FS) of(name string) vfs.FS {
	if name == f.Dir || f.PathDir(name) == f.Dir {
		return f.FS
	}
	return f.Elsewhere
}

// Create makes a file.
func (f FS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.of(name).Create(name, c)
}

// Link gives a file another name.
func (f FS) Link(from, to string) error { return f.of(to).Link(from, to) }

// OpenDir opens a folder to be synced.
func (f FS) OpenDir(name string) (vfs.File, error) { return f.of(name).OpenDir(name) }

// Remove removes a file.
func (f FS) Remove(name string) error { return f.of(name).Remove(name) }

// RemoveAll removes a folder.
func (f FS) RemoveAll(name string) error { return f.of(name).RemoveAll(name) }

// MkdirAll makes a folder and those that lead to it.
func (f FS) MkdirAll(dir string, perm os.FileMode) error { return f.of(dir).MkdirAll(dir, perm) }

// Lock locks a folder.
func (f FS) Lock(name string) (io.Closer, error) { return f.FS.Lock(name) }

// Unwrap gives the file system within.
func (f FS) Unwrap() vfs.FS { return f.FS }
