package folder

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"weir/internal/objects"
)

func put(t *testing.T, f *Folder, name, body string) {
	t.Helper()
	w, err := f.Create(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestASnapshotHasEveryObjectThatWasThere(t *testing.T) {
	f, err := New(filepath.Join(t.TempDir(), "objects"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, f, "week=2026-W03/part-1", "one")
	put(t, f, "manifest", "old")
	unfinished, err := f.Create(t.Context(), "unfinished")
	if err != nil {
		t.Fatal(err)
	}
	deleted := make(chan error, 1)
	dir := filepath.Join(t.TempDir(), "copy")
	err = f.Snapshot(t.Context(), dir, func(context.Context) error {
		go func() { deleted <- f.Delete(context.Background(), "week=2026-W03/part-1") }()
		select {
		case err := <-deleted:
			t.Errorf("an object was removed while the snapshot's moment ran: %v", err)
		case <-time.After(100 * time.Millisecond):
		}
		return nil
	})
	if err := errors.Join(err, <-deleted); err != nil {
		t.Fatal(err)
	}
	put(t, f, "manifest", "new") // takes the name, not the file
	unfinished.Abort()
	copied, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	list, err := copied.List(t.Context(), "")
	for i := range list {
		list[i].Modified = time.Time{}
	}
	if want := []objects.Info{{Name: "manifest", Size: 3}, {Name: "week=2026-W03/part-1", Size: 3}}; err != nil || len(list) != 2 || list[0] != want[0] || list[1] != want[1] {
		t.Errorf("the copy has %v, %v; want %v", list, err, want)
	}
	if body, err := os.ReadFile(filepath.Join(dir, "manifest")); err != nil || string(body) != "old" {
		t.Errorf("the copy's manifest is %q, %v", body, err)
	}
}
