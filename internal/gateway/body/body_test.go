package body

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func gzipped(t testing.TB, text []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstded(t testing.TB, text []byte, options ...zstd.EOption) []byte {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, options...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func reader(t testing.TB, packed, unpacked int64) *Reader {
	r, err := New(Limits{Packed: packed, Unpacked: unpacked})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReadGivesWhatWasSent(t *testing.T) {
	b := reader(t, 1<<20, 1<<20)
	random := make([]byte, 300_000)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = "abcdefgh ="[rng.IntN(10)]
	}
	var dst []byte
	for _, text := range [][]byte{nil, []byte("m f=1\n"), bytes.Repeat([]byte("a"), 1<<20), random} {
		for encoding, packed := range map[string][]byte{
			"":         text,
			"identity": text,
			"gzip":     gzipped(t, text),
			" X-GZIP ": gzipped(t, text),
			"zstd":     zstded(t, text, zstd.WithZeroFrames(true)),
			"Zstd":     append([]byte("\x51\x2a\x4d\x18\x03\x00\x00\x00abc"), zstded(t, text)...),
		} {
			for name, wrap := range map[string]func(io.Reader) io.Reader{
				"at once": func(r io.Reader) io.Reader { return r },
				"halves":  iotest.HalfReader,
				"eof too": iotest.DataErrReader,
			} {
				var err error
				dst, err = b.Read(dst, wrap(bytes.NewReader(packed)), encoding)
				if err != nil || !bytes.Equal(dst, text) {
					t.Fatalf("%d bytes as %q, %s: read %d bytes, %v", len(text), encoding, name, len(dst), err)
				}
			}
		}
	}
}

func TestReadJoinsMembersAndFrames(t *testing.T) {
	b := reader(t, 1<<20, 1<<20)
	for encoding, packed := range map[string][]byte{
		"gzip": append(gzipped(t, []byte("one ")), gzipped(t, []byte("two"))...),
		"zstd": append(zstded(t, []byte("one ")), zstded(t, []byte("two"))...),
	} {
		got, err := b.Read(nil, bytes.NewReader(packed), encoding)
		if err != nil || string(got) != "one two" {
			t.Errorf("%s: %q, %v", encoding, got, err)
		}
	}
}

func TestReadKeepsToTheLimits(t *testing.T) {
	text := bytes.Repeat([]byte("m f=1\n"), 1000)
	for _, encoding := range []string{"", "gzip", "zstd"} {
		packed := text
		switch encoding {
		case "gzip":
			packed = gzipped(t, text)
		case "zstd":
			packed = zstded(t, text)
		}
		p, u := int64(len(packed)), int64(len(text))
		if got, err := reader(t, p, u).Read(nil, bytes.NewReader(packed), encoding); err != nil || len(got) != len(text) {
			t.Errorf("%q just within its limits: %d bytes, %v", encoding, len(got), err)
		}
		_, err := reader(t, p-1, u).Read(nil, bytes.NewReader(packed), encoding)
		if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "were sent") {
			t.Errorf("%q one byte past the packed limit: %v", encoding, err)
		}
		_, err = reader(t, p, u-1).Read(nil, bytes.NewReader(packed), encoding)
		if !errors.Is(err, ErrTooLarge) || encoding != "" && !strings.Contains(err.Error(), "unpacked it has more than 5999 bytes") {
			t.Errorf("%q one byte past the unpacked limit: %v", encoding, err)
		}
	}
}

// A bomb is stopped at the limit, and so is what it makes the reader allocate.
func TestReadStopsBombs(t *testing.T) {
	const size = 1 << 26
	bombs := map[string]func(io.Writer) io.WriteCloser{
		"gzip": func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"zstd": func(w io.Writer) io.WriteCloser {
			z, err := zstd.NewWriter(w, zstd.WithWindowSize(1<<20))
			if err != nil {
				t.Fatal(err)
			}
			return z
		},
	}
	for encoding, pack := range bombs {
		var bomb bytes.Buffer
		w := pack(&bomb)
		zeros := make([]byte, 1<<20)
		for range size / len(zeros) {
			if _, err := w.Write(zeros); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		b := reader(t, 1<<20, 1<<20)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := b.Read(nil, &bomb, encoding)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", encoding, err)
		}
		// The doublings up to the limit and the decoder's own tables and window.
		if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 {
			t.Errorf("%s: %d bytes were allocated for a bomb of %d with a limit of 1 MiB", encoding, took, size)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	text := bytes.Repeat([]byte("m f=1 17\n"), 100)
	gz, zs := gzipped(t, text), zstded(t, text)
	flipped := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 0x40
		return b
	}
	for _, c := range []struct {
		name, encoding string
		body           []byte
		want           error
		says           string
	}{
		{"unknown", "br", text, ErrEncoding, `"br": use identity, gzip or zstd`},
		{"two at once", "gzip, zstd", gz, ErrEncoding, `"gzip, zstd"`},
		{"long name", strings.Repeat("x", 1000), gz, ErrEncoding, "…"},
		{"text as gzip", "gzip", text, ErrMalformed, "does not begin as gzip does: its first bytes are 6d 20 66 3d"},
		{"text as zstd", "zstd", text, ErrMalformed, "does not begin as zstd does"},
		{"gzip as zstd", "zstd", gz, ErrMalformed, "does not begin as zstd does"},
		{"zstd as gzip", "gzip", zs, ErrMalformed, "does not begin as gzip does"},
		{"gzip as text", "", gz, ErrMalformed, "send the header Content-Encoding: gzip"},
		{"zstd as text", "identity", zs, ErrMalformed, "send the header Content-Encoding: zstd"},
		{"nothing as gzip", "gzip", nil, ErrMalformed, "the body is empty"},
		{"nothing as zstd", "zstd", nil, ErrMalformed, "the body is empty"},
		{"one byte", "gzip", gz[:1], ErrMalformed, "does not begin"},
		{"gzip header alone", "gzip", gz[:6], ErrMalformed, "cut short"},
		{"gzip cut", "gzip", gz[:len(gz)-9], ErrMalformed, "cut short"},
		{"gzip without its checksum", "gzip", gz[:len(gz)-8], ErrMalformed, "cut short"},
		{"zstd cut", "zstd", zs[:len(zs)-5], ErrMalformed, "cut short"},
		{"zstd header alone", "zstd", zs[:4], ErrMalformed, "cut short"},
		{"gzip with a wrong checksum", "gzip", flipped(gz, len(gz)-8), ErrMalformed, "broken"},
		{"zstd with a wrong checksum", "zstd", flipped(zs, len(zs)-1), ErrMalformed, "broken"},
		{"gzip and then text", "gzip", append(bytes.Clone(gz), text...), ErrMalformed, "broken"},
		{"zstd and then text", "zstd", append(bytes.Clone(zs), text...), ErrMalformed, "broken"},
		// A frame by hand: a window of 16 MiB, one raw block of one byte.
		{"zstd of a large window", "zstd", []byte("\x28\xb5\x2f\xfd\x00\x70\x09\x00\x00x"), ErrMalformed, "window"},
	} {
		b := reader(t, 1<<20, 1<<20)
		_, err := b.Read(nil, bytes.NewReader(c.body), c.encoding)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %v, with %q", c.name, err, c.want, c.says)
		}
		// The decoder that failed is as good as new.
		for encoding, packed := range map[string][]byte{"gzip": gz, "zstd": zs} {
			if got, err := b.Read(nil, bytes.NewReader(packed), encoding); err != nil || !bytes.Equal(got, text) {
				t.Errorf("%s: afterwards %s gives %d bytes, %v", c.name, encoding, len(got), err)
			}
		}
	}
}

func TestReadTellsABrokenConnectionFromABrokenBody(t *testing.T) {
	text := bytes.Repeat([]byte("m f=1 17\n"), 100)
	for encoding, packed := range map[string][]byte{"": text, "gzip": gzipped(t, text), "zstd": zstded(t, text)} {
		for _, at := range []int{0, 2, 8, len(packed) - 2} {
			broken := io.MultiReader(bytes.NewReader(packed[:at]), iotest.ErrReader(os.ErrDeadlineExceeded))
			_, err := reader(t, 1<<20, 1<<20).Read(nil, broken, encoding)
			if !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ErrMalformed) {
				t.Errorf("%q that broke off after %d bytes: %v", encoding, at, err)
			}
		}
	}
}

