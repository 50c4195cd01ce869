package warehousetest

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"weir/internal/result"
	"weir/internal/sample"
	"weir/internal/warehouse"
)

func series(t *testing.T, metric string, tags ...string) sample.Series {
	t.Helper()
	var list []sample.Tag
	for i := 0; i+1 < len(tags); i += 2 {
		list = append(list, sample.Tag{Name: tags[i], Value: tags[i+1]})
	}
	s, err := sample.NewSeries(metric, list)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func testSeries(t *testing.T, open Open) {
	w := open(t)
	a, b := series(t, "cpu", "host", "a", "rack", "1<2"), series(t, "töne \"x\"")
	put := func(list ...warehouse.Series) {
		t.Helper()
		if err := w.PutSeries(t.Context(), list); err != nil {
			t.Fatal(err)
		}
	}
	const all = "SELECT series, metric, tags, kind, first_week, last_week FROM series ORDER BY metric"
	week := sample.WeekOf(origin)
	put()
	put(warehouse.Series{Series: a, Kind: sample.Float64, First: week, Last: week}, warehouse.Series{Series: b, Kind: sample.String, First: week, Last: week + 1})
	rowB := []any{b.ID(), b.Metric, "{}", "string", "2026-W02", "2026-W03"}
	want(t, ask(t, w, all), []any{a.ID(), "cpu", `{"host":"a","rack":"1<2"}`, "float64", "2026-W02", "2026-W02"}, rowB)
	for range 2 {
		put(warehouse.Series{Series: a, Kind: sample.Float64, First: week + 2, Last: week + 3}, warehouse.Series{Series: a, Kind: sample.Float64, First: week - 2, Last: week - 2})
	}
	want(t, ask(t, w, all), []any{a.ID(), "cpu", `{"host":"a","rack":"1<2"}`, "float64", "2025-W52", "2026-W05"}, rowB)
	put(warehouse.Series{Series: a, Kind: sample.Float64, First: week, Last: week})
	want(t, ask(t, w, "SELECT first_week, last_week FROM series WHERE series = '%s'", a.ID()), []any{"2025-W52", "2026-W05"})

	put(warehouse.Series{Series: a, Kind: sample.Float64, First: week + 5, Last: week + 6})
	want(t, ask(t, w, "SELECT first_week, last_week FROM series WHERE series = '%s'", a.ID()), []any{"2025-W52", "2026-W08"})

	many := make([]warehouse.Series, 3000)
	for i := range many {
		many[i] = warehouse.Series{Series: series(t, "many", "n", fmt.Sprint(i)), Kind: sample.Int64, First: week, Last: week}
	}
	put(many...)
	put(many...)
	want(t, ask(t, w, "SELECT count(*), count(DISTINCT series) FROM series"), []any{3002, 3002})
}

// historyColumns are those of a file of history.
func historyColumns() []result.Column {
	return []result.Column{{Name: "series", Type: result.Text}, {Name: "time", Type: result.Time}, {Name: "value", Type: result.Float},
		{Name: "int_value", Type: result.Int}, {Name: "bool_value", Type: result.Bool}, {Name: "text_value", Type: result.Text},
		{Name: "quality", Type: result.Int}, {Name: "version", Type: result.Int}, {Name: "position", Type: result.Int}}
}

func history(t *testing.T, p *Place, revision int, rows ...[]any) *warehouse.History {
	t.Helper()
	f := p.mustPut(t, fmt.Sprintf("archive/%d.parquet", revision), historyColumns(), rows...)
	return &warehouse.History{Pipeline: "old", Step: fmt.Sprintf("r%d", revision), Cut: "w1.x", Week: sample.WeekOf(origin), Revision: revision, Files: []result.File{f}, Rows: f.Rows}
}

func importOf(t *testing.T, w warehouse.Warehouse, h *warehouse.History, p *Place, applied bool) {
	t.Helper()
	if got, err := w.Import(t.Context(), h, p); err != nil || got != applied {
		t.Fatalf("import of revision %d: applied %v, error %v; want %v", h.Revision, got, err, applied)
	}
}

func testHistory(t *testing.T, open Open) {
	w, p := open(t), NewPlace()
	h := history(t, p, 0,
		[]any{"aa", origin, 1.5, nil, nil, nil, int64(0), int64(10), int64(1)},
		[]any{"bb", origin + 1, nil, int64(1<<53 + 1), nil, nil, nil, int64(10), int64(1)},
		[]any{"cc", origin + 2, nil, nil, true, nil, int64(0x80000000), int64(10), int64(1)},
		[]any{"dd", origin + 3, nil, nil, nil, "open", int64(0), int64(10), int64(1)})
	importOf(t, w, h, p, true)
	importOf(t, w, h, p, false)
	want(t, ask(t, w, "SELECT series, time, value, int_value, bool_value, text_value, quality, week, revision FROM samples ORDER BY series"),
		[]any{"aa", time.Unix(0, origin).UTC(), 1.5, nil, nil, nil, 0, "2026-W02", 0},
		[]any{"bb", time.Unix(0, origin+1).UTC(), float64(1 << 53), int64(1<<53 + 1), nil, nil, 0, "2026-W02", 0},
		[]any{"cc", time.Unix(0, origin+2).UTC(), 1.0, nil, true, nil, 0x80000000, "2026-W02", 0},
		[]any{"dd", time.Unix(0, origin+3).UTC(), nil, nil, nil, "open", 0, "2026-W02", 0})
	want(t, ask(t, w, "SELECT step, target, window_start, window_end, revision, row_count FROM loads"),
		[]any{"r0", "samples", time.Unix(0, origin).UTC(), time.Unix(0, origin+7*day).UTC(), 0, 4})
}

// testHistoryOrder imports three revisions in all orders.
func testHistoryOrder(t *testing.T, open Open) {
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			w, p := open(t), NewPlace()
			row := func(name string, at int64, value float64, version, position int64) []any {
				return []any{name, origin + at, value, nil, nil, nil, nil, version, position}
			}
			revisions := []*warehouse.History{
				history(t, p, 0, row("a", 0, 1, 10, 5), row("a", 1, 1, 10, 5), row("a", 2, 1, 30, 5), row("b", 0, 1, 10, 5)),
				history(t, p, 1, row("a", 0, 2, 20, 1), row("a", 1, 2, 10, 6), row("a", 2, 2, 20, 9)),
				history(t, p, 2, row("a", 1, 3, 10, 2), row("c", 0, 3, 1, 1)),
			}
			for _, i := range order {
				importOf(t, w, revisions[i], p, true)
			}
			for _, h := range revisions {
				importOf(t, w, h, p, false)
			}
			want(t, ask(t, w, "SELECT series, value FROM samples ORDER BY series, time"),
				[]any{"a", 2.0}, []any{"a", 2.0}, []any{"a", 1.0}, []any{"b", 1.0}, []any{"c", 3.0})
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// testHistoryRevisions: of one step an older revision is not imported over a newer.
func testHistoryRevisions(t *testing.T, open Open) {
	w, p := open(t), NewPlace()
	of := func(revision int, value float64, version int64) *warehouse.History {
		h := history(t, p, revision, []any{"a", origin, value, nil, nil, nil, nil, version, int64(1)})
		h.Step = "history"
		return h
	}
	importOf(t, w, of(1, 2, 20), p, true)
	for _, revision := range []int{0, 1} {
		importOf(t, w, of(revision, 9, 90), p, false)
	}
	want(t, ask(t, w, "SELECT value, revision FROM samples"), []any{2.0, 1})
	importOf(t, w, of(2, 3, 30), p, true)
	importOf(t, w, of(3, 4, 10), p, true) // less than what is there, which remains
	want(t, ask(t, w, "SELECT value, revision FROM samples"), []any{3.0, 2})
	want(t, ask(t, w, "SELECT pipeline, step, revision, cut FROM loads ORDER BY revision"),
		[]any{"old", "history", 1, "w1.x"}, []any{"old", "history", 2, "w1.x"}, []any{"old", "history", 3, "w1.x"})
}

func testWrongHistory(t *testing.T, open Open) {
	w, p := open(t), NewPlace()
	good := []any{"aa", origin, 1.5, nil, nil, nil, nil, int64(1), int64(1)}
	for name, h := range map[string]*warehouse.History{
		"outside":  history(t, p, 0, good, []any{"aa", origin - 1, 1.5, nil, nil, nil, nil, int64(1), int64(1)}),
		"no time":  history(t, p, 1, good, []any{"aa", nil, 1.5, nil, nil, nil, nil, int64(1), int64(1)}),
		"columns":  {Pipeline: "old", Step: "x", Week: sample.WeekOf(origin), Rows: 1, Files: []result.File{p.mustPut(t, "other", Columns(), []any{"s", origin, int64(1), 1.0, true})}},
		"rows":     {Pipeline: "old", Step: "x", Week: sample.WeekOf(origin), Rows: 2, Files: []result.File{p.mustPut(t, "short", historyColumns(), good)}},
		"nobody's": {Week: sample.WeekOf(origin)},
		"revision": {Pipeline: "old", Step: "x", Week: sample.WeekOf(origin), Revision: -1},
	} {
		_, err := w.Import(t.Context(), h, p)
		var detailed *warehouse.Error
		if !errors.Is(err, warehouse.ErrCorrupt) || !errors.As(err, &detailed) || len(h.Files) > 0 && name != "rows" && !strings.Contains(err.Error(), h.Files[0].Name) {
			t.Errorf("%s: %v; want ErrCorrupt that names the part", name, err)
		}
	}
	want(t, ask(t, w, "SELECT count(*) FROM samples"), []any{0})
	want(t, ask(t, w, "SELECT count(*) FROM loads"), []any{0})
}

func testErase(t *testing.T, open Open) {
	w, p := open(t), NewPlace()
	a, b := series(t, "a"), series(t, "b")
	m := mustResult(t, p, 0, 0)
	m.Files = []result.File{p.mustPut(t, "both", m.Columns, []any{a.ID().String(), origin, int64(1), 1.0, true}, []any{b.ID().String(), origin, int64(2), 1.0, true})}
	m.Rows = 2
	load(t, w, m, p, true)
	importOf(t, w, history(t, p, 0, []any{a.ID().String(), origin, 1.5, nil, nil, nil, nil, int64(1), int64(1)}), p, true)
	week := sample.WeekOf(origin)
	if err := w.PutSeries(t.Context(), []warehouse.Series{{Series: a, Kind: sample.Float64, First: week, Last: week}, {Series: b, Kind: sample.Float64, First: week, Last: week}}); err != nil {
		t.Fatal(err)
	}
	always := warehouse.Erasure{Series: []sample.SeriesID{a.ID()}, From: math.MinInt64, To: math.MaxInt64}
	counted, before, around := always, always, always
	counted.Count, before.To, around.From, around.To = true, origin, origin, origin+1
	around.Count = true
	all := map[string]int64{"daily": 1, "samples": 1, "series": 1}
	for _, one := range []struct {
		what string
		e    warehouse.Erasure
		want map[string]int64
	}{
		{"counted", counted, all},
		{"before its time", before, map[string]int64{"daily": 1}}, // which has no times of windows
		{"at its time", around, map[string]int64{"samples": 1}},
		{"all", always, map[string]int64{"samples": 1, "series": 1}},
		{"again", always, nil},
		{"of nothing", warehouse.Erasure{From: math.MinInt64, To: math.MaxInt64}, nil},
	} {
		if got, err := w.Erase(t.Context(), one.e); err != nil || !maps.Equal(got, one.want) {
			t.Fatalf("%s: %v, %v; want %v", one.what, got, err, one.want)
		}
	}
	want(t, ask(t, w, "SELECT count FROM daily"), []any{2})
	want(t, ask(t, w, "SELECT metric FROM series"), []any{"b"})
	want(t, ask(t, w, "SELECT count(*) FROM samples"), []any{0})
	load(t, w, m, p, false)
}
