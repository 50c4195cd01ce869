package warehousetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/parquet-go/parquet-go"

	"weir/internal/objects"
	"weir/internal/result"
)

// Place is a place of objects in memory.
type Place struct {
	mu      sync.Mutex
	objects map[string][]byte
	fault   error // of every Open
}

// NewPlace makes an empty place.
func NewPlace() *Place { return &Place{objects: map[string][]byte{}} }

var _ objects.Objects = (*Place)(nil)

// Open gives an object.
func (p *Place) Open(_ context.Context, name string) (objects.Reader, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	body, ok := p.objects[name]
	switch {
	case p.fault != nil:
		return nil, &objects.Error{Op: "open", Name: name, Err: p.fault}
	case !ok:
		return nil, &objects.Error{Op: "open", Name: name, Err: objects.ErrNotFound}
	}
	return reader{bytes.NewReader(body)}, nil
}

type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }

// Create fails, as do List and Delete: a warehouse only reads.
func (p *Place) Create(context.Context, string) (objects.Writer, error) {
	return nil, errors.New("a warehouse writes no objects")
}

// List fails.
func (p *Place) List(context.Context, string) ([]objects.Info, error) {
	return nil, errors.New("a warehouse lists no objects")
}

// Delete fails.
func (p *Place) Delete(context.Context, string) error {
	return errors.New("a warehouse deletes no objects")
}

// put keeps bytes under a name.
func (p *Place) put(name string, body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.objects[name] = body
}

// setFault makes every Open fail from now on.
func (p *Place) setFault(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = err
}

// Put writes rows as a Parquet file, and gives what a manifest says of it. A
// cell is nil, string, int64 (of int and time), float64 or bool.
func (p *Place) Put(name string, columns []result.Column, rows ...[]any) (result.File, error) {
	group := parquet.Group{}
	for _, c := range columns {
		group[c.Name] = parquet.Optional(nodeOf(c.Type))
	}
	schema := parquet.NewSchema("rows", group)
	var b bytes.Buffer
	w := parquet.NewWriter(&b, schema, parquet.Compression(&parquet.Zstd))
	list := make([]parquet.Row, len(rows))
	for n, cells := range rows {
		row := make(parquet.Row, len(columns))
		for i, c := range columns {
			leaf, ok := schema.Lookup(c.Name)
			if !ok || len(cells) != len(columns) {
				return result.File{}, fmt.Errorf("row %v does not fit columns %v", cells, columns)
			}
			v, level := parquet.ValueOf(cells[i]), 1
			if cells[i] == nil {
				level = 0
			}
			row[leaf.ColumnIndex] = v.Level(0, level, leaf.ColumnIndex)
		}
		list[n] = row
	}
	if _, err := w.WriteRows(list); err != nil {
		return result.File{}, err
	}
	if err := w.Close(); err != nil {
		return result.File{}, err
	}
	p.put(name, b.Bytes())
	return fileOf(name, b.Bytes(), len(rows)), nil
}

func fileOf(name string, body []byte, rows int) result.File {
	sum := sha256.Sum256(body)
	return result.File{Name: name, Rows: uint64(rows), Bytes: int64(len(body)), SHA256: hex.EncodeToString(sum[:])}
}

// nodeOf gives the Parquet type that docs/formats/result.md names.
func nodeOf(t result.Type) parquet.Node {
	switch t {
	case result.Text:
		return parquet.String()
	case result.Time:
		return parquet.TimestampAdjusted(parquet.Nanosecond, true)
	case result.Int:
		return parquet.Leaf(parquet.Int64Type)
	case result.Float:
		return parquet.Leaf(parquet.DoubleType)
	}
	return parquet.Leaf(parquet.BooleanType)
}

// mustPut is Put of a test.
func (p *Place) mustPut(t *testing.T, name string, columns []result.Column, rows ...[]any) result.File {
	t.Helper()
	f, err := p.Put(name, columns, rows...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// damage changes one byte of an object.
func (p *Place) damage(t *testing.T, name string, at int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	body := bytes.Clone(p.objects[name])
	body[at] ^= 0x10
	p.objects[name] = body
}
