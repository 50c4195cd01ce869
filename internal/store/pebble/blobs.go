package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"weir/internal/store"
	"weir/internal/store/pebble/manifest"
)

// A blob file is blocks, each followed by a type (1) and a checksum (4,
// little-endian) over both, and a footer that begins with its own checksum
// over the rest. Blocks are read one at a time, whole, with what follows them.
const (
	blobSuffix  = ".blob"
	blobTrailer = 5
	blobFooter  = 38
)

// damagedBlob is the error of a read that met damage in a blob file.
//
// Pebble ends the process where it finds a blob file corrupt
// (cockroachdb/pebble #5127). So the damage is found before it, on the way from
// the disk, and Pebble gets an error like any other of the disk.
type damagedBlob struct {
	path string
	what string
}

func (e *damagedBlob) Error() string { return fmt.Sprintf("%s is damaged: %s", e.path, e.what) }
func (e *damagedBlob) Unwrap() error { return store.ErrCorrupt }

// Open opens a file to read; a blob file's reads are checked.
func (g *guard) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := g.FS.Open(name, opts...)
	if !strings.HasSuffix(name, blobSuffix) {
		return f, err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, g.damaged(name, "it is missing")
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() < blobFooter {
		err = g.damaged(name, fmt.Sprintf("it has %d bytes", info.Size()))
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &checkedBlob{File: f, guard: g, path: name, size: info.Size()}, nil
}

func (g *guard) damaged(path, what string) error {
	g.note(path, what)
	return &damagedBlob{path: path, what: what}
}

// note reports damage, but none that is met in a frozen folder: what Pebble
// believes it wrote since is not there, and what is damaged is met again.
func (g *guard) note(path, what string) {
	if g.report != nil && g.failure() == nil {
		g.report(path, what)
	}
}

// checkedBlob is a blob file each of whose reads is checked.
type checkedBlob struct {
	vfs.File
	guard *guard
	path  string
	size  int64
}

func (f *checkedBlob) ReadAt(p []byte, at int64) (int, error) {
	n, err := f.File.ReadAt(p, at)
	switch {
	case err != nil:
		return n, f.guard.damaged(f.path, fmt.Sprintf("%d bytes at %d cannot be read: %v", len(p), at, err))
	case at+int64(len(p)) == f.size && len(p) == blobFooter:
		if manifest.Checksum(p[4:]) != binary.LittleEndian.Uint32(p) {
			return 0, f.guard.damaged(f.path, "its footer has another checksum")
		}
	case len(p) < blobTrailer:
		return 0, f.guard.damaged(f.path, fmt.Sprintf("it has a block of %d bytes", len(p)))
	case manifest.Checksum(p[:len(p)-4]) != binary.LittleEndian.Uint32(p[len(p)-4:]):
		return 0, f.guard.damaged(f.path, fmt.Sprintf("the block of %d bytes at %d has another checksum", len(p), at))
	}
	return n, nil
}

// blobFile is a blob file that a table's keys refer to.
type blobFile struct {
	id     uint64 // by which keys refer to it
	path   string
	size   uint64
	bodies uint64 // bytes of all bodies in it
	live   uint64 // bytes of those that keys refer to
}

// blobFiles lists what the table's keys refer to now. An iterator keeps Pebble
// from taking back the version that is read.
func blobFiles(db *engine.DB, fs vfs.FS, dir string) ([]blobFile, error) {
	for {
		version := db.DebugCurrentVersion()
		it, err := db.NewIter(nil)
		if err != nil {
			return nil, err
		}
		if db.DebugCurrentVersion() != version {
			if err := it.Close(); err != nil {
				return nil, err
			}
			continue
		}
		live := map[uint64]uint64{}
		for _, level := range version.Levels {
			for table := range level.All() {
				for _, ref := range table.BlobReferences {
					live[uint64(ref.FileID)] += ref.ValueSize
				}
			}
		}
		var files []blobFile
		for b := range version.BlobFiles.All() {
			name := fmt.Sprintf("%06d%s", uint64(b.Physical.FileNum), blobSuffix)
			id := uint64(b.FileID)
			files = append(files, blobFile{id, fs.PathJoin(dir, name), b.Physical.Size, b.Physical.ValueSize, live[id]})
		}
		return files, it.Close()
	}
}

// checkBlobFiles finds blob files that are missing or of another size, and
// says whether all are well. Pebble opens a table without looking at them.
func checkBlobFiles(db *engine.DB, g *guard, dir string) (whole bool, err error) {
	files, err := blobFiles(db, g, dir)
	if err != nil {
		return false, err
	}
	whole = true
	for _, b := range files {
		info, err := g.Stat(b.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			_ = g.damaged(b.path, "it is missing")
		case err != nil:
			_ = g.damaged(b.path, err.Error())
		case uint64(info.Size()) != b.size:
			_ = g.damaged(b.path, fmt.Sprintf("it has %d bytes; %d were written", info.Size(), b.size))
		default:
			continue
		}
		whole = false
	}
	return whole, nil
}
