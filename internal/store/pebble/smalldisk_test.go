package pebble

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"weir/internal/store"
)

// TestSmallDisk fills a real file system of 48 MiB, or where none can be
// mounted, one that a wrapper keeps to that size. Each call then fails with a
// clear error or succeeds, reading goes on, and when room is made everything
// does, and what was acknowledged is there.
func TestSmallDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=48m"); err != nil {
		t.Logf("SKIPPED the real one: mounting a tmpfs is not allowed here (%v); a wrapper limits the folder", err)
		fillDisk(t, dir, &limitedDisk{FS: vfs.Default, dir: dir, limit: 48 << 20})
		return
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	fillDisk(t, dir, vfs.Default)
}

func fillDisk(t *testing.T, dir string, fs vfs.FS) {
	ballast := filepath.Join(dir, "ballast")
	must(t, "ballast", os.WriteFile(ballast, make([]byte, 12<<20), 0o644))
	now := &clock{now: time.Unix(1, 0)}
	cfg := memConfig(fs)
	cfg.Dir, cfg.Now = filepath.Join(dir, "store"), now.Now
	s := openMem(t, cfg)
	must(t, "ensure", s.Ensure(background(), "t"))
	w := &writers{store: s, now: now, keep: true}
	for range 400 {
		if w.run(t, 3, 1); w.failed.Load() > 20 {
			break
		}
	}
	if w.failed.Load() <= 20 {
		t.Fatal("the disk did not become full")
	}
	other := cfg
	other.Dir = filepath.Join(dir, "other")
	if made, err := Open(other); err == nil {
		must(t, "close", made.Close()) // it may just fit
	} else if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), hintFull) {
		t.Errorf("open on a full disk: %v; want ErrUnavailable and the hint", err)
	}
	w.find(t, s) // reading goes on

	must(t, "make room", os.Remove(ballast))
	now.advance(lastRetry)
	w.run(t, 3, 1) // some folder's failure may have met nobody yet
	now.advance(lastRetry)
	w.failed.Store(0)
	w.run(t, 3, 10)
	if n := w.failed.Load(); n > 0 {
		t.Errorf("%d calls failed after room was made", n)
	}
	w.find(t, s)
	must(t, "close", s.Close())
	w.find(t, openMem(t, cfg))
	must(t, "close the other", openMem(t, other).Close())
}

// limitedDisk is a file system whose folder can hold only so many bytes.
type limitedDisk struct {
	vfs.FS
	dir   string
	limit int64
	mu    sync.Mutex
	used  int64 // since it was counted
	free  int64 // that there were when it was counted
}

// take takes room for so many bytes. It counts anew when they do not fit.
func (d *limitedDisk) take(n int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.used+n > d.free {
		d.used, d.free = 0, d.limit
		err := filepath.Walk(d.dir, func(_ string, info os.FileInfo, err error) error {
			if err == nil && info.Mode().IsRegular() {
				d.free -= info.Size()
			}
			return nil // files come and go meanwhile
		})
		if err != nil {
			return err
		}
	}
	if d.used+n > d.free {
		return &syscallError{d.dir}
	}
	d.used += n
	return nil
}

func (d *limitedDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, c)
	if err != nil {
		return nil, err
	}
	return limitedFile{f, d}, nil
}

func (d *limitedDisk) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.ReuseForWrite(from, to, c)
	if err != nil {
		return nil, err
	}
	return limitedFile{f, d}, nil
}

type limitedFile struct {
	vfs.File
	disk *limitedDisk
}

func (f limitedFile) Write(p []byte) (int, error) {
	if err := f.disk.take(int64(len(p))); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

// TestReadingGoesOnWhileNothingCanBeWritten reads journals and items on a disk
// that refuses all changes, and after a sync failed does not believe the log.
func TestReadingGoesOnWhileNothingCanBeWritten(t *testing.T) {
	for name, c := range map[string]struct {
		fail  func(errorfs.Op) error
		reads bool
	}{
		"full":       {full("/", errorfs.OpCreate, errorfs.OpRename, errorfs.OpFileWrite, errorfs.OpReuseForWrite), true},
		"sync fails": {full("/", errorfs.OpFileSync, errorfs.OpFileSyncData), false},
	} {
		disk, now := newSickDisk(), &clock{now: time.Unix(1, 0)}
		cfg := memConfig(disk)
		cfg.Now = now.Now
		s := openMem(t, cfg)
		must(t, "ensure", s.Ensure(background(), "t"))
		must(t, "write", s.Write(background(), "t", items(1, 3, 5000)))
		id := store.JournalID{Week: 1}
		must(t, "append", s.Append(background(), id, 0, []byte("first")))
		disk.set(c.fail)
		for range 5 {
			if err := s.Append(background(), id, 1, []byte("second")); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s: append: %v; want ErrUnavailable", name, err)
			}
			if err := s.Write(background(), "t", items(2, 3, 5000)); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s: write: %v; want ErrUnavailable", name, err)
			}
			entries, err := s.Read(background(), id, 0, 9)
			n, itemErr := count(s, "t", 1)
			if c.reads && (err != nil || len(entries) != 1 || itemErr != nil || n != 3) {
				t.Errorf("%s: %d entries, %v, %d items, %v; want 1 and 3", name, len(entries), err, n, itemErr)
			}
			if !c.reads && !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s: %d entries, %v; want ErrUnavailable", name, len(entries), err)
			}
			now.advance(lastRetry)
		}
		disk.heal()
		now.advance(lastRetry)
		must(t, "write", s.Write(background(), "t", items(2, 3, 5000)))
	}
}
