package ingest

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
)

// File is an open CSV file, unpacked while it is read.
type File struct {
	reader io.Reader
	file   *os.File
	size   int64
	made   time.Time // or last changed
	read   atomic.Int64
	close  func()
}

// Open opens a file. It unpacks those whose names end in .gz, .zst or .zstd.
func Open(path string) (*File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a folder: name the files in it", path)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	f := &File{file: file, size: info.Size(), made: info.ModTime(), close: func() {}}
	f.reader = counter{f}
	switch ending(path) {
	case ".gz":
		unpacked, err := gzip.NewReader(f.reader)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s is not gzip, as its name says: %w", path, err), file.Close())
		}
		f.reader = unpacked
	case ".zst", ".zstd":
		unpacked, err := zstd.NewReader(f.reader, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
		}
		f.reader, f.close = unpacked, unpacked.Close
	}
	return f, nil
}

// Read reads unpacked bytes.
func (f *File) Read(p []byte) (int, error) { return f.reader.Read(p) }

// Progress gives the bytes taken from the file, packed, and its size. It may
// be called at any time by any goroutine.
func (f *File) Progress() (read, size int64) { return f.read.Load(), f.size }

// Unchanged gives an error where the file was changed since it was opened.
func (f *File) Unchanged() error {
	info, err := f.file.Stat()
	now, gone := os.Stat(f.file.Name())
	if err == nil && (info.Size() != f.size || !info.ModTime().Equal(f.made) || gone != nil || !os.SameFile(info, now)) {
		err = fmt.Errorf("%s was changed while it was read: read it again", f.file.Name())
	}
	return err
}

// Close closes the file; once is enough.
func (f *File) Close() error {
	f.close()
	f.close = func() {}
	if err := f.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// counter counts what is read from the file itself.
type counter struct{ file *File }

func (c counter) Read(p []byte) (int, error) {
	n, err := c.file.file.Read(p)
	c.file.read.Add(int64(n))
	return n, err
}

// Stem gives a file's name without folder and endings: the metric's name
// where none is given.
func Stem(path string) string {
	name := filepath.Base(path)
	name = strings.TrimSuffix(name, ending(name))
	return strings.TrimSuffix(name, filepath.Ext(name))
}

func ending(path string) string {
	switch ext := filepath.Ext(path); ext {
	case ".gz", ".zst", ".zstd":
		return ext
	}
	return ""
}
