package ingest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"weir/internal/sample"
)

// plan is what the header's columns mean, with all that can be written ahead.
type plan struct {
	header     []string
	time       int
	tagColumns []tagColumn
	groups     []group

	measurement []byte // with the tags of every sample
	tags        []byte // those of the row at hand
}

type tagColumn struct {
	index int
	name  string
	key   []byte // ",name="
}

// group is the value columns of one unit: they share a line.
type group struct {
	unit    []byte // ",unit=kWh"
	columns []valueColumn
}

type valueColumn struct {
	index int
	name  string
	key   []byte // "name="
	kind  sample.Kind
}

func newPlan(header []string, o Options) (*plan, error) {
	p := &plan{header: header}
	seen := map[string]int{}
	for i, name := range header {
		if before, ok := seen[name]; ok && name != "" {
			return nil, fmt.Errorf("header: columns %d and %d are both called %q", before+1, i+1, name)
		}
		seen[name] = i
	}
	var err error
	if p.time, err = p.timeColumn(o.Time); err != nil {
		return nil, err
	}
	p.measurement = appendEscaped(nil, o.Metric, ", ")
	for _, t := range o.Tags {
		p.measurement = appendTag(p.measurement, t.Name, t.Value)
	}
	for _, name := range o.TagColumns {
		if err := p.addTagColumn(name, o); err != nil {
			return nil, err
		}
	}
	columns, err := p.valueColumns(o)
	if err != nil {
		return nil, err
	}
	for _, name := range columns {
		if err := p.addValueColumn(name, o); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// find gives the index of a column, or an error that lists the columns.
func (p *plan) find(name, role string) (int, error) {
	if i := slices.Index(p.header, name); i >= 0 && name != "" {
		return i, nil
	}
	return 0, fmt.Errorf("the file has no column %q for %s; its columns are %s", name, role, p.names())
}

func (p *plan) names() string {
	names := p.header
	rest := ""
	if len(names) > 20 {
		names, rest = names[:20], fmt.Sprintf(" and %d more", len(p.header)-20)
	}
	return strings.Join(names, ", ") + rest
}

func (p *plan) timeColumn(name string) (int, error) {
	if name != "" {
		return p.find(name, "the time")
	}
	for _, usual := range []string{"time", "timestamp", "datetime", "date_time", "date", "ts", "_time"} {
		if i := slices.IndexFunc(p.header, func(h string) bool { return strings.EqualFold(h, usual) }); i >= 0 {
			return i, nil
		}
	}
	return 0, fmt.Errorf("no column is called time, timestamp or date: name the time column with --time; the columns are %s", p.names())
}

func (p *plan) addTagColumn(name string, o Options) error {
	i, err := p.find(name, "a tag")
	switch {
	case err != nil:
		return err
	case i == p.time:
		return fmt.Errorf("column %q can't be the time and a tag", name)
	case writable(name) != nil:
		return fmt.Errorf("column %q can't be a tag: its name %w", name, writable(name))
	case slices.ContainsFunc(p.tagColumns, func(c tagColumn) bool { return c.index == i }):
		return fmt.Errorf("column %q is named twice among the tags", name)
	case slices.ContainsFunc(o.Tags, func(t sample.Tag) bool { return t.Name == name }):
		return fmt.Errorf("tag %q is given for all rows and by a column", name)
	case name == unitTag && len(o.Units) > 0:
		return fmt.Errorf("tag %q is given by a column and by units: give one of them", name)
	}
	p.tagColumns = append(p.tagColumns, tagColumn{i, name, append(appendEscaped([]byte{','}, name, ",= "), '=')})
	return nil
}

// valueColumns gives the names of the value columns, and checks those that
// units and kinds are given for.
func (p *plan) valueColumns(o Options) ([]string, error) {
	columns := o.Columns
	if len(columns) == 0 {
		for i, name := range p.header {
			if i != p.time && name != "" && !slices.Contains(o.TagColumns, name) {
				columns = append(columns, name)
			}
		}
	}
	if len(columns) == 0 {
		return nil, fmt.Errorf("no column is left for values; the columns are %s", p.names())
	}
	for _, named := range [][]string{sortedKeys(o.Units), sortedKeys(o.Kinds)} {
		for _, name := range named {
			if !slices.Contains(columns, name) {
				return nil, fmt.Errorf("a unit or kind is given for %q, which is no value column; those are %s", name, strings.Join(columns, ", "))
			}
		}
	}
	return columns, nil
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (p *plan) addValueColumn(name string, o Options) error {
	i, err := p.find(name, "values")
	switch {
	case err != nil:
		return err
	case i == p.time || slices.ContainsFunc(p.tagColumns, func(c tagColumn) bool { return c.index == i }):
		return fmt.Errorf("column %q can't be a value and the time or a tag", name)
	case writable(name) != nil:
		return fmt.Errorf("column %q can't be a value: its name %w", name, writable(name))
	}
	kind, ok := o.Kinds[name]
	if !ok {
		kind = sample.Float64
	}
	var unit []byte
	if u := o.Units[name]; u != "" {
		unit = appendTag(nil, unitTag, u)
	}
	g := slices.IndexFunc(p.groups, func(g group) bool { return bytes.Equal(g.unit, unit) })
	if g < 0 {
		g = len(p.groups)
		p.groups = append(p.groups, group{unit: unit})
	}
	columns := &p.groups[g].columns
	if slices.ContainsFunc(*columns, func(c valueColumn) bool { return c.index == i }) {
		return fmt.Errorf("column %q is named twice among the values", name)
	}
	*columns = append(*columns, valueColumn{i, name, append(appendEscaped(nil, name, ",= "), '='), kind})
	return nil
}

// writable says what keeps a text from being a name or tag of line protocol.
func writable(text string) error {
	switch {
	case strings.ContainsAny(text, "\n\r"):
		return fmt.Errorf("holds a line break, which line protocol can't carry in names and tags")
	case strings.HasSuffix(text, `\`):
		return fmt.Errorf("ends in a backslash, which line protocol can't carry in names and tags")
	case !utf8.ValidString(text):
		return fmt.Errorf("is not valid UTF-8")
	case strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return fmt.Errorf("holds a control character, which line protocol can't carry in names and tags")
	}
	return nil
}

func appendTag(dst []byte, name, value string) []byte {
	dst = appendEscaped(append(dst, ','), name, ",= ")
	return appendEscaped(append(dst, '='), value, ",= ")
}

func appendEscaped[T string | []byte](dst []byte, text T, special string) []byte {
	for i := range len(text) {
		if strings.IndexByte(special, text[i]) >= 0 {
			dst = append(dst, '\\')
		}
		dst = append(dst, text[i])
	}
	return dst
}
