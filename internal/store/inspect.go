package store

import (
	"context"
	"time"
)

// Damage is a part of the store that cannot be read. What is damaged is left
// where it is, or set aside; it is never deleted.
type Damage struct {
	Owner string    // the table, or "journals" for journals and records
	Path  string    // file or folder
	What  string    // what is wrong with it
	Since time.Time // when it was first met
	Aside bool      // the table was set aside
}

// Inspector is an optional ability of a Store that keeps its own files.
type Inspector interface {
	// Damage lists the damage that was met since the store was opened, and the
	// tables that are set aside, in the order of their paths. It reads nothing.
	Damage(ctx context.Context) ([]Damage, error)

	// Verify reads all of the store, checks its checksums and gives the damage
	// that is there now. What is in a cache is not read from the disk again.
	// The store may be in use. An error means that it could not look.
	Verify(ctx context.Context) ([]Damage, error)

	// SetAside moves a table with damage out of the way, whole: an operator
	// asks for it, nothing in Weir does. Its name stays taken, so that calls
	// on the table give ErrCorrupt and not that it was never made, until Drop
	// frees the name. A table without known damage is refused.
	SetAside(ctx context.Context, table string) error
}
