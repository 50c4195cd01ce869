package lineprotocol

import (
	"encoding/binary"
	"math"
	"strconv"

	"weir/internal/gateway/intake"
	"weir/internal/sample"
)

// pow10 holds the powers of ten that short numbers need. All are exact.
var pow10 = [shortDigits + 1]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// exactDigits is how many digits of any value a uint64 holds.
const exactDigits = 19

// readNumber reads a float (1, -1.5, .5, 1e3), an int64 (1i) or an unsigned
// integer that an int64 holds (1u), and gives where it ends. It says false for
// what is none, or past its kind.
func (p *parser) readNumber(pos int, v *value) (int, bool) {
	body, start := p.body, pos
	if body[pos] == '-' {
		pos++
	}
	var m uint64
	first := pos
	for pos < len(body) && body[pos]-'0' <= 9 {
		m = m*10 + uint64(body[pos]-'0')
		pos++
	}
	digits := pos - first
	if digits > 0 && pos < len(body) && (body[pos] == 'i' || body[pos] == 'u') {
		return readInt(body[start:pos+1], pos+1, m, v)
	}
	if pos < len(body) && body[pos] == '.' {
		pos++
		dot := pos
		for pos < len(body) && body[pos]-'0' <= 9 {
			pos++
		}
		digits += pos - dot
	}
	if digits == 0 {
		return pos, false
	}
	if pos < len(body) && body[pos]|0x20 == 'e' {
		end, ok := skipExponent(body, pos)
		if !ok {
			return pos, false
		}
		pos = end
	}
	f, err := strconv.ParseFloat(string(body[start:pos]), 64)
	v.value = sample.FloatValue(f)
	return pos, err == nil
}

// shortDigits is how many digits of any value a float64 holds exactly.
const shortDigits = 15

// readShort reads the number that a field most often is: up to 15 digits, with
// a decimal point, an i or neither, and another field or the time after it. It
// gives where that ends, and there is a comma or a space there, or 0 where
// readValue has to look.
func readShort(body []byte, pos int) (kind sample.Kind, bits uint64, end int) {
	negative := pos < len(body) && body[pos] == '-'
	if negative {
		pos++
	}
	var m int64
	first := pos
	for pos < len(body) && body[pos]-'0' <= 9 {
		m = m*10 + int64(body[pos]-'0')
		pos++
	}
	digits := pos - first
	if digits == 0 || len(body)-pos < 2 {
		return 0, 0, 0
	}
	if body[pos] == 'i' {
		if pos++; digits > shortDigits || body[pos] != ',' && body[pos] != ' ' {
			return 0, 0, 0
		}
		if negative {
			m = -m
		}
		return sample.Int64, uint64(m), pos
	}
	fraction := 0
	if body[pos] == '.' {
		pos++
		for pos < len(body) && body[pos]-'0' <= 9 {
			m = m*10 + int64(body[pos]-'0')
			pos++
			fraction++
		}
	}
	if digits+fraction > shortDigits || pos == len(body) || body[pos] != ',' && body[pos] != ' ' {
		return 0, 0, 0
	}
	// Two exact float64s: their quotient is rounded once, as strconv's is
	// (Clinger, How to read floating point numbers accurately, 1990).
	f := float64(m) / pow10[fraction]
	if negative {
		f = -f
	}
	return sample.Float64, math.Float64bits(f), pos
}

// readInt finishes an integer: token with its suffix, of absolute value m
// where its digits fit a uint64.
func readInt(token []byte, end int, m uint64, v *value) (int, bool) {
	negative, unsigned := token[0] == '-', token[len(token)-1] == 'u'
	digits := token[:len(token)-1]
	if unsigned && negative {
		return end, false
	}
	if len(digits) <= exactDigits && m <= math.MaxInt64 {
		i := int64(m)
		if negative {
			i = -i
		}
		v.value = sample.IntValue(i)
		return end, true
	}
	i, err := strconv.ParseInt(string(digits), 10, 64)
	v.value = sample.IntValue(i)
	return end, err == nil
}

