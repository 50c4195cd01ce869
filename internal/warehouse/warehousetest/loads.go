package warehousetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"weir/internal/result"
	"weir/internal/warehouse"
)

// day is the length of the windows here.
const day = int64(24 * time.Hour)

// origin is the start of the first window.
var origin = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC).UnixNano()

// Columns are those of the suite's tables.
func Columns() []result.Column {
	return []result.Column{{Name: "series", Type: result.Text}, {Name: "window_start", Type: result.Time},
		{Name: "count", Type: result.Int}, {Name: "mean", Type: result.Float}, {Name: "good", Type: result.Bool}}
}

// Result makes a result of table daily: rows of a window whose counts are as
// given, in two parts.
func Result(p *Place, window, revision int, counts ...int64) (*result.Manifest, error) {
	m := &result.Manifest{
		Version: result.Version, Table: "daily", Pipeline: "days", Step: "rollup", Revision: revision, Cut: "w1.AAAAAA",
		Start: origin + int64(window)*day, End: origin + int64(window+1)*day, Columns: Columns(), Rows: uint64(len(counts)),
	}
	half := len(counts) / 2
	for part, some := range [][]int64{counts[:half], counts[half:]} {
		var rows [][]any
		for i, n := range some {
			rows = append(rows, []any{fmt.Sprintf("s%d-%d", part, i), m.Start + int64(i), n, float64(n) / 2, n%2 == 0})
		}
		f, err := p.Put(fmt.Sprintf("results/%d/%d/%d.parquet", window, revision, part), m.Columns, rows...)
		if err != nil {
			return nil, err
		}
		m.Files = append(m.Files, f)
	}
	return m, nil
}

