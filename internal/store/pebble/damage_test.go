package pebble

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"weir/internal/store"
)

// harm is one way to damage a file.
type harm struct {
	name string
	do   func(path string, whole []byte) error
}

// harms gives ways to damage a file of so many bytes.
func harms(size int) []harm {
	flip := func(at int) func(string, []byte) error {
		return func(path string, whole []byte) error {
			broken := bytes.Clone(whole)
			broken[at] ^= 0x55
			return os.WriteFile(path, broken, 0o644)
		}
	}
	list := []harm{{"removed", func(path string, _ []byte) error { return os.Remove(path) }}}
	if size == 0 {
		return list
	}
	return append(list,
		harm{"first byte flipped", flip(0)},
		harm{"byte in the middle flipped", flip(size / 2)},
		harm{"last byte flipped", flip(size - 1)},
		harm{"cut in half", func(path string, _ []byte) error { return os.Truncate(path, int64(size/2)) }},
		harm{"emptied", func(path string, _ []byte) error { return os.Truncate(path, 0) }},
		harm{"overwritten", func(path string, whole []byte) error {
			return os.WriteFile(path, bytes.Repeat([]byte{0xa5}, len(whole)), 0o644)
		}})
}

// TestManifestWithoutItsEnd cuts a manifest after each of its bytes, when no log
// is left to write its flushes anew.
func TestManifestWithoutItsEnd(t *testing.T) {
	whole := damagedFolder(t)
	dir := filepath.Join(whole.Dir, "weeks", "bad")
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	must(t, "glob", err)
	for _, path := range logs {
		must(t, "empty", os.Truncate(path, 0))
	}
	data, path := currentManifest(t, dir)
	for size := len(data); size >= 0; size -= 7 {
		cfg := whole
		cfg.Dir = t.TempDir()
		must(t, "copy", os.CopyFS(cfg.Dir, os.DirFS(whole.Dir)))
		must(t, "cut", os.Truncate(strings.Replace(path, whole.Dir, cfg.Dir, 1), int64(size)))
		s := openMem(t, cfg)
		if told := queryDamaged(t, fmt.Sprintf("%d of %d bytes", size, len(data)), s); told != (size < len(data)) {
			t.Errorf("%d of %d bytes: damage was told: %v", size, len(data), told)
		}
		must(t, "close", s.Close())
	}
}

// currentManifest reads the manifest that a folder goes by.
func currentManifest(t *testing.T, dir string) (data []byte, path string) {
	t.Helper()
	desc, err := engine.Peek(dir, vfs.Default)
	must(t, "peek", err)
	data, err = os.ReadFile(desc.ManifestFilename)
	must(t, "read", err)
	return data, desc.ManifestFilename
}

// distinct makes items that have no bytes in common.
func distinct(bucket, n, size int) []store.Item {
	list := items(bucket, n, 0)
	for i := range list {
		list[i].Body = make([]byte, size)
		source := rand.NewChaCha8([32]byte{byte(bucket), byte(i), byte(i >> 8), 1})
		_, _ = source.Read(list[i].Body)
	}
	return list
}

// damagedFolder makes a store with two tables, journals and records, all of it
// in sstables and blob files.
func damagedFolder(t *testing.T) Config {
	t.Helper()
	cfg := memConfig(vfs.Default)
	cfg.Dir = t.TempDir()
	s := openMem(t, cfg)
	for _, table := range []string{"bad", "good"} {
		must(t, "ensure", s.Ensure(background(), table))
		must(t, "write", s.Write(background(), table, distinct(1, 40, 40<<10)))
		must(t, "flush", s.tables[table].current.db.Flush())
	}
	must(t, "append", s.Append(background(), store.JournalID{Week: 1}, 0, []byte("entry")))
	must(t, "flush", s.journals.current.db.Flush())
	must(t, "close", s.Close())
	return cfg
}

