package manifest

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fileSynced notes how long a folder's manifest was when it was last synced. A
// manifest that lost its end looks like one that was never longer, and what only
// its end names Pebble deletes. The note is written after the sync, and is not
// synced itself: after a power cut it may be old, torn or missing, and then says
// less than is true. It never says more.
const fileSynced = "SYNCED"

// IsManifest says whether a path is that of a manifest.
func IsManifest(files vfs.FS, path string) bool {
	return strings.HasPrefix(files.PathBase(path), "MANIFEST-")
}

// NoteSynced notes that a manifest of so many bytes was synced.
func NoteSynced(files vfs.FS, path string, size int64) error {
	f, err := files.Create(files.PathJoin(files.PathDir(path), fileSynced), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(synced(files.PathBase(path), size)))
	return errors.Join(err, f.Close())
}

// synced is the note: a line of name, size and the checksum of both.
func synced(name string, size int64) string {
	line := fmt.Sprintf("%s %d", name, size)
	return fmt.Sprintf("%s %08x\n", line, crc32.ChecksumIEEE([]byte(line)))
}

// syncedSize gives the size that was noted of a manifest, 0 if there is no note
// of it that can be read.
func syncedSize(files vfs.FS, path string) (int64, error) {
	note, err := readFile(files, files.PathJoin(files.PathDir(path), fileSynced))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	name, size := "", int64(0)
	if _, err := fmt.Sscanf(string(note), "%s %d", &name, &size); err != nil {
		return 0, nil //nolint:nilerr // a torn note says nothing
	}
	if name != files.PathBase(path) || string(note) != synced(name, size) {
		return 0, nil
	}
	return size, nil
}
