package folder

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"weir/internal/objects"
	"weir/internal/objects/objectstest"
)

func TestFolder(t *testing.T) {
	places := map[string]string{} // by test
	objectstest.Run(t, func(t *testing.T) objects.Objects {
		if places[t.Name()] == "" {
			places[t.Name()] = t.TempDir()
		}
		f, err := New(places[t.Name()])
		if err != nil {
			t.Fatal(err)
		}
		return f
	})
}

// TestLeftoversAreRemoved: what a writer left that was killed goes; other files
// stay.
func TestLeftoversAreRemoved(t *testing.T) {
	dir := t.TempDir()
	f, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Create(t.Context(), "a/b"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a", "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(dir); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "a"))
	if err != nil || len(left) != 1 || left[0].Name() != "mine" {
		t.Errorf("left are %v, %v; want mine alone", left, err)
	}
}

// TestNoFolder: where a file lies there is no folder, and the error says so.
func TestNoFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var as *objects.Error
	if _, err := New(path); err == nil || errors.As(err, &as) && as.Name != path {
		t.Errorf("New on a file: %v", err)
	}
	f, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w, err := f.Create(t.Context(), "a")
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	if _, err := f.Create(t.Context(), "a/b"); !errors.As(err, &as) {
		t.Errorf("an object below an object: %v", err)
	}
	if _, err := f.Open(t.Context(), "missing/x"); !errors.Is(err, objects.ErrNotFound) {
		t.Errorf("open: %v", err)
	}
}
