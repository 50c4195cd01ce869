package folder

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Snapshot makes a folder, which is not there yet and lies on the same file
// system, with every object that is there while moment runs. From before moment
// until they are in it nothing is removed: Delete waits. Objects are linked, which
// is safe since a file never changes once it has its name.
func (f *Folder) Snapshot(ctx context.Context, dir string, moment func(context.Context) error) error {
	f.removals.Lock()
	defer f.removals.Unlock()
	if err := moment(ctx); err != nil {
		return err
	}
	err := filepath.WalkDir(f.dir, func(path string, e fs.DirEntry, err error) error {
		name, rerr := filepath.Rel(f.dir, path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // a writer gave up meanwhile
		case errors.Join(err, rerr, ctx.Err()) != nil:
			return errors.Join(err, rerr, ctx.Err())
		case e.IsDir():
			return os.MkdirAll(filepath.Join(dir, name), 0o755)
		case strings.HasPrefix(e.Name(), partial):
			return nil
		}
		return link(path, filepath.Join(dir, name))
	})
	return wrap("copy", dir, err)
}

// link gives a file another name, and copies it where the file system knows no
// links.
func link(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // nothing was written
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
