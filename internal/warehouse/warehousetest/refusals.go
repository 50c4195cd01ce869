package warehousetest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"weir/internal/objects"
	"weir/internal/result"
	"weir/internal/warehouse"
)

func testNewColumns(t *testing.T, open Open) {
	w, p := open(t), NewPlace()
	load(t, w, mustResult(t, p, 0, 0, 1), p, true)
	m := mustResult(t, p, 1, 0)
	m.Columns = append(Columns(), result.Column{Name: "p99", Type: result.Float}, result.Column{Name: "note", Type: result.Text})
	m.Files = []result.File{p.mustPut(t, "wide", m.Columns, []any{"s", m.Start, int64(2), 1.0, true, 0.99, "new"})}
	m.Rows = 1
	load(t, w, m, p, true)
	want(t, ask(t, w, "SELECT count, p99, note FROM daily ORDER BY count"), []any{1, nil, nil}, []any{2, 0.99, "new"})
	// One that lacks a column of the table leaves it null.
	load(t, w, mustResult(t, p, 2, 0, 3), p, true)
	want(t, ask(t, w, "SELECT p99 FROM daily WHERE count = 3"), []any{nil})
}

func testChangedTypes(t *testing.T, open Open) {
	w, p := open(t), NewPlace()
	load(t, w, mustResult(t, p, 0, 0, 1), p, true)
	m := mustResult(t, p, 0, 1)
	m.Columns[2].Type = result.Float
	m.Columns = append(m.Columns, result.Column{Name: "p99", Type: result.Float})
	m.Files = []result.File{p.mustPut(t, "changed", m.Columns, []any{"s", m.Start, 2.5, 1.0, true, 1.0})}
	m.Rows = 1
	err := refused(t, w, m, p, warehouse.ErrSchema)
	if !strings.Contains(err.Error(), "count") {
		t.Errorf("%v: it doesn't name the column", err)
	}
	// Nor was the other column added.
	if _, _, err := try(t.Context(), w, "SELECT p99 FROM daily", ample); !errors.Is(err, warehouse.ErrQuery) {
		t.Errorf("a refused load added a column: %v", err)
	}
	want(t, ask(t, w, "SELECT count, revision FROM daily"), []any{1, 0})
}

func testTakenNames(t *testing.T, open Open) {
	w, p := open(t), NewPlace()
	for _, table := range []string{"loads", "series", "samples", "weir_version"} {
		m := mustResult(t, p, 0, 0, 1)
		m.Table = table
		_ = refused(t, w, m, p, warehouse.ErrSchema)
	}
	for _, column := range []string{"pipeline", "revision", "step", "load"} {
		m := mustResult(t, p, 0, 0, 1)
		m.Columns[0].Name = column
		_ = refused(t, w, m, p, warehouse.ErrSchema)
	}
	// What SQL calls its own is a name like others.
	m := mustResult(t, p, 0, 0)
	m.Table, m.Columns = "select", []result.Column{{Name: "order", Type: result.Int}, {Name: "group", Type: result.Text}}
	m.Files, m.Rows = []result.File{p.mustPut(t, "words", m.Columns, []any{int64(1), "x"})}, 1
	load(t, w, m, p, true)
	want(t, ask(t, w, `SELECT "order", "group" FROM "select"`), []any{1, "x"})
}

