package block

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"weir/internal/sample"
)

// examples is where the public data sets of the demo lie.
const examples = "../../examples/data"

// column is one series of a public data set.
type column struct {
	name  string
	times []int64
	bits  []uint64
}

// readColumns reads a CSV file whose first column is the time: its other
// columns are a series each.
func readColumns(t testing.TB, name string) []column {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := make([]column, len(rows[0])-1)
	for c := range out {
		out[c].name = rows[0][1+c]
	}
	for _, row := range rows[1:] {
		at, err := time.Parse(time.DateTime, row[0])
		if err != nil {
			t.Fatal(err)
		}
		for c := range out {
			v, err := strconv.ParseFloat(row[1+c], 64)
			if err != nil {
				t.Fatal(err)
			}
			out[c].times = append(out[c].times, at.UnixNano())
			out[c].bits = append(out[c].bits, sample.FloatValue(v).Bits)
		}
	}
	return out
}

// nab reads the series of the Numenta Anomaly Benchmark, by name of file.
func nab(t testing.TB) []column {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(examples, "nab", "*", "*.csv"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	var out []column
	for _, name := range names {
		c := readColumns(t, name)[0]
		c.name = filepath.Base(name)
		out = append(out, c)
	}
	return out
}

// ett reads the columns of ETTh1.
func ett(t testing.TB) []column {
	t.Helper()
	return readColumns(t, filepath.Join(examples, "ett", "ETTh1.csv"))
}
