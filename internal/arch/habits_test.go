package arch_test

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
)

// checkPackageComments wants one comment a package that begins as godoc
// expects and, below internal/, says what may be imported.
func checkPackageComments(tr *tree) []finding {
	var found []finding
	dirs, files := tr.packages()
	for _, dir := range dirs {
		var comments []string
		shipped := slices.ContainsFunc(files[dir], func(s source) bool { return !s.test })
		for _, s := range files[dir] {
			if s.syntax.Doc != nil && s.test != shipped {
				comments = append(comments, s.syntax.Doc.Text())
			}
		}
		if what := judgeComment(dir, files[dir][0].syntax.Name.Name, comments); what != "" {
			found = append(found, finding{dir, what, "write above one file's package clause what it owns, what it refuses, what it may import"})
		}
	}
	return found
}

func judgeComment(dir, name string, comments []string) string {
	switch {
	case len(comments) == 0:
		return "the package has no comment"
	case len(comments) > 1:
		return fmt.Sprintf("the package has %d comments, in as many files", len(comments))
	}
	begin := "Package " + name + " "
	if name == "main" {
		begin = "Command " + path.Base(dir) + " "
	}
	if strings.HasSuffix(name, "_test") {
		begin = "Package "
	}
	switch {
	case !strings.HasPrefix(comments[0], begin):
		return fmt.Sprintf("the package comment does not begin with %q", strings.TrimSpace(begin))
	case strings.HasPrefix(dir, "internal/") && !strings.Contains(comments[0], "import"):
		return "the package comment does not say what it may import"
	}
	return ""
}

// checkPackageNames refuses names that say nothing about what is inside.
func checkPackageNames(tr *tree) []finding {
	empty := []string{"util", "utils", "common", "helper", "helpers", "model", "models", "type", "types", "misc", "shared", "base"}
	var found []finding
	dirs, files := tr.packages()
	for _, dir := range dirs {
		name := strings.TrimSuffix(files[dir][0].syntax.Name.Name, "_test")
		for _, n := range []string{name, path.Base(dir)} {
			if slices.Contains(empty, n) {
				found = append(found, finding{dir, fmt.Sprintf("the name %q says nothing", n), "name it after what it owns, or move each part to whom it belongs"})
				break
			}
		}
	}
	return found
}

// checkNoInit refuses init functions, in tests too: they run for whoever
// imports the package, in an order nobody sees.
func checkNoInit(tr *tree) []finding {
	var found []finding
	for _, s := range tr.sources {
		for _, d := range s.syntax.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				found = append(found, finding{tr.at(f), "a func init", "do it in New, or in the explicit map of factories in internal/app"})
			}
		}
	}
	return found
}

// checkNoSleep refuses time.Sleep in tests, outside those that drive the real
// binary, which has no clock to fake. Inside a testing/synctest bubble a sleep
// takes no real time, so files that use one may sleep.
func checkNoSleep(tr *tree) []finding {
	var found []finding
	for _, s := range tr.sources {
		if !s.test || s.dir == "test" || strings.HasPrefix(s.dir, "test/") || slices.Contains(imports(s), "testing/synctest") {
			continue
		}
		clock := importName(s.syntax, "time")
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Sleep" {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == clock {
				found = append(found, finding{tr.at(n), "time.Sleep in a unit test", "use testing/synctest, a fake clock, or wait for the event itself"})
			}
			return true
		})
	}
	return found
}

// importName gives what a file calls a package of the standard library; ""
// when it does not import it.
func importName(f *ast.File, name string) string {
	for _, spec := range f.Imports {
		if spec.Path.Value != `"`+name+`"` {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(name)
	}
	return ""
}
