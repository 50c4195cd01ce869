package datafolder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// names lists what is in a folder.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestAFolderIsMadeOnceAndHeldByOne(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "in use by another weir") {
		t.Fatalf("taken twice: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	// A crash between the two steps of writing the format leaves this.
	if err := os.Rename(filepath.Join(dir, "FORMAT"), filepath.Join(dir, "FORMAT.new")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if f, err = Open(dir); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(t, dir); !slices.Equal(got, []string{"FORMAT", "LOCK"}) {
		t.Fatalf("the folder holds %v", got)
	}
}

func TestAFolderOfAnotherVersionIsLeftAsItIs(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"FORMAT": "weir-data 2\n", "LOCK": "", "store": "not ours to read"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Open(dir)
	if err == nil || !strings.Contains(err.Error(), `"weir-data 2"`) || !strings.Contains(err.Error(), "nothing was changed") {
		t.Fatal(err)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"FORMAT", "LOCK", "store"}) {
		t.Fatalf("the folder holds %v", got)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "FORMAT")); err != nil || string(text) != "weir-data 2\n" {
		t.Fatalf("%q, %v", text, err)
	}
}

func TestAFolderThatIsNotWholeIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "store"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "not whole") {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "FORMAT")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a format was written: %v", err)
	}
}

func TestFindMakesNothing(t *testing.T) {
	parent := t.TempDir()
	for _, dir := range []string{filepath.Join(parent, "none"), parent} {
		if _, err := Find(dir); !errors.Is(err, ErrNone) {
			t.Fatalf("%s: %v", dir, err)
		}
	}
	if got := names(t, parent); len(got) != 0 {
		t.Fatalf("made %v", got)
	}
}

func TestAFolderThatIsBeingRestoredIsRefused(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{RestoringFile, FormatFile} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("weir-data 1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, open := range []func(string) (*Folder, error){Open, Find} {
			if _, err := open(dir); err == nil || !strings.Contains(err.Error(), "weir backup restore") && !errors.Is(err, ErrNone) {
				t.Errorf("with %s it gives %v", name, err)
			}
		}
	}
	if err := os.Remove(filepath.Join(dir, RestoringFile)); err != nil {
		t.Fatal(err)
	}
	f, err := Open(dir)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Error(err)
	}
}
