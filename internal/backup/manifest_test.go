package backup

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

func exampleManifest() *Manifest {
	at := time.Date(2026, 11, 26, 5, 40, 0, 0, time.UTC)
	sum := func(c string) string { return strings.Repeat(c, 64) }
	return &Manifest{
		Name: "2026-11-26T05-40-00Z", Begun: at.Add(-300 * time.Millisecond), Taken: at, By: "v1.2.3",
		Folders: []string{"store", "store/weeks"},
		Files: []Kept{
			{File{"FORMAT", 12, 1795671600000000000, false}, []Content{{sum("a"), 12}}},
			{File{"store/journals/000004.sst", 4096, 1795671600000000000, true}, []Content{{sum("b"), 4096}}},
			{File{"warehouse/weir.duckdb", 8388610, 1795671600000000000, false}, []Content{{sum("c"), 8388608}, {sum("d"), 2}}},
			{File{"exports/empty.csv", 0, 1795671600000000000, true}, []Content{}},
		},
	}
}

func TestManifestGolden(t *testing.T) {
	text, err := exampleManifest().Encode()
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "v1-manifest.json")
	if *update {
		if err := os.WriteFile(golden, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("a manifest is written as\n%s\nwant, as in %s,\n%s", text, golden, want)
	}
	m, err := DecodeManifest(want)
	if err != nil {
		t.Fatal(err)
	}
	example := exampleManifest()
	example.Weir, example.Version, example.Sum = m.Weir, m.Version, m.Sum
	if !reflect.DeepEqual(m, example) {
		t.Errorf("it reads as %+v; want %+v", m, example)
	}
	if m.Bytes() != 12+4096+8388610 {
		t.Errorf("it has %d bytes", m.Bytes())
	}
}

func TestAManifestThatIsNotWhatWasWrittenIsDamaged(t *testing.T) {
	text, err := exampleManifest().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for at := range text {
		changed := bytes.Clone(text)
		changed[at] ^= 1
		if _, err := DecodeManifest(changed); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) {
			t.Fatalf("with byte %d changed it gives %v", at, err)
		}
		if _, err := DecodeManifest(text[:at]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut at byte %d it gives %v", at, err)
		}
	}
	later := bytes.Replace(text, []byte(`"version": 1`), []byte(`"version": 2`), 1)
	if _, err := DecodeManifest(later); !errors.Is(err, ErrVersion) {
		t.Errorf("one of a later version gives %v", err)
	}
}

func TestAManifestLeadsNowhereElse(t *testing.T) {
	for what, change := range map[string]func(*Manifest){
		"a name":              func(m *Manifest) { m.Name = "../2026" },
		"a name with more":    func(m *Manifest) { m.Name += "-1x" },
		"a path up":           func(m *Manifest) { m.Files[0].Path = "../FORMAT" },
		"an absolute path":    func(m *Manifest) { m.Files[0].Path = "/FORMAT" },
		"a path within":       func(m *Manifest) { m.Files[0].Path = "store/../FORMAT" },
		"no path":             func(m *Manifest) { m.Files[0].Path = "" },
		"a folder up":         func(m *Manifest) { m.Folders[0] = ".." },
		"the folder itself":   func(m *Manifest) { m.Folders[0] = "." },
		"content of no hash":  func(m *Manifest) { m.Files[0].Content[0].Sum = "../../passwd" },
		"content of no bytes": func(m *Manifest) { m.Files[0].Content[0].Bytes = 0 },
		"too little content":  func(m *Manifest) { m.Files[2].Content = m.Files[2].Content[:1] },
	} {
		m := exampleManifest()
		change(m)
		text, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeManifest(text); !errors.Is(err, ErrDamaged) {
			t.Errorf("a manifest with %s gives %v", what, err)
		}
	}
}

func FuzzDecodeManifest(f *testing.F) {
	text, err := exampleManifest().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := DecodeManifest(text)
		if err != nil {
			return
		}
		for _, k := range m.Files {
			if !filepath.IsLocal(k.Path) {
				t.Errorf("path %q leads out", k.Path)
			}
		}
	})
}

func TestNamesOfOneSecondDiffer(t *testing.T) {
	taken := map[string]bool{}
	at := time.Date(2026, 11, 26, 5, 40, 0, 0, time.UTC)
	last := ""
	for range 100 {
		name, err := freeName(at, func(n string) bool { return taken[n] })
		if err != nil || !validName(name) || name <= last {
			t.Fatalf("after %q comes %q, %v", last, name, err)
		}
		taken[name], last = true, name
	}
	if _, err := freeName(at, func(n string) bool { return taken[n] }); err == nil {
		t.Error("a hundred and one names of a second")
	}
}

func TestPlacesOnDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "backups")
	if _, err := OpenPlace(dir, ToRead); err == nil {
		t.Error("a place that is not there can be read")
	}
	p, err := OpenPlace(dir, ToMake)
	if err != nil {
		t.Fatal(err)
	}
	for _, use := range []Use{ToRead, ToWrite, ToMake} {
		if _, err := OpenPlace(dir, use); !errors.Is(err, ErrBusy) {
			t.Errorf("a place that is written to, opened for %d, gives %v", use, err)
		}
	}
	p.piece = 16
	second := generation(2)
	done, err := p.Take(t.Context(), second.copy(2), second, nothing)
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.Manifest(done.Name)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(p.Verify(t.Context(), m, nothing), p.Trial(t.Context(), m, func(dir string) error {
		for _, f := range m.Files {
			if body, err := os.ReadFile(filepath.Join(dir, f.Path)); err != nil || string(body) != second[f.Path] {
				t.Errorf("%s is %q, %v", f.Path, body, err)
			}
		}
		return nil
	}, nothing), p.Restore(t.Context(), m, filepath.Join(t.TempDir(), "data"), nothing), p.Close())
	if err != nil {
		t.Error(err)
	}
	if _, err := p.Manifest("2020-01-01T00-00-00Z"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), done.Name) {
		t.Errorf("a backup that is not there gives %v", err)
	}
	readers := []*Place{}
	for range 2 {
		r, err := OpenPlace(dir, ToRead)
		if err != nil {
			t.Fatalf("a second reader: %v", err)
		}
		readers = append(readers, r)
	}
	for _, r := range readers {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	for text, want := range map[string]error{"weir-backup 9\n": ErrVersion, "weir-data 1\n": ErrNotEmpty} {
		if err := os.WriteFile(filepath.Join(dir, "FORMAT"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenPlace(dir, ToMake); !errors.Is(err, want) {
			t.Errorf("a folder of %q gives %v", text, err)
		}
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "letter"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenPlace(full, ToMake); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("a folder of something else gives %v", err)
	}
	if free, known := Free(full); !known || free < 1 {
		t.Errorf("the disk has %d bytes free, known %t", free, known)
	}
}