// skipExponent gives the end of the exponent that begins at pos with its e.
func skipExponent(body []byte, pos int) (int, bool) {
	pos++
	if pos < len(body) && (body[pos] == '+' || body[pos] == '-') {
		pos++
	}
	first := pos
	for pos < len(body) && body[pos]-'0' <= 9 {
		pos++
	}
	return pos, pos > first
}

// isFloat says whether the token has the form of a float, whatever its size.
func isFloat(token []byte) bool {
	pos, digits := 0, 0
	if len(token) > 0 && token[0] == '-' {
		pos++
	}
	for dots := 0; pos < len(token); pos++ {
		switch {
		case token[pos]-'0' <= 9:
			digits++
			continue
		case token[pos] == '.' && dots == 0:
			dots++
			continue
		}
		break
	}
	if digits > 0 && pos < len(token) && token[pos]|0x20 == 'e' {
		end, ok := skipExponent(token, pos)
		return ok && end == len(token)
	}
	return digits > 0 && pos == len(token)
}

func allDigits(b []byte) bool {
	for _, c := range b {
		if c-'0' > 9 {
			return false
		}
	}
	return len(b) > 0
}

// readTime reads what follows the fields: spaces, a time or none, and the
// line's end. It gives where that is.
func (p *parser) readTime(pos int) (int, error) {
	body := p.body
	for pos < len(body) && body[pos] == ' ' {
		pos++
	}
	if end, ok := p.lineEnd(pos); ok {
		p.time = p.now
		return end, nil
	}
	start := pos
	t, pos, ok := parseInt(body, pos)
	token := body[start:pos]
	for pos < len(body) && body[pos] == ' ' {
		pos++
	}
	end, ends := p.lineEnd(pos)
	switch {
	case !ends && (pos == start || body[pos-1] != ' '):
		return pos, p.fail(start, "the time %s is no whole number; write it in %s since 1970", intake.Quote(p.token(start)), p.precision)
	case !ends:
		return pos, p.fail(pos, "after the time comes %s; end the line there, or write a backslash before a space within a name", intake.Quote(p.token(pos)))
	case !ok && !allDigits(token[min(1, len(token)):]):
		return pos, p.fail(start, "the time %s is no whole number; write it in %s since 1970", intake.Quote(token), p.precision)
	}
	scaled, fits := p.precision.scale(t)
	if !ok || !fits {
		return pos, p.fail(start, "the time %s in %s lies outside the years 1677 to 2262; is the precision right?", intake.Quote(token), p.precision)
	}
	p.time = scaled
	return end, nil
}

// parseInt reads an int64 at pos and gives where its digits end; ok is false
// where there is none, or one past an int64.
func parseInt(b []byte, pos int) (i int64, end int, ok bool) {
	start := pos
	negative := pos < len(b) && b[pos] == '-'
	if negative {
		pos++
	}
	first := pos
	var m uint64
	for pos-first <= exactDigits-8-1 && len(b)-pos >= 8 {
		eight, digits := parseEight(binary.LittleEndian.Uint64(b[pos:]))
		if !digits {
			break
		}
		m = m*1e8 + eight
		pos += 8
	}
	for pos < len(b) && b[pos]-'0' <= 9 {
		m = m*10 + uint64(b[pos]-'0')
		pos++
	}
	switch {
	case pos == first:
		return 0, pos, false
	case pos-first > exactDigits || m > math.MaxInt64:
		i, err := strconv.ParseInt(string(b[start:pos]), 10, 64)
		return i, pos, err == nil
	case negative:
		return -int64(m), pos, true
	}
	return int64(m), pos, true
}

// parseEight reads eight digits at once, the first in the lowest byte, and
// says whether all are digits (Lemire, Quickly parsing eight digits, 2018).
func parseEight(chunk uint64) (uint64, bool) {
	const high, zeros, sixes = 0xF0F0F0F0F0F0F0F0, 0x3030303030303030, 0x0606060606060606
	if chunk&high != zeros || (chunk+sixes)&high != zeros {
		return 0, false
	}
	chunk = (chunk & 0x0F0F0F0F0F0F0F0F) * 2561 >> 8
	chunk = (chunk & 0x00FF00FF00FF00FF) * 6553601 >> 16
	return (chunk & 0x0000FFFF0000FFFF) * 42949672960001 >> 32, true
}
