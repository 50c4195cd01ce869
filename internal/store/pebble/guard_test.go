package pebble

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"weir/internal/store"
)

// TestFrozenGuardChangesNothing makes every kind of change on a frozen guard:
// each is answered well, and the disk stays as it was.
func TestFrozenGuardChangesNothing(t *testing.T) {
	mem := vfs.NewMem()
	must(t, "mkdir", mem.MkdirAll("/d", 0o755))
	rewrite(t, mem, "/d/a", "before")
	g := newGuard(mem)
	open, err := g.OpenReadWrite("/d/a", vfs.WriteCategoryUnspecified)
	must(t, "open", err)
	before := mem.String()
	g.freeze(syscall.ENOSPC)
	g.freeze(io.EOF)
	if !errors.Is(g.failure(), syscall.ENOSPC) {
		t.Errorf("the cause is %v; the first one counts", g.failure())
	}
	for name, change := range map[string]func() error{
		"create": func() error { return writeAll(g.Create("/d/b", vfs.WriteCategoryUnspecified)) },
		"open":   func() error { return writeAll(g.OpenReadWrite("/d/c", vfs.WriteCategoryUnspecified)) },
		"reuse":  func() error { return writeAll(g.ReuseForWrite("/d/a", "/d/e", vfs.WriteCategoryUnspecified)) },
		"write":  func() error { _, err := open.Write([]byte("after")); return err },
		"at":     func() error { _, err := open.WriteAt([]byte("after"), 1); return err },
		"sync":   open.Sync,
		"data":   open.SyncData,
		"to":     func() error { _, err := open.SyncTo(3); return err },
		"room":   func() error { return open.Preallocate(0, 10) },
		"link":   func() error { return g.Link("/d/a", "/d/f") },
		"remove": func() error { return g.Remove("/d/a") },
		"all":    func() error { return g.RemoveAll("/d") },
		"rename": func() error { return g.Rename("/d/a", "/d/g") },
		"mkdir":  func() error { return g.MkdirAll("/d/h", 0o755) },
		"folder": func() error {
			d, err := g.OpenDir("/d")
			if err != nil {
				return err
			}
			return errors.Join(d.Sync(), d.Close())
		},
	} {
		if err := change(); err != nil {
			t.Errorf("%s: %v; a frozen guard answers well", name, err)
		}
		if after := mem.String(); after != before {
			t.Fatalf("%s changed the disk:\n%s\nwas\n%s", name, after, before)
		}
	}
	must(t, "close", open.Close())
	if _, err := g.OpenDir("/missing"); err == nil {
		t.Error("reading goes on, and says what is missing")
	}
	if g.Unwrap() != vfs.FS(mem) {
		t.Error("the guard hides what it wraps")
	}
}

// TestAFrozenGuardReportsNoDamage: what is missing of a file whose write failed
// is no damage.
func TestAFrozenGuardReportsNoDamage(t *testing.T) {
	g := newGuard(vfs.NewMem())
	var reported []string
	g.report = func(path, what string) { reported = append(reported, path+": "+what) }
	if err := g.damaged("/d/a", "it is short"); err == nil || len(reported) != 1 {
		t.Fatalf("%v, reported %q; want the damage", err, reported)
	}
	g.freeze(errors.New("no space"))
	if err := g.damaged("/d/b", "it is short"); err == nil || len(reported) != 1 {
		t.Fatalf("%v, reported %q; want an error and no report", err, reported)
	}
}

func writeAll(f vfs.File, err error) error {
	if err != nil {
		return err
	}
	_, err = f.Write([]byte("after"))
	return errors.Join(err, f.Sync(), f.Close())
}

// TestGuardFreezesOnWhatPebbleWouldNotSurvive makes each kind of change fail.
func TestGuardFreezesOnWhatPebbleWouldNotSurvive(t *testing.T) {
	for _, kind := range growing {
		disk := newSickDisk()
		must(t, "mkdir", disk.MkdirAll("/d", 0o755))
		rewrite(t, disk, "/d/a", "before")
		g := newGuard(disk)
		f, err := g.Create("/d/x", vfs.WriteCategoryUnspecified)
		must(t, "create", err)
		disk.set(full("/d", kind))
		for _, change := range []func() error{
			func() error { _, err := f.Write([]byte("x")); return err },
			func() error { _, err := f.WriteAt([]byte("x"), 0); return err },
			f.Sync, f.SyncData,
			func() error { _, err := f.SyncTo(1); return err },
			func() error { return g.Link("/d/a", "/d/b") },
			func() error { return g.Rename("/d/a", "/d/c") },
			func() error { return g.MkdirAll("/d/d", 0o755) },
			func() error { return writeAll(g.Create("/d/e", vfs.WriteCategoryUnspecified)) },
			func() error { return writeAll(g.ReuseForWrite("/d/e", "/d/f", vfs.WriteCategoryUnspecified)) },
		} {
			if err := change(); err != nil {
				t.Errorf("%v fails: %v reaches Pebble", kind, err)
			}
		}
		if !errors.Is(g.failure(), syscall.ENOSPC) {
			t.Errorf("%v fails: the guard has %v", kind, g.failure())
		}
	}
	g := newGuard(vfs.NewMem())
	must(t, "change", g.change(func() error {
		if g.busy.TryLock() {
			t.Error("drain would not wait for a change that is under way")
		}
		return nil
	}))
	if err := g.Remove("/missing"); err == nil || g.failure() != nil {
		t.Errorf("remove of a missing file: %v, frozen by %v; Pebble asks that way", err, g.failure())
	}
	logger{log: memConfig(nil).Logger, guard: g}.Fatalf("no %s", "way")
	if !errors.Is(g.failure(), store.ErrUnavailable) || !strings.Contains(g.failure().Error(), "no way") {
		t.Errorf("after Fatalf the guard is frozen by %v", g.failure())
	}
}

