package pebble

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"

	"weir/internal/store"
)

func TestConfigRefuses(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no folder":      func(c *Config) { c.Dir = "" },
		"no cache":       func(c *Config) { c.CacheBytes = 0 },
		"no tables":      func(c *Config) { c.MaxOpenTables = 0 },
		"small memtable": func(c *Config) { c.MemTableBytes = 1 },
		"huge memtable":  func(c *Config) { c.MemTableBytes = 1 << 40 },
		"no logger":      func(c *Config) { c.Logger = nil },
		"no file system": func(c *Config) { c.FS = nil },
		"no clock":       func(c *Config) { c.Now = nil },
	} {
		cfg := memConfig(vfs.NewMem())
		change(&cfg)
		if s, err := Open(cfg); err == nil {
			_ = s.Close()
			t.Errorf("%s: want an error", name)
		}
	}
}

// TestFolderIsDurableAtOnce cuts the power right after the first answers: all
// folders and their names must be on the disk by then.
func TestFolderIsDurableAtOnce(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := openMem(t, memConfig(fs))
	must(t, "ensure", s.Ensure(background(), "a"))
	must(t, "write", s.Write(background(), "a", items(1, 3, 1000)))
	must(t, "append", s.Append(background(), store.JournalID{Week: 1}, 0, []byte("x")))

	again := openMem(t, memConfig(fs.CrashClone(vfs.CrashCloneCfg{})))
	if n, err := count(again, "a", 1); err != nil || n != 3 {
		t.Errorf("%d items, %v; want 3", n, err)
	}
	entries, err := again.Read(background(), store.JournalID{Week: 1}, 0, 9)
	if err != nil || len(entries) != 1 {
		t.Errorf("%d entries, %v; want 1", len(entries), err)
	}
}

// TestKilledAtEachStep ends the process at each change of the disk from the
// first start on, and opens what is there: once as after a kill, when all that
// was written is there, once as after a power cut.
func TestKilledAtEachStep(t *testing.T) {
	steps := 0
	for step := 0; ; step++ {
		disk := newSickDisk()
		var mu sync.Mutex // Pebble also works behind the calls
		n := 0
		var killed, cut *vfs.MemFS
		disk.set(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			if n++; n == step+1 {
				killed = disk.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 2))})
				cut = disk.mem.CrashClone(vfs.CrashCloneCfg{})
			}
			return nil
		})
		acknowledged := ""
		s, err := Open(memConfig(disk))
		must(t, "open", err)
		note := func(what string, err error) {
			must(t, what, err)
			mu.Lock()
			defer mu.Unlock()
			if killed == nil {
				acknowledged = what
			}
		}
		note("ensure", s.Ensure(background(), "a"))
		note("write", s.Write(background(), "a", items(1, 2, 5000)))
		note("ensure b", s.Ensure(background(), "b"))
		note("drop b", s.Drop(background(), "b"))
		must(t, "close", s.Close())
		if killed == nil {
			break
		}
		steps++
		for name, fs := range map[string]*vfs.MemFS{"kill": killed, "power cut": cut} {
			afterKill(t, name, step, fs, acknowledged)
		}
	}
	if steps < 100 {
		t.Errorf("only %d steps were seen", steps)
	}
}

// TestKilledAndStartedAgainBeforePowerCut kills the first start at each change
// of the disk, starts again on what it left, synced or not, and cuts the power
// once the second start has answered. What the first one did not get to sync,
// the second must.
func TestKilledAndStartedAgainBeforePowerCut(t *testing.T) {
	for step := 0; ; step++ {
		disk := newSickDisk()
		var changes atomic.Int64
		disk.set(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && changes.Add(1) > int64(step) {
				return errors.New("killed")
			}
			return nil
		})
		wrote := false
		if s, err := Open(memConfig(disk)); err == nil {
			_ = s.Ensure(background(), "a")
			wrote = s.Write(background(), "a", items(1, 2, 5000)) == nil
			_ = s.Close()
		}
		disk.heal()
		s := openMem(t, memConfig(disk))
		if n, err := count(s, "a", 1); wrote && (err != nil || n != 2) {
			t.Fatalf("killed at step %d: %d items, %v; want 2", step, n, err)
		}
		must(t, "ensure", s.Ensure(background(), "a"))
		must(t, "write", s.Write(background(), "a", items(2, 3, 5000)))
		must(t, "append", s.Append(background(), store.JournalID{Week: 1}, 0, []byte("x")))
		cut := disk.mem.CrashClone(vfs.CrashCloneCfg{})
		must(t, "close", s.Close())

		last := openMem(t, memConfig(cut))
		n, err := count(last, "a", 2)
		entries, readErr := last.Read(background(), store.JournalID{Week: 1}, 0, 9)
		if err != nil || n != 3 || readErr != nil || len(entries) != 1 {
			t.Fatalf("killed at step %d, then a power cut: %d items, %v, %d entries, %v; want 3 and 1", step, n, err, len(entries), readErr)
		}
		must(t, "close", last.Close())
		if changes.Load() <= int64(step) {
			break // the first start came to its end
		}
	}
}

