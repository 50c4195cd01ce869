package result

import (
	"context"
	"fmt"
	"io"
	"math"
	"path"
	"slices"

	"github.com/apache/arrow-go/v18/parquet/schema"

	"weir/internal/bounds"
	"weir/internal/objects"
)

// Erasure says which rows are to be gone: those of series, and where rows have
// times those only that touch From ≤ time < To: a window by overlapping it.
type Erasure struct {
	IDs      map[string]bool // 32 hex digits
	Names    map[string]bool // of the same series, as Name gives them
	From, To int64           // the ends of int64: all of time
}

// Name is a series by its metric and its tags, as tables write them.
func Name(metric, tags string) string { return metric + "\x00" + tags }

// Row is what an erasure looks at of a row: the values of columns by their place.
type Row interface {
	// Text gives a text, or "" for null.
	Text(column int) string
	// Time gives a time in ns; ok is false for null, and what is none.
	Time(column int) (at int64, ok bool)
}

// Rule is an Erasure for rows of certain columns.
type Rule struct {
	of                               *Erasure
	series, metric, tags             int
	windowStart, windowEnd, timeOnly int
}

// Rule says which rows of a table go; ok is false where its rows say no series, so
// that nobody can tell whose they are. A row says its series by the column series,
// else by metric and tags.
func (e *Erasure) Rule(columns []string) (r *Rule, ok bool) {
	at := func(name string) int { return slices.Index(columns, name) }
	r = &Rule{e, at("series"), at("metric"), at("tags"), at("window_start"), at("window_end"), at("time")}
	return r, r.series >= 0 || r.metric >= 0 && r.tags >= 0
}

// Goes says whether a row is to go. What has no time that can be read goes.
func (r *Rule) Goes(row Row) bool {
	if r.series >= 0 {
		if !r.of.IDs[row.Text(r.series)] {
			return false
		}
	} else if !r.of.Names[Name(row.Text(r.metric), row.Text(r.tags))] {
		return false
	}
	if r.of.From == math.MinInt64 && r.of.To == math.MaxInt64 {
		return true
	}
	if r.windowStart >= 0 && r.windowEnd >= 0 {
		start, ok := row.Time(r.windowStart)
		end, has := row.Time(r.windowEnd)
		return !ok || !has || start < r.of.To && end > r.of.From
	}
	if r.timeOnly >= 0 {
		at, ok := row.Time(r.timeOnly)
		return !ok || at >= r.of.From && at < r.of.To
	}
	return true
}

// rowOf is a row of Rows.
type rowOf struct {
	rows *Rows
	at   int
}

func (r rowOf) null(c *Values) bool { return c.Null != nil && c.Null[r.at] }

func (r rowOf) Text(column int) string {
	if c := &r.rows.Columns[column]; c.Type == Text && !r.null(c) {
		return c.Texts[c.Index[r.at]]
	}
	return ""
}

func (r rowOf) Time(column int) (int64, bool) {
	if c := &r.rows.Columns[column]; c.Type == Time && !r.null(c) {
		return c.Ints[r.at], true
	}
	return 0, false
}

func names(columns []Column) (names []string) {
	for _, c := range columns {
		names = append(names, c.Name)
	}
	return names
}

// CountFile gives how many rows of a file are to go; known is false where its rows
// say no series.
func CountFile(ctx context.Context, from objects.Objects, columns []Column, f *File, e *Erasure) (rows uint64, known bool, err error) {
	rule, known := e.Rule(names(columns))
	if !known {
		return 0, false, nil
	}
	err = readFile(ctx, from, columns, f, func(r *Rows) error {
		for i := range r.Len() {
			if rule.Goes(rowOf{r, i}) {
				rows++
			}
		}
		return nil
	})
	return rows, true, err
}

// EraseFile writes a file anew under a name, which may be its own, without the rows
// that are to go. Where none are left, the new one has no rows.
func EraseFile(ctx context.Context, at objects.Objects, columns []Column, f *File, name string, e *Erasure) (next File, err error) {
	rule, ok := e.Rule(names(columns))
	if !ok {
		return *f, nil
	}
	w, err := NewWriter(ctx, at, name, columns)
	if err != nil {
		return next, err
	}
	defer w.Abort()
	kept := NewRows(columns)
	err = readFile(ctx, at, columns, f, func(r *Rows) error {
		kept.Reset()
		for i := range r.Len() {
			if !rule.Goes(rowOf{r, i}) {
				kept.Append(r, i, i+1)
			}
		}
		return w.Write(kept)
	})
	if err != nil {
		return next, err
	}
	return w.Close()
}

