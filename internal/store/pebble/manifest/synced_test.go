package manifest

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestNoteOfSyncedSize reads a note whole, torn, of another manifest, and not at
// all. One that cannot be read says nothing.
func TestNoteOfSyncedSize(t *testing.T) {
	const path = "/MANIFEST-000007"
	note := synced("MANIFEST-000007", 1234)
	for content, want := range map[string]int64{
		"":                                 0,
		note:                               1234,
		note[:len(note)-1]:                 0,
		note + "x":                         0,
		"MANIFEST-000007 9999" + note[20:]: 0,
		synced("MANIFEST-000008", 1234):    0,
		"\x00\x00":                         0,
	} {
		files := vfs.NewMem()
		f, err := files.Create("/"+fileSynced, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		if size, err := syncedSize(files, path); size != want || err != nil {
			t.Errorf("note %q: size %d, %v; want %d", content, size, err, want)
		}
	}
	files := vfs.NewMem()
	if size, err := syncedSize(files, path); size != 0 || err != nil {
		t.Errorf("no note: size %d, %v; want 0", size, err)
	}
	for _, size := range []int64{10, 20} {
		if err := NoteSynced(files, path, size); err != nil {
			t.Fatal(err)
		}
		if got, err := syncedSize(files, path); got != size || err != nil {
			t.Errorf("noted %d: size %d, %v", size, got, err)
		}
	}
}
