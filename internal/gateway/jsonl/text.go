package jsonl

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"

	"weir/internal/gateway/intake"
)

// readString reads a string, which begins with its quote. A string that ends
// but says what can't be kept is noted.
func (p *parser) readString() ([]byte, *fault) {
	open := p.pos
	start := open + 1
	var seen byte
	for i := start; i < len(p.body); i++ {
		c := p.body[i]
		seen |= c
		switch {
		case c == '"':
			p.pos = i + 1
			if seen < utf8.RuneSelf { // ASCII, as nearly always
				return p.body[start:i], nil
			}
			return p.valid(open, p.body[start:i]), nil
		case c == '\\':
			return p.readEscaped(open, i)
		case c < ' ':
			return nil, p.control(open, i)
		}
	}
	return nil, p.syntax(open, "the string that begins here has no closing quote")
}

func (p *parser) control(open, at int) *fault {
	if p.body[at] == '\n' || p.body[at] == '\r' {
		return p.syntax(open, `the string that begins here has no closing quote on its line; write a line break within a string as \n`)
	}
	return p.syntax(at, `control character %q in a string; write it as \u%04x`, p.body[at], p.body[at])
}

// valid notes text that is not UTF-8.
func (p *parser) valid(open int, b []byte) []byte {
	if !utf8.Valid(b) {
		p.note(open, "the string %s is not valid UTF-8", intake.Quote(b))
	}
	return b
}

// readEscaped reads the rest of a string that has its first escape at i.
func (p *parser) readEscaped(open, i int) ([]byte, *fault) {
	from := len(p.scratch)
	p.scratch = append(p.scratch, p.body[open+1:i]...)
	for i < len(p.body) {
		c := p.body[i]
		switch {
		case c == '"':
			p.pos = i + 1
			return p.valid(open, p.scratch[from:len(p.scratch):len(p.scratch)]), nil
		case c == '\\':
			i = p.readEscape(i)
		case c < ' ':
			return nil, p.control(open, i)
		default:
			p.scratch = append(p.scratch, c)
			i++
		}
	}
	return nil, p.syntax(open, "the string that begins here has no closing quote")
}

// readEscape reads the escape at i into scratch and gives where it ends. One
// that says nothing is noted and passed over.
func (p *parser) readEscape(i int) int {
	if i+1 >= len(p.body) {
		return i + 1
	}
	c := p.body[i+1]
	if at := bytes.IndexByte([]byte(`"\/bfnrt`), c); at >= 0 {
		p.scratch = append(p.scratch, "\"\\/\b\f\n\r\t"[at])
		return i + 2
	}
	if c != 'u' {
		p.note(i, `%s is no escape in JSON; write \\ for a backslash`, intake.Quote(p.body[i:i+2]))
		return i + 1 // what follows may be a control character, or end the body
	}
	high, ok := hex4(p.body[i+2:])
	if !ok {
		p.note(i, `\u needs four hexadecimal digits after it`)
		return i + 2
	}
	if !utf16.IsSurrogate(high) {
		p.scratch = utf8.AppendRune(p.scratch, high)
		return i + 6
	}
	rest := p.body[i+6:]
	if len(rest) >= 2 && rest[0] == '\\' && rest[1] == 'u' {
		if low, ok := hex4(rest[2:]); ok {
			if r := utf16.DecodeRune(high, low); r != utf8.RuneError {
				p.scratch = utf8.AppendRune(p.scratch, r)
				return i + 12
			}
		}
	}
	p.note(i, `%s is half of a surrogate pair, and no character`, intake.Quote(p.body[i:i+6]))
	return i + 6
}

// hex4 reads four hexadecimal digits.
func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c-'0' <= 9:
			r = r<<4 | rune(c-'0')
		case (c|0x20)-'a' <= 5:
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
