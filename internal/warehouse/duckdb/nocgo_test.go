//go:build !cgo

package duckdb_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
	if rows, err := w.Erase(t.Context(), warehouse.Erasure{}); len(rows) > 0 || err != nil {
		t.Errorf("erased from no warehouse: %v, %v", rows, err)
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "weir.duckdb"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, erased := w.Erase(t.Context(), warehouse.Erasure{})
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
