//go:build cgo && linux

package duckdb_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"weir/internal/warehouse"
	"weir/internal/warehouse/duckdb"
)

// TestFullDisk fills the disk at several moments of loads. What was loaded stays,
// what was not is loaded once there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("mounting a small disk is not allowed here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	w := openAt(t, filepath.Join(dir, "warehouse"))
	sum, full := int64(0), 0
	for window := range 40 {
		counts := make([]int64, 200_000)
		want := int64(0)
		for i := range counts {
			counts[i] = rand.Int64N(1 << 40) // hardly compresses
			want += counts[i]
		}
		err := load(t, w, window, counts...)
		if err != nil {
			full++
			if !errors.Is(err, warehouse.ErrUnavailable) || !strings.Contains(err.Error(), "disk") {
				t.Fatalf("window %d: %v; want that the disk is full", window, err)
			}
		} else {
			sum += want
		}
		if got := sumOf(t, w); got != sum {
			t.Fatalf("window %d, load's error %v: the sum is %v; want %d", window, err, got, sum)
		}
		if full == 3 {
			break
		}
	}
	if full == 0 {
		t.Fatal("the disk did not fill up")
	}
	// Room: a new disk is the old one with more of it.
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=200m"); err != nil {
		t.Fatal(err)
	}
	if err := load(t, w, 99, 1, 2); err != nil {
		t.Fatal(err)
	}
	if got := sumOf(t, w); got != sum+3 {
		t.Errorf("the sum is %v; want %d", got, sum+3)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := sumOf(t, openAt(t, filepath.Join(dir, "warehouse"))); got != sum+3 {
		t.Errorf("after a restart the sum is %v; want %d", got, sum+3)
	}
}

// TestMemory wants a statement that needs more than it may to say so, and one
// that can work on disk to do so.
func TestMemory(t *testing.T) {
	t.Parallel()
	c := duckdb.Default()
	c.Dir, c.Memory, c.Temporary = t.TempDir(), 64<<20, 0
	w, err := duckdb.New(c)
	if err != nil {
		t.Fatal(err)
	}
	const sorting = `SELECT count(*) FROM (SELECT x, row_number() OVER (ORDER BY hash(range)) AS r
		FROM (SELECT range, repeat('x', 100) || range AS x FROM range(800000))) WHERE length(x) + r < 0`
	if err := drain(t, w, sorting); !errors.Is(err, warehouse.ErrLimit) || !strings.Contains(err.Error(), "warehouse.memory") {
		t.Errorf("%v; want ErrLimit", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	c.Temporary = 4 << 30
	if w, err = duckdb.New(c); err != nil {
		t.Fatal(err)
	}
	if err := drain(t, w, sorting); err != nil {
		t.Errorf("with room on disk: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Join(c.Dir, "temporary")); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}
