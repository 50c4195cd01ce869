package warehousetest

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"weir/internal/result"
	"weir/internal/warehouse"
)

// testValues wants what was written to come back, whatever it is.
func testValues(t *testing.T, open Open) {
	w, p := open(t), NewPlace()
	columns := append([]result.Column{{Name: "n", Type: result.Int}}, Columns()...)
	rows := [][]any{
		{int64(0), nil, nil, nil, nil, nil},
		{int64(1), "", int64(0), int64(math.MaxInt64), math.NaN(), true},
		{int64(2), "Zürich 東京 🌊 \u202e' \" \\ \n\t", int64(1), int64(math.MinInt64), math.Inf(1), false},
		{int64(3), "{\"a\":\"b\"}", int64(-1), int64(1<<53 + 1), math.Inf(-1), true},
		{int64(4), "x", origin + 123456789, int64(-1), math.MaxFloat64, true},
		{int64(5), "NULL", time.Date(1678, 1, 1, 0, 0, 0, 1, time.UTC).UnixNano(), int64(0), math.SmallestNonzeroFloat64, true},
		{int64(6), "y", time.Date(2262, 4, 11, 0, 0, 0, 999_999_999, time.UTC).UnixNano(), int64(0), math.Copysign(0, -1), true},
		{int64(7), "z", int64(999_999_999), int64(0), 0.1, true},
	}
	m := mustResult(t, p, 0, 0)
	m.Columns, m.Rows = columns, uint64(len(rows))
	m.Files = []result.File{p.mustPut(t, "values", columns, rows...)}
	load(t, w, m, p, true)
	got := ask(t, w, "SELECT n, series, window_start, count, mean, good FROM daily ORDER BY n")
	if len(got) != len(rows) {
		t.Fatalf("%d rows of %d", len(got), len(rows))
	}
	for i, row := range got {
		for j, cell := range row {
			if at, ok := cell.(time.Time); ok {
				cell = at.UnixNano()
			}
			if f, ok := cell.(float64); ok && math.Float64bits(f) == math.Float64bits(rows[i][j].(float64)) || ok && math.IsNaN(f) && i == 1 {
				continue
			}
			if cell != rows[i][j] {
				t.Errorf("row %d, %s: got %v (%T), want %v", i, columns[j].Name, cell, cell, rows[i][j])
			}
		}
	}
}

func testReadOnly(t *testing.T, open Open) {
	w, p := open(t), NewPlace()
	load(t, w, mustResult(t, p, 0, 0, 1, 2), p, true)
	for _, statement := range []string{
		"INSERT INTO daily (count) VALUES (7)", "UPDATE daily SET count = 0", "DELETE FROM daily", "TRUNCATE daily",
		"CREATE TABLE mine (a INTEGER)", "CREATE TEMP TABLE mine (a INTEGER)", "CREATE VIEW mine AS SELECT 1", "DROP TABLE daily",
		"ALTER TABLE daily ADD COLUMN more INTEGER", "COPY daily TO '/tmp/daily.csv'", "BEGIN", "COMMIT", "ROLLBACK",
		"SELECT 1; DELETE FROM daily", "COMMIT; DELETE FROM daily; SELECT 1", "COMMIT; BEGIN; DELETE FROM daily",
		"WITH gone AS (DELETE FROM daily RETURNING *) SELECT * FROM gone", "EXPLAIN ANALYZE DELETE FROM daily",
		"", " ; ", "-- nothing", "SELECT", "SELEC 1", "SELECT nothing", "SELECT * FROM nowhere", "SELECT ?", "SELECT $1", "SELECT 'a", "(",
		"SELECT count FROM daily WHERE", "SELECT 1) AS x; DELETE FROM daily; --", "SELECT CAST('x' AS INTEGER)",
	} {
		rows, _, err := try(t.Context(), w, statement, ample)
		var detailed *warehouse.Error
		if !errors.Is(err, warehouse.ErrQuery) || !errors.As(err, &detailed) {
			t.Errorf("%q: rows %v, error %v; want ErrQuery", statement, rows, err)
		}
	}
	want(t, ask(t, w, "SELECT count FROM daily ORDER BY 1"), []any{1}, []any{2})
	load(t, w, mustResult(t, p, 0, 1, 3), p, true)
}

func testNoFiles(t *testing.T, open Open) {
	w := open(t)
	for _, statement := range []string{
		"SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM '/etc/passwd'", "SELECT * FROM read_text('/etc/passwd')",
		"SELECT * FROM glob('/etc/*')", "SELECT * FROM read_blob('/proc/self/environ')", "SELECT * FROM 'https://localhost:1/x.parquet'",
		"COPY (SELECT 1) TO '/tmp/x.csv'", "ATTACH '/tmp/x.db'", "INSTALL httpfs", "LOAD httpfs", "PRAGMA enable_profiling",
		"SET enable_external_access = true", "SET memory_limit = '100GB'", "RESET enable_external_access", "EXPORT DATABASE '/tmp/x'",
		"CALL pragma_version()", "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
	} {
		if rows, _, err := try(t.Context(), w, statement, ample); !errors.Is(err, warehouse.ErrQuery) {
			t.Errorf("%s: %d rows, error %v; want ErrQuery", statement, len(rows), err)
		}
	}
}