// TestDamagedFiles damages each file of a table in each way, once before the
// store is opened and once while it is open. No call gives what was not
// written, damage is told and listed, nothing is deleted, others go on.
func TestDamagedFiles(t *testing.T) {
	whole := damagedFolder(t)
	files, err := filepath.Glob(filepath.Join(whole.Dir, "weeks", "bad", "*"))
	must(t, "glob", err)
	told := map[string]bool{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		must(t, "read", err)
		ways := harms(len(data))
		if testing.Short() {
			ways = ways[:min(len(ways), 3)]
		}
		for _, h := range ways {
			for _, open := range []bool{false, true} {
				if open && !strings.HasPrefix(h.name, "byte") && !strings.HasPrefix(h.name, "cut") && h.name != "removed" {
					continue // the others say no more
				}
				cfg := whole
				cfg.Dir = t.TempDir()
				must(t, "copy", os.CopyFS(cfg.Dir, os.DirFS(whole.Dir)))
				path := strings.Replace(file, whole.Dir, cfg.Dir, 1)
				what := fmt.Sprintf("%s %s, open: %v", filepath.Base(path), h.name, open)
				damage := func() { must(t, "damage", h.do(path, data)) }
				kept := func() {
					if _, err := os.Stat(path); err != nil && h.name != "removed" {
						t.Errorf("%s: %v", what, err)
					}
				}
				if useDamaged(t, what, cfg, open, damage, kept) {
					told[filepath.Ext(path)] = true
				}
			}
		}
	}
	if !told[".sst"] || !told[".blob"] || !told[""] {
		t.Errorf("damage was told of %v; want manifest, sstable and blob file", told)
	}
}

// useDamaged uses a store with a damaged table, and says whether that showed.
func useDamaged(t *testing.T, what string, cfg Config, open bool, damage, kept func()) (told bool) {
	t.Helper()
	if !open {
		damage()
	}
	s := openMem(t, cfg)
	defer s.Close()
	if open {
		if n, err := count(s, "good", 1); err != nil || n != 40 {
			t.Fatalf("%s: %d items, %v", what, n, err)
		}
		damage()
	}
	told = queryDamaged(t, what, s)
	if _, err := s.Verify(background()); err != nil {
		t.Errorf("%s: verify: %v", what, err)
	}
	list, err := s.Damage(background())
	must(t, "damage", err)
	if told {
		kept()
	}
	if told && (len(list) == 0 || list[0].Owner != "bad" || list[0].What == "" || list[0].Since.IsZero()) {
		t.Errorf("%s: it was told, but the list of damage is %+v", what, list)
	}
	// What goes on behind the calls must not end the process.
	err = s.Delete(background(), "bad", keysOf(items(1, 40, 1))[3:])
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("%s: delete: %v", what, err)
	}
	if i := s.tables["bad"].current; i != nil {
		i.deletes.Add(1 << 20)
		s.tidy(background(), i, "bad", 1)
		for i.db.Metrics().Compact.NumInProgress > 0 {
			runtime.Gosched()
		}
	}
	if n, err := count(s, "good", 1); err != nil || n != 40 {
		t.Errorf("%s: the other table has %d items, %v", what, n, err)
	}
	if err := s.Append(background(), store.JournalID{Week: 1}, 1, nil); err != nil {
		t.Errorf("%s: append: %v", what, err)
	}
	return told
}

// queryDamaged reads the damaged table: each item is whole, or named by the
// error.
func queryDamaged(t *testing.T, what string, s *Store) (told bool) {
	t.Helper()
	want := map[store.ItemKey][]byte{}
	for _, i := range distinct(1, 40, 40<<10) {
		want[i.Key] = i.Body
	}
	err := s.Query(background(), "bad", 1, 0, 1<<40, func(i store.Item) bool {
		if !bytes.Equal(want[i.Key], i.Body) {
			t.Errorf("%s: item %+v has another body", what, i.Key)
		}
		delete(want, i.Key)
		return true
	})
	var lost *store.Unreadable
	switch {
	case err == nil && len(want) == 0:
		return false
	case !errors.Is(err, store.ErrCorrupt):
		t.Errorf("%s: %d items are missing, %v; want ErrCorrupt", what, len(want), err)
	case !strings.Contains(err.Error(), hintBroken):
		t.Errorf("%s: %v has no hint", what, err)
	case errors.As(err, &lost) && len(lost.Keys) != len(want) && strings.Contains(err.Error(), blobSuffix):
		t.Errorf("%s: %d items are named; %d are missing", what, len(lost.Keys), len(want))
	}
	return true
}

