//go:build !cgo

package duckdb

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"weir/internal/objects"
	"weir/internal/result"
	"weir/internal/warehouse"
)

// Driver answers that there is no warehouse in this program.
type Driver struct{ dir string }

// New gives a driver all of whose calls fail.
func New(c Config) (*Driver, error) { return &Driver{c.Dir}, c.Validate() }

func unsupported(op string) error {
	return &warehouse.Error{Op: op, Err: warehouse.ErrUnsupported,
		Hint: "this weir was built without cgo: build it with a C compiler and CGO_ENABLED=1 to have the warehouse"}
}

// Load fails.
func (*Driver) Load(context.Context, *result.Manifest, objects.Objects) (bool, error) {
	return false, unsupported("load")
}

// Import fails.
func (*Driver) Import(context.Context, *warehouse.History, objects.Objects) (bool, error) {
	return false, unsupported("import")
}

// PutSeries fails.
func (*Driver) PutSeries(context.Context, []warehouse.Series) error {
	return unsupported("put series")
}

// Erase fails where there is a warehouse, of another program.
func (d *Driver) Erase(context.Context, warehouse.Erasure) (map[string]int64, error) {
	if _, err := os.Stat(filepath.Join(d.dir, "weir.duckdb")); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return nil, unsupported("erase")
}

// Query fails.
func (*Driver) Query(context.Context, string, warehouse.Limits) (warehouse.Rows, error) {
	return nil, unsupported("query")
}

// Snapshot copies the files as they are: nothing here changes them.
func (d *Driver) Snapshot(ctx context.Context, dir string, moment func(context.Context) error) error {
	if err := moment(ctx); err != nil {
		return err
	}
	return copyFiles(d.dir, dir, nil)
}

// Close has nothing to give back.
func (*Driver) Close() error { return nil }
