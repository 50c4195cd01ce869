// Package export owns the files that results are given away as: CSV, JSON lines
// and Parquet, each with a manifest beside it.
//
// It refuses to know who asks for them. It imports jsonline, objects, result and
// sample. The forms are docs/formats/export.md.
package export

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/internal/jsonline"
	"weir/internal/result"
	"weir/internal/sample"
)

// ErrFormat means that there is no such format, or that it can't hold the rows.
var ErrFormat = errors.New("no such format")

// Format is how rows become bytes.
type Format string

// The formats.
const (
	CSV     Format = "csv"     // RFC 4180, with a header; null is empty
	JSONL   Format = "jsonl"   // an object a line
	Parquet Format = "parquet" // as results are
)

// Formats lists the formats.
func Formats() []Format { return []Format{CSV, JSONL, Parquet} }

// ParseFormat gives the format of a name.
func ParseFormat(name string) (Format, error) {
	if slices.Contains(Formats(), Format(name)) {
		return Format(name), nil
	}
	var names []string
	for _, f := range Formats() {
		names = append(names, string(f))
	}
	return "", fmt.Errorf("%w: %q; there are %s", ErrFormat, name, strings.Join(names, ", "))
}

// encoder writes rows as text. Values are nil, bool, int64, uint64, float64,
// string, time.Time, json.Number or json.RawMessage.
type encoder interface {
	row(values []any) error
	close() error
}

func newEncoder(f Format, to io.Writer, columns []string) (encoder, error) {
	switch f {
	case CSV:
		e := &csvEncoder{to: csv.NewWriter(to), cells: make([]string, len(columns))}
		return e, e.to.Write(columns)
	case JSONL:
		e := &jsonEncoder{to: to}
		for _, name := range columns {
			e.names = append(e.names, append(jsonline.AppendText(nil, name), ':'))
		}
		return e, nil
	}
	return nil, fmt.Errorf("%w: %s is no text", ErrFormat, f)
}

// csvEncoder writes a line a row.
type csvEncoder struct {
	to    *csv.Writer
	cells []string
}

func (e *csvEncoder) row(values []any) error {
	for i, v := range values {
		e.cells[i] = cell(v)
	}
	return e.to.Write(e.cells)
}

func (e *csvEncoder) close() error {
	e.to.Flush()
	return e.to.Error()
}

// cell gives a value as it stands in a CSV file.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case uint64:
		return strconv.FormatUint(v, 10)
	case float64:
		return string(jsonline.AppendPlain(nil, sample.FloatValue(v)))
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprintf("%s", v)
}

// jsonEncoder writes an object a row.
type jsonEncoder struct {
	to    io.Writer
	names [][]byte
	line  []byte
}

func (e *jsonEncoder) row(values []any) error {
	line := append(e.line[:0], '{')
	for i, v := range values {
		if i > 0 {
			line = append(line, ',')
		}
		line = append(line, e.names[i]...)
		switch v := v.(type) {
		case nil:
			line = append(line, "null"...)
		case float64:
			line = jsonline.AppendValue(line, sample.FloatValue(v))
		case string:
			line = jsonline.AppendText(line, v)
		case json.RawMessage:
			var one bytes.Buffer
			if err := json.Compact(&one, v); err != nil {
				return fmt.Errorf("column %s: %w", e.names[i], err)
			}
			line = append(line, one.Bytes()...)
		case time.Time:
			line = jsonline.AppendText(line, cell(v))
		default:
			line = append(line, cell(v)...)
		}
	}
	e.line = append(line, '}', '\n')
	_, err := e.to.Write(e.line)
	return err
}

func (e *jsonEncoder) close() error { return nil }

// appendRow appends the values of a row of a result.
func appendRow(to []any, r *result.Rows, row int) []any {
	for i := range r.Columns {
		c := &r.Columns[i]
		switch {
		case c.Null != nil && c.Null[row]:
			to = append(to, nil)
		case c.Type == result.Text:
			to = append(to, c.Texts[c.Index[row]])
		case c.Type == result.Float:
			to = append(to, c.Floats[row])
		case c.Type == result.Bool:
			to = append(to, c.Ints[row] != 0)
		case c.Type == result.Time:
			to = append(to, time.Unix(0, c.Ints[row]).UTC())
		default:
			to = append(to, c.Ints[row])
		}
	}
	return to
}