func afterKill(t *testing.T, name string, step int, fs *vfs.MemFS, acknowledged string) {
	t.Helper()
	s, err := Open(memConfig(fs))
	if err != nil {
		t.Fatalf("%s at step %d, after %q: %v", name, step, acknowledged, err)
	}
	defer func() { _ = s.Close() }()
	names, err := s.Names(background())
	must(t, "names", err)
	list := strings.Join(names, " ")
	wrote := acknowledged != "" && acknowledged != "ensure"
	switch n, err := count(s, "a", 1); {
	case wrote && (err != nil || n != 2):
		t.Errorf("%s at step %d, after %q: %d items, %v; want 2", name, step, acknowledged, n, err)
	case acknowledged == "ensure" && err != nil:
		t.Errorf("%s at step %d, after ensure: %v", name, step, err)
	case err != nil && !errors.Is(err, store.ErrNoTable):
		t.Errorf("%s at step %d: %v", name, step, err)
	}
	if acknowledged == "ensure b" && !strings.Contains(list, "a") || acknowledged == "drop b" && list != "a" {
		t.Errorf("%s at step %d, after %q: tables are %q", name, step, acknowledged, list)
	}
	left, err := fs.List("/var/weir/store/weeks")
	must(t, "list", err)
	if len(left) != len(names) {
		t.Errorf("%s at step %d: the weeks' folder holds %q; want the tables only", name, step, left)
	}
}

func TestNewerVersionIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	openMem(t, memConfig(fs)).Close()
	rewrite(t, fs, "/var/weir/store/FORMAT", "weir-store-pebble 3\n")
	_, err := Open(memConfig(fs))
	if !errors.Is(err, store.ErrVersion) || !strings.Contains(err.Error(), "version 3") || !strings.Contains(err.Error(), "up to 2") {
		t.Errorf("open: %v; want ErrVersion and both versions", err)
	}
	rewrite(t, fs, "/var/weir/store/FORMAT", "something else")
	if _, err := Open(memConfig(fs)); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("open of a strange FORMAT: %v; want ErrCorrupt", err)
	}
}

func rewrite(t *testing.T, fs vfs.FS, path, text string) {
	t.Helper()
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	must(t, "create", err)
	_, err = io.WriteString(f, text)
	must(t, "write", err)
	must(t, "close", f.Close())
}

// TestLostFormat: a folder with data but without FORMAT is not taken for new.
func TestLostFormat(t *testing.T) {
	for name, fill := range map[string]func(*Store) error{
		"a table":  func(s *Store) error { return s.Ensure(background(), "a") },
		"a record": func(s *Store) error { _, err := s.Put(background(), "a", nil, 0); return err },
	} {
		fs := vfs.NewMem()
		s := openMem(t, memConfig(fs))
		must(t, "fill", fill(s))
		must(t, "close", s.Close())
		must(t, "remove", fs.Remove("/var/weir/store/FORMAT"))
		if _, err := Open(memConfig(fs)); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %v; want ErrCorrupt", name, err)
		}
	}
	fs := vfs.NewMem() // no data: the start was cut short
	openMem(t, memConfig(fs)).Close()
	must(t, "remove", fs.Remove("/var/weir/store/FORMAT"))
	openMem(t, memConfig(fs))
	fs = vfs.NewMem()
	openMem(t, memConfig(fs)).Close()
	must(t, "remove", fs.RemoveAll("/var/weir/store/journals"))
	if _, err := Open(memConfig(fs)); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("lost journals: %v; want ErrCorrupt", err)
	}
}

func TestLock(t *testing.T) {
	cfg := Default()
	cfg.Dir = t.TempDir()
	openMem(t, cfg)
	_, err := Open(cfg)
	var detail *store.Error
	if !errors.Is(err, store.ErrUnavailable) || !errors.As(err, &detail) || detail.Hint != hintLocked {
		t.Fatalf("a second open: %v; want ErrUnavailable and the hint", err)
	}
	if os.Getenv("WEIR_TEST_LOCK") != "" {
		return
	}
	command := exec.Command(os.Args[0], "-test.run=^TestLockOfAnotherProcess$")
	command.Env = append(os.Environ(), "WEIR_TEST_LOCK="+cfg.Dir)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("another process: %v\n%s", err, out)
	}
}

