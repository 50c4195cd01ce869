//go:build cgo

package duckdb_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/warehouse"
	"weir/internal/warehouse/duckdb"
	"weir/internal/warehouse/warehousetest"
)

// sumOf asks what the counts of table daily come to.
func sumOf(t *testing.T, w warehouse.Warehouse) any {
	t.Helper()
	rows, err := w.Query(t.Context(), "SELECT CAST(sum(count) AS BIGINT) FROM daily", warehouse.Limits{Rows: 1, Timeout: warehouseTimeout})
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if !rows.Next() {
		t.Fatal(rows.Err())
	}
	return rows.Values()[0]
}

// load loads a window's first revision.
func load(t *testing.T, w warehouse.Warehouse, window int, counts ...int64) error {
	t.Helper()
	p := warehousetest.NewPlace()
	m, err := warehousetest.Result(p, window, 0, counts...)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Load(t.Context(), m, p)
	return err
}

// made makes a warehouse with one load in a folder, and gives its file.
func made(t *testing.T) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	w := openAt(t, dir)
	if err := load(t, w, 0, 1, 2); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, filepath.Join(dir, "weir.duckdb")
}

// refuses wants all calls to fail with an error that names the file and a mend,
// and the folder's files to stay as they are.
func refuses(t *testing.T, dir string, want error) {
	t.Helper()
	before := content(t, dir)
	w := openAt(t, dir)
	for range 2 {
		err := drain(t, w, "SELECT 1")
		var detailed *warehouse.Error
		if !errors.Is(err, want) || !errors.As(err, &detailed) || detailed.Hint == "" || detailed.Key == "" {
			t.Errorf("query: %v; want %v with a hint", err, want)
		}
		if err := load(t, w, 1, 3); !errors.Is(err, want) {
			t.Errorf("load: %v; want %v", err, want)
		}
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	for name, body := range content(t, dir) {
		if before[name] != body {
			t.Errorf("%s was changed", name)
		}
		delete(before, name)
	}
	for name := range before {
		t.Errorf("%s was deleted", name)
	}
}

// content gives the files of a warehouse's database.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "weir.duckdb*"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, name := range names {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(body)
	}
	return out
}

func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(body []byte) []byte
		want  error
	}{
		"garbage":   {func([]byte) []byte { return []byte(strings.Repeat("no database ", 1000)) }, warehouse.ErrCorrupt},
		"empty":     {func([]byte) []byte { return nil }, warehouse.ErrCorrupt},
		"short":     {func(b []byte) []byte { return b[:100] }, warehouse.ErrCorrupt},
		"truncated": {func(b []byte) []byte { return b[:20_000] }, warehouse.ErrCorrupt},
		"header":    {func(b []byte) []byte { b[5000] ^= 1; b[9000] ^= 1; return b }, warehouse.ErrCorrupt},
		"newer":     {func(b []byte) []byte { return restamp(b, 200) }, warehouse.ErrVersion},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, file := made(t)
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, c.spoil(bytes.Clone(body)), 0o644); err != nil {
				t.Fatal(err)
			}
			refuses(t, dir, c.want)
			// Brought back, it is as it was.
			if err := os.WriteFile(file, body, 0o644); err != nil {
				t.Fatal(err)
			}
			if got := sumOf(t, openAt(t, dir)); got != int64(3) {
				t.Errorf("the sum is %v", got)
			}
		})
	}
}

// restamp writes another storage version into a database's first header, whose
// checksum is an XOR of its words, each times a constant.
func restamp(body []byte, version byte) []byte {
	const checksum, magic, storage, factor = 0, 8, 12, 0xbf58476d1ce4e5b9
	word := func(at int) uint64 { return binary.LittleEndian.Uint64(body[at:]) }
	sum := word(checksum) ^ word(magic)*factor
	body[storage] = version
	binary.LittleEndian.PutUint64(body[checksum:], sum^word(magic)*factor)
	return body
}

