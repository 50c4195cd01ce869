package jsonl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"weir/internal/gateway/intake"
	"weir/internal/sample"
)

// parser reads the elements of one body: what JSON they are, and which parts
// of a sample. Positions count from the start of the body.
type parser struct {
	body []byte
	pos  int // of the next byte
	now  int64

	// The element in hand. Its texts lie in the body or in scratch.
	start    int // where it begins
	origin   int // where its columns are counted from
	elements int // that were begun
	bad      *fault
	metric   token
	tags     []tag
	tagsAt   token
	time     token
	value    token
	quality  token
	kind     token
	scratch  []byte
}

type tag struct{ name, value []byte }

// fault is an error at a position.
type fault struct {
	at  int
	err error
}

func (p *parser) open(body []byte, now int64) {
	p.body, p.pos, p.now, p.elements = body, 0, now, 0
}

// syntax makes a fault.
func (p *parser) syntax(at int, format string, args ...any) *fault {
	return &fault{at: at, err: fmt.Errorf(format, args...)}
}

// note remembers the first fault of an element whose syntax is good, so that
// reading can go on after it.
func (p *parser) note(at int, format string, args ...any) {
	if p.bad == nil {
		p.bad = p.syntax(at, format, args...)
	}
}

// tell gives a fault of the element in hand as the sender is told it.
func (p *parser) tell(f *fault) *intake.Fault {
	text := bytes.TrimSpace(p.body[p.start:max(p.pos, p.start)])
	return &intake.Fault{Column: f.at - p.origin + 1, Text: text, Err: f.err}
}

// nextObject goes on after a syntax error to the next line that begins an
// object, and adds to the reason which lines that passed over.
func (p *parser) nextObject(line int, reason error) error {
	p.pos = p.start
	last, number := line, line
	for {
		end := bytes.IndexByte(p.body[p.pos:], '\n')
		if end < 0 {
			p.pos = len(p.body)
			break
		}
		next := p.pos + end
		rest := bytes.TrimLeft(p.body[next:], " \t\r\n")
		number += bytes.Count(p.body[next:len(p.body)-len(rest)], []byte("\n"))
		if len(rest) == 0 || rest[0] == '{' {
			p.pos = next
			break
		}
		last = number
		p.pos = len(p.body) - len(rest)
	}
	if last > line {
		reason = fmt.Errorf("%w (the lines after it up to %d begin no object and went with it)", reason, last)
	}
	return reason
}

// readObject reads one element that must be an object: between lines there is
// nothing else to hold on to.
func (p *parser) readObject() *fault {
	if p.here() != '{' {
		return p.syntax(p.pos, `expected an object such as {"metric":"cpu","value":1}, but found %s; write objects one a line, or in [ ] with commas between them`, p.word())
	}
	return p.readElement()
}

// readElement reads one element. A fault means that its end can't be found;
// what is wrong with an element that has one stands in p.bad.
func (p *parser) readElement() *fault {
	p.elements++
	p.bad, p.tags, p.scratch = nil, p.tags[:0], p.scratch[:0]
	p.metric, p.tagsAt, p.time, p.value, p.quality, p.kind = token{}, token{}, token{}, token{}, token{}, token{}
	if p.here() != '{' { // in an array; elsewhere that has been seen to
		t, f := p.readValue(1)
		if f == nil {
			p.note(p.start, `this is %s; a sample is an object such as {"metric":"cpu","value":1}`, t.class)
		}
		return f
	}
	p.pos++
	for first := true; ; first = false {
		key, at, more, f := p.readKey(first)
		if f != nil || !more {
			return f
		}
		if f := p.readMember(key, at); f != nil {
			return f
		}
	}
}

// readMember reads what stands after a key of a sample.
func (p *parser) readMember(key []byte, at int) *fault {
	var into *token
	switch string(key) {
	case "metric":
		into = &p.metric
	case "tags":
		into = &p.tagsAt
	case "time":
		into = &p.time
	case "value":
		into = &p.value
	case "quality":
		into = &p.quality
	case "kind":
		into = &p.kind
	default:
		p.note(at, "unknown key %s; the nearest known one is %q, and all are metric, tags, time, value, quality and kind", intake.Quote(key), nearest(string(key)))
		_, f := p.readValue(2)
		return f
	}
	if into.class != absent {
		p.note(at, "key %q is given twice", key)
		_, f := p.readValue(2)
		return f
	}
	if into == &p.tagsAt && p.here() == '{' {
		return p.readTags()
	}
	t, f := p.readValue(2)
	*into = t
	return f
}

// readTags reads the object of the tags.
func (p *parser) readTags() *fault {
	p.tagsAt = token{class: object, at: p.pos}
	p.pos++
	for first := true; ; first = false {
		name, at, more, f := p.readKey(first)
		if f != nil || !more {
			return f
		}
		t, f := p.readValue(3)
		switch {
		case f != nil:
			return f
		case t.class != text:
			p.note(t.at, "the value of tag %s is %s; write it as a string", intake.Quote(name), t.class)
		case len(p.tags) == sample.MaxTags:
			p.note(at, "the object has more than %d tags, and that is the limit", sample.MaxTags)
		default:
			p.tags = append(p.tags, tag{name, t.text})
		}
	}
}

// sortTags puts the tags in order, refuses a name that is there twice, and
// leaves out those without a value, which are the same as none.
func (p *parser) sortTags() error {
	slices.SortFunc(p.tags, func(a, b tag) int { return bytes.Compare(a.name, b.name) })
	for i, t := range p.tags {
		switch {
		case len(t.name) == 0:
			return errors.New("a tag's name is empty")
		case i > 0 && bytes.Equal(p.tags[i-1].name, t.name):
			return fmt.Errorf("tag %s is given twice", intake.Quote(t.name))
		}
	}
	p.tags = slices.DeleteFunc(p.tags, func(t tag) bool { return len(t.value) == 0 })
	return nil
}

// appendKey writes the canonical key, as sample.Series.AppendKey does, of
// what was read: it finds series that are remembered without making them.
func (p *parser) appendKey(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(p.metric.text)))
	dst = append(dst, p.metric.text...)
	for _, t := range p.tags {
		dst = binary.AppendUvarint(dst, uint64(len(t.name)))
		dst = append(dst, t.name...)
		dst = binary.AppendUvarint(dst, uint64(len(t.value)))
		dst = append(dst, t.value...)
	}
	return dst
}

// nearest gives the known key that a sender most likely meant.
func nearest(key string) string {
	best, least := "", int(^uint(0)>>1)
	for _, known := range []string{"metric", "tags", "time", "value", "quality", "kind"} {
		d := distance(known, key[:min(len(key), 32)])
		if d < least {
			best, least = known, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete or change to turn a into
// b (Levenshtein), half of it where one begins the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = 2 * j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = 2 * (i + 1)
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change += 2
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+2, row[j+1]+2)
		}
	}
	d := row[len(b)]
	if n := min(len(a), len(b)); n > 1 && a[:n] == b[:n] {
		d /= 2
	}
	return d
}