type stalled struct{}

func (stalled) Read([]byte) (int, error) { return 0, nil }

func TestReadLeavesAReaderThatGivesNothing(t *testing.T) {
	if _, err := reader(t, 10, 10).Read(nil, stalled{}, ""); !errors.Is(err, io.ErrNoProgress) {
		t.Fatalf("%v; want %v", err, io.ErrNoProgress)
	}
}

func TestNewRefusesLimitsBelowOne(t *testing.T) {
	for _, l := range []Limits{{}, {Packed: 1}, {Unpacked: 1}, {Packed: -1, Unpacked: 1}} {
		if _, err := New(l); err == nil {
			t.Errorf("%+v: want an error", l)
		}
	}
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}

func TestReadReusesTheBuffer(t *testing.T) {
	b := reader(t, 1<<20, 1<<20)
	dst := make([]byte, 0, 64)
	got, err := b.Read(dst, strings.NewReader("short"), "")
	if err != nil || &got[:1][0] != &dst[:1][0] {
		t.Fatalf("a body that fits was put elsewhere, or %v", err)
	}
}

func FuzzRead(f *testing.F) {
	for _, text := range []string{"", "m f=1\n", strings.Repeat("m f=1\n", 100)} {
		f.Add([]byte(text), uint8(0))
		f.Add(gzipped(f, []byte(text)), uint8(1))
		f.Add(zstded(f, []byte(text)), uint8(2))
	}
	b := reader(f, 1<<12, 1<<16)
	f.Fuzz(func(t *testing.T, packed []byte, pick uint8) {
		encoding := []string{"identity", "gzip", "zstd"}[pick%3]
		got, err := b.Read(nil, bytes.NewReader(packed), encoding)
		if err == nil && (len(got) > 1<<16 || len(packed) > 1<<12) {
			t.Fatalf("%d bytes became %d, past the limits", len(packed), len(got))
		}
		if err != nil && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrMalformed) {
			t.Fatalf("an error of no kind: %v", err)
		}
		// What the fuzzer made, packed for real, comes back.
		packed = packed[:min(len(packed), 1<<11)]
		for encoding, body := range map[string][]byte{"gzip": gzipped(t, packed), "zstd": zstded(t, packed, zstd.WithZeroFrames(true))} {
			if back, err := b.Read(nil, bytes.NewReader(body), encoding); err != nil || !bytes.Equal(back, packed) {
				t.Fatalf("%s: %x came back as %x, %v", encoding, packed, back, err)
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	text := bytes.Repeat([]byte("cpu,host=a usage_user=58i,usage_system=2i 1767571200000000000\n"), 5000)
	for encoding, packed := range map[string][]byte{"gzip": gzipped(b, text), "zstd": zstded(b, text), "identity": text} {
		b.Run(encoding, func(b *testing.B) {
			r := reader(b, 1<<30, 1<<30)
			var dst []byte
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if dst, err = r.Read(dst, bytes.NewReader(packed), encoding); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
