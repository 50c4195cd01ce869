// Package pebble is the embedded driver of the store: Pebble folders on a
// local disk, one a table and one for journals and records.
//
//	DIR/FORMAT          name and version of this layout, written last
//	DIR/LOCK            held by the one process that has the store open
//	DIR/journals/       journals ('j' keys) and records ('r' keys)
//	DIR/weeks/TABLE/    one table, made under another name and renamed
//	DIR/damaged/TABLE/  a table that an operator set aside
//
// It owns the layout, durability, and what happens when the disk fails. It
// refuses to repair or delete what it cannot read. It imports store, sample
// and its client library.
//
// # When the disk is full or fails
//
// Pebble gives up its process when its log or manifest cannot be written. So
// each open folder writes through a guard: at the first write, sync or rename
// that fails, the guard freezes, and from then on nothing that Pebble does
// reaches the disk, which stays as a crash at that moment would leave it.
// Calls get store.ErrUnavailable, the frozen Pebble is closed, and a later
// call opens the folder anew, with backoff. Service resumes by itself. Until
// then the folder is open to be read, as far as its log can be synced.
//
// # When files are damaged
//
// What can be read is read, what cannot is named by the call and listed by
// Damage; nothing is repaired. Pebble would try a damaged file again at once,
// for ever, or end the process, so it does nothing behind the calls in a folder
// in which something could not be read (see compactions and checkedBlob).
//
// # What a reader sees
//
// Pebble shows a write before it is synced. A journal is read up to its last
// synced entry, and a record waits for the write that is under way, so nobody
// acts on what a power cut could take back. Items may be seen before they are
// synced: nobody names them until their Write has returned.
package pebble

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Config says where and how the store keeps its data.
type Config struct {
	// Dir is the folder. It is made when it is not there.
	Dir string
	// CacheBytes is the block cache, shared by all folders.
	CacheBytes int64
	// MaxOpenTables is how many tables are kept open. One in use is never
	// closed, so more are open while more are used at once. An idle one holds
	// about 0.8 MB; opening one syncs a dozen files.
	MaxOpenTables int
	// MemTableBytes is the largest memtable of a folder; up to four of them
	// exist while it is written to, and an idle folder holds one.
	MemTableBytes uint64
	// Logger takes what goes on behind the calls.
	Logger *slog.Logger
	// FS is the file system.
	FS vfs.FS
	// Now is the clock; it times the backoff after a failure.
	Now func() time.Time
}

// Default gives the config that fits one machine; Dir is left to set.
func Default() Config {
	return Config{
		CacheBytes:    32 << 20,
		MaxOpenTables: 32,
		MemTableBytes: 8 << 20,
		Logger:        slog.Default(),
		FS:            vfs.Default,
		Now:           time.Now,
	}
}

// Validate says what is wrong with the config.
func (c Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("store: dir is empty: name the folder that keeps the data")
	case c.CacheBytes < 1<<20:
		return fmt.Errorf("store: cache of %d bytes: at least 1 MiB is needed", c.CacheBytes)
	case c.MaxOpenTables < 1:
		return fmt.Errorf("store: %d open tables: at least 1 is needed", c.MaxOpenTables)
	case c.MemTableBytes < 1<<20 || c.MemTableBytes > 1<<30:
		return fmt.Errorf("store: memtable of %d bytes: 1 MiB to 1 GiB will do", c.MemTableBytes)
	case c.Logger == nil || c.FS == nil || c.Now == nil:
		return errors.New("store: logger, file system and clock are needed: start from Default")
	}
	return nil
}
