package export

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"weir/internal/objects"
	"weir/internal/result"
)

// erasing ends the name of the manifest that is to take the place of another once
// the file is what it says.
const erasing = ".erasing"

// CountErasable gives how many rows of a file are to go; known is false where its
// rows say no series, so that nobody can tell whose they are.
func CountErasable(ctx context.Context, at objects.Objects, manifest string, e *result.Erasure) (rows uint64, known bool, err error) {
	m, err := settled(ctx, at, manifest)
	if err != nil {
		return 0, false, err
	}
	if _, known = e.Rule(m.Columns); !known {
		return 0, false, nil
	}
	if m.Format == Parquet {
		columns, err := result.ColumnsOf(ctx, at, m.beside(manifest))
		if err != nil {
			return 0, true, err
		}
		rows, _, err = result.CountFile(ctx, at, columns, m.file(manifest), e)
		return rows, true, err
	}
	_, rows, err = m.filter(ctx, at, manifest, e, io.Discard)
	return rows, true, err
}

// file is the export as a file of a result, which a Parquet export is.
func (m *Manifest) file(manifest string) *result.File {
	return &result.File{Name: m.beside(manifest), Rows: m.Rows, Bytes: m.Bytes, SHA256: m.SHA256}
}

// Erase takes rows out of a file, and gives how many there were. All others stay
// byte by byte as they were, but in Parquet, where they are written anew. First
// stands beside the manifest what it will say, then the file is replaced, then the
// manifest: cut short in between, it is called again, and goes on.
func Erase(ctx context.Context, at objects.Objects, manifest string, e *result.Erasure) (rows uint64, err error) {
	rows, known, err := CountErasable(ctx, at, manifest, e)
	if err != nil || !known || rows == 0 {
		return 0, err
	}
	m, err := ReadManifest(ctx, at, manifest)
	if err != nil {
		return 0, err
	}
	next := *m
	if m.Format == Parquet {
		err = next.eraseParquet(ctx, at, manifest, e)
	} else {
		err = next.eraseText(ctx, at, manifest, e)
	}
	if err != nil {
		return 0, fmt.Errorf("export %s: %w", m.File, err)
	}
	if next.Rows+rows != m.Rows {
		return 0, fmt.Errorf("export %s: %w: it had %d rows, %d of them to be erased; %d are left", m.File, ErrCorrupt, m.Rows, rows, next.Rows)
	}
	_, err = settled(ctx, at, manifest)
	return rows, err
}

