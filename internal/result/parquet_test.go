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
			_, rows := table(10_000*group, uint64(10*part+group)) // the first is empty
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

// TestValuesThatRepeat writes a file whose first rows repeat, so that dictionaries
// are begun, and whose other rows do not, or have what no dictionary takes.
func TestValuesThatRepeat(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	zero := math.Copysign(0, -1)
	groups := map[string]func(row int) (float64, bool){
		"repeat":    func(row int) (float64, bool) { return []float64{0, zero, 1.5, math.Inf(-1)}[row%4], true },
		"differ":    func(int) (float64, bool) { return random.NormFloat64(), true },
		"have NaN":  func(row int) (float64, bool) { return math.Float64frombits(0x7ff8000000000000 | uint64(row%3)), true },
		"are null":  func(row int) (float64, bool) { return float64(row % 3), row%2 == 0 },
		"go on":     func(row int) (float64, bool) { return float64(row % 100), true },
		"are alike": func(int) (float64, bool) { return 7, true },
	}
	const n = maxDistinct + 1000
	columns := []Column{{"x", Float}, {"n", Int}}
	place, err := folder.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWriter(t.Context(), place, "a", columns)
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		bits uint64
		null bool
	}
	var want, got []row
	collect := func(to *[]row, r *Rows) {
		x, n := &r.Columns[0], &r.Columns[1]
		for i := range r.Len() {
			one := row{math.Float64bits(x.Floats[i]), x.Null != nil && x.Null[i]}
			if one.null != (n.Null != nil && n.Null[i]) || !one.null && one.bits != uint64(n.Ints[i]) && x.Floats[i] == x.Floats[i] {
				t.Fatalf("row %d is %v beside %d", i, one, n.Ints[i])
			}
			if one.null {
				one.bits = 0
			}
			*to = append(*to, one)
		}
	}
	for _, name := range []string{"repeat", "differ", "have NaN", "are null", "go on", "are alike"} {
		rows := NewRows(columns)
		for row := range n {
			x, there := groups[name](row)
			if there {
				rows.Columns[0].Float(x)
				rows.Columns[1].Int(int64(math.Float64bits(x)))
				if x != x && math.Float64bits(rows.Columns[0].Floats[row]) != math.Float64bits(math.NaN()) {
					t.Fatal("there are several NaN")
				}
			} else {
				rows.Columns[0].None()
				rows.Columns[1].None()
			}
			rows.EndRow()
		}
		collect(&want, rows)
		if err := w.Write(rows); err != nil {
			t.Fatal(err)
		}
	}
	f, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	m := example()
	m.Columns, m.Files, m.Rows = columns, []File{f}, f.Rows
	if err := Read(t.Context(), place, m, func(r *Rows) error {
		collect(&got, r)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d rows were read back; want %d, the same", len(got), len(want))
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

// BenchmarkWrite writes a rollup of small whole numbers, as TSBS has them, and
// one of numbers that are all different.
func BenchmarkWrite(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	b.Run("whole", func(b *testing.B) { benchWrite(b, func() float64 { return float64(random.IntN(101)) }) })
	b.Run("real", func(b *testing.B) { benchWrite(b, random.NormFloat64) })
}

func benchWrite(b *testing.B, value func() float64) {
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
			c[6].Float(value())
			c[7].Float(value())
			sum := 0.0
			for range 30 {
				sum += value()
			}
			c[8].Float(sum / 30)
			c[9].Float(sum)
			c[10].Float(value())
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
