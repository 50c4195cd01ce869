//go:build cgo

package duckdb_test

import (
	"testing"

	"weir/internal/warehouse/duckdb"
	"weir/internal/warehouse/warehousetest"
)

// BenchmarkLoad loads a million rows of a result over the revision before.
func BenchmarkLoad(b *testing.B) {
	const rows = 1_000_000
	c := duckdb.Default()
	c.Dir = b.TempDir()
	w, err := duckdb.New(c)
	if err != nil {
		b.Fatal(err)
	}
	p, counts := warehousetest.NewPlace(), make([]int64, rows)
	for i := range counts {
		counts[i] = int64(i)
	}
	m, err := warehousetest.Result(p, 0, 0, counts...)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := w.Load(b.Context(), m, p); err != nil {
			b.Fatal(err)
		}
		m.Revision++
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}
