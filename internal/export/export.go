package export

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"weir/internal/objects"
	"weir/internal/result"
)

// Version is that of manifests that this program writes.
const Version = 1

// Manifest says what a file is. It is written behind the file, so that whoever
// finds it finds the file whole.
type Manifest struct {
	Version  int      `json:"version"`
	Pipeline string   `json:"pipeline"`
	Step     string   `json:"step"`
	Start    int64    `json:"window_start"` // ns UTC
	End      int64    `json:"window_end"`
	Revision int      `json:"revision"`
	Format   Format   `json:"format"`
	Columns  []string `json:"columns"`
	File     string   `json:"file"` // beside the manifest
	Rows     uint64   `json:"rows"`
	Bytes    int64    `json:"bytes"`
	SHA256   string   `json:"sha256"` // hex
}

// Source gives rows: of each column nil, bool, int64, uint64, float64, string,
// time.Time, json.Number or json.RawMessage.
type Source struct {
	Columns []string
	// Each calls yield for each row, which is valid only during the call.
	Each func(ctx context.Context, yield func([]any) error) error
}

// Write writes a file and its manifest at a place, and completes the manifest.
// Name is of the object, without its ending. What is there by those names is
// replaced: the same rows give the same bytes, so it does not matter how often,
// or by how many, that is done.
func Write(ctx context.Context, to objects.Objects, name string, m *Manifest, rows Source) error {
	m.File = base(name) + "." + string(m.Format)
	err := m.put(ctx, to, name+"."+string(m.Format), func(w io.Writer) error {
		e, err := newEncoder(m.Format, w, rows.Columns)
		if err != nil {
			return err
		}
		if err := rows.Each(ctx, func(values []any) error {
			m.Rows++
			return e.row(values)
		}); err != nil {
			return err
		}
		return e.close()
	})
	m.Columns = rows.Columns
	if err != nil {
		return fmt.Errorf("export %s: %w", m.File, err)
	}
	return m.write(ctx, to, name+manifestEnding)
}

// manifestEnding ends a manifest's name, behind that of its file without its own.
const manifestEnding = ".manifest.json"

// WriteResult is Write for a result, in any format.
func WriteResult(ctx context.Context, to objects.Objects, name string, format Format, r *result.Manifest, from objects.Objects) (*Manifest, error) {
	m := &Manifest{
		Version: Version, Pipeline: r.Pipeline, Step: r.Step, Start: r.Start, End: r.End, Revision: r.Revision, Format: format,
	}
	var names []string
	for _, c := range r.Columns {
		names = append(names, c.Name)
	}
	if format == Parquet {
		err := m.parquet(ctx, to, name, r, from)
		return m, err
	}
	var values []any
	err := Write(ctx, to, name, m, Source{names, func(ctx context.Context, yield func([]any) error) error {
		return result.Read(ctx, from, r, func(rows *result.Rows) error {
			for i := range rows.Len() {
				values = appendRow(values[:0], rows, i)
				if err := yield(values); err != nil {
					return err
				}
			}
			return nil
		})
	}})
	return m, err
}

// parquet writes all files of a result as one.
func (m *Manifest) parquet(ctx context.Context, to objects.Objects, name string, r *result.Manifest, from objects.Objects) error {
	m.File = base(name) + "." + string(Parquet)
	w, err := result.NewWriter(ctx, to, name+"."+string(Parquet), r.Columns)
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := result.Read(ctx, from, r, w.Write); err != nil {
		return fmt.Errorf("export %s: %w", m.File, err)
	}
	f, err := w.Close()
	if err != nil {
		return fmt.Errorf("export %s: %w", m.File, err)
	}
	for _, c := range r.Columns {
		m.Columns = append(m.Columns, c.Name)
	}
	m.Rows, m.Bytes, m.SHA256 = f.Rows, f.Bytes, f.SHA256
	return m.write(ctx, to, name+manifestEnding)
}

// put writes an object, and notes its size and hash.
func (m *Manifest) put(ctx context.Context, to objects.Objects, name string, fill func(io.Writer) error) error {
	w, err := to.Create(ctx, name)
	if err != nil {
		return err
	}
	defer w.Abort()
	c := objects.Count(w)
	if err := fill(c); err != nil {
		return err
	}
	m.Bytes, m.SHA256 = c.Bytes(), c.SHA256()
	return w.Close()
}

// write writes the manifest itself.
func (m *Manifest) write(ctx context.Context, to objects.Objects, name string) error {
	body, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return err
	}
	w, err := to.Create(ctx, name)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(append(body, '\n')); err != nil {
		return err
	}
	return w.Close()
}

// base gives the last segment of an object's name.
func base(name string) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '/' {
			return name[i+1:]
		}
	}
	return name
}
