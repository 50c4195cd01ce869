package app

import (
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Logger makes the process's logger.
func (c LogConfig) Logger(w io.Writer) (*slog.Logger, error) {
	level, err := logLevel(c.Level)
	if err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: level}
	if c.JSON {
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return slog.New(slog.NewTextHandler(w, options)), nil
}

// logLevel reads a level's name.
func logLevel(name string) (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(name)); err != nil {
		return 0, fmt.Errorf("log.level %q: use debug, info, warn or error", name)
	}
	return level, nil
}

// Write writes the config as YAML that Load reads, each key with its meaning.
func (c Config) Write(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Weir's configuration. Every key has its value; delete what you don't change.\n")
	writeKeys(&b, reflect.ValueOf(c), "")
	_, err := io.WriteString(w, b.String())
	return err
}

func writeKeys(b *strings.Builder, v reflect.Value, indent string) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		value := v.Field(i)
		switch {
		case options == "inline":
			writeKeys(b, value, indent)
			continue
		case f.Type.Kind() == reflect.Struct:
			fmt.Fprintf(b, "%s%s:\n", indent, name)
			writeKeys(b, value, indent+"  ")
			continue
		}
		if doc := f.Tag.Get("doc"); doc != "" {
			fmt.Fprintf(b, "%s# %s\n", indent, doc)
		}
		switch x := value.Interface().(type) {
		case time.Duration:
			fmt.Fprintf(b, "%s%s: %s\n", indent, name, x)
		case string:
			fmt.Fprintf(b, "%s%s: %q\n", indent, name, x)
		case []string:
			quoted := make([]string, len(x))
			for i, text := range x {
				quoted[i] = strconv.Quote(text)
			}
			fmt.Fprintf(b, "%s%s: [%s]\n", indent, name, strings.Join(quoted, ", "))
		default:
			fmt.Fprintf(b, "%s%s: %v\n", indent, name, x)
		}
	}
}
