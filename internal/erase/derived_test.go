package erase

import (
	"context"
	"errors"

	"weir/internal/buffer"
	"weir/internal/export"
	"weir/internal/result"
	"weir/internal/warehouse"
)

// derive makes a result that a run names, one of an attempt that was cut short, a
// file without a manifest, and exports.
func (r *rig) derive() {
	ctx := r.t.Context()
	columns := []result.Column{{Name: "series", Type: result.Text}, {Name: "n", Type: result.Int}}
	for _, attempt := range []string{"one", "two", "three"} {
		w, err := result.NewWriter(ctx, r.results, "p/s/w/rev=0/"+attempt+"/part-0000.parquet", columns)
		r.must(err)
		rows := result.NewRows(columns)
		for i, of := range r.series {
			rows.Columns[0].Text(of.ID().String())
			rows.Columns[1].Int(int64(i))
			rows.EndRow()
		}
		r.must(w.Write(rows))
		f, err := w.Close()
		r.must(err)
		m := &result.Manifest{Version: 1, Table: "t", Pipeline: "p", Step: "s", Start: 0, End: 1, Columns: columns, Files: []result.File{f}, Rows: f.Rows}
		if attempt == "three" {
			continue
		}
		name := "p/s/w/rev=0/" + attempt + "/manifest.json"
		sum, err := m.Write(ctx, r.results, name)
		r.must(err)
		if attempt == "one" {
			r.handed = Handed{Manifest: name, SHA256: sum}
			_, err := export.WriteResult(ctx, r.exports, "out/x", export.CSV, m, r.results)
			r.must(err)
		}
	}
}

// Results and Replace make the rig the records of runs.
func (r *rig) Results(context.Context) ([]Handed, error) { return []Handed{r.handed}, nil }

// runs is the records of runs behind a gate.
type runs struct {
	*rig
	g *gate
}

func (x runs) Replace(_ context.Context, old Handed, manifest, sum string, m *result.Manifest) error {
	return x.g.pass(func() error {
		if old.Manifest != x.handed.Manifest || m == nil {
			return errors.New("the run has another by now")
		}
		x.handed = Handed{Manifest: manifest, SHA256: sum}
		return nil
	})
}

// house is a warehouse that has so many rows by table.
type house map[string]int64

type gatedHouse struct {
	warehouse.Warehouse
	rows house
	g    *gate
}

func (h gatedHouse) Erase(_ context.Context, e warehouse.Erasure) (rows map[string]int64, err error) {
	rows = map[string]int64{}
	err = h.g.pass(func() error {
		for table, n := range h.rows {
			rows[table] = n
			if !e.Count {
				delete(h.rows, table)
			}
		}
		return nil
	})
	return rows, err
}

// letters is dead letters that can only be listed.
type letters []buffer.DeadLetter

type listedLetters struct {
	buffer.DeadLetters
	all *letters
}

func (l listedLetters) List(_ context.Context, queue int, after string, _ int) (out []buffer.DeadLetter, err error) {
	for _, letter := range *l.all {
		if queue == 0 && letter.ID > after {
			out = append(out, letter)
		}
	}
	return out, nil
}
