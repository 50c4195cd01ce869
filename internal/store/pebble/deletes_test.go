package pebble

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"weir/internal/store"
)

func keysOf(list []store.Item) []store.ItemKey {
	keys := make([]store.ItemKey, len(list))
	for i := range list {
		keys[i] = list[i].Key
	}
	return keys
}

// TestDeleteOnAFullDisk fails the log at one of the syncs of a delete of
// several batches: the error names what may still be there, all else is gone,
// and to delete those keys again ends it.
func TestDeleteOnAFullDisk(t *testing.T) {
	const n = 2*maxDeletes + 500
	partial := false
	for good := int64(0); ; good++ {
		disk, now := newSickDisk(), &clock{now: time.Unix(1, 0)}
		cfg := memConfig(disk)
		cfg.Now = now.Now
		s := openMem(t, cfg)
		must(t, "ensure", s.Ensure(background(), "t"))
		all := items(1, n, 8)
		must(t, "write", s.Write(background(), "t", all))
		var syncs atomic.Int64
		disk.set(func(op errorfs.Op) error {
			sync := op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData
			if strings.HasSuffix(op.Path, ".log") && sync && syncs.Add(1) > good {
				return &syscallError{op.Path}
			}
			return nil
		})
		err := s.Delete(background(), "t", keysOf(all))
		if err == nil {
			break // so many syncs are not needed
		}
		var left *store.Undeleted
		var detail *store.Error
		if !errors.As(err, &left) || !errors.Is(err, store.ErrUnavailable) || !errors.As(err, &detail) || detail.Hint == "" {
			t.Fatalf("delete on a full disk: %v; want *Undeleted, ErrUnavailable and a hint", err)
		}
		done := n - len(left.Keys)
		if done%maxDeletes != 0 || !slices.Equal(left.Keys, keysOf(all)[done:]) {
			t.Errorf("%d keys are left after %d syncs; want those after a whole batch", len(left.Keys), good)
		}
		partial = partial || done > 0
		disk.heal()
		_, _ = count(s, "t", 1) // meets the failure, and starts the backoff
		now.advance(lastRetry)
		cut := openMem(t, memConfig(disk.mem.CrashClone(vfs.CrashCloneCfg{})))
		for _, s := range []*Store{s, cut} {
			if there, err := count(s, "t", 1); err != nil || there > len(left.Keys) {
				t.Errorf("%d items are there, %v; at most %d were not deleted", there, err, len(left.Keys))
			}
			must(t, "delete what is left", s.Delete(background(), "t", left.Keys))
			if there, err := count(s, "t", 1); err != nil || there != 0 {
				t.Errorf("%d items are there, %v; want none", there, err)
			}
		}
	}
	if !partial {
		t.Error("no delete was carried out in part: the test tests nothing")
	}
}

// TestRoomComesBack deletes most of a table, and all of another: blob files
// that hold only deleted bodies go away, those that hold some are rewritten,
// and what is left is read as it was.
func TestRoomComesBack(t *testing.T) {
	s := openMem(t, memConfig(vfs.NewMem()))
	for table, keep := range map[string]int{"most": 7, "all": 0} {
		must(t, "ensure", s.Ensure(background(), table))
		all := items(1, 400, 50<<10)
		must(t, "write", s.Write(background(), table, all))
		var gone []store.ItemKey
		var kept []store.Item
		for n, item := range all {
			if keep > 0 && n%keep == 0 {
				kept = append(kept, item)
			} else {
				gone = append(gone, item.Key)
			}
		}
		must(t, "delete", s.Delete(background(), table, gone))
		most := int64(len(kept)) * 50 << 10 * 14 / 10
		for size := int64(1) << 40; size > most; { // behind the calls
			size = blobBytes(t, s, table)
			runtime.Gosched()
		}
		find(t, s, table, kept)
		must(t, "delete what is not there", s.Delete(background(), table, gone))
		if !s.tables[table].evict(s) {
			t.Fatal("an idle table was not evicted")
		}
		find(t, s, table, kept)
	}
}

// blobBytes gives what a table's blob files take on the disk.
func blobBytes(t *testing.T, s *Store, table string) (size int64) {
	t.Helper()
	names, err := s.cfg.FS.List(s.path(folderWeeks, table))
	must(t, "list", err)
	for _, name := range names {
		if !strings.HasSuffix(name, blobSuffix) {
			continue
		}
		if info, err := s.cfg.FS.Stat(s.path(folderWeeks, table, name)); err == nil {
			size += info.Size()
		}
	}
	return size
}

