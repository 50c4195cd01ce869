package pebble

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

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
	rewrite(t, fs, "/var/weir/store/FORMAT", "weir-store-pebble 2\n")
	_, err := Open(memConfig(fs))
	if !errors.Is(err, store.ErrVersion) || !strings.Contains(err.Error(), "version 2") || !strings.Contains(err.Error(), "up to 1") {
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

// TestCorruptTable damages a table's files one after the other: it gives
// ErrCorrupt or what was written, nothing is deleted, others go on.
func TestCorruptTable(t *testing.T) {
	cfg := memConfig(vfs.Default)
	cfg.Dir = t.TempDir()
	s := openMem(t, cfg)
	for _, table := range []string{"bad", "good"} {
		must(t, "ensure", s.Ensure(background(), table))
		must(t, "write", s.Write(background(), table, items(1, 40, 40<<10)))
	}
	must(t, "flush", s.tables["bad"].current.db.Flush())
	must(t, "close", s.Close())
	files, err := filepath.Glob(filepath.Join(cfg.Dir, "weeks", "bad", "*"))
	must(t, "glob", err)
	refused := map[string]bool{}
	for _, path := range files {
		whole, err := os.ReadFile(path)
		must(t, "read", err)
		for _, at := range []int{0, len(whole) / 2, -1} { // -1: all of it
			if len(whole) == 0 || strings.HasSuffix(path, ".log") && at < 0 {
				continue // the log is empty, since its memtable was flushed
			}
			broken := bytes.Clone(whole)
			for i := range broken {
				if at < 0 || i == at {
					broken[i] ^= 0x55
				}
			}
			damaged := cfg
			damaged.Dir = t.TempDir()
			must(t, "copy", os.CopyFS(damaged.Dir, os.DirFS(cfg.Dir)))
			path := strings.Replace(path, cfg.Dir, damaged.Dir, 1)
			must(t, "damage", os.WriteFile(path, broken, 0o644))
			if useDamaged(t, damaged, path) {
				refused[filepath.Ext(path)] = true
			}
		}
	}
	if !refused[".sst"] || !refused[".blob"] || !refused[""] {
		t.Errorf("damage was seen in %v; want manifest, sstable and blob file", refused)
	}
}

// useDamaged opens a store with a damaged table, and says whether that showed.
func useDamaged(t *testing.T, cfg Config, path string) bool {
	t.Helper()
	s := openMem(t, cfg)
	defer s.Close()
	n, err := count(s, "bad", 1)
	if i := s.tables["bad"].current; i != nil && strings.HasSuffix(path, ".blob") {
		// What goes on behind the calls must not read it, let alone panic.
		if e := i.db.Compact(background(), []byte{0}, []byte{255}, false); e != nil {
			t.Errorf("%s damaged: compaction: %v", path, e)
		}
	}
	switch {
	case err == nil && n == 40:
	case !errors.Is(err, store.ErrCorrupt):
		t.Errorf("%s damaged: %d items, %v; want ErrCorrupt", path, n, err)
	case !strings.Contains(err.Error(), hintBroken):
		t.Errorf("%s damaged: %v has no hint", path, err)
	}
	if n, err := count(s, "good", 1); err != nil || n != 40 {
		t.Errorf("%s damaged: the other table has %d items, %v", path, n, err)
	}
	if err := s.Append(background(), store.JournalID{Week: 1}, 0, nil); err != nil && !errors.Is(err, store.ErrTaken) {
		t.Errorf("%s damaged: append: %v", path, err)
	}
	if _, e := os.Stat(path); e != nil && err != nil {
		t.Errorf("%s damaged: %v", path, e)
	}
	return err != nil
}

// TestCorruptLog flips bytes of a log that holds all of a table's items. Each
// item is there or its loss is an error, but for what may be the log's torn end.
func TestCorruptLog(t *testing.T) {
	cfg := memConfig(vfs.Default)
	cfg.Dir = t.TempDir()
	s := openMem(t, cfg)
	must(t, "ensure", s.Ensure(background(), "t"))
	for _, item := range items(1, 100, 1000) {
		must(t, "write", s.Write(background(), "t", []store.Item{item}))
	}
	must(t, "close", s.Close())
	logs, err := filepath.Glob(filepath.Join(cfg.Dir, "weeks", "t", "*.log"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("logs are %q, %v; want one", logs, err)
	}
	whole, err := os.ReadFile(logs[0])
	must(t, "read", err)
	for _, at := range []int{0, 10, 5000, 40_000, 70_000} {
		broken := append([]byte{}, whole...)
		broken[at] ^= 0x55
		must(t, "damage", os.WriteFile(logs[0], broken, 0o644))
		s := openMem(t, cfg)
		if n, err := count(s, "t", 1); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("byte %d flipped: %d items, %v; want ErrCorrupt", at, n, err)
		}
		must(t, "close", s.Close())
		if left, err := os.ReadFile(logs[0]); err != nil || len(left) != len(whole) {
			t.Fatalf("byte %d flipped: the log has %d bytes, %v; it must be left alone", at, len(left), err)
		}
	}
	must(t, "mend", os.WriteFile(logs[0], whole, 0o644))
	if n, err := count(openMem(t, cfg), "t", 1); err != nil || n != 100 {
		t.Errorf("after mending: %d items, %v; want 100", n, err)
	}
}

func TestMissingFileIsCorrupt(t *testing.T) {
	fs, now := vfs.NewMem(), &clock{now: time.Unix(1, 0)}
	cfg := memConfig(fs)
	cfg.Now = now.Now
	s := openMem(t, cfg)
	must(t, "ensure", s.Ensure(background(), "t"))
	must(t, "write", s.Write(background(), "t", items(1, 3, 100)))
	must(t, "flush", s.tables["t"].current.db.Flush())
	names, err := fs.List("/var/weir/store/weeks/t")
	must(t, "list", err)
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") {
			must(t, "remove", fs.Remove("/var/weir/store/weeks/t/"+name))
		}
	}
	if !s.tables["t"].evict(s) {
		t.Fatal("an idle table was not evicted")
	}
	for range 3 {
		if _, err := count(s, "t", 1); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("query: %v; want ErrCorrupt", err)
		}
		now.advance(lastRetry)
	}
	must(t, "ensure another", s.Ensure(background(), "u"))
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
