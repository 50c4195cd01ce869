package arch_test

import (
	"fmt"
	"go/ast"
	"path"
)

// Limits of sizes, in lines unless said otherwise. Those of packages and
// functions leave tests out; a function's includes its first and last line.
const (
	maxFileLines     = 500
	maxPackageLines  = 3000
	maxFunctionLines = 60
	maxParameters    = 5 // besides a leading context
	maxMethods       = 6
)

func checkFileSizes(tr *tree) []finding {
	var found []finding
	for _, s := range tr.sources {
		if s.lines > maxFileLines {
			found = append(found, finding{s.path, fmt.Sprintf("%d lines; the limit is %d", s.lines, maxFileLines),
				"split it by subject; 100 to 250 lines are the aim"})
		}
	}
	return found
}

func checkPackageSizes(tr *tree) []finding {
	var found []finding
	dirs, files := tr.packages()
	for _, dir := range dirs {
		lines := 0
		for _, s := range files[dir] {
			if !s.test {
				lines += s.lines
			}
		}
		if lines > maxPackageLines {
			found = append(found, finding{dir, fmt.Sprintf("%d lines outside tests; the limit is %d", lines, maxPackageLines),
				"move a part with a contract of its own into a package of its own"})
		}
	}
	return found
}

func checkFunctionSizes(tr *tree) []finding {
	return tr.eachFunction(func(d *ast.FuncDecl) (what, mend string) {
		if n := tr.span(d); n > maxFunctionLines {
			return fmt.Sprintf("%s has %d lines; the limit is %d", d.Name.Name, n, maxFunctionLines),
				"name a step of it and make that a function"
		}
		return "", ""
	})
}

// checkParameters counts what a caller has to know besides the context: of
// functions and of interfaces' methods. Conformance suites are tests.
func checkParameters(tr *tree) []finding {
	const mend = "put those that belong together into a struct"
	found := tr.eachFunction(func(d *ast.FuncDecl) (string, string) {
		_, h := homeOf(path.Dir(tr.files.Position(d.Pos()).Filename))
		if n := parameters(d.Type); n > maxParameters && h.layer != suite {
			return fmt.Sprintf("%s takes %d parameters; the limit is %d", d.Name.Name, n, maxParameters), mend
		}
		return "", ""
	})
	tr.eachInterface(func(name string, i *ast.InterfaceType) {
		for _, m := range i.Methods.List {
			f, ok := m.Type.(*ast.FuncType)
			if !ok {
				continue
			}
			if n := parameters(f); n > maxParameters {
				found = append(found, finding{tr.at(m), fmt.Sprintf("%s.%s takes %d parameters; the limit is %d", name, m.Names[0].Name, n, maxParameters), mend})
			}
		}
	})
	return found
}

func parameters(f *ast.FuncType) int {
	n := f.Params.NumFields()
	if n == 0 {
		return 0
	}
	first, ok := f.Params.List[0].Type.(*ast.SelectorExpr)
	if ok && first.Sel.Name == "Context" {
		n--
	}
	return n
}

// checkInterfaceSizes counts the methods an interface declares itself. An
// embedded interface has a name and a limit of its own.
func checkInterfaceSizes(tr *tree) []finding {
	var found []finding
	tr.eachInterface(func(name string, i *ast.InterfaceType) {
		n := 0
		for _, m := range i.Methods.List {
			n += len(m.Names)
		}
		if n > maxMethods {
			found = append(found, finding{tr.at(i), fmt.Sprintf("interface %s has %d methods; the limit is %d", name, n, maxMethods),
				"make an optional ability an interface of its own, or split by who calls it"})
		}
	})
	return found
}

// eachFunction judges every function and method outside tests.
func (tr *tree) eachFunction(judge func(*ast.FuncDecl) (what, mend string)) []finding {
	var found []finding
	for _, s := range tr.sources {
		if s.test {
			continue
		}
		for _, d := range s.syntax.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if what, mend := judge(f); what != "" {
				found = append(found, finding{tr.at(f), what, mend})
			}
		}
	}
	return found
}

// eachInterface visits every named interface, and those in variables and
// parameters as "(unnamed)", outside tests.
func (tr *tree) eachInterface(visit func(name string, i *ast.InterfaceType)) {
	for _, s := range tr.sources {
		if s.test {
			continue
		}
		names := map[*ast.InterfaceType]string{}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if i, ok := n.Type.(*ast.InterfaceType); ok {
					names[i] = n.Name.Name
				}
			case *ast.InterfaceType:
				name := names[n]
				if name == "" {
					name = "(unnamed)"
				}
				visit(name, n)
			}
			return true
		})
	}
}
