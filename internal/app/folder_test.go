package app

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
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
	f, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openFolder(dir); err == nil || !strings.Contains(err.Error(), "in use by another weir") {
		t.Fatalf("taken twice: %v", err)
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	// A crash between the two steps of writing the format leaves this.
	if err := os.Rename(filepath.Join(dir, "FORMAT"), filepath.Join(dir, "FORMAT.new")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if f, err = openFolder(dir); err != nil {
			t.Fatal(err)
		}
		if err := f.close(); err != nil {
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
	c := Default()
	c.Data = dir
	_, err := Open(context.Background(), c, "test", slog.New(slog.DiscardHandler))
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
	if _, err := openFolder(dir); err == nil || !strings.Contains(err.Error(), "not whole") {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "FORMAT")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a format was written: %v", err)
	}
}

func TestInspectMakesNothing(t *testing.T) {
	parent := t.TempDir()
	c := Default()
	for _, dir := range []string{filepath.Join(parent, "none"), parent} {
		c.Data = dir
		if _, err := Inspect(context.Background(), c, "test", slog.New(slog.DiscardHandler)); !errors.Is(err, ErrNoFolder) {
			t.Fatalf("%s: %v", dir, err)
		}
	}
	if got := names(t, parent); len(got) != 0 {
		t.Fatalf("made %v", got)
	}
}
