//go:build cgo

package duckdb

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	client "github.com/duckdb/duckdb-go/v2"

	"weir/internal/objects"
	"weir/internal/result"
	"weir/internal/warehouse"
)

// staging is the copies of a load's parts that DuckDB reads: they are what was
// checked, whatever becomes of the parts, and they lie where alone it may read.
// They are not synced: what a crash leaves is removed.
type staging struct {
	dir   string
	parts []part
}

// part is one staged file.
type part struct {
	name string // of the object
	rows uint64
	path string
}

// source gives the table function that reads the part.
func (p part) source() string { return "read_parquet(" + quoted(p.path) + ")" }

// stage copies the files and checks their sizes and sums.
func (d *Driver) stage(ctx context.Context, files []result.File, from objects.Objects) (*staging, error) {
	s := &staging{dir: filepath.Join(d.config.Dir, stagingName, rand.Text())}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		return nil, err
	}
	for i, f := range files {
		p := part{f.Name, f.Rows, filepath.Join(s.dir, strconv.Itoa(i)+".parquet")}
		if err := copyPart(ctx, f, from, p.path); err != nil {
			s.remove()
			return nil, err
		}
		s.parts = append(s.parts, p)
	}
	return s, nil
}

// remove ends the staging. What can't be removed now, the next open removes.
func (s *staging) remove() { _ = os.RemoveAll(s.dir) }

func copyPart(ctx context.Context, f result.File, from objects.Objects, path string) error {
	r, err := from.Open(ctx, f.Name)
	if errors.Is(err, objects.ErrNotFound) {
		return partError(f.Name, fmt.Errorf("it is missing: %w", err))
	}
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // nothing was written
	if r.Size() != f.Bytes {
		return partError(f.Name, fmt.Errorf("it has %d bytes, and its manifest says %d", r.Size(), f.Bytes))
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	sum := sha256.New()
	in := &endingReader{ctx, io.NewSectionReader(r, 0, r.Size())}
	_, err = io.Copy(io.MultiWriter(file, sum), in)
	if got := hex.EncodeToString(sum.Sum(nil)); err == nil && got != f.SHA256 {
		err = partError(f.Name, fmt.Errorf("its SHA-256 is %s, and its manifest says %s", got, f.SHA256))
	}
	if err == nil {
		err = keepNanoseconds(file)
		var failed *fs.PathError
		if err != nil && !errors.As(err, &failed) {
			err = partError(f.Name, err)
		}
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("part %s: %w", f.Name, err)
	}
	return nil
}

// endingReader ends with its context.
type endingReader struct {
	ctx context.Context
	r   io.Reader
}

func (e *endingReader) Read(p []byte) (int, error) {
	if err := e.ctx.Err(); err != nil {
		return 0, err
	}
	return e.r.Read(p)
}

func partError(part string, err error) error {
	return &warehouse.Error{Op: "load", Key: "part " + part, Err: fmt.Errorf("%w: %w", warehouse.ErrPart, err),
		Hint: "the warehouse is as it was: run the step that wrote the part again"}
}

// wrongPart gives the error of a part that DuckDB could not read.
func wrongPart(p part, err error) error {
	if isKind(err, client.ErrorTypeIO, client.ErrorTypeInvalidInput, client.ErrorTypeConversion, client.ErrorTypeSerialization,
		client.ErrorTypeInvalid, client.ErrorTypeBinder, client.ErrorTypeOutOfRange, client.ErrorTypeUnknownType) && !isDiskFull(err) {
		return partError(p.name, err)
	}
	return err
}

// check compares the parts' rows with the manifest, and hands their columns to
// judge, which says what is wrong with them.
func (s *staging) check(ctx context.Context, q queryer, judge func(described) error) error {
	for _, p := range s.parts {
		var rows uint64
		if err := q.QueryRowContext(ctx, "SELECT num_rows FROM parquet_file_metadata("+quoted(p.path)+")").Scan(&rows); err != nil {
			return wrongPart(p, err)
		}
		if rows != p.rows {
			return partError(p.name, fmt.Errorf("it has %d rows, and its manifest says %d", rows, p.rows))
		}
		columns, err := describe(ctx, q, p.source())
		if err != nil {
			return wrongPart(p, err)
		}
		if err := judge(columns); err != nil {
			return partError(p.name, err)
		}
	}
	return nil
}

// judgeColumns wants the columns that a manifest names, and no others.
func judgeColumns(want []result.Column) func(described) error {
	return func(have described) error {
		for _, c := range want {
			kind, ok := have[c.Name]
			switch {
			case !ok:
				return fmt.Errorf("it has no column %s, which its manifest names", c.Name)
			case kind != typeOf(c.Type):
				return fmt.Errorf("its column %s is %s, and its manifest says %s (%s)", c.Name, kind, c.Type, typeOf(c.Type))
			}
		}
		if len(have) != len(want) {
			return fmt.Errorf("it has %d columns, and its manifest names %d", len(have), len(want))
		}
		return nil
	}
}
