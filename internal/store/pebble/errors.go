package pebble

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"syscall"

	engine "github.com/cockroachdb/pebble/v2"

	"weir/internal/store"
	"weir/internal/store/pebble/names"
)

// ErrGap means that the journal has no entry before the position: the caller
// appends past the end. The driver can tell, so it does.
var ErrGap = errors.New("journal has no entry before the position")

const (
	hintFull   = "if the disk is full, free space on it; the store goes on by itself"
	hintBroken = "nothing was deleted; check the disk, then restore this folder from a backup"
	hintAside  = "its files are all there: restore the table from the archive or a backup, or drop it to free its name"
	hintNewer  = "install the release that wrote it, or a later one"
	hintLocked = "another weir is running on this folder; stop it, or give this one a folder of its own"
)

// wrap makes the port's error of a cause. A cause that wraps one of the
// port's errors, or is the context's, keeps it; others are classified.
func wrap(op, key string, err error) error {
	var done *store.Error
	if err == nil || errors.As(err, &done) {
		return err
	}
	switch {
	case isPort(err):
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	case errors.Is(err, ErrGap), errors.Is(err, names.ErrInvalid), errors.Is(err, errHealthy):
	default:
		err = fmt.Errorf("%w: %w", classify(err), err)
	}
	return &store.Error{Op: op, Key: key, Hint: hint(err), Err: err}
}

// hint says what the operator can do about an error.
func hint(err error) string {
	switch {
	case errors.Is(err, store.ErrVersion):
		return hintNewer
	case errors.Is(err, store.ErrCorrupt):
		return hintBroken
	case errors.Is(err, store.ErrUnavailable):
		return hintFull
	}
	return ""
}

func isPort(err error) bool {
	for _, e := range []error{
		store.ErrTaken, store.ErrConflict, store.ErrNotFound, store.ErrNoTable, store.ErrUnavailable,
		store.ErrTooLarge, store.ErrCorrupt, store.ErrVersion, store.ErrClosed,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// classify tells what an error of Pebble or the file system means. An error
// of the system passes, unless a file is missing; what is left says that the
// bytes are not what Pebble wrote.
func classify(err error) error {
	var errno syscall.Errno
	switch {
	case engine.IsCorruptionError(err), errors.Is(err, fs.ErrNotExist), errors.Is(err, engine.ErrDBDoesNotExist):
		return store.ErrCorrupt
	case strings.Contains(err.Error(), "unknown format major version"): // Pebble has no sentinel for it
		return store.ErrVersion
	case errors.As(err, &errno), errors.Is(err, fs.ErrPermission):
		return store.ErrUnavailable
	}
	return store.ErrCorrupt
}

// logger passes on what Pebble says about one folder. Fatalf does not end the
// process: it freezes the folder. Where Pebble calls it, it has given up, and
// a call that returns afterwards as if all were well must not be believed.
type logger struct {
	log   *slog.Logger
	guard *guard
}

func (l logger) Infof(format string, args ...any) { l.log.Debug(fmt.Sprintf(format, args...)) }

func (l logger) Errorf(format string, args ...any) {
	if l.guard.failure() == nil {
		l.log.Error(fmt.Sprintf(format, args...))
	}
}

func (l logger) Fatalf(format string, args ...any) {
	if l.guard.failure() == nil {
		l.log.Error("pebble gave up: " + fmt.Sprintf(format, args...))
	}
	l.guard.freeze(fmt.Errorf("%w: pebble gave up: %s", store.ErrUnavailable, fmt.Sprintf(format, args...)))
}
