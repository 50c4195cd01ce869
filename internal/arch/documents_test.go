package arch_test

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// isDocument says whether a Markdown file is one that newcomers read.
func isDocument(name string) bool {
	if path.Ext(name) != ".md" {
		return false
	}
	return name == "README.md" || name == "CONTRIBUTING.md" || strings.HasPrefix(name, "docs/") || strings.HasPrefix(name, "examples/")
}

// What a document may say that looks like a path, as regular expressions.
const (
	urlPattern  = `[a-z]+://[^\s)>\]]+`
	linkPattern = `\]\(([^)\s]+)\)`
	// A word of letters that paths are made of; what stands before it must
	// not belong to it.
	wordPattern = `(?:^|[^\w./*$%{}<>-])([\w.][\w.*…-]*(?:/[\w.*…-]+)+/?|[\w-]+\.go)`
)

// checkDocuments wants every file, folder and link that a document names.
func checkDocuments(tr *tree) []finding {
	var found []finding
	for _, d := range tr.documents {
		for i, line := range strings.Split(d.text, "\n") {
			for _, name := range tr.missingNames(line) {
				found = append(found, missing(d.path, i+1, name))
			}
			for _, link := range tr.missingLinks(d.path, line) {
				found = append(found, missing(d.path, i+1, link))
			}
		}
	}
	return found
}

// checkCommentPaths wants the same of the documents and packages that Go
// comments name. Other words in them may be paths of other repositories.
func checkCommentPaths(tr *tree) []finding {
	var found []finding
	for _, s := range tr.sources {
		for _, group := range s.syntax.Comments {
			for _, c := range group.List {
				for _, name := range tr.missingNames(c.Text) {
					if !strings.HasPrefix(name, "docs/") && !strings.HasPrefix(name, "internal/") {
						continue
					}
					found = append(found, missing(s.path, tr.files.Position(c.Pos()).Line, name))
				}
			}
		}
	}
	return found
}

func missing(file string, line int, name string) finding {
	return finding{fmt.Sprintf("%s:%d", file, line), "names " + name + ", which does not exist",
		"name the file as it is now, or say it without a file"}
}

// missingNames gives the repository paths in a text that are not there.
func (tr *tree) missingNames(text string) []string {
	text = tr.urls.ReplaceAllString(text, " ")
	var names []string
	for _, match := range tr.words.FindAllStringSubmatch(text, -1) {
		name := strings.TrimRight(strings.TrimPrefix(match[1], module+"/"), "/.")
		name = strings.TrimSuffix(strings.TrimPrefix(name, "./"), "/")
		if strings.ContainsAny(name, "*…") || !tr.ofOurs(name) || tr.known(name) || slices.Contains(names, name) {
			continue
		}
		names = append(names, name)
	}
	return names
}

// ofOurs says whether a word claims to be a path of this repository: it
// begins with one of its folders, or is a Go file.
func (tr *tree) ofOurs(name string) bool {
	first, _, deep := strings.Cut(name, "/")
	if !deep {
		return name != "nats.go" // the pattern lets only Go files through; this is a library
	}
	if strings.Contains(first, ".") && first != ".ci" {
		return false // a host, as in an import path
	}
	if path.Ext(name) == ".go" {
		return true
	}
	return slices.Contains([]string{"internal", "cmd", "docs", "test", "tools", "examples", ".ci"}, first)
}

// known says whether a path, or an identifier of a package (as in
// internal/block.Batch), is there. A path may begin at the root, below
// internal/, or, for a Go file, anywhere.
func (tr *tree) known(name string) bool {
	if tr.exists[name] || tr.exists["internal/"+name] {
		return true
	}
	dot := strings.LastIndex(name, ".")
	if dot > 0 && dot+1 < len(name) && name[dot+1] >= 'A' && name[dot+1] <= 'Z' && tr.exists[name[:dot]] {
		return true
	}
	if path.Ext(name) != ".go" {
		return false
	}
	for file := range tr.exists {
		if strings.HasSuffix(file, "/"+name) {
			return true
		}
	}
	return false
}

// missingLinks gives the targets of a line's Markdown links that are not
// there, seen from the document.
func (tr *tree) missingLinks(from, line string) []string {
	var targets []string
	for _, match := range tr.links.FindAllStringSubmatch(line, -1) {
		target, _, _ := strings.Cut(match[1], "#")
		if target == "" || strings.Contains(target, ":") {
			continue
		}
		if !tr.exists[path.Join(path.Dir(from), target)] {
			targets = append(targets, target)
		}
	}
	return targets
}
