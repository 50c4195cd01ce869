//go:build cgo

package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"weir/internal/result"
	"weir/internal/warehouse"
)

// schemaVersion is that of the tables that this program makes.
const schemaVersion = 1

// schema gives the statements that make an empty warehouse.
func schema() []string {
	return []string{
		`CREATE TABLE weir_version (version INTEGER)`,
		fmt.Sprintf(`INSERT INTO weir_version VALUES (%d)`, schemaVersion),
		`CREATE TABLE loads (load BIGINT, pipeline VARCHAR, step VARCHAR, target VARCHAR,
			window_start TIMESTAMP_NS, window_end TIMESTAMP_NS, revision BIGINT, row_count BIGINT,
			manifest VARCHAR, cut VARCHAR, loaded_at TIMESTAMP)`,
		`CREATE TABLE series (series VARCHAR, metric VARCHAR, tags VARCHAR, kind VARCHAR,
			first_week VARCHAR, last_week VARCHAR)`,
		`CREATE TABLE samples (series VARCHAR, time TIMESTAMP_NS, value DOUBLE, int_value BIGINT,
			bool_value BOOLEAN, text_value VARCHAR, quality UINTEGER, week VARCHAR, revision BIGINT,
			version HUGEINT, position HUGEINT, load BIGINT)`,
		createTable(warehouse.TableRollup, warehouse.RollupColumns()),
	}
}

// typeOf gives DuckDB's type for a column of a result.
func typeOf(t result.Type) string {
	switch t {
	case result.Text:
		return "VARCHAR"
	case result.Time:
		return "TIMESTAMP_NS"
	case result.Int:
		return "BIGINT"
	case result.Float:
		return "DOUBLE"
	case result.Bool:
		return "BOOLEAN"
	}
	return "" // Validate lets no other through
}

// createTable gives the statement that makes a table of results.
func createTable(table string, columns []result.Column) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE %s (%s VARCHAR", name(table), warehouse.ColumnPipeline)
	for _, c := range columns {
		fmt.Fprintf(&b, ", %s %s", name(c.Name), typeOf(c.Type))
	}
	fmt.Fprintf(&b, ", %s BIGINT, %s VARCHAR, %s BIGINT)", warehouse.ColumnRevision, warehouse.ColumnStep, warehouse.ColumnLoad)
	return b.String()
}

// described is what DESCRIBE says: types by names.
type described map[string]string

// describe gives the columns of a table or of what a table function reads; nil
// where there is no such table.
func describe(ctx context.Context, q queryer, what string) (described, error) {
	rows, err := q.QueryContext(ctx, "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM "+what+")")
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	out := described{}
	for rows.Next() {
		var column, kind string
		if err := rows.Scan(&column, &kind); err != nil {
			return nil, err
		}
		out[column] = kind
	}
	return out, rows.Err()
}

// queryer is a connection or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// prepareTable makes the table of a result, or adds the columns that it lacks.
func prepareTable(ctx context.Context, tx queryer, m *result.Manifest) error {
	var there bool
	if err := tx.QueryRowContext(ctx, "SELECT count(*) > 0 FROM duckdb_tables() WHERE database_name = ? AND schema_name = 'main' AND table_name = ?",
		catalogName, m.Table).Scan(&there); err != nil {
		return err
	}
	if !there {
		_, err := tx.ExecContext(ctx, createTable(m.Table, m.Columns))
		return err
	}
	columns, err := describe(ctx, tx, name(m.Table))
	if err != nil {
		return err
	}
	for _, c := range m.Columns {
		want, have := typeOf(c.Type), columns[c.Name]
		if have == want {
			continue
		}
		if have != "" {
			return &warehouse.Error{Op: "load", Key: m.Table, Err: fmt.Errorf("%w: its column %s is %s, and the result of %s has %s (%s)", warehouse.ErrSchema, c.Name, have, m.Step, want, c.Type),
				Hint: "name another table for it in the pipeline, or give the column another name"}
		}
		if _, err := tx.ExecContext(ctx, fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s", name(m.Table), name(c.Name), want)); err != nil {
			return err
		}
	}
	return nil
}
