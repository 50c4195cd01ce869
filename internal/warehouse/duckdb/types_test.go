//go:build cgo

package duckdb_test

import (
	"strings"
	"testing"

	"weir/internal/result"
	"weir/internal/sample"
	"weir/internal/warehouse"
	"weir/internal/warehouse/warehousetest"
)

// TestTypes asks for what only DuckDB has, and for what it has of its own way.
func TestTypes(t *testing.T) {
	t.Parallel()
	w := openAt(t, t.TempDir())
	for _, c := range []struct {
		sql  string
		kind string
		want any
	}{
		{"[1, NULL, 3]", "INTEGER[]", warehouse.JSON("[1,null,3]")},
		{"[9223372036854775807]::BIGINT[1]", "BIGINT[1]", warehouse.JSON("[9223372036854775807]")},
		{"{'a': 1, 'b': 'x'}", "STRUCT(a INTEGER, b VARCHAR)", warehouse.JSON(`{"a":1,"b":"x"}`)},
		{"MAP {'k': 1.5}", "MAP(VARCHAR, DECIMAL(2,1))", warehouse.JSON(`{"k":1.5}`)},
		{"'{\"b\": 12345678901234567890, \"a\": 1}'::JSON", "JSON", warehouse.JSON(`{"b": 12345678901234567890, "a": 1}`)},
		{"['nan'::DOUBLE]", "DOUBLE[]", "[NaN]"},
		{"18446744073709551615::UBIGINT", "UBIGINT", uint64(1<<64 - 1)},
		{"-170141183460469231731687303715884105727::HUGEINT", "HUGEINT", warehouse.Number("-170141183460469231731687303715884105727")},
		{"1::UHUGEINT", "UHUGEINT", warehouse.Number("1")},
		{"123456789012345678901234567890.123::DECIMAL(38, 3)", "DECIMAL(38,3)", warehouse.Number("123456789012345678901234567890.123")},
		{"200::UTINYINT", "UTINYINT", int64(200)},
		{"'inf'::FLOAT", "FLOAT", inf()},
		{"INTERVAL 3 DAYS", "INTERVAL", "3 days"},
		{"'a6d76244-a493-4080-8dda-4186ffc91773'::UUID", "UUID", "a6d76244-a493-4080-8dda-4186ffc91773"},
		{`'\xAA\x01b'::BLOB`, "BLOB", `\xAA\x01b`},
		{"'101'::BIT", "BIT", "101"},
		{"'b'::ENUM ('a', 'b')", "ENUM('a', 'b')", "b"},
		{"'12:30:00+02'::TIMETZ", "TIME WITH TIME ZONE", "12:30:00+02"},
		{"union_value(k := 7)", "UNION(k INTEGER)", "7"},
		{"7::VARIANT", "VARIANT", "7"},
	} {
		rows, err := w.Query(t.Context(), "SELECT "+c.sql+" AS it", warehouse.Limits{Rows: 1, Timeout: warehouseTimeout})
		if err != nil {
			t.Errorf("%s: %v", c.sql, err)
			continue
		}
		if !rows.Next() || rows.Values()[0] != c.want || rows.Columns()[0].Type != c.kind {
			t.Errorf("%s: %v (%T) of type %s, %v; want %v (%T) of %s", c.sql, rows.Values(), first(rows.Values()), rows.Columns()[0].Type, rows.Err(), c.want, c.want, c.kind)
		}
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, statement := range []string{"EXPLAIN SELECT 1", "DESCRIBE rollup", "SHOW TABLES", "SUMMARIZE loads", "FROM loads",
		"PIVOT (SELECT 1 AS a, 2 AS b) ON a IN (1, 2) USING sum(b)", "SELECT * FROM duckdb_tables()"} {
		if err := drain(t, w, statement); err != nil && !strings.Contains(err.Error(), "more than 10 rows") {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

func first(values []any) any {
	if len(values) == 0 {
		return nil
	}
	return values[0]
}

func inf() float64 {
	one := 1e308
	return one * 10
}

// TestHistoryOfOtherTypes imports times as integers, and leaves all values out.
func TestHistoryOfOtherTypes(t *testing.T) {
	t.Parallel()
	w, p := openAt(t, t.TempDir()), warehousetest.NewPlace()
	week := sample.WeekOf(0)
	columns := []result.Column{{Name: "series", Type: result.Text}, {Name: "time", Type: result.Int}, {Name: "version", Type: result.Int}, {Name: "position", Type: result.Int}}
	f, err := p.Put("part", columns, []any{"aa", int64(1), int64(1), int64(1)}, []any{"bb", int64(2), int64(1), int64(1)})
	if err != nil {
		t.Fatal(err)
	}
	h := &warehouse.History{Pipeline: "old", Step: "history", Week: week, Files: []result.File{f}, Rows: 2}
	if applied, err := w.Import(t.Context(), h, p); err != nil || !applied {
		t.Fatal(applied, err)
	}
	rows, err := w.Query(t.Context(), "SELECT epoch_ns(max(time)), count(*), count(value), sum(quality) FROM samples", warehouse.Limits{Rows: 1, Timeout: warehouseTimeout})
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if !rows.Next() || rows.Values()[0] != int64(2) || rows.Values()[1] != int64(2) || rows.Values()[2] != int64(0) {
		t.Errorf("%v, %v", rows.Values(), rows.Err())
	}
}
