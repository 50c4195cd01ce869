package arch_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// clean is a small tree in which every rule holds. Fixtures are laid over it.
func clean() map[string]string {
	return map[string]string{
		"go.mod":                    "module weir\n",
		"README.md":                 "See `internal/sample`, [the port](internal/buffer/buffer.go), week.go, internal/buffer.Buffer and weir/internal/sample; run go test ./internal/...\n",
		"docs/a.md":                 "[up](../README.md#x), https://example.org/internal/nothing, nats.io/internal/nothing, internal/{x}/y, and/or, nats.go\n",
		"internal/sample/week.go":   "// Package sample imports nothing; see docs/a.md.\npackage sample\n",
		"internal/buffer/buffer.go": "// Package buffer imports nothing.\npackage buffer\nimport \"context\"\n" + methods(6, "a, b, c, d, e int"),
		"internal/buffer/five.go": "package buffer\n" +
			"func Five(ctx context.Context, a, b, c, d, e int) {}\n",
		"internal/worker/worker.go":      "// Package worker imports words, ports and core.\npackage worker\nimport _ \"weir/internal/buffer\"\n",
		"internal/worker/worker_test.go": "package worker\nimport (\n\"testing/synctest\"\n\"time\"\n_ \"weir/internal/buffer/jetstream\"\n)\nfunc f() { time.Sleep(1) }\n",
		"internal/buffer/jetstream/a.go": "// Package jetstream imports its port.\npackage jetstream\nimport _ \"github.com/nats-io/nats.go\"\n",
		"test/e2e/e2e_test.go":           "// Package e2e drives the binary.\npackage e2e\nimport \"time\"\nfunc f() { time.Sleep(1) }\n",
	}
}

// methods writes an interface of n methods with the given parameters.
func methods(n int, parameters string) string {
	var b strings.Builder
	b.WriteString("type Port interface {\nEmbedded\n")
	for i := range n {
		fmt.Fprintf(&b, "M%d(ctx context.Context, %s)\n", i, parameters)
	}
	return b.String() + "}\n"
}

// lines writes a package comment and clause, and then n lines more.
func lines(n int) string {
	return "// Package sample imports nothing.\npackage sample\n" + strings.Repeat("\n", n)
}

// bite is a breach: files laid over the clean tree, and what must be said.
type bite struct {
	files map[string]string
	where string
	what  string
}

// bites gives at least one breach for every rule.
func bites() map[string][]bite {
	const week = "internal/sample/week.go"
	doc := "// Package sample imports nothing.\npackage sample\n"
	one := func(file, text, what string) bite {
		return bite{map[string]string{file: text}, file, what}
	}
	return map[string][]bite{
		"imports":   {one(week, doc+"import _ \"weir/internal/buffer\"\n", "may import no package of ours")},
		"libraries": {one("internal/worker/worker.go", "// Package worker imports ports.\npackage worker\nimport _ \"github.com/nats-io/nats.go\"\n", "nats.go")},
		"layer":     {{map[string]string{"internal/extra/a.go": "// Package extra imports nothing.\npackage extra\n"}, "internal/extra", "no layer"}},
		"package comment": {
			{map[string]string{week: "package sample\n"}, "internal/sample", "no comment"},
			{map[string]string{week: "// Sample imports nothing.\npackage sample\n"}, "internal/sample", "does not begin"},
			{map[string]string{week: "// Package sample owns words.\npackage sample\n"}, "internal/sample", "what it may import"},
			{map[string]string{"internal/sample/b.go": doc}, "internal/sample", "2 comments"},
			{map[string]string{"cmd/weir/main.go": "// Package main is weir.\npackage main\n"}, "cmd/weir", "Command weir"},
		},
		"package name": {{map[string]string{"internal/worker/util/a.go": "// Package util imports nothing.\npackage util\n"}, "internal/worker/util", `"util"`}},
		"no init":      {one(week, doc+"func init() {}\n", "func init")},
		"no sleep": {
			one("internal/sample/a_test.go", "package sample\nimport \"time\"\nfunc f() { time.Sleep(1) }\n", "time.Sleep"),
			one("internal/sample/a_test.go", "package sample\nimport clock \"time\"\nfunc f() { clock.Sleep(1) }\n", "time.Sleep"),
		},
		"file size": {
			one(week, lines(499), "501 lines"),
			one("internal/sample/a_test.go", "package sample\n"+strings.Repeat("\n", 500), "501 lines"),
		},
		"package size":   {{map[string]string{week: lines(3000)}, "internal/sample", "3002 lines"}},
		"function size":  {one(week, doc+"func Long() {\n"+strings.Repeat("\n", 59)+"}\n", "Long has 61 lines")},
		"parameters":     {one(week, doc+"func Many(a, b, c, d, e, f int) {}\n", "Many takes 6"), one(week, doc+methods(1, "a, b, c, d, e, f int"), "Port.M0 takes 6")},
		"interface size": {one(week, doc+methods(7, "a int"), "Port has 7 methods")},
		"documents": {
			one("README.md", "`internal/gone`\n", "internal/gone"),
			one("README.md", "gone.go\n", "gone.go"),
			one("README.md", "sample/gone.go.\n", "sample/gone.go"),
			one("docs/b.md", "[x](README.md)\n", "README.md"),
			one("CONTRIBUTING.md", "run weir/cmd/gone\n", "cmd/gone"),
			one("examples/data/README.md", "docs/gone.md\n", "docs/gone.md"),
		},
		"comments name files": {one(week, doc+"// see docs/gone.md\n", "docs/gone.md")},
	}
}

