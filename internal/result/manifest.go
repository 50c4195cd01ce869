// Package result owns what a step of a pipeline gives: rows of one table, as
// Parquet files that a manifest names. It is what loads, exports and people
// read.
//
// It refuses to know how the rows were made. It imports objects and bounds alone.
// The format is docs/formats/result.md.
package result

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"

	"weir/internal/objects"
)

// Errors of this package.
var (
	// ErrCorrupt means that a manifest or a file is not what was written.
	ErrCorrupt = errors.New("result is corrupt")
	// ErrVersion means that a newer Weir wrote the manifest.
	ErrVersion = errors.New("result is of a version this program does not know")
)

// Version is that of manifests that this program writes.
const Version = 1

// Type is what a column holds. Every column may hold null.
type Type string

// The types of columns.
const (
	Text  Type = "text"  // UTF-8
	Time  Type = "time"  // ns UTC
	Int   Type = "int"   // int64
	Float Type = "float" // float64
	Bool  Type = "bool"
)

// Column is one column of a table.
type Column struct {
	Name string `json:"name"`
	Type Type   `json:"type"`
}

// File is one Parquet file of a result.
type File struct {
	Name   string `json:"name"` // of the object
	Rows   uint64 `json:"rows"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // hex
}

// Manifest says which files a result is. It is written last, under a name of
// its attempt; which manifest counts, the record of the run says.
type Manifest struct {
	Version  int      `json:"version"`
	Table    string   `json:"table"` // of the warehouse
	Pipeline string   `json:"pipeline"`
	Step     string   `json:"step"`
	Start    int64    `json:"window_start"` // ns UTC
	End      int64    `json:"window_end"`
	Revision int      `json:"revision"`
	Cut      string   `json:"cut"` // token of the input
	Columns  []Column `json:"columns"`
	Files    []File   `json:"files"`
	Rows     uint64   `json:"rows"` // of all files
}

// nameForm is the form of names of tables and columns: what needs no quotes in
// any warehouse.
var nameForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// Validate says what is wrong with a manifest.
func (m *Manifest) Validate() error {
	switch {
	case m.Version > Version:
		return fmt.Errorf("%w: %d", ErrVersion, m.Version)
	case m.Version < 1:
		return fmt.Errorf("%w: version %d", ErrCorrupt, m.Version)
	case !nameForm.MatchString(m.Table):
		return fmt.Errorf("%w: table %q; want a letter, then letters, digits and '_'", ErrCorrupt, m.Table)
	case m.Pipeline == "" || m.Step == "":
		return fmt.Errorf("%w: no pipeline or step is named", ErrCorrupt)
	case m.Start >= m.End:
		return fmt.Errorf("%w: window [%d, %d) is empty", ErrCorrupt, m.Start, m.End)
	case m.Revision < 0:
		return fmt.Errorf("%w: revision %d", ErrCorrupt, m.Revision)
	case len(m.Columns) == 0:
		return fmt.Errorf("%w: it has no columns", ErrCorrupt)
	}
	seen := map[string]bool{}
	for _, c := range m.Columns {
		if !nameForm.MatchString(c.Name) || seen[c.Name] {
			return fmt.Errorf("%w: column %q is named twice, or not by a letter, then letters, digits and '_'", ErrCorrupt, c.Name)
		}
		seen[c.Name] = true
		switch c.Type {
		case Text, Time, Int, Float, Bool:
		default:
			return fmt.Errorf("%w: column %s has the unknown type %q", ErrCorrupt, c.Name, c.Type)
		}
	}
	rows := uint64(0)
	for _, f := range m.Files {
		if err := objects.CheckName(f.Name); err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		rows += f.Rows
	}
	if rows != m.Rows {
		return fmt.Errorf("%w: its files have %d rows, and it says %d", ErrCorrupt, rows, m.Rows)
	}
	return nil
}

// Write writes the manifest as an object and gives the SHA-256 of it in hex.
func (m *Manifest) Write(ctx context.Context, to objects.Objects, name string) (sum string, err error) {
	if err := m.Validate(); err != nil {
		return "", fmt.Errorf("manifest %s: %w", name, err)
	}
	body, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return "", err
	}
	w, err := to.Create(ctx, name)
	if err != nil {
		return "", err
	}
	defer w.Abort()
	if _, err := w.Write(append(body, '\n')); err != nil {
		return "", err
	}
	return hexSum(append(body, '\n')), w.Close()
}

func hexSum(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// maxManifest bounds what is read as a manifest, in bytes.
const maxManifest = 64 << 20

// ReadManifest reads a manifest and checks it against the SHA-256 that its
// Write gave; "" leaves that out.
func ReadManifest(ctx context.Context, from objects.Objects, name, sum string) (*Manifest, error) {
	r, err := from.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	if r.Size() > maxManifest {
		return nil, fmt.Errorf("manifest %s: %w: %d bytes", name, ErrCorrupt, r.Size())
	}
	body := make([]byte, r.Size())
	if _, err := r.ReadAt(body, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if sum != "" && hexSum(body) != sum {
		return nil, fmt.Errorf("manifest %s: %w: its SHA-256 is %s; want %s", name, ErrCorrupt, hexSum(body), sum)
	}
	m, err := ParseManifest(body)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", name, err)
	}
	return m, nil
}

// ParseManifest reads a manifest's JSON. Keys that it does not know are those of
// a newer program, which its version tells.
func ParseManifest(body []byte) (*Manifest, error) {
	var v struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if v.Version > Version {
		return nil, fmt.Errorf("%w: %d", ErrVersion, v.Version)
	}
	m := &Manifest{}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if d.More() {
		return nil, fmt.Errorf("%w: more follows its end", ErrCorrupt)
	}
	if err := m.Validate(); err != nil {
		return nil, err
	}
	return m, nil
}