// TestLockOfAnotherProcess runs within the process that TestLock starts.
func TestLockOfAnotherProcess(t *testing.T) {
	cfg := Default()
	if cfg.Dir = os.Getenv("WEIR_TEST_LOCK"); cfg.Dir == "" {
		t.Skip("run by TestLock in a process of its own")
	}
	if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), hintLocked) {
		t.Fatalf("open: %v; want that another weir is running", err)
	}
}

func TestForeignFilesAreLeftAlone(t *testing.T) {
	fs := vfs.NewMem()
	openMem(t, memConfig(fs)).Close()
	rewrite(t, fs, "/var/weir/store/weeks/README.txt", "hello")
	must(t, "mkdir", fs.MkdirAll("/var/weir/store/weeks/.dropped-x-0/sub", 0o755))
	s := openMem(t, memConfig(fs))
	names, err := s.Names(background())
	if err != nil || len(names) != 0 {
		t.Errorf("names are %q, %v", names, err)
	}
	left, err := fs.List("/var/weir/store/weeks")
	if err != nil || len(left) != 1 || left[0] != "README.txt" {
		t.Errorf("the weeks' folder holds %q, %v; want the foreign file only", left, err)
	}
}

func TestDropWhileAnEarlierDropIsLeftOver(t *testing.T) {
	disk := newSickDisk()
	s := openMem(t, memConfig(disk))
	for range 3 {
		must(t, "ensure", s.Ensure(background(), "t"))
		disk.set(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpRemoveAll && strings.Contains(op.Path, prefixDropped) {
				return os.ErrPermission
			}
			return nil
		})
		must(t, "drop, though the folder cannot be removed", s.Drop(background(), "t"))
		disk.heal()
	}
	disk.set(full("weeks", errorfs.OpRename))
	must(t, "drop of what is not there", s.Drop(background(), "t"))
	if err := s.Ensure(background(), "t"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("ensure on a sick disk: %v; want ErrUnavailable", err)
	}
	disk.heal()
	must(t, "ensure", s.Ensure(background(), "t"))
	must(t, "write", s.Write(background(), "t", items(1, 1, 1)))
	disk.set(full("weeks", errorfs.OpRename))
	if err := s.Drop(background(), "t"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("drop on a sick disk: %v; want ErrUnavailable", err)
	}
	disk.heal()
	if n, err := count(s, "t", 1); err != nil || n != 1 {
		t.Errorf("after a drop that failed: %d items, %v; want 1", n, err)
	}
}

// TestOpenTablesAreBounded uses more tables than may be open, one of them all
// the time.
func TestOpenTablesAreBounded(t *testing.T) {
	s := openMem(t, memConfig(vfs.NewMem()))
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	for _, name := range names {
		must(t, "ensure", s.Ensure(background(), name))
		must(t, "write", s.Write(background(), name, items(1, 2, 10)))
	}
	if m := s.Metrics(); m.OpenTables != 3 || m.Tables != len(names) || m.LogBytes == 0 {
		t.Errorf("metrics are %+v; want 3 open of %d", m, len(names))
	}
	err := s.Query(background(), "a", 1, 0, 9, func(store.Item) bool {
		for _, name := range names {
			if n, err := count(s, name, 1); err != nil || n != 2 {
				t.Errorf("%s: %d items, %v", name, n, err)
			}
		}
		return s.tables["a"].current != nil
	})
	if err != nil || s.tables["a"].current == nil {
		t.Errorf("the table in use was closed: %v", err)
	}
	must(t, "close", s.Close())
	if m := s.Metrics(); m.OpenTables != 0 {
		t.Errorf("metrics after close are %+v", m)
	}
}

func TestNoGoroutineIsLeft(t *testing.T) {
	before := goleak.IgnoreCurrent()
	for range 3 {
		s := openMem(t, memConfig(vfs.NewMem()))
		must(t, "ensure", s.Ensure(background(), "a"))
		must(t, "write", s.Write(background(), "a", items(1, 50, 50<<10)))
		must(t, "drop", s.Drop(background(), "a"))
		must(t, "close", s.Close())
	}
	runtime.GC()
	goleak.VerifyNone(t, before)
}

// TestDefaultsNeedOnlyAFolder also keeps what Pebble calls a version within
// what the layout's version promises.
func TestDefaultsNeedOnlyAFolder(t *testing.T) {
	cfg := Default()
	cfg.Dir = filepath.Join(t.TempDir(), "a", "b")
	s := openMem(t, cfg)
	if v := s.journals.current.db.FormatMajorVersion(); v != engine.FormatValueSeparation {
		t.Errorf("Pebble writes version %d; layout version %d means %d", v, formatVersion, engine.FormatValueSeparation)
	}
}
