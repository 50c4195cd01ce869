package definition

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"weir/internal/spelling"
)

// Fault is one thing wrong with a definition, and how to mend it. Line and
// column count from 1.
type Fault struct {
	Line   int
	Column int
	Text   string
}

// Faults is the error of a definition: all that is wrong, in its order.
type Faults struct {
	File string
	List []Fault
}

func (f *Faults) Error() string {
	lines := make([]string, len(f.List))
	for i, x := range f.List {
		lines[i] = fmt.Sprintf("%s:%d:%d: %s", f.File, x.Line, x.Column, x.Text)
	}
	return strings.Join(lines, "\n")
}

// place is where a text stands.
type place struct{ line, column int }

// places gives where the keys of a mapping stand; "" is the mapping itself.
type places map[string]place

// reader reads a YAML text's nodes strictly, and gathers what is wrong.
type reader struct {
	faults []Fault
}

func placeOf(n *yaml.Node) place { return place{n.Line, n.Column} }

func (r *reader) fault(at place, format string, args ...any) {
	r.faults = append(r.faults, Fault{max(at.line, 1), max(at.column, 1), fmt.Sprintf(format, args...)})
}

// sorted gives the faults in the order of the text, each once.
func (r *reader) sorted() []Fault {
	slices.SortStableFunc(r.faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(r.faults)
}

// syntax notes an error of the YAML itself.
func (r *reader) syntax(err error) {
	var load *yaml.LoadError
	if errors.As(err, &load) {
		r.fault(place{load.Mark.Line, load.Mark.Column}, "this is no YAML: %s", load.Message)
		return
	}
	r.fault(place{}, "this is no YAML: %v", err)
}

// fields is what a mapping says: its values and where its keys stand.
type fields struct {
	what   string
	values map[string]*yaml.Node
	places places
}

// at gives where a key stands, or else the mapping.
func (f fields) at(key string) place {
	if p, ok := f.places[key]; ok {
		return p
	}
	return f.places[""]
}

func (f fields) has(key string) bool { return f.values[key] != nil }

// mapping reads a mapping of known keys, each at most once.
func (r *reader) mapping(n *yaml.Node, what string, known ...string) (fields, bool) {
	f := fields{what, map[string]*yaml.Node{}, places{"": placeOf(n)}}
	if n.Kind != yaml.MappingNode {
		r.fault(placeOf(n), "%s takes keys and values: %s", what, strings.Join(known, ", "))
		return f, false
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case !slices.Contains(known, key.Value):
			r.fault(placeOf(key), "%s has no key %q%s", what, key.Value, meant(key.Value, known))
		case f.values[key.Value] != nil:
			r.fault(placeOf(key), "key %q is given twice; the first is on line %d", key.Value, f.places[key.Value].line)
		default:
			f.values[key.Value], f.places[key.Value] = value, placeOf(key)
		}
	}
	return f, true
}

// meant says which known word was probably meant.
func meant(word string, known []string) string {
	if best := spelling.Nearest(word, known); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return "; there are " + strings.Join(known, ", ")
}

// require notes keys that are missing.
func (r *reader) require(f fields, keys ...string) {
	for _, key := range keys {
		if !f.has(key) {
			r.fault(f.places[""], "%s lacks %q", f.what, key)
		}
	}
}

// text reads a scalar; ok is false where the key is missing or wrong.
func (r *reader) text(f fields, key string) (value string, ok bool) {
	n := f.values[key]
	if n == nil {
		return "", false
	}
	return r.scalar(n, key)
}

func (r *reader) scalar(n *yaml.Node, key string) (string, bool) {
	switch {
	case n.Kind == yaml.AliasNode:
		r.fault(placeOf(n), "%q: aliases are not read; write the value out", key)
	case n.Kind != yaml.ScalarNode:
		r.fault(placeOf(n), "%q takes one value", key)
	case n.Tag == "!!null" || n.Value == "":
		r.fault(placeOf(n), "%q has no value; give it one or leave the key out", key)
	default:
		return n.Value, true
	}
	return "", false
}

// parsed reads a scalar by a function; unset stands where the key is missing.
func parsed[T any](r *reader, f fields, key string, unset T, parse func(string) (T, error)) T {
	text, ok := r.text(f, key)
	if !ok {
		return unset
	}
	value, err := parse(text)
	if err != nil {
		r.fault(placeOf(f.values[key]), "%s: %v", key, err)
		return unset
	}
	return value
}

// list reads a list of values.
func (r *reader) list(f fields, key string) (values []string) {
	n := f.values[key]
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.fault(placeOf(n), "%q takes a list, such as [a, b]", key)
		return nil
	}
	for _, item := range n.Content {
		if value, ok := r.scalar(item, key); ok {
			values = append(values, value)
		}
	}
	return values
}
