package output

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sampleTable() *Table {
	at := time.Date(2026, 1, 12, 1, 0, 0, 0, time.FixedZone("", 3600))
	return &Table{
		Columns: []Column{{Name: "week"}, {Name: "samples", Right: true, Show: Thousands}, {Name: "bytes", Title: "SIZE", Right: true, Show: Bytes},
			{Name: "first"}, {Name: "open"}, {Name: "ratio"}, {Name: "queues"}},
		Rows: [][]any{
			{"2026-W03", int64(1234567), 3 << 20, at, true, 0.5, []string{"0", "1"}},
			{"<&>\x1b[31m\u202e", -12, 17, time.Time{}, false, math.NaN(), []string(nil)},
			{"", nil, nil, nil, nil, nil, nil},
		},
	}
}

func render(t *testing.T, table *Table, f Format, at Terminal) string {
	t.Helper()
	var b bytes.Buffer
	if err := table.Write(&b, f, at); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTableAsJSON(t *testing.T) {
	got := render(t, sampleTable(), FormatJSON, Terminal{})
	want := `[
{"week":"2026-W03","samples":1234567,"bytes":3145728,"first":"2026-01-12T00:00:00Z","open":true,"ratio":0.5,"queues":["0","1"]},
{"week":"<&>\u001b[31m` + "\u202e" + `","samples":-12,"bytes":17,"first":null,"open":false,"ratio":"NaN","queues":[]},
{"week":"","samples":null,"bytes":null,"first":null,"open":null,"ratio":null,"queues":null}
]
`
	if got != want {
		t.Error(cmp.Diff(want, got))
	}
	if !json.Valid([]byte(got)) {
		t.Error("that is not JSON")
	}
	if got := render(t, &Table{Columns: []Column{{Name: "a"}}, Empty: "nothing"}, FormatJSON, Terminal{}); got != "[]\n" {
		t.Errorf("an empty list is %q", got)
	}
}

func TestTableAsCSV(t *testing.T) {
	want := "week,samples,bytes,first,open,ratio,queues\n2026-W03,1234567,3145728,2026-01-12T00:00:00Z,true,0.5,0 1\n" +
		"<&>\x1b[31m\u202e,-12,17,,false,NaN,\n\"\",,,,,,\n"
	want = strings.Replace(want, `""`, "", 1)
	if got := render(t, sampleTable(), FormatCSV, Terminal{}); got != want {
		t.Error(cmp.Diff(want, got))
	}
}

func TestTableForPrograms(t *testing.T) {
	want := `WEEK                 SAMPLES     SIZE  FIRST                 OPEN   RATIO  QUEUES
2026-W03           1,234,567  3.0 MiB  2026-01-12T00:00:00Z  true   0.5    0 1
<&>\x1b[31m\u202e        -12     17 B                        false  NaN

`
	if got := render(t, sampleTable(), FormatTable, Terminal{}); got != want {
		t.Error(cmp.Diff(want, got))
	}
	if got := render(t, &Table{Columns: []Column{{Name: "a"}}, Empty: "no weeks yet"}, FormatTable, Terminal{}); got != "no weeks yet\n" {
		t.Errorf("an empty list is %q", got)
	}
}

func TestTableForPeople(t *testing.T) {
	table := &Table{Columns: []Column{{Name: "dead_letters", Right: true}}, Rows: [][]any{{1}}}
	want := "╭──────────────╮\n│ DEAD LETTERS │\n├──────────────┤\n│            1 │\n╰──────────────╯\n"
	if got := render(t, table, FormatTable, Terminal{TTY: true}); got != want {
		t.Error(cmp.Diff(want, got))
	}
	if got := render(t, table, FormatTable, Terminal{TTY: true, Color: true}); !strings.Contains(got, "\x1b[1m") {
		t.Errorf("no bold header in %q", got)
	}
}

func TestTableRefuses(t *testing.T) {
	for want, table := range map[string]*Table{
		"row 1 has 2 cells": {Columns: []Column{{Name: "a"}}, Rows: [][]any{{1, 2}}},
		"column a":          {Columns: []Column{{Name: "a"}}, Rows: [][]any{{func() {}}}},
	} {
		if err := table.Write(&bytes.Buffer{}, FormatJSON, Terminal{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %s", err, want)
		}
	}
	if err := (&Table{}).Write(&bytes.Buffer{}, "xml", Terminal{}); err == nil {
		t.Error("xml was written")
	}
	full := fullDisk{}
	for _, f := range []Format{FormatTable, FormatJSON, FormatCSV} {
		if err := sampleTable().Write(full, f, Terminal{}); err == nil {
			t.Errorf("%s: a failed write is no error", f)
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestFormats(t *testing.T) {
	for _, name := range Formats() {
		if f, err := ParseFormat(name); err != nil || string(f) != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseFormat("xml"); err == nil || !strings.Contains(err.Error(), "table, json, csv") {
		t.Errorf("xml: %v", err)
	}
}

func TestDetect(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	if got := Detect(&bytes.Buffer{}, env()); got != (Terminal{Width: 80}) {
		t.Errorf("a buffer is %+v", got)
	}
	if got := Detect(&bytes.Buffer{}, env("COLUMNS", "123")); got != (Terminal{Width: 123}) {
		t.Errorf("with COLUMNS it is %+v", got)
	}
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if got := Detect(file, env("COLUMNS", "-1")); got != (Terminal{Width: 80}) {
		t.Errorf("a file is %+v", got)
	}
}

func TestNumbersForPeople(t *testing.T) {
	for cell, want := range map[any]string{0: "0", 999: "999", 1000: "1,000", int64(-1234567): "-1,234,567", uint64(math.MaxUint64): "18,446,744,073,709,551,615"} {
		if got := Thousands(cell); got != want {
			t.Errorf("%v is %s; want %s", cell, got, want)
		}
	}
	for cell, want := range map[any]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", int64(1) << 50: "1.0 PiB", "x": "x"} {
		if got := Bytes(cell); got != want {
			t.Errorf("%v is %s; want %s", cell, got, want)
		}
	}
}
