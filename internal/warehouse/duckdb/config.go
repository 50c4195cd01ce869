// Package duckdb is the warehouse of one machine: a DuckDB database in one file.
// It imports its port, what that speaks of, and DuckDB's client.
//
// A folder holds
//
//	weir.duckdb      the tables; beside it DuckDB's own weir.duckdb.wal
//	weir.duckdb.new  a database that is being made; removed by the next
//	erasing          removed rows may be in the file still, until it is written anew
//	LOCK             held by the driver that has the database open
//	staging/         parts of a load that is under way; emptied by each open
//	temporary/       what DuckDB can't hold in its memory; likewise
//
// DuckDB is C++: a program that was built without cgo has a driver that answers
// warehouse.ErrUnsupported.
package duckdb

import (
	"errors"
	"fmt"

	"weir/internal/warehouse"
)

// Config is where the warehouse lies and what it may take.
type Config struct {
	Dir       string // is made if it is not there
	Memory    int64  // bytes that DuckDB may hold; results of queries come on top
	Threads   int    // that one statement may use
	Temporary int64  // bytes that it may put on disk beyond its memory
}

// Default suits one machine that does other work too.
func Default() Config {
	return Config{Memory: 1 << 30, Threads: 2, Temporary: 16 << 30}
}

// minMemory is what DuckDB needs to load anything.
const minMemory = 64 << 20

// Validate names the first value that cannot work.
func (c Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("dir: name the warehouse's folder")
	case c.Memory < minMemory:
		return fmt.Errorf("memory: want at least %d (64 MiB)", minMemory)
	case c.Threads < 1:
		return errors.New("threads: want at least 1")
	case c.Temporary < 0:
		return errors.New("temporary: want at least 0")
	}
	return nil
}

var _ warehouse.Warehouse = (*Driver)(nil)