// Erase writes a result without the rows that are to go, and gives its manifest's
// name and SHA-256, "" where no row goes. Files without such rows stay what they
// are. attempt is a name that nobody else has. The old manifest counts until what
// names it is turned to the new one; then Remove what only the old one names.
func Erase(ctx context.Context, at objects.Objects, manifest string, m *Manifest, attempt string, e *Erasure) (next *Manifest, name, sum string, err error) {
	made := *m
	made.Files, made.Rows = nil, 0
	folder := path.Join(path.Dir(path.Dir(manifest)), "erased-"+attempt)
	for i := range m.Files {
		f := m.Files[i]
		n, _, err := CountFile(ctx, at, m.Columns, &f, e)
		if err == nil && n > 0 {
			before := f.Rows
			f, err = EraseFile(ctx, at, m.Columns, &m.Files[i], fmt.Sprintf("%s/part-%04d.parquet", folder, i), e)
			if err == nil && f.Rows+n != before {
				err = fmt.Errorf("%w: %s has %d rows, %d of them to be erased; %d are left", ErrCorrupt, m.Files[i].Name, before, n, f.Rows)
			}
		}
		if err == nil && n > 0 && f.Rows == 0 {
			if err = at.Delete(ctx, f.Name); err == nil {
				continue
			}
		}
		if err != nil {
			return nil, "", "", err
		}
		made.Files = append(made.Files, f)
		made.Rows += f.Rows
	}
	if made.Rows == m.Rows {
		return m, "", "", nil
	}
	name = folder + "/manifest.json"
	sum, err = made.Write(ctx, at, name)
	return &made, name, sum, err
}

// Remove deletes a manifest and then those of its files that another does not name:
// cut short, files are left that no manifest names.
func (m *Manifest) Remove(ctx context.Context, at objects.Objects, manifest string, but *Manifest) error {
	if err := at.Delete(ctx, manifest); err != nil {
		return err
	}
	for _, f := range m.Files {
		if but != nil && slices.ContainsFunc(but.Files, func(k File) bool { return k.Name == f.Name }) {
			continue
		}
		if err := at.Delete(ctx, f.Name); err != nil {
			return err
		}
	}
	return nil
}

// ColumnsOf gives the columns of a file that a Writer wrote.
func ColumnsOf(ctx context.Context, from objects.Objects, name string) (columns []Column, err error) {
	object, err := from.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = object.Close() }() // it was read
	defer func() {
		if p := recover(); p != nil { // the library's, over a damaged footer
			err = fmt.Errorf("%w: %s: %v", ErrCorrupt, name, p)
		}
	}()
	reader, err := bounds.Open(sectionOf(object), object.Size())
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCorrupt, name, err)
	}
	of := reader.MetaData().Schema
	for i := range of.NumColumns() {
		c := of.Column(i)
		t, ok := typeOf(c)
		if !ok {
			return nil, fmt.Errorf("%w: %s: column %s is %s", ErrCorrupt, name, c.Name(), c)
		}
		columns = append(columns, Column{Name: c.Name(), Type: t})
	}
	return columns, nil
}

// Describe gives the columns of a file that a Writer wrote, and what a manifest says
// of such a file.
func Describe(ctx context.Context, from objects.Objects, name string) (columns []Column, f File, err error) {
	if columns, err = ColumnsOf(ctx, from, name); err != nil {
		return nil, f, err
	}
	object, err := from.Open(ctx, name)
	if err != nil {
		return nil, f, err
	}
	defer func() { _ = object.Close() }() // it was read
	sum := objects.Count(io.Discard)
	if _, err := io.Copy(sum, sectionOf(object)); err != nil {
		return nil, f, err
	}
	reader, err := bounds.Open(sectionOf(object), object.Size())
	if err != nil {
		return nil, f, fmt.Errorf("%w: %s: %w", ErrCorrupt, name, err)
	}
	return columns, File{Name: name, Rows: uint64(reader.NumRows()), Bytes: object.Size(), SHA256: sum.SHA256()}, nil
}

// typeOf is the inverse of schemaOf.
func typeOf(c *schema.Column) (Type, bool) {
	for _, t := range []Type{Text, Time, Int, Float, Bool} {
		root, err := schemaOf([]Column{{Name: c.Name(), Type: t}})
		if err == nil && schema.NewSchema(root).Column(0).Equals(c) {
			return t, true
		}
	}
	return "", false
}
