package warehouse

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"

	"weir/internal/result"
	"weir/internal/sample"
)

// The tables that are always there.
const (
	TableLoads   = "loads"
	TableSeries  = "series"
	TableSamples = "samples"
	TableRollup  = "rollup"
	TableVersion = "weir_version"
)

// Columns that a load adds to the manifest's own.
const (
	ColumnPipeline = "pipeline"
	ColumnRevision = "revision"
	ColumnStep     = "step"
	ColumnLoad     = "load"
)

// History is samples of a week, as a step of a pipeline read them at its cut, in
// Parquet files with these columns, of which those with a '?' may be missing:
//
//	series      32 hex digits, or the 16 bytes
//	time        ns UTC
//	value?      float64
//	int_value?  int64
//	bool_value? bool
//	text_value? text
//	quality?    integer; none is Good
//	version     integer; of samples of one series and time the highest counts,
//	position    integer; then the highest of these
type History struct {
	Pipeline string
	Step     string
	Week     sample.Week
	Revision int    // of the run
	Cut      string // token of what was read
	Files    []result.File
	Rows     uint64 // of all files
}

// Validate says what is wrong with a history.
func (h *History) Validate() error {
	if h.Pipeline == "" || h.Step == "" {
		return fmt.Errorf("%w: no pipeline or step is named", ErrCorrupt)
	}
	if h.Revision < 0 {
		return fmt.Errorf("%w: revision %d", ErrCorrupt, h.Revision)
	}
	if start, end := h.Week.Start(), h.Week.End(); start == math.MinInt64 || end == math.MaxInt64 {
		return fmt.Errorf("%w: week %s is beyond the warehouse's times", ErrSchema, h.Week)
	}
	rows := uint64(0)
	for _, f := range h.Files {
		rows += f.Rows
	}
	if rows != h.Rows {
		return fmt.Errorf("%w: the files of week %s, revision %d, have %d rows, and it says %d", ErrCorrupt, h.Week, h.Revision, rows, h.Rows)
	}
	return nil
}

// Series is a row of table series.
type Series struct {
	Series      sample.Series
	Kind        sample.Kind
	First, Last sample.Week // in which it has samples
}

// Erasure says which rows are to be gone: those of series, and in the tables that
// have times only those that touch From ≤ time < To: in tables with the columns
// window_start and window_end those whose window overlaps it.
type Erasure struct {
	Series   []sample.SeriesID
	From, To int64 // the ends of int64: all of time
	Count    bool  // nothing is removed: the rows are counted
}

// Always says whether the erasure is of all times.
func (e *Erasure) Always() bool { return e.From == math.MinInt64 && e.To == math.MaxInt64 }

// Tags writes a series' tags as the tables have them: a JSON object of strings,
// sorted by name.
func Tags(s sample.Series) string {
	tags := make(map[string]string, len(s.Tags))
	for _, t := range s.Tags {
		tags[t.Name] = t.Value
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(tags); err != nil {
		panic("warehouse: strings have no JSON: " + err.Error())
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// CheckTable says why a result can't be put into a table of its names.
func CheckTable(m *result.Manifest) error {
	switch m.Table {
	case TableLoads, TableSeries, TableSamples, TableVersion:
		return fmt.Errorf("%w: table %s is the warehouse's own: name another one", ErrSchema, m.Table)
	}
	for _, c := range m.Columns {
		switch c.Name {
		case ColumnPipeline, ColumnRevision, ColumnStep, ColumnLoad:
			return fmt.Errorf("%w: column %s is the load's own: name it otherwise", ErrSchema, c.Name)
		}
	}
	if m.Start <= -math.MaxInt64 || m.End == math.MaxInt64 {
		return fmt.Errorf("%w: window [%d, %d) is beyond the warehouse's times", ErrSchema, m.Start, m.End)
	}
	return nil
}

// RollupColumns are those of table rollup that are there from the start;
// results add quantiles.
func RollupColumns() []result.Column {
	return []result.Column{
		{Name: "series", Type: result.Text}, {Name: "metric", Type: result.Text}, {Name: "tags", Type: result.Text},
		{Name: "window_start", Type: result.Time}, {Name: "window_end", Type: result.Time},
		{Name: "count", Type: result.Int}, {Name: "min", Type: result.Float}, {Name: "max", Type: result.Float},
		{Name: "mean", Type: result.Float}, {Name: "sum", Type: result.Float}, {Name: "first", Type: result.Float},
		{Name: "last", Type: result.Float}, {Name: "stddev", Type: result.Float},
	}
}