// lay puts files over the clean tree and loads the result.
func lay(t *testing.T, files map[string]string) *tree {
	t.Helper()
	all := clean()
	maps.Copy(all, files)
	root := fstest.MapFS{}
	for name, text := range all {
		root[name] = &fstest.MapFile{Data: []byte(text)}
	}
	tr, err := loadTree(root)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestEveryRuleBites(t *testing.T) {
	all := bites()
	for _, r := range rules() {
		if found := r.check(lay(t, nil)); len(found) > 0 {
			t.Errorf("%s: complains of the clean tree: %v", r.name, found)
		}
		if len(all[r.name]) == 0 {
			t.Errorf("%s: no fixture shows that it bites", r.name)
		}
		for _, b := range all[r.name] {
			found := r.check(lay(t, b.files))
			hit := slices.ContainsFunc(found, func(f finding) bool {
				return strings.HasPrefix(f.where, b.where) && strings.Contains(f.what, b.what) && f.mend != ""
			})
			if !hit {
				t.Errorf("%s: says %v of %v; want %q of %s, with a mend", r.name, found, b.files, b.what, b.where)
			}
		}
	}
}

func TestExceptionsCoverWhatTheyName(t *testing.T) {
	r := rule{"no init", checkNoInit}
	tr := lay(t, bites()["no init"][0].files)
	if got := judge(r, tr, nil); len(got) != 1 || !strings.Contains(got[0], "Mend: ") {
		t.Errorf("without an exception: %q; want one complaint that names the mend", got)
	}
	allowed := map[string]string{"no init: internal/sample/week.go": "shown here"}
	if got := judge(r, tr, allowed); len(got) != 0 {
		t.Errorf("with its exception: %q; want none", got)
	}
	if got := judge(r, lay(t, nil), allowed); len(got) != 1 || !strings.Contains(got[0], "covers nothing") {
		t.Errorf("an exception that nothing needs: %q; want a complaint of it", got)
	}
}

func TestImportRules(t *testing.T) {
	const (
		fine = ""
		test = true
		code = false
	)
	for _, c := range []struct {
		from, to string
		test     bool
		want     string // part of what is said; fine for nothing
	}{
		{"internal/sample", "internal/block", code, "no package of ours"},
		{"internal/block", "internal/sample", code, fine},
		{"internal/block", "internal/message", code, "only internal/sample"},
		{"internal/message", "internal/sample", code, fine},
		{"internal/buffer", "internal/sample", code, "no package of ours"},
		{"internal/store", "internal/sample", code, fine},
		{"internal/store", "internal/block", code, "only internal/sample"},
		{"internal/store/pebble", "internal/store", code, fine},
		{"internal/store/pebble", "internal/store/pebble/keys", code, fine},
		{"internal/store/pebble/keys", "internal/store", code, fine},
		{"internal/warehouse/duckdb", "internal/result", code, fine},
		{"internal/warehouse/warehousetest", "internal/objects", code, fine},
		{"internal/warehouse/duckdb", "internal/objects/folder", code, "its port"},
		{"internal/store/pebble", "internal/store/dynamo", code, "no other driver"},
		{"internal/store/pebble", "internal/buffer", code, "its port"},
		{"internal/store/pebble", "internal/journal", code, "its port"},
		{"internal/store/pebble", "internal/worker", code, "its port"},
		{"internal/store/pebble", "internal/store/storetest", code, "for tests"},
		{"internal/store/pebble", "internal/store/storetest", test, fine},
		{"internal/store/storetest", "internal/store", code, fine},
		{"internal/store/storetest", "internal/store/pebble", code, "no other driver"},
		{"internal/journal", "internal/store", code, fine},
		{"internal/journal", "internal/buffer", code, "may import only"},
		{"internal/journal", "internal/store/pebble", code, "may import only"},
		{"internal/journal", "internal/store/pebble", test, fine},
		{"internal/catalog", "internal/journal", code, fine},
		{"internal/catalog", "internal/query", code, "may import only"},
		{"internal/worker", "internal/journal", code, fine},
		{"internal/worker", "internal/buffer", code, fine},
		{"internal/worker", "internal/gateway", code, "no sibling"},
		{"internal/worker", "internal/gateway", test, "no sibling"},
		{"internal/worker", "internal/buffer/jetstream", code, "only internal/app imports drivers"},
		{"internal/worker", "internal/buffer/jetstream", test, fine},
		{"internal/worker", "internal/buffer/buffertest", code, "for tests"},
		{"internal/worker", "internal/app", code, "composition"},
		{"internal/gateway", "internal/gateway/jsonl", code, fine},
		{"internal/gateway/jsonl", "internal/gateway/intake", code, fine},
		{"internal/gateway/jsonl", "internal/sample", code, fine},
		{"internal/gateway/jsonl", "internal/gateway", code, "a decoder imports"},
		{"internal/gateway/jsonl", "internal/gateway/csv", code, "a decoder imports"},
		{"internal/gateway/jsonl", "internal/message", code, "a decoder imports"},
		{"internal/query/plan", "internal/query", code, fine},
		{"internal/query/plan", "internal/worker", code, "no sibling"},
		{"internal/app", "internal/store/pebble", code, fine},
		{"internal/app", "internal/worker", code, fine},
		{"internal/app", "cmd/weir", code, "nothing is built on it"},
		{"internal/demo", "internal/client", code, fine},
		{"internal/demo", "internal/app", code, "a tour does"},
		{"internal/demo", "internal/worker", code, "a tour does"},
		{"internal/worker", "internal/demo", code, "no sibling"},
		{"cmd/weir", "internal/demo", code, fine},
		{"cmd/weir", "internal/app", code, fine},
		{"cmd/weir", "internal/client", code, fine},
		{"cmd/weir", "internal/sample", code, fine},
		{"cmd/weir", "internal/worker", code, "the command line knows only"},
		{"cmd/weir", "internal/store/pebble", code, "the command line knows only"},
		{"cmd/weir", "internal/journal", code, "the command line knows only"},
		{"test/e2e", "internal/buffer/jetstream", test, fine},
		{"test/crash", "test/harness", code, fine},
		{"internal/app", "test/harness", code, "nothing is built on it"},
		{"internal/arch", "internal/sample", code, "stand apart"},
	} {
		what, mend := judgeImport(c.from, c.to, c.test)
		if c.want == fine && what != "" || c.want != fine && !strings.Contains(what, c.want) {
			t.Errorf("%s imports %s (test %v): %q; want %q", c.from, c.to, c.test, what, c.want)
		}
		if (what == "") != (mend == "") {
			t.Errorf("%s imports %s: says %q, but the mend is %q", c.from, c.to, what, mend)
		}
	}
}
