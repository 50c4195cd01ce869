package ingest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// chunksOf reads a text in chunks.
func chunksOf(t *testing.T, text string, format Format, size int) (bodies []string, rows []int, bad []Bad) {
	t.Helper()
	o := Default()
	o.Metric = "m"
	chunks, err := NewChunks(strings.NewReader(text), format, o, size)
	if err != nil {
		t.Fatal(err)
	}
	var c Chunk
	for {
		err := chunks.Next(&c)
		if errors.Is(err, io.EOF) {
			return bodies, rows, bad
		}
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, string(c.Body))
		bad = append(bad, c.Bad...)
		for n := range strings.Count(string(c.Body), "\n") {
			rows = append(rows, c.Row(n+1))
		}
	}
}

func TestChunksAreWholeLines(t *testing.T) {
	var lines, strung, objects strings.Builder
	for i := range 200 {
		fmt.Fprintf(&lines, "m,a=b v=%di %d\n", i, i)
		fmt.Fprintf(&strung, "m,a=\\\"b v=\"a\nb\\\"=\n %d\",w=1 %d\n", i, i)
		fmt.Fprintf(&objects, "{\"metric\":\"m\",\n \"tags\":{},\n\"value\":%d}\n", i)
	}
	for _, c := range []struct {
		text   string
		format Format
		begins string
	}{{lines.String(), Lines, "m,"}, {strung.String(), Lines, "m,"}, {objects.String(), JSON, "{\"metric"}} {
		for _, size := range []int{100, 1000, 1 << 20} {
			bodies, rows, _ := chunksOf(t, c.text, c.format, size)
			if got := strings.Join(bodies, ""); got != c.text {
				t.Errorf("%s in chunks of %d: %d bytes of %d", c.format, size, len(got), len(c.text))
			}
			for i, row := range rows {
				if row != i+1 {
					t.Fatalf("%s in chunks of %d: line %d is told as %d", c.format, size, i+1, row)
				}
			}
			for _, body := range bodies {
				if !strings.HasPrefix(body, c.begins) || len(body) > size {
					t.Fatalf("%s in chunks of %d: %.30q, %d bytes", c.format, size, body, len(body))
				}
			}
			if wanted := (len(c.text) + size - 1) / size; len(bodies) < wanted || len(bodies) > 2*wanted {
				t.Errorf("%s in chunks of %d: %d", c.format, size, len(bodies))
			}
		}
	}
}

// A string that never ends and a line without end are cut somewhere, and the
// rest is read.
func TestChunksGoOnBehindWhatHasNoEnd(t *testing.T) {
	for _, text := range []string{"m v=\"open\n" + strings.Repeat("m v=1 1\n", 100), strings.Repeat("x", 1000), ""} {
		bodies, _, _ := chunksOf(t, text, Lines, 64)
		if got := strings.Join(bodies, ""); got != text {
			t.Errorf("%d bytes of %d", len(got), len(text))
		}
	}
}

func TestChunksOfCSV(t *testing.T) {
	var text strings.Builder
	text.WriteString("time,a,b\n")
	for i := range 100 {
		fmt.Fprintf(&text, "%d,1,2\n", i)
		if i == 50 {
			text.WriteString("never,1,2\n")
		}
	}
	bodies, rows, bad := chunksOf(t, text.String(), CSV, 256)
	if len(bodies) < 5 || strings.Count(strings.Join(bodies, ""), "\n") != 100 {
		t.Errorf("%d chunks", len(bodies))
	}
	if rows[0] != 2 || rows[99] != 102 || len(bad) != 1 || bad[0].Line != 53 {
		t.Errorf("rows from %d to %d, bad %v", rows[0], rows[99], bad)
	}
}

func TestIdentityIsOfContentAndOptions(t *testing.T) {
	dir := t.TempDir()
	seen := map[string]string{}
	identity := func(name, text string, format Format, precision string, o Options, chunk int) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		id, err := Identity(path, format, precision, o, chunk)
		if err != nil || len(id) != 16 {
			t.Fatal(id, err)
		}
		return id
	}
	first := identity("a.csv", "text", CSV, "", Default(), 100)
	if again := identity("b.csv", "text", CSV, "", Default(), 100); again != first {
		t.Error("the same content under another name has another identity")
	}
	other := Default()
	other.Metric = "m"
	for what, id := range map[string]string{
		"text": identity("a.csv", "texts", CSV, "", Default(), 100), "format": identity("a.csv", "text", Lines, "", Default(), 100),
		"precision": identity("a.csv", "text", CSV, "s", Default(), 100), "options": identity("a.csv", "text", CSV, "", other, 100),
		"chunk": identity("a.csv", "text", CSV, "", Default(), 101), "packing": identity("a.csv.gz", "text", CSV, "", Default(), 100),
	} {
		if id == first || seen[id] != "" {
			t.Errorf("another %s has the same identity", what)
		}
		seen[id] = what
	}
	if identity("a.lp", "text", Lines, "", other, 100) != identity("b.lp", "text", Lines, "", Default(), 100) {
		t.Error("the identity of line protocol hangs on options of CSV")
	}
	for path, want := range map[string]Format{"a.csv": CSV, "a.lp": Lines, "a.LP.zst": Lines, "x/a.jsonl.gz": JSON, "a": CSV, "a.ndjson": JSON, "a.gz": CSV} {
		if got := FormatOf(path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

func TestAFileThatChangesIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lp")
	for _, change := range []func() error{
		func() error { return os.WriteFile(path, []byte("other text"), 0o600) },
		func() error { return os.Rename(path, path+".old") },
	} {
		if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Unchanged(); err != nil {
			t.Error(err)
		}
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if err := f.Unchanged(); err == nil {
			t.Error("a file that was changed is taken for unchanged")
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