func mustResult(t *testing.T, p *Place, window, revision int, counts ...int64) *result.Manifest {
	t.Helper()
	m, err := Result(p, window, revision, counts...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func load(t *testing.T, w warehouse.Warehouse, m *result.Manifest, p *Place, applied bool) {
	t.Helper()
	got, err := w.Load(t.Context(), m, p)
	if err != nil || got != applied {
		t.Fatalf("load of %s, revision %d: applied %v, error %v; want %v", m.Table, m.Revision, got, err, applied)
	}
}

// refused wants a load to fail with a port's error, with no change to what is
// asked.
func refused(t *testing.T, w warehouse.Warehouse, m *result.Manifest, p *Place, want error) error {
	t.Helper()
	applied, err := w.Load(t.Context(), m, p)
	var detailed *warehouse.Error
	if applied || !errors.Is(err, want) || !errors.As(err, &detailed) {
		t.Fatalf("applied %v, error %v; want a *warehouse.Error that is %v", applied, err, want)
	}
	return err
}

func testTables(t *testing.T, open Open) {
	w := open(t)
	want(t, ask(t, w, "SELECT 1 AS one"), []any{1})
	for _, table := range []string{"loads", "series", "samples", "rollup"} {
		want(t, ask(t, w, "SELECT count(*) FROM %s", table), []any{0})
	}
	want(t, ask(t, w, `SELECT pipeline, series, metric, tags, window_start, window_end, count, min, max, mean, sum, first, last,
		stddev, revision, step, load FROM rollup`))
	want(t, ask(t, w, "SELECT series, metric, tags, kind, first_week, last_week FROM series"))
	want(t, ask(t, w, `SELECT series, time, value, int_value, bool_value, text_value, quality, week, revision, version, position, load FROM samples`))
	want(t, ask(t, w, "SELECT load, pipeline, step, target, window_start, window_end, revision, row_count, manifest, cut, loaded_at FROM loads"))
}

func testOnce(t *testing.T, open Open) {
	w, p := open(t), NewPlace()
	m := mustResult(t, p, 0, 0, 1, 2, 3)
	load(t, w, m, p, true)
	load(t, w, m, p, false)
	want(t, ask(t, w, "SELECT pipeline, step, revision, series, window_start, count, mean, good FROM daily ORDER BY series"),
		[]any{"days", "rollup", 0, "s0-0", time.Unix(0, origin).UTC(), 1, 0.5, false},
		[]any{"days", "rollup", 0, "s1-0", time.Unix(0, origin).UTC(), 2, 1.0, true},
		[]any{"days", "rollup", 0, "s1-1", time.Unix(0, origin+1).UTC(), 3, 1.5, false})
	want(t, ask(t, w, "SELECT pipeline, step, target, window_start, window_end, revision, row_count, cut, length(manifest) FROM loads"),
		[]any{"days", "rollup", "daily", time.Unix(0, m.Start).UTC(), time.Unix(0, m.End).UTC(), 0, 3, "w1.AAAAAA", 64})
	want(t, ask(t, w, "SELECT count(*) FROM daily JOIN loads USING (load)"), []any{3})
}

func testOrder(t *testing.T, open Open) {
	w, p := open(t), NewPlace()
	load(t, w, mustResult(t, p, 0, 1, 10, 20), p, true)
	load(t, w, mustResult(t, p, 0, 0, 1, 2, 3), p, false)
	want(t, ask(t, w, "SELECT sum(count), max(revision) FROM daily"), []any{30, 1})
	load(t, w, mustResult(t, p, 0, 7, 100), p, true)
	load(t, w, mustResult(t, p, 0, 1, 10, 20), p, false)
	want(t, ask(t, w, "SELECT sum(count), min(revision) FROM daily"), []any{100, 7})
	want(t, ask(t, w, "SELECT revision, row_count FROM loads"), []any{7, 1})
}

// testNeighbours wants a load to leave what differs from it in one part of its
// key alone.
func testNeighbours(t *testing.T, open Open) {
	w, p := open(t), NewPlace()
	first := mustResult(t, p, 0, 0, 1)
	load(t, w, first, p, true)
	for i, change := range []func(*result.Manifest){
		func(m *result.Manifest) { m.Pipeline = "other" },
		func(m *result.Manifest) { m.Step = "other" },
		func(m *result.Manifest) { m.Table = "other" },
		func(m *result.Manifest) { m.Start += day / 2 },
		func(m *result.Manifest) { m.End += day },
	} {
		m := mustResult(t, p, 0, 0, int64(i+2))
		change(m)
		load(t, w, m, p, true)
		load(t, w, m, p, false)
	}
	load(t, w, mustResult(t, p, 1, 0, 9), p, true)
	want(t, ask(t, w, "SELECT count FROM daily ORDER BY count"), []any{1}, []any{2}, []any{3}, []any{5}, []any{6}, []any{9})
	want(t, ask(t, w, "SELECT count FROM other"), []any{4})
	load(t, w, mustResult(t, p, 0, 1, 50), p, true)
	want(t, ask(t, w, "SELECT count FROM daily ORDER BY count"), []any{2}, []any{3}, []any{5}, []any{6}, []any{9}, []any{50})
}

func testConcurrent(t *testing.T, open Open) {
	const callers, revisions = 4, 5
	w, p := open(t), NewPlace()
	var group sync.WaitGroup
	var mu sync.Mutex
	applied := map[int]int{}
	for caller := range callers {
		group.Go(func() {
			for i := range revisions {
				revision := (i + caller) % revisions
				m, err := Result(p, caller%2, revision, 1, int64(revision))
				if err == nil {
					var ok bool
					if ok, err = w.Load(t.Context(), m, p); ok {
						mu.Lock()
						applied[caller%2*revisions+revision]++
						mu.Unlock()
					}
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	for key, n := range applied {
		if n != 1 {
			t.Errorf("load %d was applied %d times", key, n)
		}
	}
	want(t, ask(t, w, "SELECT window_start, count(*), sum(count), min(revision) FROM daily GROUP BY window_start ORDER BY 1"),
		[]any{time.Unix(0, origin).UTC(), 2, revisions, revisions - 1}, []any{time.Unix(0, origin+day).UTC(), 2, revisions, revisions - 1})
}

func testEmpty(t *testing.T, open Open) {
	w, p := open(t), NewPlace()
	nothing := mustResult(t, p, 0, 0)
	load(t, w, nothing, p, true)
	want(t, ask(t, w, "SELECT count(*) FROM daily"), []any{0})
	load(t, w, mustResult(t, p, 0, 1, 1, 2), p, true)
	none := mustResult(t, p, 0, 2)
	none.Files = nil
	load(t, w, none, p, true)
	load(t, w, mustResult(t, p, 0, 1, 1, 2), p, false)
	want(t, ask(t, w, "SELECT count(*) FROM daily"), []any{0})
	want(t, ask(t, w, "SELECT revision, row_count FROM loads"), []any{2, 0})
}

func testRestart(t *testing.T, open Open) {
	w, p := open(t), NewPlace()
	m := mustResult(t, p, 0, 0, 1, 2, 3)
	load(t, w, m, p, true)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = open(t)
	load(t, w, m, p, false)
	want(t, ask(t, w, "SELECT sum(count) FROM daily"), []any{6})
	load(t, w, mustResult(t, p, 0, 1, 4), p, true)
	want(t, ask(t, w, "SELECT sum(count) FROM daily"), []any{4})
}
