package pebble

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"weir/internal/store"
)

// oldFolder gives a disk with the folder that version 1 wrote: two tables, one
// of them flushed once and written to again, a journal and a record.
func oldFolder(t *testing.T) *sickDisk {
	t.Helper()
	disk := newSickDisk()
	dir := memConfig(nil).Dir
	must(t, "mkdir", disk.mem.MkdirAll(dir, 0o755))
	ok, err := vfs.Clone(vfs.Default, disk.mem, "testdata/version1", dir, vfs.CloneSync)
	if err != nil || !ok {
		t.Fatalf("clone: %v, %v", ok, err)
	}
	for _, parent := range []string{"/", "/var", "/var/weir"} {
		d, err := disk.mem.OpenDir(parent)
		must(t, "open", err)
		must(t, "sync", errors.Join(d.Sync(), d.Close()))
	}
	return disk
}

// oldItems are the items that version 1 wrote to a bucket.
func oldItems(bucket int) []store.Item {
	var list []store.Item
	for n, size := range []int{0, 10, 1023, 1024, 3000} {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(i*7 + n + bucket)
		}
		list = append(list, store.Item{Key: bucketKey(bucket, n), Body: body})
	}
	return list
}

// findOld finds all of the old folder in one of this version.
func findOld(t *testing.T, what string, s *Store) {
	t.Helper()
	if version, err := s.readFormat(); err != nil || version != formatVersion {
		t.Errorf("%s: FORMAT says %d, %v; want %d", what, version, err, formatVersion)
	}
	for bucket, table := range []string{"samples_2026_w02", "samples_2026_w03", "samples_2026_w02"} {
		var got []store.Item
		err := s.Query(background(), table, bucketKey(bucket, 0).Bucket, 0, 100, func(i store.Item) bool {
			got = append(got, store.Item{Key: i.Key, Body: bytes.Clone(i.Body)})
			return true
		})
		want := oldItems(bucket)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%s: %s, bucket %d: %d items, %v; want %d", what, table, bucket, len(got), err, len(want))
		}
		for n := range want {
			if got[n].Key != want[n].Key || !bytes.Equal(got[n].Body, want[n].Body) {
				t.Errorf("%s: %s, bucket %d: item %d is another", what, table, bucket, n)
			}
		}
	}
	entries, err := s.Read(background(), store.JournalID{Week: 2924, Partition: 1}, 0, 10)
	if err != nil || len(entries) != 5 {
		t.Fatalf("%s: %d entries, %v; want 5", what, len(entries), err)
	}
	for n, e := range entries {
		if string(e) != fmt.Sprintf("entry %d", n) {
			t.Errorf("%s: entry %d is %q", what, n, e)
		}
	}
	r, err := s.Get(background(), "week/2026-w03")
	if err != nil || string(r.Value) != "record" || r.Version != 1 {
		t.Errorf("%s: the record is %q of version %d, %v", what, r.Value, r.Version, err)
	}
}

func TestVersion1IsUpgraded(t *testing.T) {
	disk := oldFolder(t)
	s := openMem(t, memConfig(disk))
	findOld(t, "upgraded", s)
	must(t, "write", s.Write(background(), "samples_2026_w03", items(7, 3, 5000)))
	must(t, "ensure", s.Ensure(background(), "samples_2026_w04"))
	must(t, "delete", s.Delete(background(), "samples_2026_w02", keysOf(items(1, 3, 0))))
	must(t, "close", s.Close())
	findOld(t, "opened again", openMem(t, memConfig(disk.mem.CrashClone(vfs.CrashCloneCfg{}))))
}

// TestInterruptedUpgradeGoesOn ends the program at each change of the disk
// while it upgrades, once as a kill, once as a power cut that keeps what was
// synced, and once with a random part of the rest, and opens what is left. It
// also fails each change as a full disk does, and frees the disk.
func TestInterruptedUpgradeGoesOn(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for step := 0; ; step++ {
		disk := oldFolder(t)
		var mu sync.Mutex
		n := 0
		left := map[string]*vfs.MemFS{}
		disk.set(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			if n++; n != step+1 {
				return nil
			}
			for name, percent := range map[string]int{"kill": 100, "power cut": 0, "power cut with luck": 50} {
				left[name] = disk.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(seed, uint64(step)))})
			}
			return nil
		})
		must(t, "open", openMem(t, memConfig(disk)).Close())
		disk.heal()
		if len(left) == 0 {
			if step < 10 {
				t.Errorf("only %d steps were seen", step)
			}
			return
		}
		for name, fs := range left {
			s := openMem(t, memConfig(fs))
			findOld(t, fmt.Sprintf("%s at step %d", name, step), s)
			must(t, "close", s.Close())
		}
		full := oldFolder(t)
		n = 0
		full.set(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			if n++; n > step {
				return &syscallError{op.Path}
			}
			return nil
		})
		s, err := Open(memConfig(full))
		if err == nil { // the rest of the changes was not needed to open
			must(t, "close", s.Close())
		} else if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), hintFull) {
			t.Errorf("full disk at step %d: %v; want ErrUnavailable and the hint", step, err)
		}
		full.heal()
		findOld(t, fmt.Sprintf("after a full disk at step %d", step), openMem(t, memConfig(full)))
	}
}
