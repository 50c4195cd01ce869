package result

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"weir/internal/objects"
	"weir/internal/objects/folder"
)

// one is a place that has one object, whatever its name.
type one struct {
	objects.Objects
	body []byte
}

func (o one) Open(context.Context, string) (objects.Reader, error) {
	return opened{bytes.NewReader(o.body)}, nil
}

type opened struct{ *bytes.Reader }

func (opened) Close() error { return nil }

// FuzzRead damages a file that the manifest has the hash of, as if it had been
// written so: reading it is an error, or gives as many rows as the manifest says,
// and never a panic, nor gigabytes for a length that lies.
func FuzzRead(f *testing.F) {
	dir := f.TempDir()
	place, err := folder.New(dir)
	if err != nil {
		f.Fatal(err)
	}
	columns, rows := table(40, 3)
	w, err := NewWriter(f.Context(), place, "part.parquet", columns)
	if err != nil {
		f.Fatal(err)
	}
	for range 2 {
		if err := w.Write(rows); err != nil {
			f.Fatal(err)
		}
	}
	file, err := w.Close()
	if err != nil {
		f.Fatal(err)
	}
	body, err := os.ReadFile(filepath.Join(dir, "part.parquet"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(4), uint32(1), []byte{0xff})
	f.Add(uint32(len(body)-12), uint32(4), []byte{1, 2, 3})
	f.Add(uint32(len(body)/2), uint32(0), []byte("inserted"))
	f.Fuzz(func(t *testing.T, at, cut uint32, insert []byte) {
		start := int(at) % len(body)
		end := min(start+int(cut%4096), len(body))
		damaged := slices.Concat(body[:start], insert, body[end:])
		m := &Manifest{Columns: columns, Files: []File{file}, Rows: file.Rows}
		m.Files[0].Bytes, m.Files[0].SHA256 = int64(len(damaged)), hexSum(damaged)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		n := 0
		err := Read(context.Background(), one{body: damaged}, m, func(r *Rows) error {
			n += r.Len()
			if err := r.check(columns); err != nil {
				t.Error(err)
			}
			return nil
		})
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("the error is not one of damage: %v", err)
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 2<<30 {
			t.Errorf("%d bytes were allocated for a file of %d", got, len(damaged))
		}
		if err == nil && n != int(file.Rows) {
			t.Errorf("%d rows are read; the manifest says %d", n, file.Rows)
		}
	})
}
