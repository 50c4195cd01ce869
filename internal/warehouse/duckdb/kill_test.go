//go:build cgo

package duckdb_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"
	"go.uber.org/goleak"

	"weir/internal/warehouse"
	"weir/internal/warehouse/duckdb"
	"weir/internal/warehouse/warehousetest"
)

// childVariable makes this test binary a process that does one thing until it
// is killed: "load DIR FROM", or "hold FILE".
const childVariable = "WEIR_TEST_WAREHOUSE_CHILD"

func TestMain(m *testing.M) {
	words := strings.SplitN(os.Getenv(childVariable), " ", 2)
	switch words[0] {
	case "load":
		fmt.Fprintln(os.Stderr, loadForever(words[1]))
		os.Exit(1)
	case "hold":
		fmt.Fprintln(os.Stderr, holdForever(words[1]))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

const (
	killWindows = 3
	killRows    = 3_000
)

// killCounts gives rows whose counts say their revision, and whose number does.
func killCounts(revision int) []int64 {
	counts := make([]int64, killRows+revision)
	for i := range counts {
		counts[i] = int64(revision + 1)
	}
	return counts
}

// loadForever loads revision after revision into each window, and says each one
// that was answered.
func loadForever(dir string) error {
	place := warehousetest.NewPlace()
	ctx := context.Background()
	w, err := duckdb.New(config(dir))
	if err != nil {
		return err
	}
	rows, err := w.Query(ctx, "SELECT coalesce(max(revision), -1) FROM loads", warehouse.Limits{Rows: 1, Timeout: time.Minute})
	if err != nil {
		return err
	}
	first := 0
	if rows.Next() {
		first = max(first, int(rows.Values()[0].(int64)))
	}
	if err := rows.Close(); err != nil {
		return err
	}
	for revision := first; ; revision++ {
		for window := range killWindows {
			m, err := warehousetest.Result(place, window, revision, killCounts(revision)...)
			if err != nil {
				return err
			}
			if _, err := w.Load(ctx, m, place); err != nil {
				return err
			}
			fmt.Printf("loaded %d %d\n", window, revision)
		}
	}
}

func holdForever(file string) error {
	db, err := sql.Open("duckdb", file)
	if err == nil {
		_, err = db.Exec("CREATE TABLE IF NOT EXISTS held (a INTEGER)")
	}
	if err != nil {
		return err
	}
	fmt.Println("holding")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// child starts this binary as a child that lives until the context ends.
func child(ctx context.Context, t *testing.T, what string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+what)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// TestKill kills a process that loads at any moment, and wants each load to be
// there whole or not at all, and each that was answered to be there.
func TestKill(t *testing.T) {
	t.Parallel()
	kills := 25
	if testing.Short() {
		kills = 5
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	answered := map[int]int{} // the last revision of each window, counted from 1
	for range kills {
		ctx, cancel := context.WithCancel(t.Context())
		cmd, lines := child(ctx, t, "load "+dir)
		after := random.IntN(8) // answers, and then some time; the first may come while the file is made
		timer := time.AfterFunc(time.Hour, cancel)
		if after == 0 {
			timer.Reset(time.Duration(random.IntN(150)) * time.Millisecond)
		}
		for lines.Scan() {
			var window, revision int
			if _, err := fmt.Sscanf(lines.Text(), "loaded %d %d", &window, &revision); err != nil {
				t.Fatalf("the child says %q", lines.Text())
			}
			answered[window] = max(answered[window], revision+1)
			if after--; after == 0 {
				timer.Reset(time.Duration(random.IntN(60_000)) * time.Microsecond)
			}
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("the child ended by itself: %v", err)
		}
		timer.Stop()
		cancel()
		judgeKilled(t, dir, answered)
	}
	t.Logf("loads answered, by window: %v", answered)
	if answered[0] < 2 {
		t.Error("nothing was loaded over an earlier revision: the kills come too soon to show anything")
	}
}

// judgeKilled opens what a killed process left.
func judgeKilled(t *testing.T, dir string, answered map[int]int) {
	t.Helper()
	w, err := duckdb.New(config(dir))
	if err != nil {
		t.Fatal(err)
	}
	got := map[int]int{}
	rows, err := w.Query(t.Context(), `SELECT revision, row_count, row_number() OVER (ORDER BY window_start) - 1, load FROM loads ORDER BY window_start`, warehouse.Limits{Rows: 10, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	var loads []int64
	for rows.Next() {
		v := rows.Values()
		got[int(v[2].(int64))] = int(v[0].(int64)) + 1
		loads = append(loads, v[3].(int64))
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	for window, revision := range answered {
		if got[window] < revision {
			t.Errorf("window %d: revision %d was answered, and %d is there", window, revision-1, got[window]-1)
		}
	}
	if len(loads) > 0 {
		judgeRows(t, w, len(loads))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "staging", "*")); err != nil || len(left) > 0 {
		t.Errorf("staged files are left: %v, %v", left, err)
	}
}

func judgeRows(t *testing.T, w warehouse.Warehouse, loads int) {
	t.Helper()
	rows, err := w.Query(t.Context(), `SELECT count(*), min(count), max(count), min(d.revision), any_value(l.revision), any_value(l.row_count)
		FROM daily d LEFT JOIN loads l USING (load) GROUP BY load`, warehouse.Limits{Rows: 100, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		n++
		v := rows.Values()
		revision, ok := v[4].(int64)
		if want := killRows + revision; !ok || v[0] != want || v[5] != want || v[1] != revision+1 || v[2] != revision+1 || v[3] != revision {
			t.Errorf("rows of one load: number, least and greatest count, revision, its load's revision and number are %v", v)
		}
	}
	if rows.Err() != nil || n != loads {
		t.Errorf("rows of %d loads are there, and %d loads are recorded; %v", n, loads, rows.Err())
	}
}
