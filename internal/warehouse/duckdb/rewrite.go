//go:build cgo

package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"weir/internal/warehouse"
)

// rewrite writes the database's file anew: what was removed from its tables is
// then in no block of it. It waits until nobody uses the database; who wants to
// meanwhile waits for it.
//
// Killed before the rename, the old file is there, whole; after it, the new one. A
// log beside it would be of the old one, so there is none when it is renamed.
func (d *Driver) rewrite(ctx context.Context) error {
	db, err := d.alone(ctx)
	if err != nil {
		return err
	}
	defer d.release(db, nil)
	path := filepath.Join(d.config.Dir, fileName)
	if err := removeFresh(path); err != nil {
		return err
	}
	if err := copyDatabase(ctx, d.config, path); err != nil {
		return fmt.Errorf("write the file anew: %w", err)
	}
	if _, err := os.Stat(path + walSuffix); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write the file anew: %w: its log is there after it was closed", errors.Join(warehouse.ErrUnavailable, err))
	}
	if err := syncPath(path + newSuffix); err != nil {
		return err
	}
	if err := os.Rename(path+newSuffix, path); err != nil {
		return err
	}
	return syncPath(d.config.Dir)
}

// alone takes the place of the open database, once nobody uses it any more. It is
// to be released.
func (d *Driver) alone(ctx context.Context) (*database, error) {
	for {
		d.mu.Lock()
		if d.closed {
			d.mu.Unlock()
			return nil, warehouse.ErrClosed
		}
		if d.open == nil {
			lock, err := lockFolder(d.config.Dir)
			if err == nil {
				d.open = &database{lock: lock, users: 1, broken: true, idle: make(chan struct{})}
			}
			db := d.open
			d.mu.Unlock()
			return db, err
		}
		db := d.open
		db.broken = true // the next call opens it anew
		d.shut(db)
		d.mu.Unlock()
		select {
		case <-db.idle:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// removeFresh removes what was being written beside a database.
func removeFresh(path string) error {
	for _, name := range []string{path + newSuffix, path + newSuffix + walSuffix} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// copyDatabase copies a database's tables to a new file beside it, and compares
// how many rows each has.
func copyDatabase(ctx context.Context, c Config, path string) (err error) {
	db, err := attach(ctx, c, path, "ATTACH "+quoted(path+newSuffix)+" AS fresh")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, statement := range []string{"COPY FROM DATABASE " + catalogName + " TO fresh", "CHECKPOINT fresh", "CHECKPOINT " + catalogName} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	tables, err := allTables(ctx, db)
	if err != nil {
		return err
	}
	for _, table := range tables {
		var equal bool
		statement := fmt.Sprintf("SELECT (SELECT count(*) FROM %s.main.%s) = (SELECT count(*) FROM fresh.main.%s)", catalogName, name(table), name(table))
		if err := db.QueryRowContext(ctx, statement).Scan(&equal); err != nil {
			return err
		}
		if !equal {
			return fmt.Errorf("%w: the copy of table %s has fewer rows, or more", warehouse.ErrCorrupt, table)
		}
	}
	return nil
}

func allTables(ctx context.Context, db *sql.DB) (tables []string, err error) {
	rows, err := db.QueryContext(ctx, "SELECT table_name FROM duckdb_tables() WHERE database_name = ?", catalogName)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			return nil, err
		}
		tables = append(tables, table)
	}
	return tables, rows.Err()
}
