package jsonl

import (
	"bytes"

	"weir/internal/gateway/intake"
)

// class is what a JSON value is.
type class uint8

const (
	absent class = iota
	null
	boolean
	number
	text
	array
	object
)

// String names the class in an error.
func (c class) String() string {
	switch c {
	case null:
		return "null"
	case boolean:
		return "a boolean"
	case number:
		return "a number"
	case text:
		return "a string"
	case array:
		return "an array"
	case object:
		return "an object"
	}
	return "absent"
}

// token is one value: a string without its escapes, a number or a word as it
// is written. Of an array or an object only the class is kept.
type token struct {
	class class
	at    int
	text  []byte
}

// maxDepth bounds how deep values nest; a sample needs three.
const maxDepth = 16

// here gives the byte that is next, 0 at the end of the body.
func (p *parser) here() byte {
	if p.pos < len(p.body) {
		return p.body[p.pos]
	}
	return 0
}

// space passes over white space.
func (p *parser) space() {
	for p.pos < len(p.body) {
		switch p.body[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// word gives what is next, for an error.
func (p *parser) word() string {
	if p.pos >= len(p.body) {
		return "the end of the body"
	}
	const breaks = " \t\r\n,:{}[]\""
	rest := p.body[p.pos:]
	if bytes.IndexByte([]byte(breaks), rest[0]) >= 0 {
		rest = rest[:1]
	}
	if end := bytes.IndexAny(rest[1:], breaks); end >= 0 {
		rest = rest[:end+1]
	}
	return intake.Quote(rest)
}

// readKey reads the next key of the object that is open and the colon after
// it. more is false at the object's end.
func (p *parser) readKey(first bool) (key []byte, at int, more bool, f *fault) {
	p.space()
	if p.here() == '}' {
		p.pos++
		return nil, 0, false, nil
	}
	if !first {
		if p.here() != ',' {
			return nil, 0, false, p.syntax(p.pos, "expected a comma or the object's end, but found %s", p.word())
		}
		p.pos++
		p.space()
	}
	at = p.pos
	if p.here() != '"' {
		return nil, 0, false, p.syntax(p.pos, "expected a key in double quotes, but found %s", p.word())
	}
	if key, f = p.readString(); f != nil {
		return nil, 0, false, f
	}
	p.space()
	if p.here() != ':' {
		return nil, 0, false, p.syntax(p.pos, "expected a colon after key %s, but found %s", intake.Quote(key), p.word())
	}
	p.pos++
	p.space()
	return key, at, true, nil
}

// readValue reads any value; depth is how deep it lies.
func (p *parser) readValue(depth int) (token, *fault) {
	t := token{at: p.pos}
	if depth > maxDepth {
		return t, p.syntax(p.pos, "values nest deeper than %d; a sample needs three", maxDepth)
	}
	var f *fault
	switch c := p.here(); {
	case c == '"':
		t.class = text
		t.text, f = p.readString()
	case c == '-' || c-'0' <= 9:
		t.class = number
		t.text, f = p.readNumber()
	case c == '{':
		t.class = object
		f = p.skipObject(depth)
	case c == '[':
		t.class = array
		f = p.skipArray(depth)
	default:
		f = p.readWord(&t)
	}
	return t, f
}

// readWord reads true, false or null.
func (p *parser) readWord(t *token) *fault {
	rest := p.body[p.pos:]
	for _, w := range []struct {
		word  string
		class class
	}{{"true", boolean}, {"false", boolean}, {"null", null}} {
		if len(rest) >= len(w.word) && string(rest[:len(w.word)]) == w.word {
			t.class, t.text = w.class, rest[:len(w.word)]
			p.pos += len(w.word)
			return nil
		}
	}
	if len(rest) > 0 && (rest[0]|0x20 == 'n' || rest[0]|0x20 == 'i') {
		return p.syntax(p.pos, `expected a value, but found %s; JSON has no such number: write "NaN", "+Inf" or "-Inf" with "kind":"float64"`, p.word())
	}
	return p.syntax(p.pos, "expected a value, but found %s", p.word())
}

func (p *parser) skipObject(depth int) *fault {
	p.pos++
	for first := true; ; first = false {
		_, _, more, f := p.readKey(first)
		if f != nil || !more {
			return f
		}
		if _, f := p.readValue(depth + 1); f != nil {
			return f
		}
	}
}

func (p *parser) skipArray(depth int) *fault {
	p.pos++
	for first := true; ; first = false {
		p.space()
		if first && p.here() == ']' {
			p.pos++
			return nil
		}
		if _, f := p.readValue(depth + 1); f != nil {
			return f
		}
		p.space()
		switch p.here() {
		case ',':
			p.pos++
		case ']':
			p.pos++
			return nil
		default:
			return p.syntax(p.pos, "expected a comma or the array's end, but found %s", p.word())
		}
	}
}

// readNumber reads a number as RFC 8259 has it.
func (p *parser) readNumber() ([]byte, *fault) {
	start := p.pos
	if p.here() == '-' {
		p.pos++
	}
	whole := p.pos
	if !p.digits() {
		return nil, p.syntax(start, "%s is no number in JSON", p.token(start))
	}
	if p.body[whole] == '0' && p.pos > whole+1 {
		return nil, p.syntax(start, "%s is no number in JSON; leave the zeros before it out", p.token(start))
	}
	if p.here() == '.' {
		p.pos++
		if !p.digits() {
			return nil, p.syntax(start, "%s is no number in JSON; a digit must follow the point", p.token(start))
		}
	}
	if p.here()|0x20 == 'e' {
		p.pos++
		if p.here() == '+' || p.here() == '-' {
			p.pos++
		}
		if !p.digits() {
			return nil, p.syntax(start, "%s is no number in JSON; a digit must follow the e", p.token(start))
		}
	}
	return p.body[start:p.pos], nil
}

// token gives the word that begins at a position, for an error.
func (p *parser) token(at int) string {
	p.pos = at
	return p.word()
}

// digits passes over digits and says whether there are any.
func (p *parser) digits() bool {
	start := p.pos
	for p.pos < len(p.body) && p.body[p.pos]-'0' <= 9 {
		p.pos++
	}
	return p.pos > start
}
