package ingest

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/sample"
)

// records reads all rows; a bad one gives nil.
func records(t testing.TB, file []byte) (rows [][]string, lines []int, err error) {
	table, header, err := newTable(bytes.NewReader(file), ',')
	if err != nil {
		return nil, nil, err
	}
	rows, lines = append(rows, header), append(lines, 0)
	for range len(file) + 2 {
		cells, line, err := table.next()
		var bad *rowError
		switch {
		case errors.Is(err, io.EOF):
			return rows, lines, nil
		case errors.As(err, &bad):
			rows = append(rows, nil)
		case err != nil:
			return rows, lines, err
		default:
			row := []string{}
			for _, c := range cells {
				row = append(row, string(c))
			}
			rows = append(rows, row)
		}
		lines = append(lines, line)
	}
	t.Fatalf("the table goes on for more rows than %q has bytes", file)
	return nil, nil, nil
}

// Where the standard library reads a file without complaint, so must the
// table, with the same cells and lines.
func FuzzTable(f *testing.F) {
	for _, seed := range []string{
		"a,b\n1,2\n", "a\r\n\"x\r\ny\"\r\n", "\"a\"\"b\",c\n,\n", "a\n\n\nb", "a\n\"b\nc\n\"d\"e\n", "\xef\xbb\xbfa,b", "a\n\"\"\"\n\"",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		got, lines, err := records(t, file)
		if err != nil {
			return
		}
		if !slices.IsSorted(lines) {
			t.Fatalf("%q: rows begin at lines %v", file, lines)
		}
		oracle := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(file, []byte("\xef\xbb\xbf"))))
		oracle.FieldsPerRecord = -1
		var want [][]string
		for {
			row, err := oracle.Read()
			if err == io.EOF {
				break
			}
			if err != nil || bytes.ContainsRune(file, '\r') && bytes.ContainsRune(file, '"') {
				return // it keeps some carriage returns that are dropped here
			}
			for i := range row {
				row[i] = strings.TrimSpace(row[i])
			}
			want = append(want, row)
		}
		blank := func(row []string) bool { return len(row) == 1 && row[0] == "" }
		if got, want := slices.DeleteFunc(got, blank), slices.DeleteFunc(want, blank); !slices.EqualFunc(got, want, slices.Equal) {
			t.Fatalf("%q is read as %q; the standard library says %q", file, got, want)
		}
	})
}

// Whatever the file holds, what comes out is line protocol that another
// decoder reads, as many values of it as are claimed.
func FuzzReader(f *testing.F) {
	f.Add([]byte("time,k,a,i,s\n1,x,2.5,3,hello\n2026-01-01,\"a\nb\",,,\n"), "")
	f.Add([]byte("time,k,a,i,s\n0,\x01,0,,"), "")
	f.Add([]byte("date,k,a,i,s\n2026-03-29 02:30:00,\\,\\,\\,\"\n\"\n"), "datetime")
	f.Fuzz(func(t *testing.T, file []byte, format string) {
		berlin, err := time.LoadLocation("Europe/Berlin")
		if err != nil {
			t.Skip(err)
		}
		o := Default()
		o.Metric, o.TimeFormat, o.Zone, o.BatchLines = "m", format, berlin, 50
		for _, name := range []string{"k", "s", "i"} {
			if bytes.Contains(file, []byte(name)) && name == "k" {
				o.TagColumns = []string{"k"}
			}
		}
		o.Columns = []string{"a", "i", "s"}
		o.Kinds = map[string]sample.Kind{"i": sample.Int64, "s": sample.String}
		r, err := New(bytes.NewReader(file), o)
		if err != nil {
			return
		}
		var b Batch
		for r.Next(&b) == nil {
			if n := bytes.Count(b.Body, []byte("\n")); n != len(b.Rows) {
				t.Fatalf("%d lines of %d rows in\n%s", n, len(b.Rows), b.Body)
			}
			if n := len(decode(t, b.Body)); n > b.Samples {
				t.Fatalf("%d values where %d are claimed in\n%s", n, b.Samples, b.Body)
			}
		}
	})
}

func TestRecordsAreBounded(t *testing.T) {
	long := strings.Repeat("x", maxRecord+70_000)
	plain := strings.Repeat("plain", 100)
	rows, lines, err := records(t, []byte("a\n"+long+"\nb\n\"open\n"+strings.Repeat(plain+"\n", maxRecord/400)+"last\n"))
	if err != nil {
		t.Fatal(err)
	}
	if rows[1] != nil || rows[2][0] != "b" || rows[3] != nil || rows[4][0] != plain || rows[len(rows)-1][0] != "last" {
		t.Errorf("there are %d rows, and some of the first or the last are wrong", len(rows))
	}
	if want := 5 + maxRecord/400; len(rows) != want || lines[len(lines)-1] != want {
		t.Errorf("%d rows, the last from line %d; want %d", len(rows), lines[len(lines)-1], want)
	}
	within := "a\n\"open\n" + long + "\nb\n"
	if rows, lines, err = records(t, []byte(within)); err != nil || rows[1] != nil || rows[len(rows)-1][0] != "b" || lines[len(lines)-1] != 4 {
		t.Errorf("a long line in an open quote: %d rows, the last %v from line %d, %v", len(rows), rows[len(rows)-1], lines[len(lines)-1], err)
	}
	almost := strings.Repeat("y", 200_000)
	if rows, _, err = records(t, []byte("a\n"+almost+"\n")); err != nil || rows[1][0] != almost {
		t.Errorf("a line longer than the buffer is not read whole: %v", err)
	}
}
