package export

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/objects/folder"
	"weir/internal/result"
)

func TestFormatsAreAsDocumented(t *testing.T) {
	rows := Source{[]string{"text", "time", "int", "float", "bool", "none"}, func(_ context.Context, yield func([]any) error) error {
		for _, row := range [][]any{
			{"a,\"b\"\nä", time.Unix(1, 5).In(time.FixedZone("", 3600)), int64(math.MinInt64), 1.5, true, nil},
			{"", time.Unix(0, 0), uint64(math.MaxUint64), math.NaN(), false, nil},
			{json.RawMessage(`{ "a": 1 }`), time.Unix(0, 0), json.Number("123456789012345678901234567890"), math.Inf(-1), false, nil},
		} {
			if err := yield(row); err != nil {
				return err
			}
		}
		return nil
	}}
	want := map[Format]string{
		CSV: "text,time,int,float,bool,none\n\"a,\"\"b\"\"\nä\",1970-01-01T00:00:01.000000005Z,-9223372036854775808,1.5,true,\n" +
			",1970-01-01T00:00:00Z,18446744073709551615,NaN,false,\n" +
			"\"{ \"\"a\"\": 1 }\",1970-01-01T00:00:00Z,123456789012345678901234567890,-Inf,false,\n",
		JSONL: `{"text":"a,\"b\"\nä","time":"1970-01-01T00:00:01.000000005Z","int":-9223372036854775808,"float":1.5,"bool":true,"none":null}` + "\n" +
			`{"text":"","time":"1970-01-01T00:00:00Z","int":18446744073709551615,"float":"NaN","bool":false,"none":null}` + "\n" +
			`{"text":{"a":1},"time":"1970-01-01T00:00:00Z","int":123456789012345678901234567890,"float":"-Inf","bool":false,"none":null}` + "\n",
	}
	for format, want := range want {
		dir := t.TempDir()
		place, err := folder.New(dir)
		if err != nil {
			t.Fatal(err)
		}
		m := &Manifest{Version: Version, Pipeline: "p", Step: "s", Start: 1, End: 2, Revision: 3, Format: format}
		if err := Write(t.Context(), place, "reports/p.s.r3", m, rows); err != nil {
			t.Fatal(err)
		}
		body, err := os.ReadFile(filepath.Join(dir, "reports", "p.s.r3."+string(format)))
		if err != nil || string(body) != want {
			t.Errorf("%s is %s, %v; want %s", format, body, err, want)
		}
		var told Manifest
		text, err := os.ReadFile(filepath.Join(dir, "reports", "p.s.r3.manifest.json"))
		if err == nil {
			err = json.Unmarshal(text, &told)
		}
		if err != nil || told.File != "p.s.r3."+string(format) || told.Rows != 3 || told.Bytes != int64(len(want)) || len(told.SHA256) != 64 || len(told.Columns) != 6 {
			t.Errorf("%s: the manifest is %s, %v", format, text, err)
		}
	}
}

// TestResultsInEveryFormat exports a result of two files.
func TestResultsInEveryFormat(t *testing.T) {
	dir := t.TempDir()
	place, err := folder.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	columns := []result.Column{{Name: "series", Type: result.Text}, {Name: "at", Type: result.Time}, {Name: "x", Type: result.Float}, {Name: "ok", Type: result.Bool}, {Name: "n", Type: result.Int}}
	m := &result.Manifest{Version: 1, Table: "rollup", Pipeline: "p", Step: "s", Start: 1, End: 2, Columns: columns}
	for _, name := range []string{"a", "b"} {
		w, err := result.NewWriter(t.Context(), place, name, columns)
		if err != nil {
			t.Fatal(err)
		}
		rows := result.NewRows(columns)
		rows.Columns[0].Text(name)
		rows.Columns[1].Int(5)
		rows.Columns[2].None()
		rows.Columns[3].Bool(true)
		rows.Columns[4].Int(7)
		rows.EndRow()
		if err := w.Write(rows); err != nil {
			t.Fatal(err)
		}
		f, err := w.Close()
		if err != nil {
			t.Fatal(err)
		}
		m.Files, m.Rows = append(m.Files, f), m.Rows+1
	}
	for _, format := range Formats() {
		told, err := WriteResult(t.Context(), place, "out/x", format, m, place)
		if err != nil || told.Rows != 2 || told.File != "x."+string(format) || strings.Join(told.Columns, " ") != "series at x ok n" {
			t.Errorf("%s: %+v, %v", format, told, err)
		}
	}
	body, err := os.ReadFile(filepath.Join(dir, "out", "x.csv"))
	if want := "series,at,x,ok,n\na,1970-01-01T00:00:00.000000005Z,,true,7\nb,1970-01-01T00:00:00.000000005Z,,true,7\n"; err != nil || string(body) != want {
		t.Errorf("the CSV file is %s, %v; want %s", body, err, want)
	}
	m.Files[1].SHA256 = strings.Repeat("0", 64)
	for _, format := range Formats() {
		if _, err := WriteResult(t.Context(), place, "bad/x", format, m, place); !errors.Is(err, result.ErrCorrupt) {
			t.Errorf("%s of a corrupt result: %v", format, err)
		}
	}
	if list, err := place.List(t.Context(), "bad/"); err != nil || len(list) != 0 {
		t.Errorf("of a corrupt result there are %v, %v", list, err)
	}
}

func TestUnknownFormats(t *testing.T) {
	if _, err := ParseFormat("xlsx"); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "jsonl") {
		t.Errorf("xlsx: %v", err)
	}
	if f, err := ParseFormat("csv"); f != CSV || err != nil {
		t.Errorf("csv: %v, %v", f, err)
	}
	place, err := folder.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(t.Context(), place, "a", &Manifest{Format: Parquet}, Source{}); !errors.Is(err, ErrFormat) {
		t.Errorf("parquet of rows that are no result: %v", err)
	}
}
