package lineprotocol

import (
	"bytes"

	"weir/internal/sample"
)

// entry is what a decoder remembers of one head: the bytes of a line from its
// measurement to the space before its fields.
type entry[S any] struct {
	raw    string         // the head with its space
	names  []string       // the fields as first met: each with its escapes and its '='
	series []S            // one a name
	kinds  []sample.Kind  // one a name: of the line before; 0 at first
	memo   any            // the sink's, about series and their kinds
	index  map[string]int // names' places, once there are many
	next   *entry[S]      // of the line that came after this one the last time
}

// indexFrom is the number of fields from which they are looked up by a map.
const indexFrom = 16

// order gives the fields in the order they are expected; e may be nil.
func (e *entry[S]) order() fields {
	if e == nil {
		return fields{}
	}
	return fields{names: e.names, index: e.index}
}

// field finds a field, looking from place from on first.
func (e *entry[S]) field(raw []byte, from int) (int, bool) { return e.order().find(raw, from) }

// fields are the names of an entry's fields.
type fields struct {
	names []string
	index map[string]int
}

// find gives the place of a field, looking from place from on first.
func (f fields) find(raw []byte, from int) (int, bool) {
	if f.index != nil {
		i, ok := f.index[string(raw)]
		return i, ok
	}
	for i := range f.names {
		j := from + i
		if j >= len(f.names) {
			j -= len(f.names)
		}
		if string(raw) == f.names[j] {
			return j, true
		}
	}
	return 0, false
}

// cache holds the entries of one decoder. It begins anew when it is full:
// what a fleet sends comes round soon, and nothing is to be kept in order.
type cache[S any] struct {
	limits Options
	heads  map[string]*entry[S]
	names  map[string]string // one copy of each field's name
	last   *entry[S]         // of the line before
	bytes  int
}

// About what an entry, and a field of one, take beside their bytes.
const (
	entryCost = 200
	fieldCost = 64
)

func (c *cache[S]) reset() {
	*c = cache[S]{limits: c.limits, heads: make(map[string]*entry[S]), names: make(map[string]string)}
}

// find looks for the entry of the line that p is at. When there is one, p goes
// on to the line's fields.
func (c *cache[S]) find(p *parser) *entry[S] {
	rest := p.body[p.pos:]
	if c.last != nil {
		// Senders repeat themselves: most often the head is the one that
		// followed the last time, and so nothing is to be searched.
		if e := c.last.next; e != nil && len(rest) >= len(e.raw) && string(rest[:len(e.raw)]) == e.raw {
			p.head = rest[:len(e.raw)]
			p.pos += len(e.raw)
			return e
		}
	}
	n := headLength(rest)
	e := c.heads[string(rest[:n])]
	if e != nil {
		p.head = rest[:n]
		p.pos += n
	}
	return e
}

// headLength gives the length of the head that rest begins with, its space
// included, or 0 when its line has none.
func headLength(rest []byte) int {
	// The line's end comes first, so that what has no space is read once.
	if end := bytes.IndexByte(rest, '\n'); end >= 0 {
		rest = rest[:end]
	}
	for n := 0; ; {
		i := bytes.IndexByte(rest[n:], ' ')
		if i < 0 {
			return 0
		}
		n += i + 1
		if n > 1 && rest[n-2] != '\\' {
			return n
		}
	}
}

// follow notes that the line of e came after the one before.
func (c *cache[S]) follow(e *entry[S]) {
	if c.bytes > c.limits.CacheBytes {
		c.reset()
		return
	}
	if c.last != nil {
		c.last.next = e
	}
	c.last = e
}

// add makes an entry of a head.
func (c *cache[S]) add(head []byte) *entry[S] {
	if len(c.heads) >= c.limits.CacheHeads {
		c.reset()
	}
	e := &entry[S]{raw: string(head)}
	c.heads[e.raw] = e
	c.bytes += entryCost + len(head)
	return e
}

// addField adds a field to an entry.
func (c *cache[S]) addField(e *entry[S], raw []byte, series S) {
	name, ok := c.names[string(raw)]
	if !ok {
		name = string(raw)
		c.names[name] = name
		c.bytes += len(name)
	}
	c.bytes += fieldCost
	e.names = append(e.names, name)
	e.series = append(e.series, series)
	e.kinds = append(e.kinds, 0)
	e.memo = nil // it was about the series before
	switch {
	case e.index != nil:
		e.index[name] = len(e.names) - 1
	case len(e.names) == indexFrom:
		e.index = make(map[string]int, 2*indexFrom)
		for i, n := range e.names {
			e.index[n] = i
		}
	}
}
