package export

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/objects"
	"weir/internal/objects/folder"
	"weir/internal/result"
)

var errKilled = errors.New("simulated kill")

// dying is objects of a process that is killed at a call: before it is done, or
// after.
type dying struct {
	objects.Objects
	at    int
	after bool
	n     *int
}

func (d dying) pass(do func() error) error {
	*d.n++
	if *d.n > d.at || *d.n == d.at && !d.after {
		return errKilled
	}
	err := do()
	if *d.n == d.at {
		return errKilled
	}
	return err
}

func (d dying) Create(ctx context.Context, name string) (w objects.Writer, err error) {
	err = d.pass(func() error { w, err = d.Objects.Create(ctx, name); return err })
	if err != nil {
		return nil, err
	}
	return dyingWriter{w, d}, nil
}

func (d dying) Open(ctx context.Context, name string) (r objects.Reader, err error) {
	err = d.pass(func() error { r, err = d.Objects.Open(ctx, name); return err })
	return r, err
}

func (d dying) Delete(ctx context.Context, name string) error {
	return d.pass(func() error { return d.Objects.Delete(ctx, name) })
}

type dyingWriter struct {
	objects.Writer
	d dying
}

func (w dyingWriter) Close() error { return w.d.pass(w.Writer.Close) }

func hex32(s string) string { return fmt.Sprintf("%032x", s) }

// exported exports rows of two series and gives the manifest's name.
func exported(t *testing.T, at objects.Objects, format Format) string {
	t.Helper()
	columns := []result.Column{{Name: "series", Type: result.Text}, {Name: "note", Type: result.Text}, {Name: "time", Type: result.Time}}
	w, err := result.NewWriter(t.Context(), at, "results/part", columns)
	if err != nil {
		t.Fatal(err)
	}
	rows := result.NewRows(columns)
	for i := range int64(6) {
		rows.Columns[0].Text(hex32([]string{"a", "b"}[i%2]))
		rows.Columns[1].Text(fmt.Sprintf("line\n\"%d\", ü", i))
		rows.Columns[2].Int(i)
		rows.EndRow()
	}
	if err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	f, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	m := &result.Manifest{Version: 1, Table: "x", Pipeline: "p", Step: "s", Start: 1, End: 2, Columns: columns, Files: []result.File{f}, Rows: 6}
	if _, err := WriteResult(t.Context(), at, "out/x", format, m, at); err != nil {
		t.Fatal(err)
	}
	if err := at.Delete(t.Context(), "results/part"); err != nil {
		t.Fatal(err)
	}
	return "out/x.manifest.json"
}

// TestErasedExports takes a series out of files of each format and kills it at each
// call: done again it ends, and the manifest says what the file is.
func TestErasedExports(t *testing.T) {
	e := &result.Erasure{IDs: map[string]bool{hex32("a"): true}, From: math.MinInt64, To: math.MaxInt64}
	stride := 1
	if testing.Short() {
		stride = 5
	}
	for _, format := range Formats() {
		for call := 1; ; call += stride {
			dir := t.TempDir()
			at, err := folder.New(dir)
			if err != nil {
				t.Fatal(err)
			}
			manifest, n := exported(t, at, format), 0
			rows, err := Erase(t.Context(), dying{at, call / 2, call%2 == 1, &n}, manifest, e)
			if reached := n >= call/2; reached != (err != nil) || err == nil && rows != 3 {
				t.Errorf("%s, call %d: %d rows, %v", format, call, rows, err)
			}
			died := err != nil
			if _, err := Erase(t.Context(), at, manifest, e); err != nil {
				t.Fatalf("%s, call %d: again: %v", format, call, err)
			}
			if left, known, err := CountErasable(t.Context(), at, manifest, e); left != 0 || !known || err != nil {
				t.Errorf("%s, call %d: %d are left, %v, %v", format, call, left, known, err)
			}
			m, err := ReadManifest(t.Context(), at, manifest)
			if err != nil || m.Rows != 3 {
				t.Fatalf("%s: %+v, %v", format, m, err)
			}
			body, err := os.ReadFile(filepath.Join(dir, "out", m.File))
			if err != nil || strings.Contains(string(body), hex32("a")) || int64(len(body)) != m.Bytes {
				t.Errorf("%s, call %d: %s, %v", format, call, body, err)
			}
			if sum, err := sumOf(t.Context(), at, "out/"+m.File); err != nil || sum != m.SHA256 {
				t.Errorf("%s, call %d: the hash is %s, %v", format, call, sum, err)
			}
			if all, err := at.List(t.Context(), ""); err != nil || len(all) != 2 {
				t.Errorf("%s, call %d: %v, %v are there", format, call, all, err)
			}
			if !died {
				break
			}
		}
	}
}

