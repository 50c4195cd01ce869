package pebble

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"weir/internal/store"
)

// sickDisk is a file system in memory that fails as told.
type sickDisk struct {
	vfs.FS
	mem  *vfs.MemFS
	fail atomic.Pointer[func(errorfs.Op) error]
}

func newSickDisk() *sickDisk {
	d := &sickDisk{mem: vfs.NewCrashableMem()}
	d.FS = errorfs.Wrap(d.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if f := d.fail.Load(); f != nil {
			return (*f)(op)
		}
		return nil
	}))
	return d
}

func (d *sickDisk) set(f func(errorfs.Op) error) { d.fail.Store(&f) }

func (d *sickDisk) heal() { d.fail.Store(nil) }

// full fails all that takes room, at paths that contain a part.
func full(part string, kinds ...errorfs.OpKind) func(errorfs.Op) error {
	return func(op errorfs.Op) error {
		if !strings.Contains(op.Path, part) {
			return nil
		}
		for _, k := range kinds {
			if op.Kind == k {
				return &syscallError{op.Path}
			}
		}
		return nil
	}
}

type syscallError struct{ path string }

func (e *syscallError) Error() string { return e.path + ": " + syscall.ENOSPC.Error() }
func (e *syscallError) Unwrap() error { return syscall.ENOSPC }

// growing are the operations that a full disk refuses.
var growing = []errorfs.OpKind{
	errorfs.OpCreate, errorfs.OpLink, errorfs.OpRename, errorfs.OpReuseForWrite, errorfs.OpMkdirAll,
	errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo,
}

// TestDiskFull fills the disk in each place where Pebble writes, while several
// write, and then frees it. No call may do worse than ErrUnavailable, all that
// was acknowledged must be there, and service must resume by itself.
func TestDiskFull(t *testing.T) {
	for name, fail := range map[string]func(errorfs.Op) error{
		"everything":     full("/", growing...),
		"log write":      full(".log", errorfs.OpFileWrite),
		"log sync":       full(".log", errorfs.OpFileSync, errorfs.OpFileSyncData),
		"log creation":   full(".log", errorfs.OpCreate, errorfs.OpReuseForWrite),
		"sstable write":  full(".sst", errorfs.OpCreate, errorfs.OpFileWrite),
		"blob write":     full(".blob", errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpFileSync),
		"manifest write": full("MANIFEST", errorfs.OpFileWrite),
		"manifest sync":  full("MANIFEST", errorfs.OpFileSync),
		"folder sync":    full("weeks", errorfs.OpFileSync),
		"journals only":  full("journals", growing...),
	} {
		t.Run(name, func(t *testing.T) {
			rounds := 2
			if testing.Short() {
				rounds = 1
			}
			for round := range rounds {
				fillAndFree(t, fail, round)
			}
		})
	}
}

func fillAndFree(t *testing.T, fail func(errorfs.Op) error, round int) {
	disk, now := newSickDisk(), &clock{now: time.Unix(1, 0)}
	cfg := memConfig(disk)
	cfg.Now = now.Now
	s := openMem(t, cfg)
	must(t, "ensure", s.Ensure(background(), "t"))

	w := &writers{store: s, now: now}
	w.run(t, 3, 10)
	disk.set(fail)
	w.run(t, 3, 20*(1+round))
	disk.heal()
	if w.failed.Load() == 0 {
		t.Error("the failure met nobody: the test tests nothing")
	}
	w.run(t, 3, 1) // some folder's failure may have met nobody yet
	now.advance(lastRetry)
	w.failed.Store(0)
	w.run(t, 3, 10)
	if n := w.failed.Load(); n > 0 {
		t.Errorf("%d calls failed after the disk was healed", n)
	}
	w.find(t, s)
	must(t, "close", s.Close())
	cfg.FS = disk.mem.CrashClone(vfs.CrashCloneCfg{})
	w.find(t, openMem(t, cfg))
}

// writers write to one table and a journal each and note what was acknowledged.
type writers struct {
	store  *Store
	now    *clock
	failed atomic.Int64
	keep   bool // every item
	next   [8]int
	keys   [8][]int
	ends   [8]uint64
	gone   [8][]int    // items whose delete was acknowledged
	puts   [8]uint64   // versions of a record that were acknowledged
	tables [8][]string // that were acknowledged to be made
}

func (w *writers) run(t *testing.T, callers, rounds int) {
	t.Helper()
	var group sync.WaitGroup
	for c := range callers {
		group.Go(func() {
			for range rounds {
				w.once(t, c)
				w.now.advance(10 * time.Millisecond)
			}
		})
	}
	group.Wait()
}

