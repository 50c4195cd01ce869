//go:build cgo

package duckdb

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	client "github.com/duckdb/duckdb-go/v2"

	"weir/internal/warehouse"
)

// TestBroken wants a database that DuckDB gave up to be opened again, once
// nobody uses it any more.
func TestBroken(t *testing.T) {
	c := Default()
	c.Dir = t.TempDir()
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	_, first, err := d.begin(ctx, "query")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := d.Query(ctx, "SELECT 1", warehouse.Limits{Rows: 1, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	before := first.db
	first.end(&client.Error{Type: client.ErrorTypeFatal, Msg: "FATAL Error: invalidated"})
	again := make(chan *database, 1)
	go func() {
		_, s, err := d.begin(ctx, "query")
		if err != nil {
			t.Error(err)
			again <- nil
			return
		}
		again <- s.db
		s.end(nil)
	}()
	select {
	case <-again:
		t.Fatal("it was opened again beside one that is in use")
	case <-time.After(20 * time.Millisecond):
	}
	if !rows.Next() || rows.Values()[0] != int64(1) {
		t.Errorf("the answer that was begun: %v", rows.Err())
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	if after := <-again; after == before {
		t.Error("the broken database is used again")
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestWrap(t *testing.T) {
	of := func(kind client.ErrorType, message string) error { return &client.Error{Type: kind, Msg: message} }
	for _, c := range []struct{ err, want error }{
		{of(client.ErrorTypeIO, "IO Error: Could not write file: No space left on device"), warehouse.ErrUnavailable},
		{of(client.ErrorTypeIO, "IO Error: whatever"), warehouse.ErrUnavailable},
		{of(client.ErrorTypeOutOfMemory, "Out of Memory Error"), warehouse.ErrUnavailable},
		{of(client.ErrorTypeFatal, "FATAL Error"), warehouse.ErrUnavailable},
		{warehouse.ErrClosed, warehouse.ErrClosed},
		{&warehouse.Error{Op: "x", Err: warehouse.ErrCorrupt}, warehouse.ErrCorrupt},
		{fs.ErrPermission, fs.ErrPermission},
	} {
		var detailed *warehouse.Error
		if err := wrap("load", "t", c.err); !errors.Is(err, c.want) || !errors.As(err, &detailed) {
			t.Errorf("%v became %v; want %v", c.err, err, c.want)
		}
	}
	if wrap("load", "t", nil) != nil {
		t.Error("no error became one")
	}
}
