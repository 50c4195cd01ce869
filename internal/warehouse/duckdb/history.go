//go:build cgo

package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"weir/internal/objects"
	"weir/internal/warehouse"
)

// historyColumn says how a column of history is read.
type historyColumn struct {
	name     string
	types    []string // DuckDB's, any of which the files may have
	optional bool
}

func historyColumns() []historyColumn {
	integers := []string{"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
	return []historyColumn{
		{"series", []string{"VARCHAR", "BLOB"}, false},
		{"time", []string{"TIMESTAMP_NS", "BIGINT"}, false},
		{"value", []string{"DOUBLE"}, true},
		{"int_value", []string{"BIGINT"}, true},
		{"bool_value", []string{"BOOLEAN"}, true},
		{"text_value", []string{"VARCHAR"}, true},
		{"quality", integers, true},
		{"version", integers, false},
		{"position", integers, false},
	}
}

func judgeHistory(have described) error {
	for _, c := range historyColumns() {
		kind, ok := have[c.name]
		switch {
		case !ok && !c.optional:
			return fmt.Errorf("it has no column %s", c.name)
		case ok && !slices.Contains(c.types, kind):
			return fmt.Errorf("its column %s is %s; want %s", c.name, kind, strings.Join(c.types, " or "))
		}
	}
	return nil
}

// Import puts samples of a week into table samples.
func (d *Driver) Import(ctx context.Context, h *warehouse.History, from objects.Objects) (applied bool, err error) {
	if err := h.Validate(); err != nil {
		return false, wrap("import", h.Week.String(), err)
	}
	r := record{
		key:      key{h.Pipeline, h.Step, warehouse.TableSamples, h.Week.Start(), h.Week.End()},
		revision: h.Revision, rows: h.Rows, cut: h.Cut,
	}
	return d.apply(ctx, r, application{
		files: h.Files, from: from, judge: judgeHistory,
		change: func(ctx context.Context, tx *sql.Tx, load int64, s *staging) error {
			return addHistory(ctx, tx, h, load, s)
		},
		recorded: func(ctx context.Context, q queryer) (bool, error) {
			return recorded(ctx, q, "revision >= ?", r)
		},
	})
}

// addHistory inserts the parts, then removes of all samples of the week that
// lie at one series and time all but one.
func addHistory(ctx context.Context, tx *sql.Tx, h *warehouse.History, load int64, s *staging) error {
	week := h.Week.String()
	var before bool
	if err := tx.QueryRowContext(ctx, "SELECT count(*) > 0 FROM samples WHERE week = ?", week).Scan(&before); err != nil {
		return err
	}
	for _, p := range s.parts {
		columns, err := describe(ctx, tx, p.source())
		if err != nil {
			return wrongPart(p, err)
		}
		done, err := tx.ExecContext(ctx, insertHistory(columns, p), week, int64(h.Revision), load)
		if err != nil {
			return wrongPart(p, err)
		}
		if err := wantRows(done, p); err != nil {
			return err
		}
		var outside int64
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM "+p.source()+" WHERE "+timeOf(columns)+" < make_timestamp_ns(?) OR "+timeOf(columns)+" >= make_timestamp_ns(?) OR time IS NULL OR series IS NULL",
			h.Week.Start(), h.Week.End()).Scan(&outside); err != nil {
			return wrongPart(p, err)
		}
		if outside > 0 {
			return partError(p.name, fmt.Errorf("%d of its rows lie outside of week %s, or have no series or time", outside, week))
		}
	}
	if !before {
		return nil // what one revision holds is merged already
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM samples AS old USING samples AS new
		WHERE old.week = ? AND new.week = old.week AND new.series = old.series AND new.time = old.time
		AND (new.version, new.position, new.load) > (old.version, old.position, old.load)`, week)
	return err
}

func timeOf(columns described) string {
	if columns["time"] == "BIGINT" {
		return "make_timestamp_ns(time)"
	}
	return "time"
}

// insertHistory gives the statement that reads a part; its arguments are week,
// revision and load. Numbers of other kinds are in column value too.
func insertHistory(columns described, p part) string {
	get := func(column, otherwise string) string {
		if columns[column] == "" {
			return otherwise
		}
		return column
	}
	series := "series"
	if columns["series"] == "BLOB" {
		series = "lower(hex(series))"
	}
	value := []string{get("value", "NULL::DOUBLE"), "CAST(" + get("int_value", "NULL") + " AS DOUBLE)", "CAST(" + get("bool_value", "NULL") + " AS DOUBLE)"}
	return fmt.Sprintf(`INSERT INTO samples SELECT %s, %s, coalesce(%s), %s, %s, %s, %s, ?, ?, version, position, ? FROM %s`,
		series, timeOf(columns), strings.Join(value, ", "), get("int_value", "NULL"), get("bool_value", "NULL"), get("text_value", "NULL"),
		"coalesce("+get("quality", "NULL")+", 0)", p.source())
}
