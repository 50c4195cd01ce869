package result

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"weir/internal/objects/folder"
)

// table makes rows of every type, some of them null.
func table(n int, seed uint64) ([]Column, *Rows) {
	columns := []Column{{"series", Text}, {"at", Time}, {"n", Int}, {"x", Float}, {"ok", Bool}, {"note", Text}}
	rows := NewRows(columns)
	random := rand.New(rand.NewPCG(seed, 1))
	extremes := []float64{math.Inf(1), math.Copysign(0, -1), math.MaxFloat64, math.SmallestNonzeroFloat64}
	for i := range n {
		c := rows.Columns
		c[0].Text(fmt.Sprintf("series %d", i/100))
		c[1].Int(int64(i) * 1e9)
		c[2].Int(int64(random.Uint64()))
		c[3].Float(extremes[i%len(extremes)])
		c[4].Bool(random.IntN(2) == 0)
		c[5].Text([]string{"", "ä\x00", "x"}[random.IntN(3)])
		rows.EndRow()
		for k := range c {
			c[k].None()
		}
		rows.EndRow()
	}
	return columns, rows
}

// text gives a row for comparison.
func text(r *Rows, row int) string {
	out := ""
	for i := range r.Columns {
		c := &r.Columns[i]
		switch {
		case c.Null != nil && c.Null[row]:
			out += "|null"
		case c.Type == Text:
			out += fmt.Sprintf("|%q", c.Texts[c.Index[row]])
		case c.Type == Float:
			out += fmt.Sprintf("|%x", math.Float64bits(c.Floats[row]))
		default:
			out += fmt.Sprintf("|%d", c.Ints[row])
		}
	}
	return out
}

func texts(r *Rows) []string {
	var out []string
	for row := range r.Len() {
		out = append(out, text(r, row))
	}
	return out
}

func TestRowsReadBack(t *testing.T) {
	dir := t.TempDir()
	place, err := folder.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := example()
	m.Files, m.Rows = nil, 0
	var want []string
	for part := range 2 {
		columns, _ := table(0, 0)
		w, err := NewWriter(t.Context(), place, fmt.Sprintf("part-%d.parquet", part), columns)
		if err != nil {
			t.Fatal(err)
		}
		for group := range 3 {
			_, rows := table(50_000*group, uint64(10*part+group)) // the first is empty
			want = append(want, texts(rows)...)
			if err := w.Write(rows); err != nil {
				t.Fatal(err)
			}
		}
		f, err := w.Close()
		if err != nil {
			t.Fatal(err)
		}
		m.Columns, m.Files, m.Rows = columns, append(m.Files, f), m.Rows+f.Rows
	}
	var got []string
	if err := Read(t.Context(), place, m, func(r *Rows) error {
		got = append(got, texts(r)...)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d rows were read back; want %d, the same", len(got), len(want))
	}
	stop := errors.New("stop")
	if err := Read(t.Context(), place, m, func(*Rows) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the error of yield: %v", err)
	}

	// Damage anywhere is told, and so is a manifest of other columns or rows.
	path := filepath.Join(dir, "part-1.parquet")
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	none := func(*Rows) error { return nil }
	for _, at := range []int{0, len(body) / 2, len(body) - 1} {
		broken := slices.Clone(body)
		broken[at] ^= 1
		if err := os.WriteFile(path, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Read(t.Context(), place, m, none); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d flipped: %v; want ErrCorrupt", at, err)
		}
	}
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	other := *m
	other.Columns = slices.Clone(m.Columns)
	other.Columns[2].Type = Float
	if err := Read(t.Context(), place, &other, none); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another type: %v; want ErrCorrupt", err)
	}
	other.Columns = m.Columns[:4]
	if err := Read(t.Context(), place, &other, none); !errors.Is(err, ErrCorrupt) {
		t.Errorf("fewer columns: %v; want ErrCorrupt", err)
	}
	other = *m
	other.Files = slices.Clone(m.Files)
	other.Files[0].Rows++
	if err := Read(t.Context(), place, &other, none); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another number of rows: %v; want ErrCorrupt", err)
	}
}

func TestUnequalColumnsAreRefused(t *testing.T) {
	place, err := folder.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	columns, rows := table(3, 1)
	w, err := NewWriter(t.Context(), place, "a", columns)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	rows.Columns[2].Int(7)
	if err := w.Write(rows); err == nil {
		t.Error("a column that is longer than the others was written")
	}
}

// TestSameRowsSameBytes: results are compared by their bytes.
func TestSameRowsSameBytes(t *testing.T) {
	place, err := folder.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var sums []string
	for _, name := range []string{"a", "b"} {
		columns, rows := table(5000, 7)
		w, err := NewWriter(t.Context(), place, name, columns)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(rows); err != nil {
			t.Fatal(err)
		}
		f, err := w.Close()
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, f.SHA256)
	}
	if sums[0] != sums[1] {
		t.Errorf("the same rows gave %s and %s", sums[0], sums[1])
	}
}

func BenchmarkWrite(b *testing.B) {
	place, err := folder.New(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	columns := []Column{{"series", Text}, {"metric", Text}, {"tags", Text}, {"window_start", Time}, {"window_end", Time},
		{"count", Int}, {"min", Float}, {"max", Float}, {"mean", Float}, {"sum", Float}, {"last", Float}}
	rows := NewRows(columns)
	for series := range 300 {
		for window := range 300 {
			c := rows.Columns
			c[0].Text(fmt.Sprintf("%032x", series))
			c[1].Text("cpu_usage_user")
			c[2].Text(fmt.Sprintf(`{"host":"host_%d"}`, series))
			c[3].Int(int64(window) * 300e9)
			c[4].Int(int64(window+1) * 300e9)
			c[5].Int(30)
			for k := 6; k < len(c); k++ {
				c[k].Float(float64((window*window*k + series*31) % 100))
			}
			rows.EndRow()
		}
	}
	for b.Loop() {
		w, err := NewWriter(b.Context(), place, "a", columns)
		if err != nil {
			b.Fatal(err)
		}
		if err := w.Write(rows); err != nil {
			b.Fatal(err)
		}
		f, err := w.Close()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(f.Bytes)/float64(f.Rows), "B/row")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(rows.Len()), "ns/row")
}
