package arch_test

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// layer is a package's place in the tree. Imports point from later layers to
// earlier ones.
type layer int

const (
	unplaced layer = iota
	word           // what everything speaks of; imports at most other words
	port           // a contract and its errors; its children are drivers and a suite
	driver         // a port carried out by one client library
	suite          // what every driver of a port must pass
	core           // the laws, on top of the ports
	service        // one stage of the flow, or one tool beside it
	decoder        // one intake protocol, a child of the gateway
	tour           // a command too large for cmd/weir, on the same legs
	app            // the composition: alone it names drivers
	command        // the command line
	outside        // tests of the real binary, from outside
	lint           // this package
)

// home is a package's layer and, for words, ports and core, the packages of
// ours that it may import.
type home struct {
	layer layer
	may   []string
}

// homes places every package that has no parent among the others. A package
// that is missing here has no layer, and TestRepository says so.
func homes() map[string]home {
	sample, block, message := "internal/sample", "internal/block", "internal/message"
	objects, result := "internal/objects", "internal/result"
	store, journal := "internal/store", "internal/journal"
	return map[string]home{
		"cmd/weir":           {layer: command},
		"internal/app":       {layer: app},
		"internal/arch":      {layer: lint},
		"internal/sample":    {layer: word},
		"internal/block":     {layer: word, may: []string{sample}},
		"internal/message":   {layer: word, may: []string{sample}},
		"internal/problem":   {layer: word},
		"internal/exact":     {layer: word},
		"internal/bounds":    {layer: word},
		"internal/jsonline":  {layer: word, may: []string{sample}},
		"internal/spelling":  {layer: word},
		"internal/buffer":    {layer: port},
		"internal/store":     {layer: port, may: []string{sample}},
		"internal/feed":      {layer: port, may: []string{sample}},
		"internal/objects":   {layer: port},
		"internal/result":    {layer: core, may: []string{objects, "internal/bounds"}},
		"internal/export":    {layer: core, may: []string{sample, objects, result, "internal/jsonline"}},
		"internal/compute":   {layer: port, may: []string{sample, objects, "internal/analysis", result}},
		"internal/analysis":  {layer: port, may: []string{sample, "internal/jsonline", result}},
		"internal/journal":   {layer: core, may: []string{store, sample, block, message}},
		"internal/catalog":   {layer: core, may: []string{journal, store, sample}},
		"internal/settle":    {layer: core, may: []string{sample, block}},
		"internal/archive":   {layer: core, may: []string{journal, store, objects, block, sample, "internal/settle", "internal/bounds", "internal/archive/dictionary", "internal/archive/partfile"}},
		"internal/warehouse": {layer: port, may: []string{sample, objects, result}},
		"internal/sql":       {layer: service},
		"internal/gateway":   {layer: service},
		"internal/worker":    {layer: service},
		"internal/merge":     {layer: service},
		"internal/erase":     {layer: service},
		"internal/query":     {layer: service},
		"internal/tail":      {layer: service},
		"internal/history":   {layer: service},
		"internal/ledger":    {layer: service},
		"internal/backup":    {layer: service},
		"internal/pipeline":  {layer: service},
		"internal/retention": {layer: service},
		"internal/simulate":  {layer: service},
		"internal/ingest":    {layer: service},
		"internal/client":    {layer: service},
		"internal/output":    {layer: service},
		"internal/demo":      {layer: tour},
		"test":               {layer: outside},

		"internal/datafolder": {layer: word},
	}
}

// homeOf places a package: by its own entry, else by its nearest ancestor's.
func homeOf(dir string) (top string, h home) {
	all := homes()
	for top = dir; top != "."; top = path.Dir(top) {
		if found, ok := all[top]; ok {
			h = found
			break
		}
	}
	switch {
	case top == dir:
	case h.layer == port && strings.HasSuffix(path.Base(dir), "test"):
		h = home{layer: suite}
	case h.layer == port:
		h = home{layer: driver}
	case top == "internal/gateway":
		h = home{layer: decoder}
	}
	return top, h
}

// checkLayers wants a layer for every package.
func checkLayers(tr *tree) []finding {
	var found []finding
	dirs, _ := tr.packages()
	for _, dir := range dirs {
		if _, h := homeOf(dir); h.layer == unplaced {
			found = append(found, finding{dir, "the package has no layer",
				"say in homes() of internal/arch/layers_test.go which layer it is, and follow that layer's rule"})
		}
	}
	return found
}

// checkImports holds every import of ours against the layers.
func checkImports(tr *tree) []finding {
	var found []finding
	for _, s := range tr.sources {
		for _, imported := range imports(s) {
			to, ours := strings.CutPrefix(imported, module+"/")
			if !ours || to == s.dir {
				continue
			}
			if what, mend := judgeImport(s.dir, to, s.test); what != "" {
				found = append(found, finding{s.path, "imports " + to + ": " + what, mend})
			}
		}
	}
	return found
}

