// Package sample owns the words of a measurement: sample, value, quality,
// series and its identity, ISO week.
//
// It refuses anything that knows of storage, transport or configuration, and
// imports no other package of Weir.
package sample

import (
	"fmt"
	"math"
	"strconv"
)

// Kind is the type of a series' values. A series keeps one kind for life.
type Kind uint8

// The kinds. Their numbers are part of the formats on disk.
const (
	Float64 Kind = 1
	Int64   Kind = 2
	Bool    Kind = 3
	String  Kind = 4
)

// Valid says whether k is one of the kinds.
func (k Kind) Valid() bool { return k >= Float64 && k <= String }

// String gives the kind's name as the JSON API spells it.
func (k Kind) String() string {
	switch k {
	case Float64:
		return "float64"
	case Int64:
		return "int64"
	case Bool:
		return "bool"
	case String:
		return "string"
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// ParseKind is the inverse of Kind.String.
func ParseKind(name string) (Kind, error) {
	for k := Float64; k <= String; k++ {
		if k.String() == name {
			return k, nil
		}
	}
	return 0, fmt.Errorf("unknown kind %q: use float64, int64, bool or string", name)
}

// Quality is an OPC UA StatusCode (OPC UA part 4, 7.39). Zero is Good.
type Quality uint32

// Good is the quality of a sample that nothing is wrong with.
const Good Quality = 0

// Value is one value of any kind, bit by bit: a NaN keeps its payload and a
// zero its sign. Bits holds the IEEE 754 bits of a float64, the two's
// complement of an int64, 0 or 1 for a bool, and nothing for a string.
type Value struct {
	Kind Kind
	Bits uint64
	Text string
}

// FloatValue makes a float64 value.
func FloatValue(f float64) Value { return Value{Kind: Float64, Bits: math.Float64bits(f)} }

// IntValue makes an int64 value.
func IntValue(i int64) Value { return Value{Kind: Int64, Bits: uint64(i)} }

// StringValue makes a string value.
func StringValue(s string) Value { return Value{Kind: String, Text: s} }

// BoolValue makes a bool value.
func BoolValue(b bool) Value {
	if b {
		return Value{Kind: Bool, Bits: 1}
	}
	return Value{Kind: Bool}
}

// Float gives a float64 value's number. The kind is the caller's to check.
func (v Value) Float() float64 { return math.Float64frombits(v.Bits) }

// Int gives an int64 value's number. The kind is the caller's to check.
func (v Value) Int() int64 { return int64(v.Bits) }

// Bool gives a bool value's truth. The kind is the caller's to check.
func (v Value) Bool() bool { return v.Bits != 0 }

// As converts v for a series of kind k. The one conversion there is takes an
// int64 into a float64 series, and only where the float64 says exactly the
// same number; everything else is an error that names both kinds.
func (v Value) As(k Kind) (Value, error) {
	if v.Kind == k {
		return v, nil
	}
	if v.Kind == Int64 && k == Float64 {
		bits, exact := IntAsFloat(v.Bits)
		if exact {
			return Value{Kind: Float64, Bits: bits}, nil
		}
		return Value{}, fmt.Errorf("int64 %d has no exact float64, and the series holds float64", v.Int())
	}
	return Value{}, fmt.Errorf("value is %s, but the series holds %s", v.Kind, k)
}

// IntAsFloat turns the bits of an int64 into those of the float64 of the same
// number, and says whether there is one.
func IntAsFloat(bits uint64) (uint64, bool) {
	i := int64(bits)
	f := float64(i)
	// 2^63 is a float64 but no int64: converting it back is not defined.
	exact := f < 1<<63 && int64(f) == i
	return math.Float64bits(f), exact
}

// Sample is one measurement of a series. Time is in ns since 1970 UTC.
type Sample struct {
	Time    int64
	Value   Value
	Quality Quality
}
