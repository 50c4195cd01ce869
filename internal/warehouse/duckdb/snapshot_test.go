//go:build cgo

package duckdb_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"weir/internal/warehouse"
	"weir/internal/warehouse/duckdb"
)

func snapshot(t *testing.T, w warehouse.Warehouse, dir string, moment func(context.Context) error) error {
	t.Helper()
	return w.(*duckdb.Driver).Snapshot(t.Context(), dir, moment)
}

func TestASnapshotIsTheWarehouseAtItsMoment(t *testing.T) {
	t.Parallel()
	w := openAt(t, t.TempDir())
	dir := filepath.Join(t.TempDir(), "copy")
	nothing := func(context.Context) error { return nil }
	if err := snapshot(t, w, dir, nothing); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a warehouse that was never made was copied: %v", err)
	}
	if err := load(t, w, 0, 1, 2); err != nil {
		t.Fatal(err)
	}
	loaded := make(chan error, 1)
	for round := range 2 { // the second reads what the first opened
		dir := filepath.Join(t.TempDir(), "copy")
		err := snapshot(t, w, dir, func(context.Context) error {
			go func() { loaded <- load(t, w, 1+round, 40) }()
			select {
			case err := <-loaded:
				t.Errorf("a load was applied while the snapshot's moment ran: %v", err)
			case <-time.After(100 * time.Millisecond):
			}
			if got := sumOf(t, w); got != int64(3+40*round) {
				t.Errorf("queries meanwhile see %v", got)
			}
			return nil
		})
		if err := errors.Join(err, <-loaded); err != nil {
			t.Fatal(err)
		}
		restored := openAt(t, dir)
		if err := warehouse.ReadAll(t.Context(), restored, warehouse.Limits{Rows: 1000, Timeout: warehouseTimeout}); err != nil {
			t.Error(err)
		}
		if got := sumOf(t, restored); got != int64(3+40*round) {
			t.Errorf("the copy's sum is %v; want %d", got, 3+40*round)
		}
	}
	if got := sumOf(t, w); got != int64(83) {
		t.Errorf("the sum is %v after all; want 83", got)
	}
	broken := errors.New("no moment")
	if err := snapshot(t, w, dir, func(context.Context) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("a snapshot whose moment fails gives %v", err)
	}
	if err := load(t, w, 3, 1); err != nil {
		t.Errorf("a load after a snapshot that failed: %v", err)
	}
}

func TestASnapshotHasADamagedWarehouseAsItIs(t *testing.T) {
	t.Parallel()
	from, file := made(t)
	if err := os.WriteFile(file, []byte("no database"), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "copy")
	if err := snapshot(t, openAt(t, from), dir, func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if body, err := os.ReadFile(filepath.Join(dir, "weir.duckdb")); err != nil || string(body) != "no database" {
		t.Errorf("the copy is %q, %v", body, err)
	}
}
