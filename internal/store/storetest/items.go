package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"weir/internal/sample"
	"weir/internal/store"
)

func itemCases() []testCase {
	return []testCase{
		with("OrderAndBounds", orderAndBounds),
		with("StopEarly", stopEarly),
		with("WriteAgain", writeAgain),
		with("Sizes", itemSizes),
		with("WriteOfManyMegabytes", writeMegabytes),
		with("WeekBoundary", weekBoundary),
		with("ManyTablesAtOnce", manyTables),
		with("Keys", listKeys),
	}
}

func byKey(a, b store.Item) int { return compareKeys(a.Key, b.Key) }

func compareKeys(a, b store.ItemKey) int {
	return cmp.Or(
		cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Span, b.Span),
		cmp.Compare(a.Flush.Epoch, b.Flush.Epoch), cmp.Compare(a.Flush.Nonce, b.Flush.Nonce),
		cmp.Compare(a.Part, b.Part))
}

// orderAndBounds compares each range of spans with a naive reading.
func orderAndBounds(t *testing.T, s store.Store) {
	must(t, "ensure", s.Ensure(background(), "t"))
	spans := []int64{math.MinInt64, -3_600_000_000_000, -1, 0, 1, 3_600_000_000_000, math.MaxInt64}
	buckets := []sample.Shard{0, 1, 255, 256, sample.Shards - 1}
	var all []store.Item
	for _, b := range buckets {
		for _, span := range spans {
			for _, nonce := range []uint64{math.MaxUint64, 0, 1 << 63} {
				all = append(all, item(b, span, nonce, math.MaxUint16, 40), item(b, span, nonce, 0, 2000))
			}
		}
	}
	must(t, "write", s.Write(background(), "t", all))
	slices.SortFunc(all, byKey)
	for _, b := range buckets {
		for _, from := range spans {
			for _, to := range spans {
				var want []store.Item
				for _, i := range all {
					if i.Key.Bucket == b && from <= i.Key.Span && i.Key.Span <= to {
						want = append(want, i)
					}
				}
				sameItems(t, fmt.Sprintf("bucket %d from %d to %d", b, from, to), query(t, s, "t", b, from, to), want)
			}
		}
	}
	if got := query(t, s, "t", 2, math.MinInt64, math.MaxInt64); len(got) != 0 {
		t.Errorf("bucket 2 has %d items; nothing was written to it", len(got))
	}
}

func stopEarly(t *testing.T, s store.Store) {
	must(t, "ensure", s.Ensure(background(), "t"))
	must(t, "write nothing", s.Write(background(), "t", nil))
	for n := range 10 {
		must(t, "write", s.Write(background(), "t", []store.Item{item(1, int64(n), 0, 0, 5000)}))
	}
	seen := 0
	err := s.Query(background(), "t", 1, 2, 9, func(i store.Item) bool {
		if i.Key.Span != int64(2+seen) {
			t.Errorf("item %d has span %d", seen, i.Key.Span)
		}
		seen++
		return seen < 3
	})
	if err != nil || seen != 3 {
		t.Fatalf("%d items, %v; want the three asked for", seen, err)
	}
}

func writeAgain(t *testing.T, s store.Store) {
	must(t, "ensure", s.Ensure(background(), "t"))
	items := []store.Item{item(1, 1, 1, 0, 3000), item(1, 1, 1, 1, 10), item(2, 1, 1, 0, 70_000)}
	for range 3 {
		must(t, "write", s.Write(background(), "t", items))
		for _, i := range items {
			must(t, "write of one alone", s.Write(background(), "t", []store.Item{i, i}))
		}
	}
	sameItems(t, "bucket 1", query(t, s, "t", 1, 1, 1), items[:2])
	sameItems(t, "bucket 2", query(t, s, "t", 2, 1, 1), items[2:])
}

func itemSizes(t *testing.T, s store.Store) {
	must(t, "ensure", s.Ensure(background(), "t"))
	var items []store.Item
	for n, size := range []int{0, 1, 1023, 1024, 4096, 65_536, store.MaxItem - 1, store.MaxItem} {
		items = append(items, item(3, int64(n), 0, 0, size))
	}
	must(t, "write", s.Write(background(), "t", items))
	sameItems(t, "all sizes", query(t, s, "t", 3, 0, 100), items)
	big := store.Item{Key: store.ItemKey{Bucket: 4}, Body: make([]byte, store.MaxItem+1)}
	if err := s.Write(background(), "t", []store.Item{big}); !errors.Is(err, store.ErrTooLarge) {
		t.Fatalf("an item that is too large: %v; want ErrTooLarge", err)
	}
	if got := query(t, s, "t", 4, 0, 0); len(got) != 0 {
		t.Fatal("an item that is too large was stored")
	}
	body := bodyOf(store.ItemKey{}, 2000)
	must(t, "write", s.Write(background(), "t", []store.Item{{Key: store.ItemKey{Bucket: 5}, Body: body}}))
	clear(body) // it stayed the caller's
	want := []store.Item{{Key: store.ItemKey{Bucket: 5}, Body: bodyOf(store.ItemKey{}, 2000)}}
	sameItems(t, "after the caller changed its body", query(t, s, "t", 5, 0, 0), want)
}

