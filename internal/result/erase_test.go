package result

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"weir/internal/objects"
	"weir/internal/objects/folder"
)

// windows makes rows of hourly windows of some series.
func windows(series ...int) ([]Column, *Rows) {
	columns := []Column{{"metric", Text}, {"tags", Text}, {"series", Text}, {"window_start", Time}, {"window_end", Time}, {"n", Int}}
	rows := NewRows(columns)
	for _, s := range series {
		for hour := range int64(3) {
			c := rows.Columns
			c[0].Text("m")
			c[1].Text(fmt.Sprintf(`{"host":"%d"}`, s))
			c[2].Text(fmt.Sprintf("%032x", s))
			c[3].Int(hour * 3600)
			c[4].Int((hour + 1) * 3600)
			c[5].Int(int64(s)*10 + hour)
			rows.EndRow()
		}
	}
	return columns, rows
}

func hostErasure(host int, from, to int64) *Erasure {
	return &Erasure{
		IDs: map[string]bool{fmt.Sprintf("%032x", host): true}, Names: map[string]bool{Name("m", fmt.Sprintf(`{"host":"%d"}`, host)): true},
		From: from, To: to,
	}
}

func put(t *testing.T, at objects.Objects, name string, columns []Column, rows *Rows) File {
	t.Helper()
	w, err := NewWriter(t.Context(), at, name, columns)
	if err == nil {
		err = w.Write(rows)
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// numbers gives column n of a result.
func numbers(t *testing.T, at objects.Objects, m *Manifest) (all []int64) {
	t.Helper()
	if err := Read(t.Context(), at, m, func(r *Rows) error { all = append(all, r.Columns[5].Ints...); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestErase takes the rows of a series, or of a range of its time, out of a result.
func TestErase(t *testing.T) {
	always, never := int64(math.MinInt64), int64(math.MaxInt64)
	for name, c := range map[string]struct {
		e    *Erasure
		want []int64
		same []string // files that stay
	}{
		"a series":          {hostErasure(2, always, never), []int64{10, 11, 12, 30, 31, 32}, []string{"a/parts-1"}},
		"overlapping":       {hostErasure(2, 3600, 3601), []int64{10, 11, 12, 20, 22, 30, 31, 32}, []string{"a/parts-1"}},
		"up to an edge":     {hostErasure(3, always, 3600), []int64{10, 11, 12, 20, 21, 22, 31, 32}, []string{"a/parts-0"}},
		"a file of its own": {hostErasure(3, always, never), []int64{10, 11, 12, 20, 21, 22}, []string{"a/parts-0"}},
		"none":              {hostErasure(4, always, never), []int64{10, 11, 12, 20, 21, 22, 30, 31, 32}, []string{"a/parts-0", "a/parts-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			at, err := folder.New(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			columns, first := windows(1, 2)
			_, second := windows(3)
			m := example()
			m.Columns = columns
			m.Files = []File{put(t, at, "a/parts-0", columns, first), put(t, at, "a/parts-1", columns, second)}
			m.Rows = 9
			if _, err := m.Write(t.Context(), at, "a/manifest.json"); err != nil {
				t.Fatal(err)
			}
			next, named, sum, err := Erase(t.Context(), at, "a/manifest.json", m, "x", c.e)
			if err != nil {
				t.Fatal(err)
			}
			if got := numbers(t, at, m); len(got) != 9 {
				t.Errorf("the old result has %v by then", got)
			}
			if len(c.want) == 9 {
				if next != m || named != "" {
					t.Errorf("%v, %q of no rows", next, named)
				}
				return
			}
			next, err = ReadManifest(t.Context(), at, named, sum)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Remove(t.Context(), at, "a/manifest.json", next); err != nil {
				t.Fatal(err)
			}
			if got := numbers(t, at, next); !slices.Equal(got, c.want) {
				t.Errorf("it has %v; want %v", got, c.want)
			}
			for _, f := range next.Files {
				if slices.Contains(c.same, f.Name) == strings.HasPrefix(f.Name, "erased-x/") {
					t.Errorf("file %s", f.Name)
				}
				if n, known, err := CountFile(t.Context(), at, next.Columns, &f, c.e); n != 0 || !known || err != nil {
					t.Errorf("%s has %d rows, %v, %v", f.Name, n, known, err)
				}
			}
			all, err := at.List(t.Context(), "")
			if err != nil || len(all) != len(next.Files)+1 {
				t.Errorf("%v, %v are there for %d files and a manifest", all, err, len(next.Files))
			}
		})
	}
}

// TestRowsThatSayNoSeries: whose they are nobody can tell; by metric and tags one
// can.
func TestRowsThatSayNoSeries(t *testing.T) {
	at, err := folder.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	e := hostErasure(1, math.MinInt64, math.MaxInt64)
	columns, rows := table(2, 1)
	f := put(t, at, "other", columns[1:], &Rows{Columns: rows.Columns[1:], n: rows.n})
	if n, known, err := CountFile(t.Context(), at, columns[1:], &f, e); n != 0 || known || err != nil {
		t.Errorf("%d, %v, %v", n, known, err)
	}
	columns, rows = windows(1, 2)
	byName := append(slices.Clone(columns[:2]), columns[5])
	f = put(t, at, "names", byName, &Rows{Columns: append(slices.Clone(rows.Columns[:2]), rows.Columns[5]), n: rows.n})
	got, err := ColumnsOf(t.Context(), at, "names")
	if err != nil || !slices.Equal(got, byName) {
		t.Errorf("columns %v, %v; want %v", got, err, byName)
	}
	next, err := EraseFile(t.Context(), at, byName, &f, "names", e)
	if err != nil || next.Rows != 3 {
		t.Errorf("%d rows, %v; want 3", next.Rows, err)
	}
	put(t, at, "all", func() []Column { c, _ := table(0, 0); return c }(), func() *Rows { _, r := table(5, 1); return r }())
	if got, err := ColumnsOf(t.Context(), at, "all"); err != nil || fmt.Sprint(got) != fmt.Sprint(func() []Column { c, _ := table(0, 0); return c }()) {
		t.Errorf("columns %v, %v", got, err)
	}
	if err := func() error { _, err := ColumnsOf(t.Context(), at, "none"); return err }(); !errors.Is(err, objects.ErrNotFound) {
		t.Errorf("of no file: %v", err)
	}
}

// FuzzColumnsOf reads columns of any bytes.
func FuzzColumnsOf(f *testing.F) {
	f.Add([]byte("PAR1"))
	f.Fuzz(func(t *testing.T, body []byte) {
		at, err := folder.New(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		w, err := at.Create(t.Context(), "f")
		if err == nil {
			_, err = w.Write(body)
		}
		if err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		if _, err := ColumnsOf(t.Context(), at, "f"); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%v is no error of damage", err)
		}
	})
}
