//go:build cgo

package duckdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	client "github.com/duckdb/duckdb-go/v2"

	"weir/internal/objects"
	"weir/internal/warehouse"
)

const (
	lockHint = "close the other program that has it open, such as another weir or the duckdb shell"
	diskHint = "the disk is full: free space on it and try again"
)

// isKind says whether DuckDB gave an error of one of these kinds.
func isKind(err error, kinds ...client.ErrorType) bool {
	var e *client.Error
	if !errors.As(err, &e) {
		return false
	}
	for _, kind := range kinds {
		if e.Type == kind {
			return true
		}
	}
	return false
}

// says whether DuckDB's message has one of these texts.
func says(err error, texts ...string) bool {
	if err == nil {
		return false
	}
	message := err.Error()
	for _, text := range texts {
		if strings.Contains(message, text) {
			return true
		}
	}
	return false
}

// isBroken says whether DuckDB gave the database up, so that it has to be opened
// again: what was committed is there then.
func isBroken(err error) bool {
	return isKind(err, client.ErrorTypeFatal, client.ErrorTypeInternal) ||
		isKind(err, client.ErrorTypeIO, client.ErrorTypeTransaction) && says(err, "invalidated", "Checkpoint failed")
}

func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		says(err, "No space left on device", "Disk quota exceeded", "not enough space on the disk")
}

// brief is an error of DuckDB's by its first line: what follows is said by a hint.
type brief struct{ error }

func (b brief) Error() string {
	first, _, _ := strings.Cut(b.error.Error(), "\n")
	return first
}

func (b brief) Unwrap() error { return b.error }

// openError gives the port's error of a file that DuckDB did not open.
func openError(path string, err error) error {
	switch {
	case says(err, "Could not set lock on file", "Conflicting lock"):
		return &warehouse.Error{Op: "open", Key: path, Err: fmt.Errorf("%w: %w", warehouse.ErrLocked, brief{err}), Hint: lockHint}
	case says(err, "version number", "newer version of DuckDB", "storage version"):
		return &warehouse.Error{Op: "open", Key: path, Err: fmt.Errorf("%w: %w", warehouse.ErrVersion, brief{err}),
			Hint: "use the weir that wrote it, or a newer one; nothing was changed"}
	case isDiskFull(err):
		return err
	case isKind(err, client.ErrorTypeIO, client.ErrorTypeSerialization, client.ErrorTypeInternal, client.ErrorTypeFatal):
		return corruptFile(path, brief{err})
	}
	return err
}

// wrap gives the port's error; one that is of the port already stays as it is.
func wrap(op, key string, err error) error {
	if err == nil {
		return nil
	}
	var known *warehouse.Error
	if errors.As(err, &known) {
		return err
	}
	e := &warehouse.Error{Op: op, Key: key, Err: err}
	unavailable := func(hint string) {
		e.Err, e.Hint = fmt.Errorf("%w: %w", warehouse.ErrUnavailable, err), hint
	}
	for _, known := range []error{warehouse.ErrClosed, warehouse.ErrSchema, warehouse.ErrCorrupt, warehouse.ErrQuery, warehouse.ErrLimit} {
		if errors.Is(err, known) {
			return e
		}
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	case isDiskFull(err):
		unavailable(diskHint)
	case errors.Is(err, objects.ErrUnavailable):
		unavailable("")
	case isKind(err, client.ErrorTypeOutOfMemory):
		unavailable("it needs more than warehouse.memory: raise that, or ask for less at once")
	case isBroken(err):
		unavailable("DuckDB gave the database up; the next call opens it again")
	case isKind(err, client.ErrorTypeIO):
		unavailable("")
	}
	return e
}
