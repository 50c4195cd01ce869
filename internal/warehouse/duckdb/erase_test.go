//go:build cgo

package duckdb_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"weir/internal/result"
	"weir/internal/sample"
	"weir/internal/warehouse"
	"weir/internal/warehouse/warehousetest"
)

// person and other are metrics that can be found in a file's bytes.
const (
	person = "unmistakable-person-7f3a9c51"
	other  = "unmistakable-other-7f3a9c51"
)

func named(metric string) sample.Series { return sample.Series{Metric: metric} }

func erasureOf(s sample.Series) warehouse.Erasure {
	return warehouse.Erasure{Series: []sample.SeriesID{s.ID()}, From: math.MinInt64, To: math.MaxInt64}
}

// fillNames loads rows of both into a table of results and into series.
func fillNames(t *testing.T, w warehouse.Warehouse) {
	t.Helper()
	place := warehousetest.NewPlace()
	columns := []result.Column{{Name: "series", Type: result.Text}, {Name: "metric", Type: result.Text}}
	var rows [][]any
	for i := range 4000 {
		s := named(other)
		if i%3 == 0 {
			s = named(person)
		}
		rows = append(rows, []any{s.ID().String(), s.Metric})
	}
	f, err := place.Put("names", columns, rows...)
	if err != nil {
		t.Fatal(err)
	}
	m := &result.Manifest{
		Version: 1, Table: "names", Pipeline: "p", Step: "s", Start: 0, End: 1, Columns: columns, Files: []result.File{f}, Rows: f.Rows,
	}
	if _, err := w.Load(t.Context(), m, place); err != nil {
		t.Fatal(err)
	}
	if err := w.PutSeries(t.Context(), []warehouse.Series{
		{Series: named(person), Kind: sample.Float64, First: 2922, Last: 2922}, {Series: named(other), Kind: sample.Float64, First: 2922, Last: 2922},
	}); err != nil {
		t.Fatal(err)
	}
}

// traces counts in how many files of a folder a text is.
func traces(t *testing.T, dir, text string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		body, err := os.ReadFile(path)
		if bytes.Contains(body, []byte(text)) {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestErasedBytesAreInNoFile wants nothing of what was erased in any file, while
// queries go on.
func TestErasedBytesAreInNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := openAt(t, dir)
	if rows, err := w.Erase(t.Context(), erasureOf(named(person))); err != nil || len(rows) != 0 {
		t.Errorf("of a warehouse that is not made: %v, %v", rows, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Error("it was made")
	}
	fillNames(t, w)
	if traces(t, dir, person) == 0 {
		t.Fatal("what is to be erased can't be found in the file before: the test shows nothing")
	}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for n := 0; n < 200 && ctx.Err() == nil; n++ {
				if err := drain(t, w, "SELECT count(*) FROM names"); err != nil {
					t.Errorf("a query meanwhile: %v", err)
					return
				}
			}
		})
	}
	rows, err := w.Erase(t.Context(), erasureOf(named(person)))
	cancel()
	group.Wait()
	if err != nil || rows["names"] != 1334 || rows["series"] != 1 {
		t.Errorf("%v erased, %v", rows, err)
	}
	if n := traces(t, dir, person); n != 0 {
		t.Errorf("it is in %d files still", n)
	}
	if traces(t, dir, other) == 0 {
		t.Error("the others are gone too")
	}
	if err := drain(t, w, "SELECT CASE WHEN count(*) <> 2666 THEN error('rows') END FROM names"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "erasing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the mark is left: %v", err)
	}
}

// TestErasureGoesOnWhereItWasCutShort ends the context while the file is to be
// written anew: rows are gone from the tables, and their bytes with the next call.
func TestErasureGoesOnWhereItWasCutShort(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := openAt(t, dir)
	fillNames(t, w)
	held, err := w.Query(t.Context(), "SELECT metric FROM names", warehouse.Limits{Rows: 10_000, Timeout: warehouseTimeout})
	if err != nil || !held.Next() {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := w.Erase(ctx, erasureOf(named(person)))
		ended <- err
	}()
	for { // until it waits for the query
		if _, err := os.Stat(filepath.Join(dir, "erasing")); err == nil {
			break
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := held.Close(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "weir.duckdb.new"), []byte(strings.Repeat("x", 10)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Erase(t.Context(), erasureOf(named(person))); err != nil {
		t.Error(err)
	}
	if n := traces(t, dir, person); n != 0 {
		t.Errorf("it is in %d files still", n)
	}
	if err := drain(t, w, "SELECT CASE WHEN count(*) <> 2666 THEN error('rows') END FROM names"); err != nil {
		t.Error(err)
	}
}