// TestUnreadableBodyIsPassedOver flips a byte of one body: its item is named,
// all others are given, and the file is listed.
func TestUnreadableBodyIsPassedOver(t *testing.T) {
	cfg := damagedFolder(t)
	blobs, err := filepath.Glob(filepath.Join(cfg.Dir, "weeks", "bad", "*"+blobSuffix))
	if err != nil || len(blobs) == 0 {
		t.Fatalf("blob files are %q, %v", blobs, err)
	}
	want := distinct(1, 40, 40<<10)
	for _, at := range []int{0, 20, 39} {
		for _, path := range blobs {
			data, err := os.ReadFile(path)
			must(t, "read", err)
			place := bytes.Index(data, want[at].Body[:100])
			if place < 0 {
				continue
			}
			data[place+50] ^= 1
			must(t, "damage", os.WriteFile(path, data, 0o644))
			s := openMem(t, cfg)
			given := map[store.ItemKey]bool{}
			err = s.Query(background(), "bad", 1, 0, 1<<40, func(i store.Item) bool {
				given[i.Key] = true
				return true
			})
			var lost *store.Unreadable
			if !errors.As(err, &lost) || !slices.Contains(lost.Keys, want[at].Key) || len(given)+len(lost.Keys) != 40 || len(lost.Keys) > 8 {
				t.Errorf("item %d: %v; %d items given; want the items of one block named, and the others", at, err, len(given))
			}
			list, err := s.Damage(background())
			if err != nil || len(list) != 1 || list[0].Path != path || list[0].Owner != "bad" {
				t.Errorf("damage is %+v, %v; want %s", list, err, path)
			}
			must(t, "close", s.Close())
			data[place+50] ^= 1
			must(t, "mend", os.WriteFile(path, data, 0o644))
		}
	}
	s := openMem(t, cfg)
	if list, err := s.Verify(background()); err != nil || len(list) != 0 {
		t.Errorf("after mending: damage is %+v, %v", list, err)
	}
}

// TestUnreadableKeysLeaveTheOthers flips a byte in each part of an sstable of
// many blocks: at most the items of one block are missing.
func TestUnreadableKeysLeaveTheOthers(t *testing.T) {
	cfg := memConfig(vfs.Default)
	cfg.Dir = t.TempDir()
	s := openMem(t, cfg)
	must(t, "ensure", s.Ensure(background(), "t"))
	const n = 1000
	must(t, "write", s.Write(background(), "t", items(1, n, 800))) // small: beside their keys
	must(t, "flush", s.tables["t"].current.db.Flush())
	must(t, "compact", s.tables["t"].current.db.Compact(background(), []byte{0}, []byte{255}, false))
	must(t, "close", s.Close())
	files, err := filepath.Glob(filepath.Join(cfg.Dir, "weeks", "t", "*.sst"))
	if err != nil || len(files) != 1 {
		t.Fatalf("sstables are %q, %v; want one", files, err)
	}
	data, err := os.ReadFile(files[0])
	must(t, "read", err)
	for _, part := range []int{0, 5, 9} {
		at := len(data) * part / 10
		data[at] ^= 1
		must(t, "damage", os.WriteFile(files[0], data, 0o644))
		s := openMem(t, cfg)
		got, last := 0, int64(-1)
		err := s.Query(background(), "t", 1, 0, 1<<40, func(i store.Item) bool {
			if i.Key.Span <= last {
				t.Errorf("item %d after %d", i.Key.Span, last)
			}
			got, last = got+1, i.Key.Span
			return true
		})
		if !errors.Is(err, store.ErrCorrupt) || got < n-60 || got == n {
			t.Errorf("byte %d flipped: %d items, %v; want all but those of a block", at, got, err)
		}
		list, err := s.Damage(background())
		if err != nil || len(list) == 0 || list[0].Path != files[0] {
			t.Errorf("byte %d flipped: damage is %+v, %v; want %s", at, list, err, files[0])
		}
		must(t, "close", s.Close())
		data[at] ^= 1
	}
}