// judgeImport says what is wrong with an import and how to mend it; "" when
// nothing is. Tests may import more: see testMay.
func judgeImport(from, to string, test bool) (what, mend string) {
	fromTop, fromHome := homeOf(from)
	toTop, toHome := homeOf(to)
	if test && testMay(fromHome.layer, toHome.layer) {
		return "", ""
	}
	switch toHome.layer {
	case suite:
		if fromTop == toTop && fromHome.layer == suite {
			return "", ""
		}
		return "a conformance suite is for tests", "import it from _test.go files only"
	case command, outside, lint:
		if fromHome.layer == outside && toHome.layer == outside {
			return "", ""
		}
		return "nothing is built on it", "move what is needed into a package below internal/"
	}
	switch fromHome.layer {
	case word, port, core:
		if slices.Contains(fromHome.may, to) {
			return "", ""
		}
		return fmt.Sprintf("%s may import %s", from, listed(fromHome.may)),
			"move the code to where both may be imported, or take the value as a parameter or a small interface"
	case driver, suite:
		return judgeDriver(from, to, fromTop)
	case decoder:
		if to == "internal/sample" || to == "internal/gateway/intake" {
			return "", ""
		}
		return "a decoder imports internal/sample and internal/gateway/intake", "hand the samples to the Sink, and let the gateway do the rest"
	case service:
		return judgeService(fromTop, toTop, toHome.layer)
	case tour:
		if slices.Contains(legs(), to) || toHome.layer == word {
			return "", ""
		}
		return "a tour does what a person at the command line could", "ask the running instance by internal/client"
	case command:
		if slices.Contains(legs(), to) || toHome.layer == word || toHome.layer == app || toHome.layer == tour {
			return "", ""
		}
		return "the command line knows only the application, its client and its tools", "offer it from internal/app, or ask a running instance by internal/client"
	case lint:
		return "the rules stand apart", "read the files instead"
	}
	return "", "" // app and outside see everything; unplaced is checkLayers' finding
}

// legs gives the services that a command line stands on: they know nothing of
// how samples are kept.
func legs() []string {
	return []string{"internal/client", "internal/output", "internal/simulate", "internal/ingest", "internal/backup"}
}

// testMay says what tests may import beyond their package's own rule: the
// real drivers and the suites, and all that lies below the services, so that
// nothing has to be faked that can run.
func testMay(from, to layer) bool {
	return from >= driver && (to == word || to == port || to == core || to == driver || to == suite)
}

func judgeDriver(from, to, fromTop string) (what, mend string) {
	toTop, toHome := homeOf(to)
	own := child(from, fromTop)
	switch {
	case to == fromTop, toHome.layer == word, slices.Contains(homes()[fromTop].may, to), to == own, strings.HasPrefix(to, own+"/"):
		return "", ""
	case toHome.layer == driver && toTop == fromTop:
		return "a driver imports no other driver", "move what both need into the port " + fromTop + ", or repeat it"
	}
	return "a driver imports its port, words, and what its port imports",
		"say it in the port's words, or move the code up to who calls the port"
}

// child gives the direct child of top that dir is or lies below.
func child(dir, top string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(dir, top+"/"), "/")
	return top + "/" + name
}

func judgeService(fromTop, toTop string, to layer) (what, mend string) {
	switch {
	case fromTop == toTop, to == word, to == port, to == core:
		return "", ""
	case to == driver:
		return "only internal/app imports drivers", "import the port " + toTop + " and let internal/app choose the driver"
	case to == app:
		return "a service knows nothing of the composition", "take what is needed in the config or the constructor"
	}
	return "a service imports no sibling service",
		"declare here the small interface that is needed and let internal/app pass the other service in, or move a shared word to a package below both"
}

func listed(may []string) string {
	if len(may) == 0 {
		return "no package of ours"
	}
	return "only " + strings.Join(may, ", ")
}

// checkLibraries keeps each driver's client library inside that driver.
func checkLibraries(tr *tree) []finding {
	owners := map[string]string{
		"github.com/nats-io/":           "internal/buffer/jetstream",
		"github.com/cockroachdb/pebble": "internal/store/pebble",
		"github.com/duckdb/":            "internal/warehouse/duckdb",
	}
	var found []finding
	for _, s := range tr.sources {
		if s.test {
			continue
		}
		for _, imported := range imports(s) {
			for prefix, owner := range owners {
				if strings.HasPrefix(imported, prefix) && s.dir != owner && !strings.HasPrefix(s.dir, owner+"/") {
					found = append(found, finding{s.path, "imports " + imported, "only " + owner + " does; go through what it offers"})
				}
			}
		}
	}
	return found
}
