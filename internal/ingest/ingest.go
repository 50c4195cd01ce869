// Package ingest owns the way from a CSV file to samples: which column is the
// time, which are tags and which are values, and how each row becomes a line
// of InfluxDB line protocol with its time in ns.
//
// It refuses to guess where a guess could be silently wrong, and tells for
// each row that it leaves out the line and the reason. It sends nothing. It
// imports package sample only.
package ingest

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"weir/internal/sample"
)

// Options say how the columns are read. Columns are named as in the header.
type Options struct {
	// Metric begins the names of the file's metrics: a column's metric is
	// Metric_column, and Metric alone for a column named value.
	Metric string
	// Time is the time column; if empty, the one that is called so.
	Time string
	// TimeFormat is one of TimeFormats or a layout of Go's package time; empty
	// means that the first row decides.
	TimeFormat string
	// Zone is that of times which don't say theirs; nil means UTC.
	Zone *time.Location
	// Tags go to every sample, TagColumns' cells to those of their row.
	Tags       []sample.Tag
	TagColumns []string
	// Columns are the value columns; if empty, all that are left.
	Columns []string
	// Units gives value columns a tag "unit", Kinds a kind other than float64.
	Units map[string]string
	Kinds map[string]sample.Kind
	// Delimiter parts the cells; 0 means that the header decides.
	Delimiter byte
	// BatchLines and BatchBytes bound a batch.
	BatchLines, BatchBytes int
}

// Default gives the options that fit most files; Metric is left to be set.
func Default() Options {
	return Options{Zone: time.UTC, BatchLines: 5000, BatchBytes: 4 << 20}
}

// Validate says what is wrong with the options, so far as that can be told
// without the file.
func (o Options) Validate() error {
	if o.BatchLines < 1 || o.BatchBytes < 1 {
		return fmt.Errorf("a batch holds at least one line and one byte, not %d and %d", o.BatchLines, o.BatchBytes)
	}
	if _, err := sample.NewSeries(o.Metric, slices.Clone(o.Tags)); err != nil {
		return fmt.Errorf("metric %q and its tags: %w", o.Metric, err)
	}
	if err := writable(o.Metric); err != nil || strings.HasPrefix(o.Metric, "#") {
		return fmt.Errorf("metric %q: a name can't begin with #, hold a line break or end in a backslash", o.Metric)
	}
	for _, t := range o.Tags {
		for _, text := range []string{t.Name, t.Value} {
			if err := writable(text); err != nil {
				return fmt.Errorf("tag %s=%s: %w", t.Name, t.Value, err)
			}
		}
		if t.Name == unitTag && len(o.Units) > 0 {
			return fmt.Errorf("tag %q is given for all columns, and units for some: give one of them", unitTag)
		}
	}
	for column, unit := range o.Units {
		if err := writable(unit); err != nil || unit == "" {
			return fmt.Errorf("the unit %q of column %q is empty, holds a line break or ends in a backslash", unit, column)
		}
	}
	_, err := newClock(o.TimeFormat, o.Zone)
	return err
}

const unitTag = "unit"

// Bad is a row that was left out.
type Bad struct {
	// Line is the number of the row's first line in the file, from 1.
	Line   int
	Reason string
}

// Batch is what one call of Next found. It may be used again.
type Batch struct {
	// Body is line protocol with times in ns; Samples counts its values.
	Body    []byte
	Samples int
	// Rows gives for each line of Body the line of its row in the file.
	Rows []int
	// Bad lists the rows that are left out.
	Bad []Bad
}

// Reader reads one file. It is not safe for concurrent use.
type Reader struct {
	options Options
	table   *table
	plan    *plan
	clock   *clock
	rows    int
}

// New reads the header and settles the columns. It doesn't close the file.
func New(file io.Reader, o Options) (*Reader, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	t, header, err := newTable(file, o.Delimiter)
	if err != nil {
		return nil, err
	}
	p, err := newPlan(header, o)
	if err != nil {
		return nil, err
	}
	c, err := newClock(o.TimeFormat, o.Zone)
	if err != nil {
		return nil, err
	}
	return &Reader{options: o, table: t, plan: p, clock: c}, nil
}

// TimeColumn and ValueColumns say what the header was found to mean.
func (r *Reader) TimeColumn() string { return r.plan.header[r.plan.time] }

// ValueColumns lists the columns whose cells become samples.
func (r *Reader) ValueColumns() []string {
	var names []string
	for _, g := range r.plan.groups {
		for _, c := range g.columns {
			names = append(names, r.plan.header[c.index])
		}
	}
	return names
}

// Rows counts the rows read so far, bad ones included.
func (r *Reader) Rows() int { return r.rows }

// Next fills b with the rows that follow. It gives io.EOF, with an empty
// batch, after the last; any other error is the file's, and final.
func (r *Reader) Next(b *Batch) error {
	b.Body, b.Rows, b.Bad, b.Samples = b.Body[:0], b.Rows[:0], b.Bad[:0], 0
	for len(b.Rows)+len(b.Bad) < r.options.BatchLines && len(b.Body) < r.options.BatchBytes {
		cells, line, err := r.table.next()
		var bad *rowError
		switch {
		case errors.Is(err, io.EOF):
			if len(b.Rows)+len(b.Bad) == 0 {
				return io.EOF
			}
			return nil
		case asRowError(err, &bad):
			r.rows++
			b.Bad = append(b.Bad, Bad{bad.line, bad.reason})
			continue
		case err != nil:
			return fmt.Errorf("read line %d: %w", line, err)
		}
		r.rows++
		before, lines := len(b.Body), len(b.Rows)
		if err := r.row(b, cells, line); err != nil {
			b.Body, b.Rows = b.Body[:before], b.Rows[:lines]
			b.Bad = append(b.Bad, Bad{line, err.Error()})
		}
	}
	return nil
}

// row appends the lines of one row, all or an error.
func (r *Reader) row(b *Batch, cells [][]byte, line int) error {
	p := r.plan
	if len(cells) != len(p.header) {
		return fmt.Errorf("has %d cells; the header has %d", len(cells), len(p.header))
	}
	at, err := r.clock.parse(string(cells[p.time]))
	if err != nil {
		return fmt.Errorf("column %q: %w", p.header[p.time], err)
	}
	if p.tags, err = p.appendTags(p.tags[:0], cells); err != nil {
		return err
	}
	samples := 0
	for i := range p.groups {
		n, err := p.groups[i].append(b, p, cells, at, line)
		if err != nil {
			return err
		}
		samples += n
	}
	b.Samples += samples
	return nil
}
