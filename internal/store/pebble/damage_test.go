package pebble

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"weir/internal/store"
)

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
