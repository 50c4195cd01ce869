package app

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/config.md anew")

func writeFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestLoadRefusesWhatItDoesNotKnow(t *testing.T) {
	for text, want := range map[string]string{
		"worker:\n  flush_agee: 5s\n":          `line 2: unknown key "worker.flush_agee"; did you mean "worker.flush_age"?`,
		"dat: x\n":                             `line 1: unknown key "dat"; did you mean "data"?`,
		"zzzzzzzzzzzzzzzz: 1\n":                "known are buffer, data, fast, gateway",
		"data: a\ndata: b\n":                   "data",
		"log:\n  level: info\n  level: warn\n": "level",
		"http: 8480\n":                         "line 1: http takes keys and values",
		"partitions: many\n":                   "line 1: cannot construct",
		"worker:\n  flush_age: soon\n":         "line 2: cannot construct",
		"query:\n  limits:\n    x: 1\n":        `unknown key "query.limits"`,
		"data: [\n":                            "yaml",
		"data: a\n---\ndata: b\n":              "second document",
		"- data\n":                             "takes keys and values",
	} {
		name := writeFile(t, text)
		_, err := Load(name, nil)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "weir.yaml") {
			t.Errorf("%q: %v; want %s", text, err, want)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none.yaml"), nil); err == nil {
		t.Error("a file that was named and is not there is no error")
	}
}

func TestSettingsComeLast(t *testing.T) {
	name := writeFile(t, "data: here\nworker:\n  flush_age: 7s\n  max_failures: 3\n")
	c, err := Load(name, []string{"worker.flush_age=30s", "log.json=true", "gateway.body.packed=99", "query.timeout=5s"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Data != "here" || c.Worker.FlushAge != 30*time.Second || c.Worker.MaxFailures != 3 || !c.Log.JSON || c.Gateway.Body.Packed != 99 || c.Query.Timeout != 5*time.Second {
		t.Fatalf("%+v", c)
	}
	for setting, want := range map[string]string{
		"worker.flush_age":  "key=value",
		"worker.flushage=1": `did you mean "worker.flush_age"?`,
		"worker=1":          "takes keys and values",
	} {
		if _, err := Load(name, []string{setting}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--set %s: %v; want %s", setting, err, want)
		}
	}
	if c, err = Load(writeFile(t, "# nothing\n"), nil); err != nil || !cmp.Equal(c, Default()) {
		t.Fatalf("an empty file: %+v, %v", c, err)
	}
}

// leaf is a key that has a value.
type leaf struct {
	key, doc string
	value    reflect.Value
}

func leaves(v reflect.Value, path string) []leaf {
	var out []leaf
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case options == "inline":
			out = append(out, leaves(v.Field(i), path)...)
		case f.Type.Kind() == reflect.Struct:
			out = append(out, leaves(v.Field(i), path+name+".")...)
		default:
			out = append(out, leaf{path + name, f.Tag.Get("doc"), v.Field(i)})
		}
	}
	return out
}

// TestEveryKeyIsWrittenAndRead changes every value, so that one that is not
// written, or not read, shows.
func TestEveryKeyIsWrittenAndRead(t *testing.T) {
	c := Default()
	for i, l := range leaves(reflect.ValueOf(&c).Elem(), "") {
		if l.doc == "" || strings.HasSuffix(l.key, ".") {
			t.Errorf("config key %s has no doc tag: say in one what it means", l.key)
		}
		switch {
		case l.value.Kind() == reflect.String:
			l.value.SetString(fmt.Sprintf("a: \"%d\" # é\\\n", i))
		case l.value.Kind() == reflect.Slice:
			l.value.Set(reflect.ValueOf([]string{fmt.Sprintf(`m%d{a="é"}`, i), `{b=~"1, 2"}`}))
		case l.value.Kind() == reflect.Bool:
			l.value.SetBool(!l.value.Bool())
		case l.value.CanInt():
			l.value.SetInt(l.value.Int() + int64(i) + 1)
		default:
			t.Fatalf("config key %s is of a type this test does not know", l.key)
		}
	}
	var b bytes.Buffer
	if err := c.Write(&b); err != nil {
		t.Fatal(err)
	}
	back, err := Load(writeFile(t, b.String()), nil)
	if err != nil {
		t.Fatalf("%v in\n%s", err, &b)
	}
	if d := cmp.Diff(c, back); d != "" {
		t.Fatal(d)
	}
}

