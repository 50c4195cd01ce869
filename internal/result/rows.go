package result

import (
	"fmt"
	"math"
	"slices"
)

// Rows is rows in columns, as many of each column. It is filled row by row,
// each value by the method of its column's type, and then written. It keeps its
// memory when it is reset. It is not safe for concurrent use.
type Rows struct {
	Columns []Values // of each column of the table
	n       int
}

// Values is one column. Which field has the values, its type says.
type Values struct {
	Type   Type
	Ints   []int64   // of Int and Time, and of Bool as 0 and 1
	Floats []float64 // of Float
	Texts  []string  // of Text: each text that some rows have
	Index  []int32   // of Text: each row's place in Texts
	Null   []bool    // of each row, or nil: none is
}

// NewRows makes empty rows of a table.
func NewRows(columns []Column) *Rows {
	r := &Rows{Columns: make([]Values, len(columns))}
	for i, c := range columns {
		r.Columns[i].Type = c.Type
	}
	return r
}

// Grow makes room for n more rows.
func (r *Rows) Grow(n int) {
	for i := range r.Columns {
		switch c := &r.Columns[i]; c.Type {
		case Text:
			c.Index = slices.Grow(c.Index, n)
		case Float:
			c.Floats = slices.Grow(c.Floats, n)
		default:
			c.Ints = slices.Grow(c.Ints, n)
		}
	}
}

// Len gives how many rows there are.
func (r *Rows) Len() int { return r.n }

// EndRow closes a row: each column was given one value since the last end.
func (r *Rows) EndRow() { r.n++ }

// EndRows closes n rows.
func (r *Rows) EndRows(n int) { r.n += n }

// Reset empties the rows.
func (r *Rows) Reset() {
	r.n = 0
	for i := range r.Columns {
		c := &r.Columns[i]
		clear(c.Texts) // they may be large, and others'
		*c = Values{Type: c.Type, Ints: c.Ints[:0], Floats: c.Floats[:0], Texts: c.Texts[:0], Index: c.Index[:0]}
	}
}

// Append appends rows [start, end) of others of the same columns.
func (r *Rows) Append(from *Rows, start, end int) {
	for i := range r.Columns {
		r.Columns[i].appendRows(&from.Columns[i], start, end)
	}
	r.n += end - start
}

func (v *Values) appendRows(from *Values, start, end int) {
	for row := start; row < end; row++ {
		switch {
		case from.Null != nil && from.Null[row]:
			v.None()
		case v.Type == Text:
			v.Text(from.Texts[from.Index[row]])
		case v.Type == Float:
			v.Float(from.Floats[row])
		default:
			v.Int(from.Ints[row])
		}
	}
}

// check says whether each column has a value of each row.
func (r *Rows) check(columns []Column) error {
	if len(columns) != len(r.Columns) {
		return fmt.Errorf("rows of %d columns for a table of %d", len(r.Columns), len(columns))
	}
	for i := range r.Columns {
		c := &r.Columns[i]
		n := map[Type]int{Int: len(c.Ints), Time: len(c.Ints), Bool: len(c.Ints), Float: len(c.Floats), Text: len(c.Index)}[c.Type]
		if c.Type != columns[i].Type || n != r.n || c.Null != nil && len(c.Null) != n {
			return fmt.Errorf("column %s has %d values of type %s; want %d of type %s", columns[i].Name, n, c.Type, r.n, columns[i].Type)
		}
	}
	return nil
}

// Int appends a value of a column of Int or Time.
func (v *Values) Int(x int64) {
	v.Ints = append(v.Ints, x)
	v.valid()
}

// Bool appends a value of a column of Bool.
func (v *Values) Bool(x bool) {
	if x {
		v.Int(1)
	} else {
		v.Int(0)
	}
}

// Float appends a value of a column of Float. Of NaN there is one, as for the
// libraries of Parquet.
func (v *Values) Float(x float64) {
	if x != x {
		x = math.NaN()
	}
	v.Floats = append(v.Floats, x)
	v.valid()
}

// Text appends a value of a column of Text. One that the row before has is kept
// once.
func (v *Values) Text(x string) {
	if n := len(v.Texts); n == 0 || v.Texts[n-1] != x {
		v.Texts = append(v.Texts, x)
	}
	v.Index = append(v.Index, int32(len(v.Texts)-1))
	v.valid()
}

// Repeat appends a text n times.
func (v *Values) Repeat(x string, n int) {
	v.Texts = append(v.Texts, x)
	place := int32(len(v.Texts) - 1)
	for range n {
		v.Index = append(v.Index, place)
	}
	if v.Null != nil {
		v.Null = append(v.Null, make([]bool, n)...)
	}
}

func (v *Values) valid() {
	if v.Null != nil {
		v.Null = append(v.Null, false)
	}
}

// None appends a null.
func (v *Values) None() {
	var had int
	switch v.Type {
	case Text:
		had = len(v.Index)
		if len(v.Texts) == 0 {
			v.Texts = append(v.Texts, "")
		}
		v.Index = append(v.Index, 0)
	case Float:
		had = len(v.Floats)
		v.Floats = append(v.Floats, math.NaN())
	default:
		had = len(v.Ints)
		v.Ints = append(v.Ints, 0)
	}
	if v.Null == nil {
		v.Null = make([]bool, had, had+1)
	}
	v.Null = append(v.Null, true)
}
