// Package output owns what the command line prints: lists as a table, JSON or
// CSV, charts drawn in the terminal, and what is known of that terminal.
//
// It refuses to fetch or to compute what it prints, and imports nothing of
// Weir.
package output

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
)

// Format is a rendering of a list.
type Format string

// The formats.
const (
	FormatTable Format = "table"
	FormatJSON  Format = "json"
	FormatCSV   Format = "csv"
)

// Formats lists the formats, for help and completion.
func Formats() []string { return []string{string(FormatTable), string(FormatJSON), string(FormatCSV)} }

// ParseFormat reads the name of a format.
func ParseFormat(name string) (Format, error) {
	for _, known := range Formats() {
		if name == known {
			return Format(name), nil
		}
	}
	return "", fmt.Errorf("no output %q; there are %s", name, strings.Join(Formats(), ", "))
}

// Terminal is what is known of where the output goes.
type Terminal struct {
	TTY   bool // a person reads it
	Color bool // and may be shown colours
	Width int  // in characters
}

// defaultWidth is that of a terminal that does not say.
const defaultWidth = 80

// Detect looks at where w leads and at the environment: NO_COLOR and TERM=dumb
// forbid colours (no-color.org); COLUMNS gives the width where the terminal
// does not.
func Detect(w io.Writer, environ func(string) string) Terminal {
	t := Terminal{Width: defaultWidth}
	if n, err := strconv.Atoi(environ("COLUMNS")); err == nil && n > 0 && n < 10_000 {
		t.Width = n
	}
	file, ok := w.(*os.File)
	if !ok {
		return t
	}
	width, tty := windowWidth(file)
	if width > 0 {
		t.Width = width
	}
	t.TTY = tty
	t.Color = tty && environ("NO_COLOR") == "" && environ("TERM") != "dumb"
	return t
}

// printable writes control characters as escapes, since a terminal obeys them
// and a stranger may have sent them.
func printable(text string) string {
	if strings.IndexFunc(text, isControl) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if !isControl(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

func isControl(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }
