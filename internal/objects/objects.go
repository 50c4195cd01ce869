// Package objects is the port of whole files: archives, results and exports.
//
// It owns the contract and its errors. Drivers are its children. It imports
// nothing of ours.
//
// # What holds after a crash at any point
//
// An object that can be opened is whole, and what a Close that returned nil
// published is there after a power cut. What was not closed is not there. Names
// are the attempt's own, so that nobody writes over what another wrote; which
// objects count is said elsewhere, by a conditional write that names them.
package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Errors that drivers wrap.
var (
	// ErrNotFound means that there is no such object.
	ErrNotFound = errors.New("no such object")
	// ErrName means that a name is not one of an object.
	ErrName = errors.New("no name of an object")
	// ErrUnavailable means that the place did not answer, or has no room. Retry
	// with backoff.
	ErrUnavailable = errors.New("objects are unavailable")
)

// Objects is a place of objects. All methods are safe for concurrent use, also
// by several processes.
type Objects interface {
	// Create begins an object. It is there once its Close returned nil, and
	// replaces one of that name at once. Abort of what is not closed, and also a
	// crash, leave nothing behind that Open or List show. S3: a multipart upload.
	Create(ctx context.Context, name string) (Writer, error)

	// Open gives an object to be read in any order, or ErrNotFound. S3: HEAD, and
	// a ranged GET for each read.
	Open(ctx context.Context, name string) (Reader, error)

	// List gives the objects whose names begin with a prefix that ends in '/', or
	// all of them for "", sorted by name.
	List(ctx context.Context, prefix string) ([]Info, error)

	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, name string) error
}

// Writer writes one object. It is not safe for concurrent use.
type Writer interface {
	io.Writer
	// Close makes the object durable and shows it. After an error it may be
	// there or not. It may be called again, and after Abort, without effect.
	Close() error
	// Abort gives up; after Close it has no effect.
	Abort()
}

// Reader reads one object; ReadAt may be called concurrently.
type Reader interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Info is what a list says of an object.
type Info struct {
	Name string
	Size int64
	// Modified is when it became there, about, by the clock of who keeps it.
	Modified time.Time
}

// Paths is an optional ability of Objects: files of this machine, which other
// programs of it can open.
type Paths interface {
	// Path gives the path of an object, which need not be there.
	Path(name string) (string, error)
}

// Error says which operation failed, on what, and how to mend it.
type Error struct {
	Op   string // "create", "open", …
	Name string
	Hint string // what the operator can do; may be empty
	Err  error
}

func (e *Error) Error() string {
	s := fmt.Sprintf("objects: %s %s: %v", e.Op, e.Name, e.Err)
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// maxName is the longest name, as S3 has it.
const maxName = 1024

// CheckName says what is wrong with an object's name: it has segments joined by
// '/', of letters, digits and any of "-_.=+,@:%", none of them empty or
// beginning with a dot.
func CheckName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("%w: %q has %d bytes; want 1 to %d", ErrName, name, len(name), maxName)
	}
	for segment := range strings.SplitSeq(name, "/") {
		if segment == "" || segment[0] == '.' {
			return fmt.Errorf("%w: %q has a segment that is empty or begins with a dot", ErrName, name)
		}
		for _, r := range segment {
			if !isNameRune(r) {
				return fmt.Errorf("%w: %q has %q", ErrName, name, r)
			}
		}
	}
	return nil
}

func isNameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.=+,@:%", r)
}
