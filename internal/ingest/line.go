package ingest

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"weir/internal/sample"
)

// appendTags appends the row's own tags. An empty cell is no tag.
func (p *plan) appendTags(dst []byte, cells [][]byte) ([]byte, error) {
	for _, c := range p.tagColumns {
		cell := cells[c.index]
		if len(cell) == 0 {
			continue
		}
		if err := writable(string(cell)); err != nil {
			return dst, fmt.Errorf("column %q: the cell %s %w", c.name, quote(cell), err)
		}
		dst = appendEscaped(append(dst, c.key...), cell, ",= ")
	}
	return dst, nil
}

// append appends the group's line to the batch, unless all its cells are
// empty, and gives the number of its samples.
func (g *group) append(b *Batch, p *plan, cells [][]byte, at int64, line int) (int, error) {
	before, samples, lines := len(b.Body), 0, 1
	dst := append(b.Body, p.measurement...)
	dst = append(append(dst, p.tags...), g.unit...)
	for _, c := range g.columns {
		cell := cells[c.index]
		if missing(cell, c.kind) {
			continue
		}
		dst = append(dst, " ,"[min(samples, 1)])
		dst = append(dst, c.key...)
		var err error
		if dst, err = appendValue(dst, cell, c.kind); err != nil {
			return 0, fmt.Errorf("column %q: %w", c.name, err)
		}
		if c.kind == sample.String {
			lines += bytes.Count(cell, []byte{'\n'})
		}
		samples++
	}
	if samples == 0 {
		b.Body = dst[:before]
		return 0, nil
	}
	dst = strconv.AppendInt(append(dst, ' '), at, 10)
	b.Body = append(dst, '\n')
	for range lines {
		b.Rows = append(b.Rows, line)
	}
	return samples, nil
}

// missing says whether a cell holds no value: an empty one, and for numbers
// and bools also what programs write in place of nothing.
func missing(cell []byte, kind sample.Kind) bool {
	if len(cell) == 0 {
		return true
	}
	if kind == sample.String || len(cell) > 4 {
		return false
	}
	switch string(cell) {
	case "NaN", "nan", "NA", "N/A", "n/a", "null", "NULL", "None":
		return true
	}
	return false
}

func appendValue(dst, cell []byte, kind sample.Kind) ([]byte, error) {
	text := string(cell)
	switch kind {
	case sample.Int64:
		i, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return dst, fmt.Errorf("%s is no int64", quote(cell))
		}
		return append(strconv.AppendInt(dst, i, 10), 'i'), nil
	case sample.Bool:
		v, err := strconv.ParseBool(text)
		if err != nil {
			return dst, fmt.Errorf("%s is no bool: write true or false", quote(cell))
		}
		return strconv.AppendBool(dst, v), nil
	case sample.String:
		if !utf8.Valid(cell) {
			return dst, fmt.Errorf("%s is not valid UTF-8", quote(cell))
		}
		dst = appendEscapedText(append(dst, '"'), cell)
		return append(dst, '"'), nil
	}
	return appendFloat(dst, cell, text)
}

func appendEscapedText(dst, cell []byte) []byte {
	for _, c := range cell {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return dst
}

// appendFloat writes a number as the file has it, where line protocol knows
// that form, else in its shortest.
func appendFloat(dst, cell []byte, text string) ([]byte, error) {
	f, err := strconv.ParseFloat(text, 64)
	if math.IsInf(f, 0) {
		return dst, fmt.Errorf("%s is beyond the largest float64, or infinite", quote(cell))
	}
	if err != nil || math.IsNaN(f) || bytes.ContainsAny(cell, "xXpP_") {
		return dst, fmt.Errorf("%s is no number: is it a tag (--tag-columns), of another kind (--kind), or not wanted (--columns)?", quote(cell))
	}
	if plain(cell) {
		return append(dst, cell...), nil
	}
	return strconv.AppendFloat(dst, f, 'g', -1, 64), nil
}

// plain says whether a number is digits, perhaps with a sign before and one
// point between them.
func plain(cell []byte) bool {
	digits := bytes.TrimPrefix(cell, []byte("-"))
	whole, fraction, point := bytes.Cut(digits, []byte("."))
	notDigit := func(c byte) bool { return c < '0' || c > '9' }
	return len(whole) > 0 && !slices.ContainsFunc(whole, notDigit) &&
		(!point || len(fraction) > 0 && !slices.ContainsFunc(fraction, notDigit))
}

// quote shows a cell in a message, cut where it is long.
func quote(cell []byte) string {
	if len(cell) > 40 {
		return strconv.Quote(string(cell[:40])) + "…"
	}
	return strconv.Quote(string(cell))
}
