package lineprotocol

import (
	"bytes"
	"maps"
	"slices"

	"weir/internal/sample"
)

// entry is what a decoder remembers of one head: the bytes of a line from its
// measurement to the space before its fields.
type entry[S any] struct {
	raw    string        // the head with its space
	fields *fields       // those met so far
	series []S           // one a field
	kinds  []sample.Kind // one a field: of the line before; 0 at first
	memo   any           // the sink's, about series and kinds
	next   *entry[S]     // of the line that came after this one the last time
}

// order gives the fields in the order they are expected; e may be nil.
func (e *entry[S]) order() *fields {
	if e == nil {
		return &fields{}
	}
	return e.fields
}

// fields are the names of an entry's fields, as first met: each with its
// escapes and its '='. Entries that met the same fields in the same order, such
// as all hosts of a fleet, share them, so that they stay in the processor's
// nearest cache. What is shared never changes.
type fields struct {
	names  []string
	index  map[string]int // names' places, once there are many
	shared bool
}

// indexFrom is the number of fields from which they are looked up by a map.
const indexFrom = 16

// sharedFields is how many fields are shared at most: to share them they are
// copied when one more comes, which a sender must not be able to make dear.
const sharedFields = 256

// add adds a name to fields that are not shared.
func (f *fields) add(name string) {
	f.names = append(f.names, name)
	switch {
	case f.index != nil:
		f.index[name] = len(f.names) - 1
	case len(f.names) == indexFrom:
		f.index = make(map[string]int, 2*indexFrom)
		for i, n := range f.names {
			f.index[n] = i
		}
	}
}

// find gives the place of a field, looking from place from on first.
func (f *fields) find(raw []byte, from int) (int, bool) {
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
	names  map[string]string  // one copy of each field's name
	fields map[string]*fields // those that are shared, by their names
	key    []byte
	last   *entry[S] // of the line before
	bytes  int
}

// About what an entry, and a field of one, take beside their bytes.
const (
	entryCost = 200
	fieldCost = 64
)

func (c *cache[S]) reset() {
	*c = cache[S]{limits: c.limits, heads: make(map[string]*entry[S]), names: make(map[string]string), fields: make(map[string]*fields)}
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
	if !e.fields.shared && len(e.fields.names) <= sharedFields {
		c.share(e)
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
	e := &entry[S]{raw: string(head), fields: &fields{}}
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
	if e.fields.shared {
		e.fields = &fields{names: slices.Clone(e.fields.names), index: maps.Clone(e.fields.index)}
	}
	e.fields.add(name)
	e.series = append(e.series, series)
	e.kinds = append(e.kinds, 0)
	e.memo = nil // it was about the series before
}

// share lets an entry share its fields with others.
func (c *cache[S]) share(e *entry[S]) {
	c.key = c.key[:0]
	for _, name := range e.fields.names {
		c.key = append(append(c.key, name...), ',') // which none has without a backslash
	}
	f := c.fields[string(c.key)]
	if f == nil {
		f = e.fields
		f.shared = true
		c.fields[string(c.key)] = f
		c.bytes += len(c.key) + fieldCost*len(f.names)
	}
	e.fields = f
}
