package ingest

import (
	"compress/gzip"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"
)

func TestTimes(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		format, cell string
		zone         *time.Location
		want         string // RFC 3339, or a part of the error
	}{
		{"", "2026-01-05T00:00:00Z", nil, "2026-01-05T00:00:00Z"},
		{"", "2026-01-05T00:00:00.123456789+02:00", nil, "2026-01-04T22:00:00.123456789Z"},
		{"", "2026-01-05 00:00:00+02:00", nil, "2026-01-04T22:00:00Z"},
		{"", "2026-01-05 00:00:00.5", nil, "2026-01-05T00:00:00.5Z"},
		{"", "2026-01-05T00:00", nil, "2026-01-05T00:00:00Z"},
		{"auto", "2026/01/05", nil, "2026-01-05T00:00:00Z"},
		{"", "2026-01-05", berlin, "2026-01-04T23:00:00Z"},
		{"", "2026-01-05T00:00:00Z", berlin, "2026-01-05T00:00:00Z"},
		{"", "1767571200", nil, "2026-01-05T00:00:00Z"},
		{"", "1767571200.25", nil, "2026-01-05T00:00:00.25Z"},
		{"", "1767571200123", nil, "2026-01-05T00:00:00.123Z"},
		{"", "1767571200123456", nil, "2026-01-05T00:00:00.123456Z"},
		{"", "1767571200123456789", nil, "2026-01-05T00:00:00.123456789Z"},
		{"ms", "5", nil, "1970-01-01T00:00:00.005Z"},
		{"us", "5", nil, "1970-01-01T00:00:00.000005Z"},
		{"ns", "-5", nil, "1969-12-31T23:59:59.999999995Z"},
		{"s", "-0.5", nil, "1969-12-31T23:59:59.5Z"},
		{"02.01.2006 15:04", "05.01.2026 01:00", berlin, "2026-01-05T00:00:00Z"},
		{"date", "2026-01-05", nil, "2026-01-05T00:00:00Z"},
		{"rfc3339", "2026-01-05", nil, "no time of the form"},
		{"datetime", "2026-03-29 02:30:00", berlin, "never happened in Europe/Berlin"},
		{"datetime", "2026-10-25 02:30:00", berlin, "2026-10-25T00:30:00Z"},
		{"datetime", "1500-01-01 00:00:00", nil, "outside the years"},
		{"s", "99999999999", nil, "outside the years"},
		{"ns", "0.5", nil, "finer than a nanosecond"},
		{"s", "1.x", nil, "no time as a number"},
		{"s", "1e9", nil, "no time as a number"},
		{"", "05.01.2026", nil, "say which with --time-format"},
	} {
		k, err := newClock(c.format, c.zone)
		if err != nil {
			t.Fatal(err)
		}
		ns, err := k.parse(c.cell)
		if err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q as %q: %v; want %s", c.cell, c.format, err, c.want)
			}
		} else if got := time.Unix(0, ns).UTC().Format(time.RFC3339Nano); got != c.want {
			t.Errorf("%q as %q is %s; want %s", c.cell, c.format, got, c.want)
		}
	}
}

// A year of half hours on a wall clock comes back as it was, the doubled hour
// of autumn too.
func TestWallClockInOrderOfTimeIsUnambiguous(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	c, err := newClock("datetime", berlin)
	if err != nil {
		t.Fatal(err)
	}
	for at, end := time.Date(2026, 1, 1, 0, 0, 0, 0, berlin), time.Date(2027, 1, 1, 0, 0, 0, 0, berlin); at.Before(end); at = at.Add(30 * time.Minute) {
		for range 2 { // two series have a row at each time
			ns, err := c.parse(at.Format(time.DateTime))
			if err != nil || ns != at.UnixNano() {
				t.Fatalf("%s is read as %s, %v", at, time.Unix(0, ns).In(berlin), err)
			}
		}
	}
}

func TestUnixTimesAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ns := rapid.Int64Range(math.MinInt64+4e18, math.MaxInt64-4e18).Draw(t, "ns")
		whole, rest, sign := ns/1e9, ns%1e9, ""
		if ns < 0 {
			whole, rest, sign = -whole, -rest, "-"
		}
		cell := sign + string(appendDigits(nil, whole, 1)) + "." + string(appendDigits(nil, rest, 9))
		if got, err := parseUnix(cell, int64(time.Second)); err != nil || got != ns {
			t.Fatalf("%s is read as %d, %v; want %d", cell, got, err, ns)
		}
	})
}

func appendDigits(dst []byte, n int64, width int) []byte {
	var digits []byte
	for ; n > 0 || len(digits) < width; n /= 10 {
		digits = append([]byte{byte('0' + n%10)}, digits...)
	}
	return append(dst, digits...)
}

func TestOpenUnpacksByName(t *testing.T) {
	dir, text := t.TempDir(), "time,value\n1,5\n"
	write := func(name string, pack func(io.Writer) io.WriteCloser) string {
		path := filepath.Join(dir, name)
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		w := pack(file)
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		file.Close()
		return path
	}
	plain := func(w io.Writer) io.WriteCloser { return nopCloser{w} }
	zipped := func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }
	zstandard := func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z }
	for _, path := range []string{write("a.csv", plain), write("a.csv.gz", zipped), write("a.csv.zst", zstandard)} {
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err != nil || string(got) != text {
			t.Errorf("%s: %q, %v", path, got, err)
		}
		if read, size := f.Progress(); read != size || size == 0 {
			t.Errorf("%s: %d of %d bytes are read", path, read, size)
		}
		for range 2 {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
		if Stem(path) != "a" {
			t.Errorf("the stem of %s is %s", path, Stem(path))
		}
	}
	if _, err := Open(write("lie.csv.gz", plain)); err == nil || !strings.Contains(err.Error(), "is not gzip") {
		t.Errorf("a file that lies about being gzip: %v", err)
	}
	if f, err := Open(write("lie.csv.zst", plain)); err == nil {
		defer f.Close()
		if _, err := io.ReadAll(f); err == nil {
			t.Error("a file that lies about being zstd is read")
		}
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := Open(filepath.Join(dir, "none")); !os.IsNotExist(err) {
		t.Errorf("no file: %v", err)
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
