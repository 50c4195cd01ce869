//go:build cgo

package duckdb

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"weir/internal/warehouse"
)

// Snapshot copies the warehouse to dir, which is not there yet, as it is while
// moment runs: from before moment until it is copied no load is applied. Queries
// go on. The copy is what a crash would leave, log included, and opens as that
// does. Nothing is copied where there is no warehouse yet. One that can't be
// opened is copied as it is.
func (d *Driver) Snapshot(ctx context.Context, dir string, moment func(context.Context) error) (err error) {
	done, err := d.write(ctx)
	if err != nil {
		return wrap("copy", dir, err)
	}
	defer done()
	path := filepath.Join(d.config.Dir, fileName)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return moment(ctx)
	}
	// While this session lasts the file is not closed, which would change it.
	_, s, err := d.begin(ctx, "copy")
	switch {
	case err == nil:
		defer func() { s.end(err) }()
		if err := d.read(s.db, path); err != nil {
			return wrap("copy", path, err)
		}
	case !errors.Is(err, warehouse.ErrCorrupt) && !errors.Is(err, warehouse.ErrVersion):
		return err
	}
	if err := moment(ctx); err != nil {
		return err
	}
	if s == nil {
		return wrap("copy", path, copyFiles(d.config.Dir, dir, nil))
	}
	return wrap("copy", path, copyFiles(d.config.Dir, dir, s.db.reader))
}

// read opens the file to be read as long as the database is open.
func (d *Driver) read(db *database, path string) (err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if db.reader == nil {
		db.reader, err = os.Open(path)
	}
	return err
}
