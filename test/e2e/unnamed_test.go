package e2e

import (
	"log/slog"
	"math"
	"path/filepath"
	"testing"

	"weir/internal/sample"
	"weir/internal/store"
	"weir/internal/store/pebble"
	"weir/test/harness"
)

// A writer that died between its items and its commit leaves items that no
// journal names. Here each item there is gets such a twin: nobody may count,
// read or trip over them.
func TestUnnamedItemsDoNotCount(t *testing.T) {
	server, c := start(t, flushSoon()...)
	write(t, c, "named,a=1 value=1 1\nnamed,a=2 value=2 2\nnamed,a=3 value=3 700000000000000000\n")
	settled(t, c)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	before := items(t, server, "named")
	if twins := twinItems(t, server); twins < 2 {
		t.Fatalf("%d items got a twin; want at least one in each of two weeks", twins)
	}
	if after := items(t, server, "named"); len(before) != 3 || len(after) != 3 {
		t.Errorf("%d samples before, %d with items that nothing names", len(before), len(after))
	}
	c = server.Up(t, flushSoon()...)
	expect(t, c, "named", "named{a=1} 1=1", "named{a=2} 2=2", "named{a=3} 700000000000000000=3")
	lines := aggregate(t, c, "match", "named", "start", "0", "end", "10", "window", "1m", "fn", "count", "by", "")
	expectLines(t, "count", lines, "named{} 0=2")
	if ledger := settled(t, c); ledger.Stored != 3 {
		t.Errorf("%+v", ledger)
	}
}

// twinItems writes each item once more, under a flush that nothing names.
func twinItems(t *testing.T, s *harness.Server) int {
	t.Helper()
	config := pebble.Default()
	config.Dir, config.Logger = filepath.Join(s.Data, "store"), slog.New(slog.DiscardHandler)
	tables, err := pebble.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := tables.Close(); err != nil {
			t.Error(err)
		}
	}()
	names, err := tables.Names(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	twins := 0
	for _, table := range names {
		var copies []store.Item
		for bucket := sample.Shard(0); bucket < sample.Shards; bucket++ {
			err := tables.Query(t.Context(), table, bucket, math.MinInt64, math.MaxInt64, func(i store.Item) bool {
				i.Key.Flush.Nonce ^= 1
				copies = append(copies, store.Item{Key: i.Key, Body: append([]byte(nil), i.Body...)})
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := tables.Write(t.Context(), table, copies); err != nil {
			t.Fatal(err)
		}
		twins += len(copies)
	}
	return twins
}
