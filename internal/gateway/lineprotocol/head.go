package lineprotocol

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"weir/internal/gateway/intake"
	"weir/internal/sample"
)

// The characters that a backslash takes the meaning from. Before any other, a
// backslash stands for itself.
const (
	measurementEscapes = ", "
	nameEscapes        = ",= "
)

// readHead reads a line's measurement and tags and goes on to its fields.
func (p *parser) readHead() error {
	end, err := p.scanName(p.start, measurementEscapes, "measurement")
	if err != nil {
		return err
	}
	if end == p.start {
		return p.fail(end, "the measurement's name is missing before %q; begin the line with it", p.body[end])
	}
	measurement, err := p.unescape(p.start, end, measurementEscapes)
	if err != nil {
		return err
	}
	// Appended to a slice of its own: unescape's scratch serves the tags next.
	p.measurement = append(p.measurement[:0], measurement...)
	p.tags = p.tags[:0]
	for end < len(p.body) && p.body[end] == ',' {
		if end, err = p.readTag(end + 1); err != nil {
			return err
		}
	}
	if _, ok := p.lineEnd(end); ok {
		return p.fail(end, "the line ends before its fields; write measurement,tag=value field=value time")
	}
	if p.body[end] != ' ' { // a '=' in the last tag's value, a bare carriage return
		return p.fail(end, "%q can't stand here; write a backslash before it where it belongs to a name or a value", p.body[end])
	}
	p.tagsOf = p.start
	p.head = p.body[p.start : end+1]
	p.pos = end + 1
	return p.checkTags()
}

// readTag reads one tag that begins at pos.
func (p *parser) readTag(pos int) (int, error) {
	if len(p.tags) == sample.MaxTags {
		return pos, p.fail(pos, "the line has more than %d tags, and that is the limit", sample.MaxTags)
	}
	equals, err := p.scanName(pos, nameEscapes, "tag's name")
	if err != nil {
		return pos, err
	}
	raw := p.body[pos:equals]
	switch {
	case len(raw) == 0:
		return pos, p.fail(pos, "a tag's name is missing after the comma; write name=value or leave the comma out")
	case equals == len(p.body) || p.body[equals] != '=':
		return pos, p.fail(equals, "tag %s has no '='; write name=value", intake.Quote(raw))
	}
	end, err := p.scanName(equals+1, nameEscapes, "tag's value")
	if err != nil {
		return pos, err
	}
	if end == equals+1 {
		return pos, p.fail(end, "tag %s has no value; give it one or leave the tag out", intake.Quote(raw))
	}
	name, err := p.unescape(pos, equals, nameEscapes)
	if err != nil {
		return pos, err
	}
	tag := sample.Tag{Name: string(name)}
	text, err := p.unescape(equals+1, end, nameEscapes)
	if err != nil {
		return pos, err
	}
	tag.Value = string(text)
	p.tags = append(p.tags, tag)
	return end, nil
}

// checkTags sorts the tags and refuses a name that is there twice.
func (p *parser) checkTags() error {
	slices.SortFunc(p.tags, func(a, b sample.Tag) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(p.tags); i++ {
		if p.tags[i-1].Name == p.tags[i].Name {
			return p.fail(p.start, "tag %s is given twice; give it once", intake.Quote([]byte(p.tags[i].Name)))
		}
	}
	return nil
}

// scanName gives the end of a name that begins at pos: the first of the
// characters in stops that no backslash precedes, or the line's end. Control
// characters are in no name.
func (p *parser) scanName(pos int, stops, what string) (int, error) {
	for pos < len(p.body) {
		c := p.body[pos]
		switch {
		case c == '\\':
			if pos+1 < len(p.body) && strings.IndexByte(stops, p.body[pos+1]) >= 0 {
				pos++
			}
		case strings.IndexByte(stops, c) >= 0:
			return pos, nil
		case c < ' ' || c == 0x7f:
			if _, ok := p.lineEnd(pos); ok {
				return pos, nil
			}
			return pos, p.fail(pos, "control character %q in a %s; line protocol has no place for it there", c, what)
		}
		pos++
	}
	return pos, nil
}

// unescape gives a name without its backslashes. What it gives holds until it
// is called again.
func (p *parser) unescape(from, to int, escapes string) ([]byte, error) {
	raw := p.body[from:to]
	if !utf8.Valid(raw) {
		return nil, p.fail(from, "%s is not valid UTF-8", intake.Quote(raw))
	}
	out := p.scratch[:0]
	for i := 0; i < len(raw); i++ {
		if raw[i] == '\\' && i+1 < len(raw) && strings.IndexByte(escapes, raw[i+1]) >= 0 {
			i++
		}
		out = append(out, raw[i])
	}
	p.scratch = out
	return out, nil
}

// appendKey writes the canonical key of a value's series. The tags are read
// from the line where that has not been done yet.
func (p *parser) appendKey(dst []byte, v *value) ([]byte, error) {
	if p.tagsOf != p.start {
		end := p.pos
		err := p.readHead()
		p.pos = end
		if err != nil {
			return nil, fmt.Errorf("reading the head again: %w", err)
		}
	}
	field, err := p.unescape(v.name, v.equals, nameEscapes)
	if err != nil {
		return nil, err
	}
	metric := string(p.measurement)
	if string(field) != "value" {
		metric += "_" + string(field)
	}
	series, err := sample.NewSeries(metric, p.tags)
	if err != nil {
		return nil, err
	}
	return series.AppendKey(dst), nil
}