func writeMegabytes(t *testing.T, s store.Store) {
	must(t, "ensure", s.Ensure(background(), "t"))
	var items []store.Item
	for n := range 120 {
		items = append(items, item(1, int64(n), 0, 0, 350<<10))
	}
	must(t, "write", s.Write(background(), "t", items))
	sameItems(t, "41 MB in one write", query(t, s, "t", 1, 0, 1000), items)
}

// weekBoundary keeps neighbouring ns in the tables of their weeks.
func weekBoundary(t *testing.T, s store.Store) {
	week := sample.Week(2924)
	for w, span := range map[sample.Week]int64{week: week.End() - 1, week + 1: (week + 1).Start(), -1: sample.Week(-1).Start()} {
		table := fmt.Sprintf("week_%d", int(w)+10)
		must(t, "ensure", s.Ensure(background(), table))
		must(t, "write", s.Write(background(), table, []store.Item{item(9, span, 1, 0, 100)}))
		must(t, "append", s.Append(background(), store.JournalID{Week: w}, 0, []byte(table)))
	}
	for w := range map[sample.Week]int{week: 0, week + 1: 0, -1: 0} {
		table := fmt.Sprintf("week_%d", int(w)+10)
		got := query(t, s, table, 9, w.Start(), w.End()-1)
		if len(got) != 1 || sample.WeekOf(got[0].Key.Span) != w {
			t.Errorf("%s holds %d items; want the one of its week", table, len(got))
		}
		entries, err := s.Read(background(), store.JournalID{Week: w}, 0, 10)
		if err != nil || len(entries) != 1 || string(entries[0]) != table {
			t.Errorf("journal of %s is %q, %v", w, entries, err)
		}
	}
}

// manyTables uses more tables at once than any driver keeps at hand.
func manyTables(t *testing.T, s store.Store) {
	const tables, callers, rounds = 40, 6, 25
	name := func(n int) string { return fmt.Sprintf("t%02d", n) }
	for n := range tables {
		must(t, "ensure", s.Ensure(background(), name(n)))
	}
	var group sync.WaitGroup
	for c := range callers {
		group.Go(func() {
			for r := range rounds {
				table := name((c*7 + r*3) % tables)
				mine := item(sample.Shard(c), int64(r), 0, 0, 3000)
				if err := s.Write(background(), table, []store.Item{mine}); err != nil {
					t.Errorf("write to %s: %v", table, err)
				}
				seen := 0
				err := s.Query(background(), table, sample.Shard(c), int64(r), int64(r), func(store.Item) bool {
					seen++
					return true
				})
				if err != nil || seen != 1 {
					t.Errorf("query of %s: %d items, %v; want the one just written", table, seen, err)
				}
			}
		})
	}
	group.Wait()
	for c := range callers {
		for r := range rounds {
			want := []store.Item{item(sample.Shard(c), int64(r), 0, 0, 3000)}
			sameItems(t, "afterwards", query(t, s, name((c*7+r*3)%tables), sample.Shard(c), int64(r), int64(r)), want)
		}
	}
}

// listKeys lists keys without bodies, where the driver can.
func listKeys(t *testing.T, s store.Store) {
	lister, ok := s.(store.Lister)
	if !ok {
		t.Skip("the driver does not list keys")
	}
	list := func(most int) (keys []store.ItemKey, err error) {
		err = lister.Keys(background(), "t", func(key store.ItemKey) bool {
			keys = append(keys, key)
			return len(keys) < most
		})
		return keys, err
	}
	if _, err := list(9); !errors.Is(err, store.ErrNoTable) {
		t.Errorf("keys of a missing table: %v; want ErrNoTable", err)
	}
	must(t, "ensure", s.Ensure(background(), "t"))
	items := append(everySize(1), everySize(2)...)
	must(t, "write", s.Write(background(), "t", items))
	must(t, "delete", s.Delete(background(), "t", keysOf(items[:1])))
	for _, most := range []int{3, 100} {
		want := keysOf(items[1:])
		want = want[:min(most, len(want))]
		if got, err := list(most); err != nil || !slices.Equal(got, want) {
			t.Errorf("the first %d keys are %v, %v; want %v", most, got, err, want)
		}
	}
}
