//go:build cgo

package duckdb_test

import (
	"testing"

	"go.uber.org/goleak"

	"weir/internal/warehouse"
	"weir/internal/warehouse/duckdb"
	"weir/internal/warehouse/warehousetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// config gives that of a folder of the test's.
func config(dir string) duckdb.Config {
	c := duckdb.Default()
	c.Dir, c.Memory = dir, 256<<20
	return c
}

// openAt opens the warehouse of a folder until the test ends.
func openAt(t *testing.T, dir string) warehouse.Warehouse {
	t.Helper()
	w, err := duckdb.New(config(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func TestSuite(t *testing.T) {
	t.Parallel()
	dirs := map[string]string{}
	warehousetest.Run(t, func(t *testing.T) warehouse.Warehouse {
		if dirs[t.Name()] == "" {
			dirs[t.Name()] = t.TempDir()
		}
		return openAt(t, dirs[t.Name()])
	})
}
