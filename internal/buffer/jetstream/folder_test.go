package jetstream

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestFolderSyncCoversEveryEntry has entries appear at random moments, seen
// through a clock that ticks coarsely, and checks that after each Sync all
// entries that were there before it have been synced.
func TestFolderSyncCoversEveryEntry(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tick := time.Duration(rapid.SampledFrom([]int{0, 4, 10, 1000}).Draw(t, "tick ms")) * time.Millisecond
		now := time.Date(2026, 1, 15, 12, 0, 0, 1, time.UTC)
		var modified time.Time
		entries, durable, syncs := 0, 0, 0
		change := func() {
			entries++
			modified = now
			if tick > 0 {
				modified = now.Truncate(tick)
			}
		}
		pass := func(label string) {
			now = now.Add(time.Duration(rapid.SampledFrom([]int{0, 0, 1, 3, 40, 60, 3000}).Draw(t, label)) * time.Millisecond)
		}
		amid := false
		f := &folder{
			now: func() time.Time { return now },
			stat: func(string) (time.Time, error) {
				at := modified
				if amid {
					change() // somebody else's entry, after the stat
				}
				return at, nil
			},
			sync: func(string) error {
				syncs++
				durable = entries
				if amid {
					change() // and after the sync
				}
				return nil
			},
		}
		change()
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			pass("before")
			if rapid.Bool().Draw(t, "change") {
				change()
			}
			pass("after")
			amid = rapid.IntRange(0, 5).Draw(t, "amid") == 0
			before := entries
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
			if durable < before {
				t.Fatalf("%d of %d entries are durable", durable, before)
			}
		}
		// A folder that stays as it is costs nothing in the end.
		amid = false
		for range 3 {
			now = now.Add(10 * time.Second)
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		syncs = 0
		if err := f.Sync(); err != nil || syncs != 0 {
			t.Fatalf("a folder that did not change was synced %d times, %v", syncs, err)
		}
	})
}

func TestFolderSyncThatFailedIsDoneAgain(t *testing.T) {
	now := time.Date(2026, 1, 15, 12, 0, 0, 1, time.UTC)
	broken := errors.New("broken disk")
	fail, syncs := true, 0
	f := &folder{
		now:  func() time.Time { return now.Add(time.Hour) },
		stat: func(string) (time.Time, error) { return now, nil },
		sync: func(string) error {
			syncs++
			if fail {
				return broken
			}
			return nil
		},
	}
	if err := f.Sync(); !errors.Is(err, broken) {
		t.Fatalf("sync on a broken disk: %v", err)
	}
	fail = false
	if err := f.Sync(); err != nil || syncs != 2 {
		t.Fatalf("%d syncs, %v; want a second one", syncs, err)
	}
	f.stat = func(string) (time.Time, error) { return now, broken }
	if err := f.Sync(); !errors.Is(err, broken) {
		t.Fatalf("sync of a folder that can't be seen: %v", err)
	}
}

func TestFolderSyncOnTheRealDisk(t *testing.T) {
	dir := t.TempDir()
	f := newFolder(dir)
	syncs := 0
	f.sync = func(path string) error {
		syncs++
		return syncFolder(path)
	}
	for i := range 3 {
		name := filepath.Join(dir, string(rune('a'+i)))
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil || syncs != i+1 {
			t.Fatalf("%d syncs after file %d, %v", syncs, i+1, err)
		}
	}
	if err := os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "z")); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil || syncs != 4 {
		t.Fatalf("%d syncs after a rename, %v", syncs, err)
	}
}

func TestMakeFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	for range 2 {
		if err := makeFolder(dir); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := makeFolder(filepath.Join(file, "below")); err == nil {
		t.Fatal("a folder was made below a file")
	}
	if err := syncTree(dir); err != nil {
		t.Fatal(err)
	}
	if err := syncTree(filepath.Join(dir, "missing")); err != nil {
		t.Fatalf("sync of a tree that is gone: %v", err)
	}
}