// unchanged runs what is refused on a warehouse that holds one load.
func unchanged(t *testing.T, open Open, name string, spoil func(*Place, *result.Manifest)) {
	t.Helper()
	w, p := open(t), NewPlace()
	load(t, w, mustResult(t, p, 0, 0, 1, 2), p, true)
	m := mustResult(t, p, 0, 1, 10, 20, 30)
	spoil(p, m)
	err := refused(t, w, m, p, warehouse.ErrPart)
	if name != "" && !strings.Contains(err.Error(), name) {
		t.Errorf("%v: it doesn't name %s", err, name)
	}
	want(t, ask(t, w, "SELECT sum(count), max(revision) FROM daily"), []any{3, 0})
	want(t, ask(t, w, "SELECT revision, row_count FROM loads"), []any{0, 2})
	// Mended, it is loaded.
	load(t, w, mustResult(t, p, 0, 1, 10, 20, 30), p, true)
	want(t, ask(t, w, "SELECT sum(count) FROM daily"), []any{60})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

const secondPart = "results/0/1/1.parquet"

func testCorruptPart(t *testing.T, open Open) {
	t.Run("ByHash", func(t *testing.T) {
		unchanged(t, open, secondPart, func(p *Place, _ *result.Manifest) { p.damage(t, secondPart, 10) })
	})
	t.Run("AnotherHash", func(t *testing.T) { // of a part that is Parquet, with as many rows
		unchanged(t, open, secondPart, func(_ *Place, m *result.Manifest) { m.Files[1].SHA256 = m.Files[0].SHA256 })
	})
	t.Run("Longer", func(t *testing.T) {
		unchanged(t, open, secondPart, func(p *Place, _ *result.Manifest) { p.put(secondPart, append(p.objects[secondPart], 0)) })
	})
	// Damage before the hash was taken. A byte anywhere may be wrong.
	for _, at := range []int{0, 4, 5, 20, -1, -6, -12, -100} {
		t.Run("Within", func(t *testing.T) {
			spoiled := func(p *Place, m *result.Manifest) {
				from := at
				if at < 0 {
					from += len(p.objects[secondPart])
				}
				p.damage(t, secondPart, from)
				m.Files[1] = fileOf(secondPart, p.objects[secondPart], 2)
			}
			w, p := open(t), NewPlace()
			load(t, w, mustResult(t, p, 0, 0, 1, 2), p, true)
			m := mustResult(t, p, 0, 1, 10, 20, 30)
			spoiled(p, m)
			applied, err := w.Load(t.Context(), m, p)
			switch {
			case err != nil && (!errors.Is(err, warehouse.ErrCorrupt) || !strings.Contains(err.Error(), secondPart)):
				t.Errorf("byte %d: %v", at, err)
			case err != nil:
				want(t, ask(t, w, "SELECT sum(count) FROM daily"), []any{3})
			case applied: // a byte that Parquet doesn't need
				want(t, ask(t, w, "SELECT count(*) FROM daily"), []any{3})
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("NoParquet", func(t *testing.T) {
		unchanged(t, open, secondPart, func(p *Place, m *result.Manifest) {
			p.put(secondPart, []byte("rows"))
			m.Files[1] = fileOf(secondPart, []byte("rows"), 2)
		})
	})
}

func testMissingPart(t *testing.T, open Open) {
	unchanged(t, open, secondPart, func(p *Place, _ *result.Manifest) { delete(p.objects, secondPart) })
}

func testShapes(t *testing.T, open Open) {
	replace := func(rows int, columns []result.Column, cells ...[]any) func(*Place, *result.Manifest) {
		return func(p *Place, m *result.Manifest) {
			m.Files[1] = p.mustPut(t, secondPart, columns, cells...)
			m.Files[1].Rows = uint64(rows)
		}
	}
	t.Run("FewerRows", func(t *testing.T) {
		unchanged(t, open, secondPart, replace(2, Columns(), []any{"s", origin, int64(1), 1.0, true}))
	})
	t.Run("LacksColumn", func(t *testing.T) {
		row := []any{"s", origin, int64(1), 1.0}
		unchanged(t, open, secondPart, replace(2, Columns()[:4], row, row))
	})
	t.Run("OneColumnMore", func(t *testing.T) {
		row := []any{"s", origin, int64(1), 1.0, true, "x"}
		unchanged(t, open, secondPart, replace(2, append(Columns(), result.Column{Name: "more", Type: result.Text}), row, row))
	})
	t.Run("AnotherType", func(t *testing.T) {
		columns := Columns()
		columns[2].Type = result.Text
		row := []any{"s", origin, "1", 1.0, true}
		unchanged(t, open, secondPart, replace(2, columns, row, row))
	})
}

func testWrongManifest(t *testing.T, open Open) {
	for _, spoil := range []func(*Place, *result.Manifest){
		func(_ *Place, m *result.Manifest) { m.Rows++ },
		func(_ *Place, m *result.Manifest) { m.Columns = nil },
		func(_ *Place, m *result.Manifest) { m.Table = "a b" },
		func(_ *Place, m *result.Manifest) { m.End = m.Start },
		func(_ *Place, m *result.Manifest) { m.Pipeline = "" },
		func(_ *Place, m *result.Manifest) { m.Files[0].Name = "../etc" },
		func(_ *Place, m *result.Manifest) { m.Files[0].Bytes++ },
		func(_ *Place, m *result.Manifest) { m.Columns[0].Type = "thing" },
	} {
		t.Run("Spoiled", func(t *testing.T) { unchanged(t, open, "", spoil) })
	}
	w, p := open(t), NewPlace()
	m := mustResult(t, p, 0, 0, 1)
	m.Version++
	if _, err := w.Load(t.Context(), m, p); !errors.Is(err, result.ErrVersion) {
		t.Errorf("a manifest of a later version: %v", err)
	}
}

func testUnavailable(t *testing.T, open Open) {
	w, p := open(t), NewPlace()
	m := mustResult(t, p, 0, 0, 1, 2)
	p.setFault(objects.ErrUnavailable)
	_ = refused(t, w, m, p, warehouse.ErrUnavailable)
	p.setFault(nil)
	load(t, w, m, p, true)
}

func testCancelled(t *testing.T, open Open) {
	w, p := open(t), NewPlace()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := mustResult(t, p, 0, 0, 1, 2)
	if applied, err := w.Load(ctx, m, p); applied || !errors.Is(err, context.Canceled) {
		t.Errorf("applied %v, error %v", applied, err)
	}
	if _, _, err := try(ctx, w, "SELECT 1", ample); !errors.Is(err, context.Canceled) {
		t.Errorf("query: %v", err)
	}
	load(t, w, m, p, true)
}
