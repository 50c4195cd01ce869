//go:build cgo

package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"weir/internal/warehouse"
)

// markName is a file that says that rows were removed whose bytes may be in the
// database's file still: it is written anew before the mark goes.
const markName = "erasing"

// Erase removes or counts rows.
func (d *Driver) Erase(ctx context.Context, e warehouse.Erasure) (rows map[string]int64, err error) {
	defer func() { err = wrap("erase", d.config.Dir, err) }()
	if there, err := d.exists(); err != nil || !there || len(e.Series) == 0 {
		return nil, err
	}
	if rows, err = d.eraseRows(ctx, e, true); err != nil || e.Count {
		return rows, err
	}
	mark := filepath.Join(d.config.Dir, markName)
	_, marked := os.Stat(mark)
	if len(rows) == 0 && errors.Is(marked, fs.ErrNotExist) {
		return nil, nil
	}
	if err := errors.Join(os.WriteFile(mark, nil, 0o644), syncPath(mark), syncPath(d.config.Dir)); err != nil {
		return nil, err
	}
	if rows, err = d.eraseRows(ctx, e, false); err != nil {
		return nil, err
	}
	// The removed rows are in the file until it is written anew.
	if err := d.rewrite(ctx); err != nil {
		return nil, err
	}
	return rows, errors.Join(os.Remove(mark), syncPath(d.config.Dir))
}

// exists says whether there is a database, or what is left of one.
func (d *Driver) exists() (bool, error) {
	for _, name := range []string{fileName, fileName + walSuffix} {
		if _, err := os.Stat(filepath.Join(d.config.Dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return err == nil, err
		}
	}
	return false, nil
}

// eraseRows removes, or only counts, the rows in one transaction.
func (d *Driver) eraseRows(ctx context.Context, e warehouse.Erasure, count bool) (rows map[string]int64, err error) {
	ctx, s, err := d.begin(ctx, "erase")
	if err != nil {
		return nil, err
	}
	defer func() { s.end(err) }()
	err = d.transact(ctx, s, func(tx *sql.Tx) error {
		tables, err := tablesWithSeries(ctx, tx)
		if err != nil {
			return err
		}
		rows = map[string]int64{}
		for table, columns := range tables {
			where, ok := condition(&e, table, columns)
			if !ok {
				continue
			}
			n, err := eraseFrom(ctx, tx, name(table)+where, count)
			if err != nil {
				return fmt.Errorf("table %s: %w", table, err)
			}
			if n > 0 {
				rows[table] = n
			}
		}
		return nil
	})
	return rows, err
}

func eraseFrom(ctx context.Context, tx *sql.Tx, what string, count bool) (n int64, err error) {
	if count {
		err = tx.QueryRowContext(ctx, "SELECT count(*) FROM "+what).Scan(&n)
		return n, err
	}
	done, err := tx.ExecContext(ctx, "DELETE FROM "+what)
	if err != nil {
		return 0, err
	}
	return done.RowsAffected()
}

// condition says which rows of a table are to go; ok is false where none are: a
// series stays known while it has samples of other times.
func condition(e *warehouse.Erasure, table string, columns []string) (where string, ok bool) {
	if table == warehouse.TableSeries && !e.Always() {
		return "", false
	}
	ids := make([]string, len(e.Series))
	for i, id := range e.Series {
		ids[i] = quoted(id.String())
	}
	where = " WHERE series IN (" + strings.Join(ids, ", ") + ")"
	switch {
	case e.Always():
	case slices.Contains(columns, "window_start") && slices.Contains(columns, "window_end"):
		where += between("window_end", "window_start", e.From, e.To, ">")
	case slices.Contains(columns, "time"):
		where += between("time", "time", e.From, e.To, ">=")
	}
	return where, true
}

// between bounds columns where the bound is a time that the warehouse has. One
// that is null may be anything.
func between(low, high string, from, to int64, above string) (where string) {
	if from != math.MinInt64 {
		where += fmt.Sprintf(" AND (%s IS NULL OR %s %s make_timestamp_ns(%d))", low, low, above, from)
	}
	if to != math.MaxInt64 {
		where += fmt.Sprintf(" AND (%s IS NULL OR %s < make_timestamp_ns(%d))", high, high, to)
	}
	return where
}

// tablesWithSeries gives the tables that have a column series, with those of their
// columns that are times.
func tablesWithSeries(ctx context.Context, tx *sql.Tx) (tables map[string][]string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = ?
		AND (column_name = 'series' AND data_type = 'VARCHAR' OR data_type = 'TIMESTAMP_NS') ORDER BY ALL`, catalogName)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	all := map[string][]string{}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			return nil, err
		}
		all[table] = append(all[table], column)
	}
	tables = map[string][]string{}
	for table, columns := range all {
		if slices.Contains(columns, "series") {
			tables[table] = columns
		}
	}
	return tables, rows.Err()
}