// settled gives a file's manifest. Where an erasure was cut short between the file
// and its manifest, it ends that first.
func settled(ctx context.Context, at objects.Objects, manifest string) (*Manifest, error) {
	m, err := ReadManifest(ctx, at, manifest)
	if err != nil {
		return nil, err
	}
	next, err := ReadManifest(ctx, at, manifest+erasing)
	if errors.Is(err, objects.ErrNotFound) {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	sum, err := sumOf(ctx, at, m.beside(manifest))
	if err != nil {
		return nil, err
	}
	if sum == next.SHA256 {
		if err := next.write(ctx, at, manifest); err != nil {
			return nil, err
		}
		m = next
	}
	return m, at.Delete(ctx, manifest+erasing)
}

func sumOf(ctx context.Context, at objects.Objects, name string) (string, error) {
	r, err := at.Open(ctx, name)
	if err != nil {
		return "", err
	}
	defer func() { _ = r.Close() }() // it was read
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(r, 0, r.Size())); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// eraseParquet writes the file twice, since its hash is known once it is written.
func (m *Manifest) eraseParquet(ctx context.Context, at objects.Objects, manifest string, e *result.Erasure) error {
	name := m.beside(manifest)
	columns, err := result.ColumnsOf(ctx, at, name)
	if err != nil {
		return err
	}
	f, err := result.EraseFile(ctx, at, columns, m.file(manifest), name+erasing, e)
	if err == nil {
		err = at.Delete(ctx, name+erasing)
	}
	if err != nil {
		return err
	}
	old := m.file(manifest)
	m.Rows, m.Bytes, m.SHA256 = f.Rows, f.Bytes, f.SHA256
	if err := m.write(ctx, at, manifest+erasing); err != nil {
		return err
	}
	if f, err = result.EraseFile(ctx, at, columns, old, name, e); err == nil && f.SHA256 != m.SHA256 {
		err = fmt.Errorf("%w: written twice, it has two hashes", ErrCorrupt)
	}
	return err
}

// eraseText reads the file twice, likewise.
func (m *Manifest) eraseText(ctx context.Context, at objects.Objects, manifest string, e *result.Erasure) error {
	counted := objects.Count(io.Discard)
	rows, _, err := m.filter(ctx, at, manifest, e, counted)
	if err != nil {
		return err
	}
	next := *m
	next.Rows, next.Bytes, next.SHA256 = rows, counted.Bytes(), counted.SHA256()
	if err := next.write(ctx, at, manifest+erasing); err != nil {
		return err
	}
	to, err := at.Create(ctx, m.beside(manifest))
	if err != nil {
		return err
	}
	defer to.Abort()
	buffered := bufio.NewWriter(to)
	if _, _, err = m.filter(ctx, at, manifest, e, buffered); err == nil {
		err = buffered.Flush()
	}
	*m = next
	if err != nil {
		return err
	}
	return to.Close()
}

// filter copies the rows that stay, as they are, and counts both kinds. The file
// has to be what the manifest says.
func (m *Manifest) filter(ctx context.Context, at objects.Objects, manifest string, e *result.Erasure, to io.Writer) (kept, gone uint64, err error) {
	name := m.beside(manifest)
	if sum, err := sumOf(ctx, at, name); err != nil || sum != m.SHA256 {
		return 0, 0, errors.Join(err, fmt.Errorf("%w: %s has the SHA-256 %s; its manifest says %s; run the step again, or delete both", ErrCorrupt, name, sum, m.SHA256))
	}
	r, err := at.Open(ctx, name)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = r.Close() }() // it was read
	rule, _ := e.Rule(m.Columns)
	section := io.NewSectionReader(r, 0, r.Size())
	if m.Format == CSV {
		return filterCSV(ctx, section, rule, m.Columns, to)
	}
	return filterLines(ctx, section, rule, m.Columns, to)
}

// textRow is a row of texts.
type textRow []string

func (r textRow) Text(column int) string { return r[column] }

func (r textRow) Time(column int) (int64, bool) {
	t, err := time.Parse(time.RFC3339Nano, r[column])
	return t.UnixNano(), err == nil
}

func filterCSV(ctx context.Context, from *io.SectionReader, rule *result.Rule, columns []string, to io.Writer) (kept, gone uint64, err error) {
	rows := csv.NewReader(from)
	rows.FieldsPerRecord, rows.ReuseRecord, rows.LazyQuotes = len(columns), true, false
	source, _, _ := from.Outer()
	for start, first := int64(0), true; ; first = false {
		cells, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return kept, gone, nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return kept, gone, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		end := rows.InputOffset()
		switch {
		case first && !slices.Equal(cells, columns):
			return kept, gone, fmt.Errorf("%w: its header is %v; its manifest says %v", ErrCorrupt, cells, columns)
		case !first && rule.Goes(textRow(cells)):
			gone++
			start = end
			continue
		case !first:
			kept++
		}
		if _, err := io.Copy(to, io.NewSectionReader(source, start, end-start)); err != nil {
			return kept, gone, err
		}
		start = end
	}
}

func filterLines(ctx context.Context, from io.Reader, rule *result.Rule, columns []string, to io.Writer) (kept, gone uint64, err error) {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			row, bad := lineRow(line, columns)
			switch {
			case bad != nil:
				return kept, gone, fmt.Errorf("%w: %w", ErrCorrupt, bad)
			case rule.Goes(row):
				gone++
			default:
				kept++
				if _, err := to.Write(line); err != nil {
					return kept, gone, err
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return kept, gone, nil
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return kept, gone, err
		}
	}
}

// lineRow gives the cells of an object as text; what is no text is its JSON.
func lineRow(line []byte, columns []string) (textRow, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(line, &object); err != nil {
		return nil, err
	}
	row := make(textRow, len(columns))
	for i, name := range columns {
		if json.Unmarshal(object[name], &row[i]) != nil {
			row[i] = string(object[name])
		}
	}
	return row, nil
}
