package result

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"weir/internal/objects/folder"
)

func example() *Manifest {
	return &Manifest{
		Version: 1, Table: "rollup", Pipeline: "hourly", Step: "rollup", Start: 1767225600e9, End: 1767229200e9, Revision: 2, Cut: "w1.AAAAAA",
		Columns: []Column{{"series", Text}, {"window_start", Time}, {"mean", Float}, {"count", Int}, {"any", Bool}},
		Files:   []File{{Name: "results/hourly/a.parquet", Rows: 3, Bytes: 700, SHA256: "ab"}},
		Rows:    3,
	}
}

func TestManifestReadsBack(t *testing.T) {
	dir := t.TempDir()
	place, err := folder.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := example().Write(t.Context(), place, "results/m.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadManifest(t.Context(), place, "results/m.json", sum)
	if err != nil || !reflect.DeepEqual(got, example()) {
		t.Errorf("read %+v, %v", got, err)
	}
	if _, err := ReadManifest(t.Context(), place, "results/m.json", strings.Repeat("0", 64)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another sum: %v; want ErrCorrupt", err)
	}
	body, err := os.ReadFile(filepath.Join(dir, "results", "m.json"))
	if err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile("testdata/manifest.json")
	if err != nil || string(golden) != string(body) {
		t.Errorf("the manifest of docs/formats/result.md, testdata/manifest.json, reads %s, %v; written was %s", golden, err, body)
	}
}

func TestBadManifests(t *testing.T) {
	for name, spoil := range map[string]func(*Manifest){
		"table":    func(m *Manifest) { m.Table = "Rollup" },
		"pipeline": func(m *Manifest) { m.Pipeline = "" },
		"window":   func(m *Manifest) { m.End = m.Start },
		"revision": func(m *Manifest) { m.Revision = -1 },
		"columns":  func(m *Manifest) { m.Columns = nil },
		"twice":    func(m *Manifest) { m.Columns[1].Name = "series" },
		"type":     func(m *Manifest) { m.Columns[1].Type = "decimal" },
		"rows":     func(m *Manifest) { m.Rows = 4 },
		"file":     func(m *Manifest) { m.Files[0].Name = "../x" },
		"version":  func(m *Manifest) { m.Version = 0 },
	} {
		m := example()
		spoil(m)
		if err := m.Validate(); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v; want ErrCorrupt", name, err)
		}
	}
	for body, want := range map[string]error{
		`{"version": 2, "more": 1}`: ErrVersion,
		`{"version": 1, "more": 1}`: ErrCorrupt,
		`{`:                         ErrCorrupt,
		`{"version": 1} {}`:         ErrCorrupt,
	} {
		if _, err := ParseManifest([]byte(body)); !errors.Is(err, want) {
			t.Errorf("%s: %v; want %v", body, err, want)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	golden, err := os.ReadFile("testdata/manifest.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if m, err := ParseManifest(body); err == nil && m.Validate() != nil {
			t.Errorf("%s was taken", body)
		}
	})
}
