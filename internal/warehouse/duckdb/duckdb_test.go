//go:build cgo

package duckdb_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"weir/internal/warehouse"
	"weir/internal/warehouse/duckdb"
	"weir/internal/warehouse/warehousetest"
)

// config gives that of a folder of the test's.
func config(dir string) duckdb.Config {
	c := duckdb.Default()
	c.Dir, c.Memory = dir, 256<<20
	return c
}

// warehouseTimeout bounds statements of tests.
const warehouseTimeout = time.Minute

// drain runs a statement to its end.
func drain(t *testing.T, w warehouse.Warehouse, statement string) error {
	t.Helper()
	rows, err := w.Query(t.Context(), statement, warehouse.Limits{Rows: 10, Timeout: warehouseTimeout})
	if err != nil {
		return err
	}
	for rows.Next() {
		continue
	}
	return errors.Join(rows.Err(), rows.Close())
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
	var mu sync.Mutex
	dirs := map[string]string{}
	warehousetest.Run(t, func(t *testing.T) warehouse.Warehouse {
		mu.Lock()
		defer mu.Unlock()
		if dirs[t.Name()] == "" {
			dirs[t.Name()] = t.TempDir()
		}
		return openAt(t, dirs[t.Name()])
	})
}

// The context of the call that opened the file ends with that call; connections
// that are made later have to do without.
func TestConnectionsOutliveTheCallThatOpened(t *testing.T) {
	t.Parallel()
	w := openAt(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	opening, err := w.Query(ctx, "SELECT 1", warehouse.Limits{Rows: 1, Timeout: warehouseTimeout})
	if err != nil {
		t.Fatal(err)
	}
	if err := opening.Close(); err != nil {
		t.Fatal(err)
	}
	cancel()
	for range 4 { // more at once than connections are kept
		rows, err := w.Query(t.Context(), "SELECT 1", warehouse.Limits{Rows: 1, Timeout: warehouseTimeout})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = rows.Close() })
	}
}
