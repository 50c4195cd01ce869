package definition

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// kinds gives the kinds' keys.
func kinds() []string {
	return []string{
		string(KindAnalyse), string(KindLoad), string(KindExport),
		string(KindArchive), string(KindSQL), string(KindImportHistory),
	}
}

// steps reads the list of steps and checks their graph.
func (r *reader) steps(n *yaml.Node, d *Definition) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		r.fault(placeOf(n), "steps takes a list of at least one step, each \"- name: NAME\" and what it does")
		return
	}
	if len(n.Content) > maxSteps {
		r.fault(placeOf(n), "%d steps; the limit is %d", len(n.Content), maxSteps)
		return
	}
	for _, item := range n.Content {
		before := len(r.faults)
		if s, ok := r.step(item); ok {
			s.sound = len(r.faults) == before
			d.Steps = append(d.Steps, s)
		}
	}
	if len(d.Steps) == len(n.Content) {
		r.graph(d.Steps)
	}
}

// step reads one step; ok is false where its name or kind can't be told.
func (r *reader) step(n *yaml.Node) (s Step, ok bool) {
	f, ok := r.mapping(n, "a step", append([]string{"name", "after"}, kinds()...)...)
	if !ok {
		return s, false
	}
	r.require(f, "name")
	s.Name = parsed(r, f, "name", "", parseName)
	s.After = r.list(f, "after")
	s.places = places{"": f.at(""), "name": f.at("name"), "after": f.at("after")}
	var given []string
	for _, kind := range kinds() {
		if f.has(kind) {
			given = append(given, kind)
		}
	}
	if len(given) != 1 {
		what := "does nothing"
		if len(given) > 1 {
			what = "does " + strings.Join(given, " and ")
		}
		if len(f.values) < len(n.Content)/2 && len(given) == 0 {
			return s, false // the misspelt key was named
		}
		r.fault(f.at(""), "step %q %s: give it exactly one of %s", s.Name, what, strings.Join(kinds(), ", "))
		return s, false
	}
	s.Kind = Kind(given[0])
	s.places[given[0]] = f.at(given[0])
	r.kind(f.values[given[0]], &s)
	return s, s.Name != ""
}

// kind reads what a step of its kind is told.
func (r *reader) kind(n *yaml.Node, s *Step) {
	what := string(s.Kind)
	known := map[Kind][]string{
		KindAnalyse: {"analysis", "select", "every", "by", "functions", "quantiles"},
		KindLoad:    {"from"}, KindExport: {"from", "format", "folder"}, KindArchive: {"older_than", "drop"},
		KindSQL: {"statement", "format", "folder"}, KindImportHistory: {"select"},
	}
	f, ok := r.mapping(n, what, known[s.Kind]...)
	if !ok {
		return
	}
	for key := range f.values {
		s.places[what+"."+key] = f.at(key)
	}
	text := func(key string) string { value, _ := r.text(f, key); return value }
	switch s.Kind {
	case KindAnalyse:
		r.require(f, "analysis", "select")
		s.Analyse = &Analyse{
			Analysis: text("analysis"), Select: text("select"), Every: parsed(r, f, "every", 0, parseLength),
			By: r.list(f, "by"), Functions: r.list(f, "functions"), Quantiles: r.numbers(f, "quantiles"),
		}
	case KindLoad:
		r.require(f, "from")
		s.Load = &Load{text("from")}
	case KindExport:
		r.require(f, "from", "format", "folder")
		s.Export = &Export{text("from"), text("format"), text("folder")}
	case KindArchive:
		r.require(f, "older_than")
		s.Archive = &Archive{parsed(r, f, "older_than", 0, parseLength), parsed(r, f, "drop", false, parseBool)}
	case KindSQL:
		r.require(f, "statement", "format", "folder")
		s.SQL = &SQL{text("statement"), text("format"), text("folder")}
	case KindImportHistory:
		r.require(f, "select")
		s.ImportHistory = &ImportHistory{text("select")}
	}
}

func (r *reader) numbers(f fields, key string) (numbers []float64) {
	for _, text := range r.list(f, key) {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			r.fault(placeOf(f.values[key]), "%s: %q is no number", key, text)
			continue
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// source gives the step that s takes its input from; "" where it takes none.
func (s Step) source() string {
	switch {
	case s.Load != nil:
		return s.Load.From
	case s.Export != nil:
		return s.Export.From
	}
	return ""
}

// graph checks the steps' names and dependencies, and adds to After what
// "from" and "drop" imply.
func (r *reader) graph(steps []Step) {
	names := make([]string, len(steps))
	analyses, readers := []string{}, []string{}
	byName := map[string]*Step{}
	for i := range steps {
		s := &steps[i]
		names[i] = s.Name
		if s.Analyse != nil {
			analyses = append(analyses, s.Name)
		}
		if s.Analyse != nil || s.ImportHistory != nil {
			readers = append(readers, s.Name)
		}
		if first := byName[s.Name]; first != nil {
			r.fault(s.places["name"], "step %q is given twice; the first is on line %d: give each a name of its own", s.Name, first.places["name"].line)
			continue
		}
		byName[s.Name] = s
	}
	for i := range steps {
		s := &steps[i]
		for _, name := range s.After {
			if byName[name] == nil {
				r.fault(s.places["after"], "step %q comes after %q, which is no step%s", s.Name, name, meant(name, names))
			}
		}
		if s.Archive != nil && s.Archive.Drop {
			for _, name := range readers { // they may read what it drops
				if !slices.Contains(s.After, name) {
					s.After = append(s.After, name)
				}
			}
		}
		from := s.source()
		if from == "" {
			continue
		}
		if at := s.places[string(s.Kind)+".from"]; byName[from] == nil {
			r.fault(at, "step %q takes from %q, which is no step%s", s.Name, from, meant(from, analyses))
		} else if byName[from].Analyse == nil {
			r.fault(at, "step %q takes from %q, which does no analysis: name an analyse step", s.Name, from)
		}
		if !slices.Contains(s.After, from) {
			s.After = append(s.After, from)
		}
	}
	if len(r.faults) == 0 {
		if cycle := findCycle(steps); len(cycle) > 0 {
			s := byName[cycle[0]]
			at := s.places["after"]
			r.fault(at, "steps wait for each other: %s; take one \"after\" away", strings.Join(cycle, " after "))
		}
	}
}

// findCycle gives the names along a cycle, the first again at its end.
func findCycle(steps []Step) []string {
	byName := map[string]Step{}
	for _, s := range steps {
		byName[s.Name] = s
	}
	done := map[string]bool{}
	var path []string
	var visit func(name string) []string
	visit = func(name string) []string {
		if i := slices.Index(path, name); i >= 0 {
			return append(slices.Clone(path[i:]), name)
		}
		if done[name] {
			return nil
		}
		path = append(path, name)
		for _, before := range byName[name].After {
			if cycle := visit(before); cycle != nil {
				return cycle
			}
		}
		path, done[name] = path[:len(path)-1], true
		return nil
	}
	for _, s := range steps {
		if cycle := visit(s.Name); cycle != nil {
			return cycle
		}
	}
	return nil
}

func (s Step) String() string { return fmt.Sprintf("%s (%s)", s.Name, s.Kind) }