// change opens the database as DuckDB's shell would.
func change(t *testing.T, file, statement string) {
	t.Helper()
	db, err := sql.Open("duckdb", file)
	if err == nil {
		_, err = db.ExecContext(t.Context(), statement)
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestOtherTables(t *testing.T) {
	t.Parallel()
	dir, file := made(t)
	change(t, file, "UPDATE weir_version SET version = 2")
	refuses(t, dir, warehouse.ErrVersion)
	change(t, file, "DROP TABLE weir_version")
	refuses(t, dir, warehouse.ErrCorrupt)
}

func TestLogWithoutFile(t *testing.T) {
	t.Parallel()
	dir, file := made(t)
	if err := errors.Join(os.Rename(file, file+".aside"), os.WriteFile(file+".wal", []byte("log"), 0o644)); err != nil {
		t.Fatal(err)
	}
	refuses(t, dir, warehouse.ErrCorrupt)
}

// TestUnfinished wants what a crash left of a database that was being made, and
// of loads, to be removed.
func TestUnfinished(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	leftover := filepath.Join(dir, "staging", "x")
	if err := errors.Join(os.MkdirAll(leftover, 0o755), os.WriteFile(filepath.Join(dir, "weir.duckdb.new"), []byte("half"), 0o644),
		os.WriteFile(filepath.Join(dir, "weir.duckdb.new.wal"), []byte("half"), 0o644)); err != nil {
		t.Fatal(err)
	}
	w := openAt(t, dir)
	if err := load(t, w, 0, 4); err != nil {
		t.Fatal(err)
	}
	if got := sumOf(t, w); got != int64(4) {
		t.Errorf("the sum is %v", got)
	}
	for _, name := range []string{leftover, filepath.Join(dir, "weir.duckdb.new"), filepath.Join(dir, "weir.duckdb.new.wal")} {
		if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is there: %v", name, err)
		}
	}
}

func TestLocked(t *testing.T) {
	t.Parallel()
	dir, file := made(t)
	// By another driver of this process.
	other := openAt(t, dir)
	if got := sumOf(t, other); got != int64(3) {
		t.Errorf("the sum is %v", got)
	}
	w := openAt(t, dir)
	if err := load(t, w, 1, 5); !errors.Is(err, warehouse.ErrLocked) {
		t.Errorf("beside another driver: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	// By another program.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd, lines := child(ctx, t, "hold "+file)
	if !lines.Scan() {
		t.Fatal("the child does not hold the file")
	}
	if err := load(t, w, 1, 5); !errors.Is(err, warehouse.ErrLocked) || !strings.Contains(err.Error(), "close the other program") {
		t.Errorf("beside another program: %v", err)
	}
	cancel()
	_ = cmd.Wait()
	if err := load(t, w, 1, 5); err != nil {
		t.Errorf("once it has ended: %v", err)
	}
	if got := sumOf(t, w); got != int64(8) {
		t.Errorf("the sum is %v", got)
	}
}

func TestFolders(t *testing.T) {
	t.Parallel()
	for name, works := range map[string]bool{"a b": true, "o'clock %20 #1 ü": true, "what?": false, "a*": false, "[x]": false} {
		w := openAt(t, filepath.Join(t.TempDir(), name))
		err := load(t, w, 0, 1)
		if works && err != nil || !works && !errors.Is(err, warehouse.ErrUnsupported) {
			t.Errorf("folder %q: %v", name, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := load(t, openAt(t, filepath.Join(file, "below")), 0, 1); err == nil {
		t.Error("a folder below a file was made")
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := config("x")
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*duckdb.Config){
		"dir": func(c *duckdb.Config) { c.Dir = "" }, "memory": func(c *duckdb.Config) { c.Memory = 1 << 20 },
		"threads": func(c *duckdb.Config) { c.Threads = 0 }, "temporary": func(c *duckdb.Config) { c.Temporary = -1 },
	} {
		c := good
		spoil(&c)
		if _, err := duckdb.New(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
