package pebble

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"weir/internal/sample"
	"weir/internal/store"
	"weir/internal/store/storetest"
)

var background = context.Background

// memConfig is a config on a file system in memory, with little of everything
// so that tables are evicted and memtables flushed.
func memConfig(fs vfs.FS) Config {
	cfg := Default()
	cfg.Dir = "/var/weir/store"
	cfg.CacheBytes = 4 << 20
	cfg.MaxOpenTables = 3
	cfg.MemTableBytes = 1 << 20
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.FS = fs
	return cfg
}

// memPlace is a place that forgets what is not synced when it crashes.
type memPlace struct {
	fs   *vfs.MemFS
	open []*Store
}

func newMemPlace() (storetest.Place, error) { return &memPlace{fs: vfs.NewCrashableMem()}, nil }

func (p *memPlace) Open() (store.Store, error) {
	s, err := Open(memConfig(p.fs))
	if err != nil {
		return nil, err
	}
	p.open = append(p.open, s)
	return s, nil
}

func (p *memPlace) Crash(seed uint64) error {
	clone := p.fs.CrashClone(vfs.CrashCloneCfg{
		UnsyncedDataPercent: int(seed%3) * 50,
		RNG:                 rand.New(rand.NewPCG(seed, 1)),
	})
	err := p.Discard() // what it still writes goes to the old file system
	p.fs = clone
	return err
}

func (p *memPlace) Discard() error {
	for _, s := range p.open {
		if err := s.Close(); err != nil {
			return err
		}
	}
	p.open = nil
	return nil
}

// diskPlace is a folder on the real disk; a process cannot crash it.
type diskPlace struct {
	dir  string
	open []*Store
}

func (p *diskPlace) Open() (store.Store, error) {
	cfg := memConfig(vfs.Default)
	cfg.Dir = p.dir
	s, err := Open(cfg)
	if err != nil {
		return nil, err
	}
	p.open = append(p.open, s)
	return s, nil
}

func (p *diskPlace) Crash(uint64) error { panic("declared as not able to crash") }

func (p *diskPlace) Discard() error {
	for _, s := range p.open {
		if err := s.Close(); err != nil {
			return err
		}
	}
	return nil
}

func TestConformanceInMemory(t *testing.T) {
	storetest.Run(t, storetest.Factory{
		Abilities: storetest.Abilities{Crash: true, Size: true, Gaps: true},
		New:       newMemPlace,
	})
}

func TestConformanceOnDisk(t *testing.T) {
	storetest.Run(t, storetest.Factory{
		Abilities: storetest.Abilities{Size: true, Gaps: true},
		New:       func() (storetest.Place, error) { return &diskPlace{dir: t.TempDir()}, nil },
	})
}

// clock is a clock that is set by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func openMem(t *testing.T, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// items makes items of bytes that do not compress, of a bucket and spans from 0.
func items(bucket, n, size int) []store.Item {
	body := make([]byte, n+size)
	source := rand.NewChaCha8([32]byte{byte(bucket), byte(n), byte(size)})
	_, _ = source.Read(body)
	list := make([]store.Item, n)
	for i := range list {
		list[i] = store.Item{Key: bucketKey(bucket, i), Body: body[i : i+size]}
	}
	return list
}

func bucketKey(bucket, span int) store.ItemKey {
	return store.ItemKey{Bucket: sample.Shard(bucket), Span: int64(span)}
}

// count reads a bucket and gives how many items there are.
func count(s *Store, table string, bucket int) (int, error) {
	n := 0
	err := s.Query(background(), table, sample.Shard(bucket), 0, 1<<40, func(store.Item) bool {
		n++
		return true
	})
	return n, err
}