// find reads a table's first bucket and wants these items.
func find(t *testing.T, s *Store, table string, want []store.Item) {
	t.Helper()
	n := 0
	must(t, "query", s.Query(background(), table, 1, 0, 1<<40, func(i store.Item) bool {
		if n >= len(want) || i.Key != want[n].Key || !bytes.Equal(i.Body, want[n].Body) {
			t.Fatalf("%s: item %d is %+v of %d bytes", table, n, i.Key, len(i.Body))
		}
		n++
		return true
	}))
	if n != len(want) {
		t.Fatalf("%s: %d items; want %d", table, n, len(want))
	}
}

// TestCrashWhileItemsAreMoved cuts the power, or kills, at random changes of
// the disk while the room of deleted items is given back: what was kept is
// there, whole.
func TestCrashWhileItemsAreMoved(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	source := rand.New(rand.NewPCG(seed, 0))
	all := items(1, 300, 20<<10)
	var gone []store.ItemKey
	var kept []store.Item
	for n, item := range all {
		if n%3 == 0 {
			kept = append(kept, item)
		} else {
			gone = append(gone, item.Key)
		}
	}
	changes := int64(0) // of a delete that nothing interrupts
	rounds := 25
	if testing.Short() {
		rounds = 10
	}
	for round := range rounds {
		disk := newSickDisk()
		s := openMem(t, memConfig(disk))
		must(t, "ensure", s.Ensure(background(), "t"))
		must(t, "write", s.Write(background(), "t", all))
		var n atomic.Int64
		var left atomic.Pointer[vfs.MemFS]
		at := int64(-1)
		if changes > 0 {
			at = source.Int64N(changes)
		}
		crash := vfs.CrashCloneCfg{UnsyncedDataPercent: source.IntN(3) * 50, RNG: rand.New(rand.NewPCG(seed, uint64(round)))}
		disk.set(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && n.Add(1) == at+1 {
				left.Store(disk.mem.CrashClone(crash))
			}
			return nil
		})
		must(t, "delete", s.Delete(background(), "t", gone))
		disk.heal()
		changes = max(changes, n.Load())
		find(t, s, "t", kept)
		must(t, "close", s.Close())
		if left.Load() == nil {
			continue
		}
		after := openMem(t, memConfig(left.Load()))
		there := map[store.ItemKey][]byte{}
		must(t, "query", after.Query(background(), "t", 1, 0, 1<<40, func(i store.Item) bool {
			there[i.Key] = bytes.Clone(i.Body)
			return true
		}))
		for _, item := range kept {
			if !bytes.Equal(there[item.Key], item.Body) {
				t.Fatalf("round %d, change %d of %d: item %+v is lost", round, at, changes, item.Key)
			}
		}
		must(t, "close", after.Close())
	}
}

// TestDeleteWhileItemsAreMoved deletes items between their being read and
// being written anew: none comes back, and no other is lost.
func TestDeleteWhileItemsAreMoved(t *testing.T) {
	disk := newSickDisk()
	s := openMem(t, memConfig(disk))
	must(t, "ensure", s.Ensure(background(), "t"))
	all := items(1, 150, 50<<10)
	must(t, "write", s.Write(background(), "t", all))
	var gone, late []store.ItemKey
	var kept []store.Item
	for n, item := range all {
		switch n % 3 {
		case 0:
			late = append(late, item.Key)
		case 1:
			gone = append(gone, item.Key)
		default:
			kept = append(kept, item)
		}
	}
	var once sync.Once
	var group sync.WaitGroup
	disk.set(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileReadAt && strings.HasSuffix(op.Path, blobSuffix) {
			once.Do(func() {
				var done atomic.Bool
				group.Go(func() {
					defer done.Store(true)
					if err := s.Delete(background(), "t", late); err != nil {
						t.Errorf("delete: %v", err)
					}
				})
				for n := 0; n < 100_000 && !done.Load(); n++ {
					runtime.Gosched() // it waits, or else is over by now
				}
			})
		}
		return nil
	})
	must(t, "delete", s.Delete(background(), "t", gone))
	group.Wait()
	disk.heal()
	find(t, s, "t", kept)
}