func (w *writers) once(t *testing.T, c int) {
	w.next[c]++
	item := items(c, 1, 60<<10)[0]
	item.Key.Span = int64(w.next[c])
	err := w.store.Write(background(), "t", []store.Item{item})
	w.check(t, "write", err)
	var left *store.Unwritten
	if errors.As(err, &left) && (len(left.Keys) != 1 || left.Keys[0] != item.Key) {
		t.Errorf("unwritten are %v; want %v", left.Keys, item.Key)
	}
	if err == nil {
		w.keys[c] = append(w.keys[c], w.next[c])
	}
	id := store.JournalID{Week: 1, Partition: c}
	text := fmt.Appendf(nil, "%d at %d", c, w.ends[c])
	err = w.store.Append(background(), id, w.ends[c], text)
	if errors.Is(err, store.ErrTaken) { // an answer was lost: the entry is ours
		there, readErr := w.store.Read(background(), id, w.ends[c], 1)
		if err = readErr; err == nil && (len(there) != 1 || string(there[0]) != string(text)) {
			t.Errorf("%s at %d is %q; want our own %q", id, w.ends[c], there, text)
		}
	}
	w.check(t, "append", err)
	if err == nil {
		w.ends[c]++
	}
	_, err = w.store.Read(background(), id, 0, 10)
	w.check(t, "read", err)
	w.put(t, c)
	w.delete(t, c)
	if w.next[c]%5 == 0 {
		w.ensure(t, c)
	}
}

// put turns a record. A conflict means that an answer was lost.
func (w *writers) put(t *testing.T, c int) {
	key, text := fmt.Sprintf("w/%d", c), fmt.Appendf(nil, "%d of %d", w.puts[c]+1, c)
	_, err := w.store.Put(background(), key, text, w.puts[c])
	if errors.Is(err, store.ErrConflict) {
		r, readErr := w.store.Get(background(), key)
		if err = readErr; err == nil && (r.Version != w.puts[c]+1 || string(r.Value) != string(text)) {
			t.Errorf("record %s is %q of version %d; want our own %q", key, r.Value, r.Version, text)
		}
	}
	w.check(t, "put", err)
	if err == nil {
		w.puts[c]++
	}
}

// delete deletes the oldest of many items. It is gone, or may be, if that fails.
func (w *writers) delete(t *testing.T, c int) {
	if len(w.keys[c]) < 8 || w.keep {
		return
	}
	key := bucketKey(c, w.keys[c][0])
	err := w.store.Delete(background(), "t", []store.ItemKey{key})
	w.check(t, "delete", err)
	var left *store.Undeleted
	if errors.As(err, &left) && (len(left.Keys) != 1 || left.Keys[0] != key) {
		t.Errorf("undeleted are %v; want %v", left.Keys, key)
	}
	if err == nil {
		w.gone[c] = append(w.gone[c], w.keys[c][0])
	}
	w.keys[c] = w.keys[c][1:]
}

func (w *writers) ensure(t *testing.T, c int) {
	table := fmt.Sprintf("n%d_%d", c, w.next[c])
	err := w.store.Ensure(background(), table)
	w.check(t, "ensure", err)
	if err == nil {
		w.tables[c] = append(w.tables[c], table)
	}
	if n := len(w.tables[c]); n > 3 {
		err := w.store.Drop(background(), w.tables[c][0])
		w.check(t, "drop", err)
		w.tables[c] = w.tables[c][1:]
	}
}

func (w *writers) check(t *testing.T, what string, err error) {
	if err == nil {
		return
	}
	w.failed.Add(1)
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%s: %v; want ErrUnavailable", what, err)
	}
	var detail *store.Error
	if !errors.As(err, &detail) || detail.Hint == "" {
		t.Errorf("%s: %v gives no hint", what, err)
	}
}

func (w *writers) find(t *testing.T, s *Store) {
	t.Helper()
	for c := range w.keys {
		there := map[int64]bool{}
		must(t, "query", s.Query(background(), "t", bucketKey(c, 0).Bucket, 0, 1<<40, func(i store.Item) bool {
			there[i.Key.Span] = len(i.Body) == 60<<10
			return true
		}))
		for _, span := range w.keys[c] {
			if !there[int64(span)] {
				t.Errorf("bucket %d: the acknowledged item %d is lost", c, span)
			}
		}
		for _, span := range w.gone[c] {
			if _, is := there[int64(span)]; is {
				t.Errorf("bucket %d: item %d came back", c, span)
			}
		}
		if w.puts[c] > 0 {
			r, err := s.Get(background(), fmt.Sprintf("w/%d", c))
			if err != nil || r.Version < w.puts[c] {
				t.Errorf("record %d is of version %d, %v; %d was acknowledged", c, r.Version, err, w.puts[c])
			}
		}
		for _, table := range w.tables[c] {
			if n, err := count(s, table, 1); err != nil || n != 0 {
				t.Errorf("table %s: %d items, %v; want an empty table", table, n, err)
			}
		}
		entries, err := s.Read(background(), store.JournalID{Week: 1, Partition: c}, 0, int(w.ends[c]))
		must(t, "read", err)
		if uint64(len(entries)) != w.ends[c] {
			t.Errorf("journal %d has %d entries; %d were acknowledged", c, len(entries), w.ends[c])
		}
	}
}

