package pebble

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"weir/internal/sample"
	"weir/internal/store"
)

func openBench(b *testing.B, fs vfs.FS) *Store {
	b.Helper()
	cfg := Default()
	cfg.Dir = b.TempDir()
	cfg.FS = fs
	cfg.Logger = slog.New(slog.DiscardHandler)
	s, err := Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	if err := s.Ensure(background(), "t"); err != nil {
		b.Fatal(err)
	}
	return s
}

// countingDisk counts the bytes that are written to new files.
type countingDisk struct {
	vfs.FS
	written atomic.Int64
}

type countingFile struct {
	vfs.File
	disk *countingDisk
}

func (d *countingDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, c)
	return countingFile{f, d}, err
}

func (d *countingDisk) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.ReuseForWrite(from, to, c)
	return countingFile{f, d}, err
}

func (f countingFile) Write(p []byte) (int, error) {
	f.disk.written.Add(int64(len(p)))
	return f.File.Write(p)
}

// BenchmarkWrite writes flushes of 4 MiB, spread over buckets as a worker's
// are. It reports the bytes that reach the disk for each byte of an item.
func BenchmarkWrite(b *testing.B) {
	for _, size := range []int{64 << 10, 256 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			disk := &countingDisk{FS: vfs.Default}
			s := openBench(b, disk)
			n := 4 << 20 / size
			flush := make([]store.Item, 0, n)
			for bucket := range n {
				flush = append(flush, items(bucket, 1, size)[0])
			}
			b.SetBytes(4 << 20)
			for round := uint64(0); b.Loop(); round++ {
				for i := range flush {
					flush[i].Key.Flush.Nonce = round * 0x9e3779b97f4a7c15
					flush[i].Key.Span = int64(round / 16)
				}
				if err := s.Write(background(), "t", flush); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(disk.written.Load())/float64(b.N*4<<20), "written/byte")
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, journals := range []int{1, 4} {
		b.Run(fmt.Sprintf("%djournals", journals), func(b *testing.B) {
			s := openBench(b, vfs.Default)
			entry := make([]byte, 400)
			each := b.N/journals + 1
			var group sync.WaitGroup
			b.ResetTimer()
			for j := range journals {
				group.Go(func() {
					for n := range uint64(each) {
						if err := s.Append(background(), store.JournalID{Week: 1, Partition: j}, n, entry); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			b.ReportMetric(float64(each*journals)/b.Elapsed().Seconds(), "appends/s")
		})
	}
}

// BenchmarkQuery reads 64 MiB of a bucket that were written by 16 flushes.
func BenchmarkQuery(b *testing.B) {
	s := openBench(b, vfs.Default)
	for flush := range 16 {
		list := items(1, 64, 64<<10)
		for i := range list {
			list[i].Key.Flush.Nonce = uint64(flush)
		}
		if err := s.Write(background(), "t", list); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(64 << 20)
	for b.Loop() {
		if n, err := count(s, "t", 1); err != nil || n != 16*64 {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkDelete lives through a day: each hour 60 flushes of four buckets,
// 20 KiB an item, are merged into two items a bucket of 0.4 times their bytes,
// and the hour before is swept. It reports what reaches the disk for each byte
// that was written, and what the table and its blob files take at the end for
// each byte that is left.
func BenchmarkDelete(b *testing.B) {
	for b.Loop() {
		disk := &countingDisk{FS: vfs.Default}
		s := openBench(b, disk)
		day := &mergedDay{store: s, source: rand.New(rand.NewPCG(1, 2)), body: make([]byte, 1<<20)}
		_, _ = rand.NewChaCha8([32]byte{}).Read(day.body)
		if err := day.run(); err != nil {
			b.Fatal(err)
		}
		left := settledBlobs(s, "t", int64(float64(day.left)*1.3))
		size, err := s.Size(background(), "t")
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(disk.written.Load())/float64(day.written), "written/byte")
		b.ReportMetric(float64(left)/float64(day.left), "blobs/left")
		b.ReportMetric(float64(size)/float64(day.left), "disk/left")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// settledBlobs waits until a table's blob files take at most so much, or
// nothing more happens, and gives what they take.
func settledBlobs(s *Store, table string, most int64) (bytes int64) {
	for range 10_000 {
		m := s.tables[table].current.db.Metrics()
		bytes = int64(m.BlobFiles.LiveSize + m.BlobFiles.ObsoleteSize + m.BlobFiles.ZombieSize)
		if bytes <= most && m.Compact.NumInProgress == 0 {
			break
		}
		runtime.Gosched()
	}
	return bytes
}

// mergedDay writes, merges and deletes as BenchmarkDelete says.
type mergedDay struct {
	store         *Store
	source        *rand.Rand
	body          []byte
	written, left int64
	sizes         map[store.ItemKey]int64
}

func (d *mergedDay) run() error {
	d.sizes = map[store.ItemKey]int64{}
	var before []store.ItemKey
	for hour := range int64(24) {
		var flushed []store.ItemKey
		for range 60 {
			keys, err := d.write(hour, 1, 20<<10)
			if err != nil {
				return err
			}
			flushed = append(flushed, keys...)
		}
		if _, err := d.write(hour, 2, 240<<10); err != nil {
			return err
		}
		if err := d.sweep(before); err != nil {
			return err
		}
		before = flushed
	}
	return d.sweep(before)
}

// write writes some items to each of four buckets, as one flush.
func (d *mergedDay) write(span int64, parts, size int) ([]store.ItemKey, error) {
	flush := store.FlushID{Epoch: 1, Nonce: d.source.Uint64()}
	var list []store.Item
	for n := range 4 * parts {
		key := store.ItemKey{Bucket: sample.Shard(n % 4 * 256), Span: span, Flush: flush, Part: uint16(n / 4)}
		at := d.source.IntN(len(d.body) - size)
		list = append(list, store.Item{Key: key, Body: d.body[at : at+size]})
		d.sizes[key] = int64(size)
		d.written += int64(size)
		d.left += int64(size)
	}
	return keysOf(list), d.store.Write(background(), "t", list)
}

func (d *mergedDay) sweep(keys []store.ItemKey) error {
	for _, key := range keys {
		d.left -= d.sizes[key]
	}
	return d.store.Delete(background(), "t", keys)
}