func testLimits(t *testing.T, open Open) {
	w, p := open(t), NewPlace()
	load(t, w, mustResult(t, p, 0, 0, 1, 2, 3), p, true)
	if rows, _, err := try(t.Context(), w, "SELECT count FROM daily ORDER BY 1", warehouse.Limits{Rows: 3, Timeout: time.Minute}); err != nil || len(rows) != 3 {
		t.Errorf("as many rows as may be: %v, %v", rows, err)
	}
	rows, _, err := try(t.Context(), w, "SELECT count FROM daily ORDER BY 1", warehouse.Limits{Rows: 2, Timeout: time.Minute})
	if !errors.Is(err, warehouse.ErrLimit) || len(rows) != 2 {
		t.Errorf("a row too many: %v, %v; want two rows, then ErrLimit", rows, err)
	}
	// Each row of the join is made anew, so that no index or count helps.
	const endless = "SELECT sum(a.count * b.count) FROM daily a, daily b, (SELECT * FROM range(1000000)) c, (SELECT * FROM range(1000000)) d WHERE hash(c.range, d.range) > 0"
	if _, _, err := try(t.Context(), w, endless, warehouse.Limits{Rows: 2, Timeout: 50 * time.Millisecond}); !errors.Is(err, warehouse.ErrLimit) {
		t.Errorf("a long query: %v; want ErrLimit", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := try(ctx, w, endless, ample); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, warehouse.ErrLimit) {
		t.Errorf("a caller that went away: %v; want its own error", err)
	}
	want(t, ask(t, w, "SELECT sum(count) FROM daily"), []any{6})
}

// testBeside asks while it loads: each answer is of a state between two loads.
func testBeside(t *testing.T, open Open) {
	const revisions = 12
	w, p := open(t), NewPlace()
	load(t, w, mustResult(t, p, 0, 0, 1, 1, 1), p, true)
	rows, err := w.Query(t.Context(), "SELECT count FROM daily", ample) // stays open meanwhile
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		group.Go(func() {
			for last := int64(0); ; {
				select {
				case <-done:
					return
				default:
				}
				got, _, err := try(t.Context(), w, "SELECT min(count), max(count), count(*), min(revision), max(revision) FROM daily", ample)
				if err != nil || got[0][0] != got[0][1] || got[0][2] != int64(3) || got[0][3] != got[0][4] || got[0][3].(int64) < last {
					t.Errorf("a query beside loads: %v, %v", got, err)
					return
				}
				last = got[0][3].(int64)
			}
		})
	}
	for revision := 1; revision <= revisions; revision++ {
		n := int64(revision + 1)
		load(t, w, mustResult(t, p, 0, revision, n, n, n), p, true)
	}
	close(done)
	group.Wait()
	seen := 0
	for rows.Next() {
		if seen++; rows.Values()[0] != int64(1) {
			t.Errorf("an answer that was begun before shows %v", rows.Values())
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || seen != 3 {
		t.Errorf("%d rows, %v", seen, err)
	}
}

func testTypes(t *testing.T, open Open) {
	w := open(t)
	for _, c := range []struct {
		sql  string
		want any
	}{
		{"NULL", nil}, {"true", true}, {"CAST(7 AS SMALLINT)", int64(7)}, {"CAST(-7 AS BIGINT)", int64(-7)},
		{"9223372036854775807", int64(math.MaxInt64)}, {"1.5", warehouse.Number("1.5")}, {"CAST(0.25 AS DECIMAL(9, 2))", warehouse.Number("0.25")},
		{"CAST(-0.25 AS DECIMAL(2, 2))", warehouse.Number("-0.25")}, {"CAST(0.1 AS DOUBLE)", 0.1}, {"CAST(0.1 AS REAL)", 0.1},
		{"CAST('inf' AS DOUBLE)", math.Inf(1)}, {"'text'", "text"}, {"DATE '2026-01-05'", "2026-01-05"}, {"TIME '12:30:00'", "12:30:00"},
		{"TIMESTAMP '2026-01-05 12:30:00.25'", time.Date(2026, 1, 5, 12, 30, 0, 250_000_000, time.UTC)},
		{"TIMESTAMPTZ '2026-01-05 12:30:00+02'", time.Date(2026, 1, 5, 10, 30, 0, 0, time.UTC)},
	} {
		rows, columns, err := try(t.Context(), w, "SELECT "+c.sql+" AS it", ample)
		if err != nil || len(rows) != 1 || rows[0][0] != c.want || columns[0].Name != "it" || columns[0].Type == "" {
			t.Errorf("%s: %v (%T), columns %v, %v; want %v (%T)", c.sql, rows, rows[0][0], columns, err, c.want, c.want)
		}
	}
	// Sums of integers don't overflow.
	want(t, ask(t, w, "SELECT sum(n) FROM (VALUES (9223372036854775807), (9223372036854775807)) AS t(n)"), []any{"18446744073709551614"})
	_, columns, err := try(t.Context(), w, "SELECT 1 AS a, 2 AS a, 3 AS \"a b\"; -- end", ample)
	if err != nil || len(columns) != 3 || columns[0].Name == columns[1].Name || columns[2].Name != "a b" {
		t.Errorf("columns %v, %v; want three names that differ", columns, err)
	}
	want(t, ask(t, w, "WITH t AS (SELECT 1 AS n UNION ALL SELECT 3 UNION ALL SELECT 2) SELECT n FROM t ORDER BY n DESC"), []any{3}, []any{2}, []any{1})
	want(t, ask(t, w, "VALUES (1), (2)"), []any{1}, []any{2})
}

func testClose(t *testing.T, open Open) {
	w := open(t)
	rows, err := w.Query(t.Context(), "SELECT 1", ample)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() { closed <- w.Close() }()
	for rows.Next() {
		continue
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := try(t.Context(), w, "SELECT 1", ample); !errors.Is(err, warehouse.ErrClosed) {
		t.Errorf("a query after Close: %v", err)
	}
	if _, err := w.Load(t.Context(), mustResult(t, NewPlace(), 0, 0), NewPlace()); !errors.Is(err, warehouse.ErrClosed) {
		t.Errorf("a load after Close: %v", err)
	}
	want(t, ask(t, open(t), "SELECT 1"), []any{1})
}