// TestStrangeEntriesAreCorrupt plants keys and values that the driver never
// writes.
func TestStrangeEntriesAreCorrupt(t *testing.T) {
	s := openMem(t, memConfig(vfs.NewMem()))
	db := s.journals.current.db
	id := store.JournalID{Week: 1}
	for n := range uint64(3) {
		must(t, "append", s.Append(background(), id, n, []byte("x")))
	}
	must(t, "delete", db.Delete(entryKey(id, 1), engine.Sync))
	if _, err := s.Read(background(), id, 0, 9); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("a journal with a hole: %v; want ErrCorrupt", err)
	}
	must(t, "delete", db.Delete(entryKey(id, 2), engine.Sync))
	if _, err := s.Read(background(), id, 2, 9); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("a journal without its end: %v; want ErrCorrupt", err)
	}
	must(t, "set", db.Set([]byte("rshort/a"), []byte("x"), engine.Sync))
	if _, err := s.Get(background(), "short/a"); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("get of a record without a version: %v; want ErrCorrupt", err)
	}
	if _, err := s.Scan(background(), "short/"); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("scan over a record without a version: %v; want ErrCorrupt", err)
	}
	must(t, "set", db.Set([]byte("jstrange"), nil, engine.Sync))
	if _, err := s.List(background()); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("list over a strange key: %v; want ErrCorrupt", err)
	}
	must(t, "ensure", s.Ensure(background(), "t"))
	must(t, "write", s.Write(background(), "t", items(1, 1, 1)))
	must(t, "set", s.tables["t"].current.db.Set([]byte("\x00\x01\x80\x00\x00short"), nil, engine.Sync))
	if _, err := count(s, "t", 1); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("query over a strange key: %v; want ErrCorrupt", err)
	}
}

// TestReadErrors makes reads fail: the caller may try again, and the folder
// stays open.
func TestReadErrors(t *testing.T) {
	disk := newSickDisk()
	s := openMem(t, memConfig(disk))
	must(t, "ensure", s.Ensure(background(), "t"))
	must(t, "write", s.Write(background(), "t", items(1, 20, 50<<10)))
	must(t, "flush", s.tables["t"].current.db.Flush())
	if !s.tables["t"].evict(s) { // so that nothing of it is cached
		t.Fatal("an idle table was not evicted")
	}
	must(t, "open again", s.Write(background(), "t", nil))
	disk.set(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileReadAt && strings.Contains(op.Path, "weeks") {
			return syscall.EIO
		}
		return nil
	})
	if _, err := count(s, "t", 1); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("query: %v; want ErrUnavailable", err)
	}
	disk.heal()
	n, err := count(s, "t", 1)
	for end := time.Now().Add(10 * time.Second); errors.Is(err, store.ErrUnavailable) && time.Now().Before(end); {
		runtime.Gosched() // Pebble opens a file once for all who ask, and may have begun before
		n, err = count(s, "t", 1)
	}
	if err != nil || n != 20 {
		t.Errorf("after that: %d items, %v; want 20", n, err)
	}
}

// TestNewerPebble: a table that a later Pebble wrote is not corrupt.
func TestNewerPebble(t *testing.T) {
	fs := vfs.NewMem()
	s := openMem(t, memConfig(fs))
	must(t, "ensure", s.Ensure(background(), "t"))
	names, err := fs.List("/var/weir/store/weeks/t")
	must(t, "list", err)
	for _, name := range names {
		if strings.HasPrefix(name, "marker.format-version") {
			must(t, "rename", fs.Rename("/var/weir/store/weeks/t/"+name, "/var/weir/store/weeks/t/marker.format-version.000999.999"))
		}
	}
	if _, err := count(s, "t", 1); !errors.Is(err, store.ErrVersion) || !strings.Contains(err.Error(), hintNewer) {
		t.Errorf("query: %v; want ErrVersion and its hint", err)
	}
}
