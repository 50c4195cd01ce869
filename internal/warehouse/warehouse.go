// Package warehouse is the port of the tables that people and their tools ask
// by SQL: the results of pipelines, the series, and imported history.
//
// It owns the contract, its errors and its tables; docs/formats/warehouse.md
// names their columns. Drivers are its children; warehousetest is the suite
// that each must pass. It imports sample, objects and result.
//
// # What holds after a crash at any point
//
// A call that returned nil is there after a power cut. A call that did not
// return, or failed, did all or nothing, and may be repeated: Load and Import
// apply a revision once, however often and from however many callers they are
// called; PutSeries and Erase are idempotent. What is found in a query is the
// state between two calls, never within one.
//
// # Redshift
//
// Nothing here relies on a primary key, which Redshift does not enforce: rows
// are told apart by the number of their load.
package warehouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/internal/objects"
	"weir/internal/result"
)

// Errors that drivers wrap, so that errors.Is tells what to do.
var (
	// ErrUnavailable means that the warehouse did not answer, or has no room on
	// its disk or in its memory. Nothing was changed. Retry with backoff.
	ErrUnavailable = errors.New("warehouse is unavailable")
	// ErrLocked means that another process has the warehouse open. Retry once it
	// has ended.
	ErrLocked = errors.New("warehouse is in use by another process")
	// ErrVersion means that a newer program wrote the warehouse.
	ErrVersion = errors.New("warehouse is of a version this program does not know")
	// ErrCorrupt means that the warehouse, or a part that was to be loaded, is
	// not what was written. Nothing was changed; the same call fails again until
	// that is mended.
	ErrCorrupt = errors.New("data is corrupt")
	// ErrPart means of the two that a part is not what its manifest says. The
	// warehouse is whole: make the part anew. It wraps ErrCorrupt.
	ErrPart = fmt.Errorf("%w: a part is not what was written", ErrCorrupt)
	// ErrSchema means that a table can't take what is to be loaded: a column has
	// another type there, or a name is taken. Do not retry.
	ErrSchema = errors.New("table can't take these columns")
	// ErrQuery means that a statement is wrong, or would change something.
	ErrQuery = errors.New("statement can't be run")
	// ErrLimit means that a query would take more than it may.
	ErrLimit = errors.New("query is over its limit")
	// ErrUnsupported means that this program has no warehouse. Do not retry.
	ErrUnsupported = errors.New("no warehouse")
	// ErrClosed means that the warehouse was closed.
	ErrClosed = errors.New("warehouse is closed")
)

// Error says which operation failed, on what, and how to mend it.
type Error struct {
	Op   string // "load", "query", …
	Key  string // table, part, or file
	Hint string // what the operator can do; may be empty
	Err  error
}

func (e *Error) Error() string {
	s := "warehouse: " + e.Op
	if e.Key != "" {
		s += " " + e.Key
	}
	s = fmt.Sprintf("%s: %v", s, e.Err)
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Warehouse holds the tables. All methods are safe for concurrent use by one
// process; loads wait for each other, queries for nobody.
type Warehouse interface {
	// Load puts a result into its table, unless that has an equal or a higher
	// revision of its (pipeline, step, window, table); then it says false. In
	// one transaction it removes what the revision before had put there, puts
	// the rows, and records the load in table loads. All files are checked
	// against the manifest first: size, SHA-256, names and types of columns,
	// rows. A table that is not there is made; columns that it lacks are added,
	// null in the rows before. A result without rows removes those before.
	Load(ctx context.Context, m *result.Manifest, from objects.Objects) (applied bool, err error)

	// Import puts samples of a week into table samples, unless an equal or a higher
	// revision of its (pipeline, step, week) was imported; then it says false. It is
	// recorded and checked as Load is. Nothing is replaced but sample by sample: of
	// those of one series and time, whoever imported them, in whatever order, that
	// with the highest version and then position remains.
	Import(ctx context.Context, h *History, from objects.Objects) (applied bool, err error)

	// PutSeries puts series into table series. Of one that is there already, the
	// weeks are widened.
	PutSeries(ctx context.Context, series []Series) error

	// Erase removes rows of series from every table that has a column series, and
	// gives how many by table, of those that had some. What was loaded stays
	// recorded. When it returned nil, their bytes are in none of the warehouse's
	// files; an Erase that was cut short is called again for that. A warehouse that
	// nothing was ever put into is not made.
	Erase(ctx context.Context, e Erasure) (rows map[string]int64, err error)

	// Query runs one statement that changes nothing, on one state of all
	// tables. The Rows have to be closed. It reaches no file and no network.
	Query(ctx context.Context, statement string, l Limits) (Rows, error)

	// Close ends running queries and gives the warehouse back. It waits until
	// all Rows are closed, and may be called again.
	Close() error
}

// Limits bound what a query may cost.
type Limits struct {
	Rows    int           // of the answer; one more is ErrLimit
	Timeout time.Duration // until the last row was read
}

// Rows is an answer. It is not safe for concurrent use.
type Rows interface {
	// Columns have names that differ.
	Columns() []Column
	// Next makes the next row current; false at the end, and after an error.
	Next() bool
	// Values gives the current row, until the next Next: of each column nil,
	// bool, int64, uint64, float64, string, time.Time (UTC), Number or JSON.
	// Whatever else a warehouse has is given as its own text.
	Values() []any
	// Err gives the error that ended the rows.
	Err() error
	Close() error
}

// Column is one column of an answer.
type Column struct {
	Name string
	Type string // in the warehouse's own words
}

// Number is a number of more digits than int64 and float64 have, such as a sum
// of BIGINT: decimal text, which is valid JSON.
type Number string

// JSON is the JSON text of a list, a map or a value of type JSON.
type JSON string
