//go:build !cgo

package duckdb_test

import (
	"errors"
	"strings"
	"testing"

	"weir/internal/sample"
	"weir/internal/warehouse"
	"weir/internal/warehouse/duckdb"
)

func TestWithoutCgo(t *testing.T) {
	c := duckdb.Default()
	c.Dir = t.TempDir()
	w, err := duckdb.New(c)
	if err != nil {
		t.Fatal(err)
	}
	_, loaded := w.Load(t.Context(), nil, nil)
	_, imported := w.Import(t.Context(), nil, nil)
	_, erased := w.Erase(t.Context(), sample.SeriesID{})
	answer, asked := w.Query(t.Context(), "SELECT 1", warehouse.Limits{})
	for _, err := range []error{loaded, imported, erased, asked, w.PutSeries(t.Context(), nil)} {
		if !errors.Is(err, warehouse.ErrUnsupported) || !strings.Contains(err.Error(), "CGO_ENABLED=1") {
			t.Errorf("%v; want ErrUnsupported that says how to build", err)
		}
	}
	if answer != nil {
		t.Errorf("it answered %v", answer)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}
