package arch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// finding is one breach of a rule: where, what, and how to mend it.
type finding struct {
	where string // a file, a package's folder, or file:line
	what  string
	mend  string
}

// rule is one law of the tree.
type rule struct {
	name  string
	check func(*tree) []finding
}

// rules lists every law. TestEveryRuleBites wants a fixture for each.
func rules() []rule {
	return []rule{
		{"imports", checkImports},
		{"libraries", checkLibraries},
		{"layer", checkLayers},
		{"package comment", checkPackageComments},
		{"package name", checkPackageNames},
		{"no init", checkNoInit},
		{"no sleep", checkNoSleep},
		{"file size", checkFileSizes},
		{"package size", checkPackageSizes},
		{"function size", checkFunctionSizes},
		{"parameters", checkParameters},
		{"interface size", checkInterfaceSizes},
		{"documents", checkDocuments},
		{"comments name files", checkCommentPaths},
	}
}

// exceptions gives the breaches that are allowed, as "rule: where", each with
// its reason. Where is without a line number, so that it stays true when a
// file changes. One that no breach needs is a failure.
func exceptions() map[string]string {
	return map[string]string{
		"package size: internal/block": "one codec, a file a column; its parts share the reader of columns, which is hot and stays unexported",
		"package size: cmd/weir":       "one file a command, each small and apart; what they share is the root's flags",
	}
}

func TestRepository(t *testing.T) {
	root := moduleRoot(t)
	tr, err := loadTree(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	if len(tr.sources) < 10 {
		t.Fatalf("only %d Go files below %s: the loader misses the tree", len(tr.sources), root)
	}
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			for _, complaint := range judge(r, tr, exceptions()) {
				t.Error(complaint)
			}
		})
	}
}

// judge runs one rule and gives what is to be complained of: breaches that no
// exception covers, and exceptions that cover nothing.
func judge(r rule, tr *tree, allowed map[string]string) []string {
	var complaints []string
	used := map[string]bool{}
	for _, f := range r.check(tr) {
		file, _, _ := strings.Cut(f.where, ":")
		key := r.name + ": " + file
		if allowed[key] != "" {
			used[key] = true
			continue
		}
		complaints = append(complaints, fmt.Sprintf("%s: %s. Mend: %s.", f.where, f.what, f.mend))
	}
	for key := range allowed {
		if strings.HasPrefix(key, r.name+": ") && !used[key] {
			complaints = append(complaints, fmt.Sprintf("exception %q covers nothing. Mend: delete it from exceptions().", key))
		}
	}
	return complaints
}

// moduleRoot gives the folder of go.mod, found upwards from the test's own.
func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = parent
	}
}
