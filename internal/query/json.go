package query

import (
	"math"
	"strconv"
	"unicode/utf8"

	"weir/internal/sample"
)

// appendSeries appends "metric":…,"tags":{…},"kind":… .
func appendSeries(dst []byte, info *SeriesInfo) []byte {
	dst = append(dst, `"metric":`...)
	dst = appendText(dst, info.Series.Metric)
	dst = append(dst, `,"tags":{`...)
	for i, t := range info.Series.Tags {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, t.Name)
		dst = append(dst, ':')
		dst = appendText(dst, t.Value)
	}
	dst = append(dst, `},"kind":"`...)
	dst = append(dst, info.Kind.String()...)
	return append(dst, '"')
}

// appendValue appends the i-th value: integers exact, floats in the shortest
// form that reads back equal, NaN and infinities as strings, for which JSON
// has no numbers.
func appendValue(dst []byte, p *Points, i int) []byte {
	switch p.Info.Kind {
	case sample.Float64:
		f := math.Float64frombits(p.Bits[i])
		if math.IsNaN(f) || math.IsInf(f, 0) {
			dst = append(dst, '"')
			dst = strconv.AppendFloat(dst, f, 'g', -1, 64)
			return append(dst, '"')
		}
		return appendFloat(dst, f)
	case sample.String:
		return appendText(dst, p.Texts[i])
	}
	return appendPlain(dst, p, i)
}

// appendPlain appends a value as it is, without JSON's quotes.
func appendPlain(dst []byte, p *Points, i int) []byte {
	switch p.Info.Kind {
	case sample.Float64:
		return appendFloat(dst, math.Float64frombits(p.Bits[i]))
	case sample.Int64:
		return strconv.AppendInt(dst, int64(p.Bits[i]), 10)
	case sample.Bool:
		return strconv.AppendBool(dst, p.Bits[i] != 0)
	}
	return append(dst, p.Texts[i]...)
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

// appendText appends a text as a JSON string. What is not valid UTF-8 becomes
// U+FFFD.
func appendText(dst []byte, s string) []byte {
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