func TestValidateNamesTheKey(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Fatal(err)
	}
	for key, change := range map[string]func(*Config){
		"data":                func(c *Config) { c.Data = "" },
		"http.address":        func(c *Config) { c.HTTP.Address = "" },
		"partitions":          func(c *Config) { c.Partitions = 0 },
		"buffer.max_bytes":    func(c *Config) { c.Buffer.MaxBytes = 1 },
		"buffer.visibility":   func(c *Config) { c.Buffer.Visibility = 1 },
		"worker.extend_after": func(c *Config) { c.Worker.ExtendAfter = time.Hour },
		"worker.flush_age":    func(c *Config) { c.Worker.FlushAge = 0 },
		"gateway.max_ahead":   func(c *Config) { c.Gateway.MaxAhead = -1 },
		"workers.window":      func(c *Config) { c.Workers.Window = 0 },
		"query.timeout":       func(c *Config) { c.Query.Timeout = 0 },
		"query.":              func(c *Config) { c.Query.MaxSamples = -1 },
		"fast: selector 2":    func(c *Config) { c.Fast = []string{"cpu", "{a="} },
		"worker.fast_age":     func(c *Config) { c.Worker.FastAge = 0 },
		"log.level":           func(c *Config) { c.Log.Level = "loud" },
		"store.cache_bytes":   func(c *Config) { c.Store.CacheBytes = -1 },
		"store.open_tables":   func(c *Config) { c.Store.OpenTables = 0 },
		"warehouse.memory":    func(c *Config) { c.Warehouse.Memory = 1 },
		"warehouse.max_rows":  func(c *Config) { c.Warehouse.Rows = 0 },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestLoggersSpeakBothForms(t *testing.T) {
	for json, want := range map[bool]string{false: "msg=heard", true: `"msg":"heard"`} {
		var b bytes.Buffer
		logger, err := LogConfig{Level: "warn", JSON: json}.Logger(&b)
		if err != nil {
			t.Fatal(err)
		}
		logger.Info("not heard")
		logger.Warn("heard")
		if got := b.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, want) {
			t.Errorf("%s", got)
		}
	}
	if _, err := (LogConfig{Level: "loud"}).Logger(&bytes.Buffer{}); err == nil {
		t.Error("an unknown level is taken")
	}
}

// configPage is docs/config.md, made from the structs.
func configPage() string {
	var b strings.Builder
	b.WriteString("# Configuration\n\n")
	b.WriteString("Made from the config structs by `go test ./internal/app -run Page -update`: don't edit it.\n\n")
	b.WriteString("`weir up` reads `weir.yaml` in its folder, or the file that `--config` names;\n`--set key=value` sets one key and wins over the file. Unknown keys are errors.\n`weir config` writes a file of all keys as they are.\n\n")
	b.WriteString("| key | default | meaning |\n|---|---|---|\n")
	c := Default()
	for _, l := range leaves(reflect.ValueOf(&c).Elem(), "") {
		value := fmt.Sprintf("`%v`", l.value.Interface())
		switch {
		case l.key == "partitions":
			value = "cores, at most 4" // it depends on the machine
		case value == "``":
			value = ""
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", l.key, value, strings.ReplaceAll(l.doc, "|", `\|`))
	}
	return b.String()
}

func TestConfigPage(t *testing.T) {
	name := filepath.Join("..", "..", "docs", "config.md")
	want := configPage()
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil || string(got) != want {
		t.Fatalf("docs/config.md is not what the config structs say (%v): run go test ./internal/app -run Page -update\n%s", err, cmp.Diff(want, string(got)))
	}
	keys := regexp.MustCompile("(?m)^\\| `([a-z_.]+)` ").FindAllStringSubmatch(want, -1)
	if !slices.ContainsFunc(keys, func(k []string) bool { return k[1] == "gateway.body.packed" }) || len(keys) < 30 {
		t.Fatalf("%d keys on the page", len(keys))
	}
}
