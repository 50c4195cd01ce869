//go:build cgo && unix

package duckdb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"weir/internal/warehouse"
)

// lockFolder takes the folder for this driver. DuckDB's own lock keeps other
// processes out, but not another driver of this one.
func lockFolder(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(&warehouse.Error{Op: "open", Key: dir, Err: fmt.Errorf("%w: %w", warehouse.ErrLocked, err), Hint: lockHint}, file.Close())
	}
	return file, nil
}