// TestOtherRowsStayByteByByte compares what is left with the lines that were there.
func TestOtherRowsStayByteByByte(t *testing.T) {
	dir := t.TempDir()
	at, err := folder.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	e := &result.Erasure{IDs: map[string]bool{hex32("a"): true}, From: 1, To: 3} // of times 0, 2 and 4
	for _, format := range []Format{CSV, JSONL} {
		manifest := exported(t, at, format)
		before, err := os.ReadFile(filepath.Join(dir, "out", "x."+string(format)))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := Erase(t.Context(), at, manifest, e); n != 1 || err != nil {
			t.Fatalf("%s: %d rows, %v", format, n, err)
		}
		after, err := os.ReadFile(filepath.Join(dir, "out", "x."+string(format)))
		if err != nil {
			t.Fatal(err)
		}
		var gone string
		for _, line := range strings.SplitAfter(string(before), "Z\n") { // of CSV
			if strings.Contains(line, "00.000000002") {
				gone = line
			}
		}
		for line := range strings.Lines(string(before)) {
			if format == JSONL && strings.Contains(line, "00.000000002") {
				gone = line
			}
		}
		if want := strings.Replace(string(before), gone, "", 1); gone == "" || string(after) != want {
			t.Errorf("%s is\n%s\nwant\n%s", format, after, want)
		}
	}
}

// TestDamagedExportsAreLeft: what is not what its manifest says is told, not changed.
func TestDamagedExportsAreLeft(t *testing.T) {
	e := &result.Erasure{IDs: map[string]bool{hex32("a"): true}, From: math.MinInt64, To: math.MaxInt64}
	for _, format := range Formats() {
		dir := t.TempDir()
		at, err := folder.New(dir)
		if err != nil {
			t.Fatal(err)
		}
		manifest := exported(t, at, format)
		path := filepath.Join(dir, "out", "x."+string(format))
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		body[len(body)/2] ^= 1
		if err := os.WriteFile(path, body, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Erase(t.Context(), at, manifest, e); !errors.Is(err, ErrCorrupt) && !errors.Is(err, result.ErrCorrupt) {
			t.Errorf("%s: %v", format, err)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != string(body) {
			t.Errorf("%s was changed, %v", format, err)
		}
	}
}

// FuzzManifest reads any bytes as a manifest: what is taken has a file beside it.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"version":1,"format":"csv","file":"x.csv"}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := parseManifest(body)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Errorf("%v is of no kind", err)
			}
			return
		}
		if strings.Contains(m.File, "/") || m.beside("a/b") != "a/"+m.File {
			t.Errorf("file %q", m.File)
		}
	})
}

// FuzzFilter takes any bytes for lines: none that stays is changed.
func FuzzFilter(f *testing.F) {
	f.Add([]byte("{\"series\":\"x\"}\n"), true)
	f.Add([]byte("series,note\nx,\"a\nb\"\n"), false)
	f.Fuzz(func(t *testing.T, body []byte, lines bool) {
		at, err := folder.New(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		w, err := at.Create(t.Context(), "x")
		if err == nil {
			_, err = w.Write(body)
		}
		if err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		sum, err := sumOf(t.Context(), at, "x")
		if err != nil {
			t.Fatal(err)
		}
		m := &Manifest{Version: 1, Format: CSV, Columns: []string{"series", "note"}, File: "x", SHA256: sum}
		if lines {
			m.Format = JSONL
		}
		var out strings.Builder
		e := &result.Erasure{IDs: map[string]bool{"x": true}, From: math.MinInt64, To: math.MaxInt64}
		if _, gone, err := m.filter(t.Context(), at, "m", e, &out); err == nil && gone == 0 && strings.TrimSpace(out.String()) != strings.TrimSpace(string(body)) && !lines {
			t.Errorf("nothing went of %q, and %q is left", body, out.String())
		}
	})
}
