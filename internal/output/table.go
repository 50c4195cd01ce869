package output

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Column is one column of a list.
type Column struct {
	Name  string // the key in JSON and the header in CSV
	Title string // the header in a table; empty: the name in upper case
	Right bool   // align to the right in a table
	// Show writes a cell for a table; nil writes it as CSV does. It does not
	// see nil cells, which are left empty.
	Show func(cell any) string
}

// Table is a list with three renderings. A cell is nil, a string, a bool, an
// integer, a float64, a time.Time (written in RFC 3339, UTC; a zero one is as
// nil), or a list of strings.
type Table struct {
	Columns []Column
	Rows    [][]any
	// Empty is said in place of a table without rows.
	Empty string
}

// Write renders the list. JSON is an array of objects, one a line.
func (t *Table) Write(w io.Writer, f Format, at Terminal) error {
	for i, row := range t.Rows {
		if len(row) != len(t.Columns) {
			return fmt.Errorf("row %d has %d cells for %d columns", i+1, len(row), len(t.Columns))
		}
	}
	switch f {
	case FormatJSON:
		return t.writeJSON(w)
	case FormatCSV:
		return t.writeCSV(w)
	case FormatTable:
		return t.writeTable(w, at)
	}
	return fmt.Errorf("no output %q", f)
}

func (t *Table) writeJSON(w io.Writer) error {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, row := range t.Rows {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n{")
		for j, cell := range row {
			if j > 0 {
				b.WriteByte(',')
			}
			name, err := jsonOf(t.Columns[j].Name)
			if err != nil {
				return err
			}
			value, err := jsonOf(cell)
			if err != nil {
				return fmt.Errorf("column %s: %w", t.Columns[j].Name, err)
			}
			b.Write(name)
			b.WriteByte(':')
			b.Write(value)
		}
		b.WriteByte('}')
	}
	if len(t.Rows) > 0 {
		b.WriteByte('\n')
	}
	b.WriteString("]\n")
	_, err := w.Write(b.Bytes())
	return err
}

func jsonOf(cell any) ([]byte, error) {
	switch c := cell.(type) {
	case float64:
		if math.IsNaN(c) || math.IsInf(c, 0) {
			cell = strconv.FormatFloat(c, 'g', -1, 64)
		}
	case time.Time:
		if cell = any(nil); !c.IsZero() {
			cell = c.UTC().Format(time.RFC3339Nano)
		}
	case []string:
		if c == nil {
			cell = []string{}
		}
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(cell)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

func (t *Table) writeCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	fields := make([]string, len(t.Columns))
	for j, c := range t.Columns {
		fields[j] = c.Name
	}
	if err := out.Write(fields); err != nil {
		return err
	}
	for _, row := range t.Rows {
		for j, cell := range row {
			fields[j] = textOf(cell)
		}
		if err := out.Write(fields); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// textOf writes a cell as CSV has it.
func textOf(cell any) string {
	switch c := cell.(type) {
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(c, 'f', -1, 64)
	case time.Time:
		if c.IsZero() {
			return ""
		}
		return c.UTC().Format(time.RFC3339Nano)
	case []string:
		return strings.Join(c, " ")
	}
	return fmt.Sprint(cell)
}

// writeTable draws lines around the cells on a terminal only, so that other
// programs can split what they read at runs of spaces.
func (t *Table) writeTable(w io.Writer, at Terminal) error {
	if len(t.Rows) == 0 && t.Empty != "" {
		_, err := fmt.Fprintln(w, t.Empty)
		return err
	}
	out := table.NewWriter()
	out.SetStyle(tableStyle(at))
	header := make(table.Row, len(t.Columns))
	var configs []table.ColumnConfig
	for j, c := range t.Columns {
		header[j] = c.Title
		if c.Title == "" {
			header[j] = strings.ToUpper(strings.ReplaceAll(c.Name, "_", " "))
		}
		align := text.AlignLeft
		if c.Right {
			align = text.AlignRight
		}
		configs = append(configs, table.ColumnConfig{Number: j + 1, Align: align, AlignHeader: align})
	}
	out.AppendHeader(header)
	out.SetColumnConfigs(configs)
	for _, row := range t.Rows {
		shown := make(table.Row, len(row))
		for j, cell := range row {
			shown[j] = printable(t.Columns[j].show(cell))
		}
		out.AppendRow(shown)
	}
	for line := range strings.SplitSeq(out.Render(), "\n") {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

func (c *Column) show(cell any) string {
	if when, ok := cell.(time.Time); cell == nil || ok && when.IsZero() || c.Show == nil {
		return textOf(cell)
	}
	return c.Show(cell)
}

func tableStyle(at Terminal) table.Style {
	style := table.StyleRounded
	if !at.TTY {
		style = table.StyleDefault
		style.Options = table.OptionsNoBordersAndSeparators
		style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	}
	style.Format.Header = text.FormatDefault
	if at.Color {
		style.Color.Header = text.Colors{text.Bold}
	}
	return style
}

// Thousands writes an integer with commas, for Column.Show.
func Thousands(cell any) string {
	digits := fmt.Sprint(cell)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Bytes writes a number of bytes with a unit of 1024s, for Column.Show.
func Bytes(cell any) string {
	size, err := strconv.ParseFloat(fmt.Sprint(cell), 64)
	if err != nil {
		return fmt.Sprint(cell)
	}
	unit := 0
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	for math.Abs(size) >= 1024 && unit < len(units)-1 {
		size /= 1024
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%.0f B", size)
	}
	return fmt.Sprintf("%.1f %s", size, units[unit])
}
