package arch_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// module is the path that imports of our own packages begin with.
const module = "weir"

// source is one Go file, parsed whatever its build tags say.
type source struct {
	path   string // from the root, with slashes
	dir    string // its package's folder, "." at the root
	test   bool
	lines  int
	syntax *ast.File
}

// document is one Markdown file that the rules read.
type document struct {
	path string
	text string
}

// tree is what the rules look at.
type tree struct {
	files     *token.FileSet
	sources   []source
	documents []document
	exists    map[string]bool // every file and folder, from the root

	urls, links, words *regexp.Regexp // compiled once, since they meet every line
}

// loadTree reads every Go file and document below root. Folders that the go
// command skips (testdata, and names that begin with '.' or '_') are listed
// but not read; so are the build's own folders.
func loadTree(root fs.FS) (*tree, error) {
	tr := &tree{
		files: token.NewFileSet(), exists: map[string]bool{},
		urls: regexp.MustCompile(urlPattern), links: regexp.MustCompile(linkPattern), words: regexp.MustCompile(wordPattern),
	}
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{".git", ".cache", "bin", "node_modules", "weir-data"}, entry.Name()) {
			return fs.SkipDir
		}
		tr.exists[name] = true
		if entry.IsDir() || ignored(name) {
			return nil
		}
		return tr.add(root, name)
	})
	return tr, err
}

// ignored says whether the go command would not look into the file's folder.
func ignored(name string) bool {
	for _, part := range strings.Split(path.Dir(name), "/") {
		if part == "testdata" || len(part) > 1 && (part[0] == '.' || part[0] == '_') {
			return true
		}
	}
	return false
}

func (tr *tree) add(root fs.FS, name string) error {
	isGo := strings.HasSuffix(name, ".go")
	if !isGo && !isDocument(name) {
		return nil
	}
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if !isGo {
		tr.documents = append(tr.documents, document{path: name, text: string(text)})
		return nil
	}
	syntax, err := parser.ParseFile(tr.files, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("parse %s: %w", name, err)
	}
	tr.sources = append(tr.sources, source{
		path:   name,
		dir:    path.Dir(name),
		test:   strings.HasSuffix(name, "_test.go"),
		lines:  bytes.Count(text, []byte("\n")),
		syntax: syntax,
	})
	return nil
}

// packages groups the files by folder. Folders are sorted.
func (tr *tree) packages() (dirs []string, files map[string][]source) {
	files = map[string][]source{}
	for _, s := range tr.sources {
		files[s.dir] = append(files[s.dir], s)
	}
	for dir := range files {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	return dirs, files
}

// at gives file:line of a node.
func (tr *tree) at(node ast.Node) string {
	p := tr.files.Position(node.Pos())
	return p.Filename + ":" + strconv.Itoa(p.Line)
}

// span gives how many lines a node covers.
func (tr *tree) span(node ast.Node) int {
	return tr.files.Position(node.End()).Line - tr.files.Position(node.Pos()).Line + 1
}

// imports gives the import paths of a file.
func imports(s source) []string {
	var paths []string
	for _, spec := range s.syntax.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}
