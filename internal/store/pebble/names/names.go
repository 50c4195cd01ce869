// Package names owns what tables and records may be called.
//
// It imports nothing of ours.
package names

import (
	"errors"
	"fmt"
	"strings"
)

// ErrInvalid means that a table, journal or record cannot be called that.
var ErrInvalid = errors.New("not a valid name")

const maxTable = 64

// IsTable says whether a table may have a name.
func IsTable(name string) bool {
	for _, c := range []byte(name) {
		if c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && len(name) <= maxTable
}

// BadTable is the error of a name that is none of a table.
func BadTable(name string) error {
	return fmt.Errorf("%w: table %q: use lower-case letters, digits and underscores, at most %d", ErrInvalid, name, maxTable)
}

// CheckRecord says what is wrong with a record's key.
func CheckRecord(key string) error {
	for segment := range strings.SplitSeq(key, "/") {
		bad := segment == ""
		for _, c := range []byte(segment) {
			bad = bad || c != '-' && c != '.' && (c < 'a' || c > 'z') && (c < '0' || c > '9')
		}
		if bad {
			return fmt.Errorf("%w: record %q: use segments of lower-case letters, digits, '-' and '.', joined by '/'", ErrInvalid, key)
		}
	}
	return nil
}
