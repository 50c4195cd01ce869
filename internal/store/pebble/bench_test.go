package pebble

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

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