// TestBackoffBoundsAttempts counts how often a folder that cannot be opened is
// tried.
func TestBackoffBoundsAttempts(t *testing.T) {
	disk, now := newSickDisk(), &clock{now: time.Unix(1, 0)}
	cfg := memConfig(disk)
	cfg.Now = now.Now
	s := openMem(t, cfg)
	disk.set(full("journals", growing...))
	for range 100 {
		if _, err := s.Put(background(), "a", nil, 0); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("put on a full disk: %v; want ErrUnavailable", err)
		}
	}
	if n := s.Metrics().Failures; n != 1 {
		t.Errorf("the folder failed %d times while no time passed; want 1", n)
	}
	for range 1000 { // 100 s
		now.advance(100 * time.Millisecond)
		_, _ = s.Get(background(), "a")
	}
	if n := s.Metrics().Failures; n < 15 || n > 40 {
		t.Errorf("the folder was tried %d times in 100 s; want one every 5 s or so", n)
	}
	disk.heal()
	now.advance(lastRetry)
	_, err := s.Put(background(), "a", []byte("b"), 0)
	if errors.Is(err, store.ErrConflict) {
		err = nil // the first of the puts got through to the log after all
	}
	must(t, "put on a healed disk", err)
}

// TestUnsyncedEntryIsNotShown holds a sync up: until it is done, nobody may
// see what it makes durable.
func TestUnsyncedEntryIsNotShown(t *testing.T) {
	disk := newSickDisk()
	s := openMem(t, memConfig(disk))
	id := store.JournalID{Week: 4}
	must(t, "append", s.Append(background(), id, 0, []byte("first")))
	other := store.JournalID{Week: 5}

	reached, release := make(chan struct{}, 100), make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	defer letGo()
	disk.set(func(op errorfs.Op) error {
		if strings.HasSuffix(op.Path, ".log") && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
			reached <- struct{}{}
			<-release
		}
		return nil
	})
	var group sync.WaitGroup
	group.Go(func() {
		if err := s.Append(background(), id, 1, []byte("second")); err != nil {
			t.Errorf("append: %v", err)
		}
	})
	<-reached
	group.Go(func() {
		if err := s.Append(background(), other, 0, []byte("other")); err != nil {
			t.Errorf("append: %v", err)
		}
	})
	for range 200 { // the entries become visible to Pebble some time in here
		entries, err := s.Read(background(), id, 0, 10)
		if err != nil || len(entries) != 1 {
			t.Fatalf("%d entries, %v while the second is not synced; want 1", len(entries), err)
		}
		ids, err := s.List(background())
		if err != nil || len(ids) != 1 {
			t.Fatalf("list is %v, %v while the other journal's entry is not synced", ids, err)
		}
	}
	disk.heal()
	letGo()
	group.Wait()
	entries, err := s.Read(background(), id, 0, 10)
	if err != nil || len(entries) != 2 {
		t.Errorf("%d entries, %v after the sync; want 2", len(entries), err)
	}
}

// TestAppendsToManyJournalsShareSyncs counts syncs: appends that wait together
// are made durable together.
func TestAppendsToManyJournalsShareSyncs(t *testing.T) {
	const journals = 16
	disk := newSickDisk()
	s := openMem(t, memConfig(disk))
	var syncs atomic.Int64
	first, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	disk.set(func(op errorfs.Op) error {
		if strings.HasSuffix(op.Path, ".log") && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
			syncs.Add(1)
			once.Do(func() { close(first) })
			<-release
		}
		return nil
	})
	var group sync.WaitGroup
	var begun atomic.Int64
	for j := range journals {
		group.Go(func() {
			begun.Add(1)
			if err := s.Append(background(), store.JournalID{Week: 1, Partition: j}, 0, []byte("x")); err != nil {
				t.Errorf("append: %v", err)
			}
		})
	}
	<-first
	// All have queued in Pebble once none of their keys is missing from it.
	for visible := 0; visible < journals; {
		visible = 0
		it, err := s.journals.current.db.NewIter(nil)
		must(t, "iterate", err)
		for ok := it.First(); ok; ok = it.Next() {
			visible++
		}
		must(t, "close", it.Close())
	}
	close(release)
	group.Wait()
	if n := syncs.Load(); n > 4 {
		t.Errorf("%d syncs for %d appends that waited together; want two or three", n, journals)
	}
}
