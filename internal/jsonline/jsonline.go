// Package jsonline owns how the HTTP API writes series and values as JSON lines.
//
// It imports sample alone.
package jsonline

import (
	"math"
	"strconv"
	"unicode/utf8"

	"weir/internal/sample"
)

// AppendSeries appends "metric":…,"tags":{…},"kind":… .
func AppendSeries(dst []byte, series sample.Series, kind sample.Kind) []byte {
	dst = append(dst, `"metric":`...)
	dst = AppendText(dst, series.Metric)
	dst = append(dst, `,"tags":`...)
	dst = AppendTags(dst, series.Tags)
	dst = append(dst, `,"kind":"`...)
	dst = append(dst, kind.String()...)
	return append(dst, '"')
}

// AppendTags appends tags as an object, in their order.
func AppendTags(dst []byte, tags []sample.Tag) []byte {
	dst = append(dst, '{')
	for i, t := range tags {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendText(dst, t.Name)
		dst = append(dst, ':')
		dst = AppendText(dst, t.Value)
	}
	return append(dst, '}')
}

// AppendValue appends a value: integers exact, floats in the shortest form that
// reads back equal, NaN and infinities as strings, for which JSON has no
// numbers.
func AppendValue(dst []byte, v sample.Value) []byte {
	switch v.Kind {
	case sample.Float64:
		f := v.Float()
		if math.IsNaN(f) || math.IsInf(f, 0) {
			dst = append(dst, '"')
			dst = strconv.AppendFloat(dst, f, 'g', -1, 64)
			return append(dst, '"')
		}
		return appendFloat(dst, f)
	case sample.String:
		return AppendText(dst, v.Text)
	}
	return AppendPlain(dst, v)
}

// AppendPlain appends a value as it is, without JSON's quotes.
func AppendPlain(dst []byte, v sample.Value) []byte {
	switch v.Kind {
	case sample.Float64:
		return appendFloat(dst, v.Float())
	case sample.Int64:
		return strconv.AppendInt(dst, v.Int(), 10)
	case sample.Bool:
		return strconv.AppendBool(dst, v.Bool())
	}
	return append(dst, v.Text...)
}

// appendFloat appends the shortest form that reads back equal, with an
// exponent where encoding/json has one: below 1e-6 and from 1e21 on.
func appendFloat(dst []byte, f float64) []byte {
	size := math.Abs(f)
	if f == math.Trunc(f) && size < 1<<53 && (f != 0 || !math.Signbit(f)) {
		return strconv.AppendInt(dst, int64(f), 10)
	}
	if size != 0 && (size < 1e-6 || size >= 1e21) {
		dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
		// Two digits of exponent, as in e-07, are one too many.
		if n := len(dst); dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
			dst[n-2] = dst[n-1]
			dst = dst[:n-1]
		}
		return dst
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

// AppendText appends a text as a JSON string. What is not valid UTF-8 becomes
// U+FFFD.
func AppendText(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	done := 0
	for i := 0; i < len(s); {
		if b := s[i]; b < utf8.RuneSelf {
			i++
			if b >= ' ' && b != '"' && b != '\\' {
				continue
			}
			dst = append(dst, s[done:i-1]...)
			done = i
			switch b {
			case '"', '\\':
				dst = append(dst, '\\', b)
			case '\n':
				dst = append(dst, `\n`...)
			case '\t':
				dst = append(dst, `\t`...)
			default:
				dst = append(dst, `\u00`...)
				dst = append(dst, digits[b>>4], digits[b&15])
			}
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, s[done:i]...)
			dst = append(dst, "\ufffd"...)
			done = i + 1
		}
		i += size
	}
	dst = append(dst, s[done:]...)
	return append(dst, '"')
}
