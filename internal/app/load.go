package app

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"weir/internal/spelling"
)

// DefaultFile is the config that is read when none is named.
const DefaultFile = "weir.yaml"

// Load reads the config: the defaults, then the file, then the settings, each
// key=value with the key's parts joined by dots. An empty file name stands
// for DefaultFile, which need not be there. Keys that Weir does not know are
// errors that name the nearest it does.
func Load(file string, settings []string) (Config, error) {
	c := Default()
	name := file
	if name == "" {
		name = DefaultFile
	}
	text, err := os.ReadFile(name)
	switch {
	case err == nil:
		if err := decodeConfig(&c, name, text); err != nil {
			return Config{}, err
		}
	case file != "" || !errors.Is(err, fs.ErrNotExist):
		return Config{}, fmt.Errorf("config: %w", err)
	}
	for _, s := range settings {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return Config{}, fmt.Errorf("--set %s: write it as key=value, such as worker.flush_age=5s", s)
		}
		if err := decodeConfig(&c, "--set "+s, settingText(key, value)); err != nil {
			return Config{}, err
		}
	}
	return c, nil
}

// settingText writes a.b=v as the YAML that says so.
func settingText(key, value string) []byte {
	var b strings.Builder
	for depth, part := range strings.Split(key, ".") {
		if depth > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s%s:", strings.Repeat(" ", depth), part)
	}
	fmt.Fprintf(&b, " %s\n", value)
	return []byte(b.String())
}

func decodeConfig(c *Config, name string, text []byte) error {
	var node, more yaml.Node
	documents := yaml.NewDecoder(bytes.NewReader(text))
	switch err := documents.Decode(&node); {
	case errors.Is(err, io.EOF) || err == nil && len(node.Content) == 0:
		return nil // an empty file says nothing
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	}
	switch err := documents.Decode(&more); {
	case err == nil:
		return fmt.Errorf("%s: line %d: a second document begins; a config is one", name, more.Line)
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := checkKeys(node.Content[0], reflect.TypeOf(*c), ""); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := node.Decode(c); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// checkKeys refuses keys that the struct has no field for, and keys given twice.
func checkKeys(n *yaml.Node, t reflect.Type, path string) error {
	if t.Kind() != reflect.Struct || n.Kind != yaml.MappingNode {
		if t.Kind() == reflect.Struct {
			return fmt.Errorf("line %d: %s takes keys and values", n.Line, cmp.Or(strings.TrimSuffix(path, "."), "the config"))
		}
		return nil
	}
	fields := configFields(t)
	given := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		field, ok := fields[key.Value]
		if !ok {
			return fmt.Errorf("line %d: unknown key %q%s", key.Line, path+key.Value, nearestKey(key.Value, fields, path))
		}
		if given[key.Value] {
			return fmt.Errorf("line %d: key %q is given twice", key.Line, path+key.Value)
		}
		given[key.Value] = true
		if err := checkKeys(n.Content[i+1], field.Type, path+key.Value+"."); err != nil {
			return err
		}
	}
	return nil
}

// configFields gives a config struct's fields by their keys.
func configFields(t reflect.Type) map[string]reflect.StructField {
	out := map[string]reflect.StructField{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if options == "inline" {
			for k, v := range configFields(f.Type) {
				out[k] = v
			}
			continue
		}
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		out[name] = f
	}
	return out
}

func nearestKey(key string, fields map[string]reflect.StructField, path string) string {
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	if best := spelling.Nearest(key, names); best != "" {
		return fmt.Sprintf("; did you mean %q?", path+best)
	}
	return "; known are " + strings.Join(names, ", ")
}