// TestDamagedJournals damages each file of the journals' folder before the
// store is opened: tables are not touched, and what is read was written.
func TestDamagedJournals(t *testing.T) {
	whole := damagedFolder(t)
	files, err := filepath.Glob(filepath.Join(whole.Dir, "journals", "*"))
	must(t, "glob", err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		must(t, "read", err)
		for _, h := range harms(len(data)) {
			cfg := whole
			cfg.Dir = t.TempDir()
			must(t, "copy", os.CopyFS(cfg.Dir, os.DirFS(whole.Dir)))
			path := strings.Replace(file, whole.Dir, cfg.Dir, 1)
			must(t, "damage", h.do(path, data))
			what := fmt.Sprintf("%s %s", filepath.Base(path), h.name)
			s, err := Open(cfg)
			if err != nil {
				if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), hintBroken) {
					t.Errorf("%s: open: %v; want ErrCorrupt and the hint", what, err)
				}
				continue
			}
			entries, err := s.Read(background(), store.JournalID{Week: 1}, 0, 9)
			if err == nil && (len(entries) != 1 || string(entries[0]) != "entry") || err != nil && !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("%s: entries are %q, %v", what, entries, err)
			}
			if list, e := s.Damage(background()); err != nil && (e != nil || len(list) == 0 || list[0].Owner != "journals") {
				t.Errorf("%s: damage is %+v, %v", what, list, e)
			}
			if n, err := count(s, "good", 1); err != nil || n != 40 {
				t.Errorf("%s: a table has %d items, %v", what, n, err)
			}
			must(t, "close", s.Close())
		}
	}
}

// TestSetAside sets a table aside and starts again: its name stays taken, its
// files stay as they are, and a drop frees the name.
func TestSetAside(t *testing.T) {
	cfg := damagedFolder(t)
	s := openMem(t, cfg)
	if err := s.SetAside(background(), "bad"); err == nil || s.tables["bad"] == nil {
		t.Fatalf("a table without damage was set aside: %v", err)
	}
	sizes := damageBlobs(t, cfg)
	must(t, "close", s.Close())
	s = openMem(t, cfg)
	if _, err := count(s, "bad", 1); !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("query: %v; want ErrCorrupt", err)
	}
	must(t, "set aside", s.SetAside(background(), "bad"))
	for range 2 {
		for name, err := range map[string]error{
			"ensure": s.Ensure(background(), "bad"),
			"write":  s.Write(background(), "bad", items(1, 1, 1)),
			"delete": s.Delete(background(), "bad", keysOf(items(1, 1, 1))),
			"again":  s.SetAside(background(), "bad"),
		} {
			if err == nil || name != "again" && (!errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), hintAside)) {
				t.Errorf("%s: %v; want ErrCorrupt and the hint", name, err)
			}
		}
		names, err := s.Names(background())
		if err != nil || !slices.Equal(names, []string{"good"}) {
			t.Errorf("tables are %q, %v", names, err)
		}
		list, err := s.Damage(background())
		if err != nil || len(list) != 1 || !list[0].Aside || list[0].Owner != "bad" || list[0].Since.IsZero() {
			t.Errorf("damage is %+v, %v; want the table that is set aside", list, err)
		}
		must(t, "close", s.Close())
		s = openMem(t, cfg)
	}
	must(t, "drop", s.Drop(background(), "bad"))
	must(t, "ensure", s.Ensure(background(), "bad"))
	if n, err := count(s, "bad", 1); err != nil || n != 0 {
		t.Errorf("the new table has %d items, %v", n, err)
	}
	for name, size := range sizes {
		if info, err := os.Stat(filepath.Join(cfg.Dir, "damaged", "bad.0", name)); err != nil || info.Size() != size {
			t.Errorf("%s of the damaged table: %v", name, err)
		}
	}
}

// damageBlobs overwrites the blob files of the table, and gives their sizes.
func damageBlobs(t *testing.T, cfg Config) map[string]int64 {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(cfg.Dir, "weeks", "bad", "*"+blobSuffix))
	must(t, "glob", err)
	sizes := map[string]int64{}
	for _, path := range files {
		info, err := os.Stat(path)
		must(t, "stat", err)
		must(t, "damage", os.WriteFile(path, make([]byte, info.Size()), 0o644))
		sizes[filepath.Base(path)] = info.Size()
	}
	return sizes
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
