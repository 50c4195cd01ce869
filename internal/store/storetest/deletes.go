package storetest

import (
	"errors"
	"sync"
	"testing"

	"weir/internal/sample"
	"weir/internal/store"
)

func deleteCases() []testCase {
	return []testCase{
		with("DeleteAndRead", deleteAndRead),
		with("DeleteOfWhatIsNotThere", deleteMissing),
		with("DeleteAndWriteAgain", deleteAndWriteAgain),
		with("DeleteDuringQuery", deleteDuringQuery),
		with("DeleteFromManyAtOnce", deleteFromMany),
		with("DeleteOfManyItems", deleteManyItems),
		{name: "DeleteThenCrash", crash: true, run: deleteThenCrash},
		{name: "DeleteThenReopen", run: deleteThenReopen},
	}
}

func keysOf(items []store.Item) []store.ItemKey {
	keys := make([]store.ItemKey, len(items))
	for i := range items {
		keys[i] = items[i].Key
	}
	return keys
}

// everySize makes items of one bucket of sizes from nothing to large.
func everySize(bucket sample.Shard) []store.Item {
	var items []store.Item
	for n, size := range []int{0, 1, 1023, 1024, 5000, 70_000, 0, 200_000} {
		items = append(items, item(bucket, int64(n), 1, 0, size), item(bucket, int64(n), 1, 1, size))
	}
	return items
}

// deleteAndRead deletes every other item and finds the rest, and nothing else
// of other buckets.
func deleteAndRead(t *testing.T, s store.Store) {
	must(t, "ensure", s.Ensure(background(), "t"))
	items, other := everySize(1), everySize(2)
	must(t, "write", s.Write(background(), "t", append(append([]store.Item(nil), items...), other...)))
	var gone, kept []store.Item
	for n, i := range items {
		if n%2 == 0 {
			gone = append(gone, i)
		} else {
			kept = append(kept, i)
		}
	}
	must(t, "delete", s.Delete(background(), "t", keysOf(gone)))
	sameItems(t, "what is left", query(t, s, "t", 1, 0, 100), kept)
	must(t, "delete the same again", s.Delete(background(), "t", keysOf(gone)))
	must(t, "delete the rest", s.Delete(background(), "t", keysOf(kept)))
	sameItems(t, "the emptied bucket", query(t, s, "t", 1, 0, 100), nil)
	sameItems(t, "another bucket", query(t, s, "t", 2, 0, 100), other)
}

func deleteMissing(t *testing.T, s store.Store) {
	must(t, "ensure", s.Ensure(background(), "t"))
	must(t, "delete nothing", s.Delete(background(), "t", nil))
	must(t, "delete from an empty table", s.Delete(background(), "t", keysOf(everySize(1))))
	there := item(1, 5, 1, 0, 3000)
	must(t, "write", s.Write(background(), "t", []store.Item{there}))
	var near []store.ItemKey // each part of the key differs by one
	for _, change := range []func(*store.ItemKey){
		func(k *store.ItemKey) { k.Bucket++ }, func(k *store.ItemKey) { k.Span-- },
		func(k *store.ItemKey) { k.Flush.Epoch++ }, func(k *store.ItemKey) { k.Flush.Nonce-- },
		func(k *store.ItemKey) { k.Part++ },
	} {
		key := there.Key
		change(&key)
		near = append(near, key, key) // twice in one call
	}
	must(t, "delete what is not there", s.Delete(background(), "t", near))
	sameItems(t, "beside the deleted", query(t, s, "t", 1, 0, 100), []store.Item{there})
}

// deleteAndWriteAgain writes an item anew after its delete: a sweep that is
// late must not take what comes after it.
func deleteAndWriteAgain(t *testing.T, s store.Store) {
	must(t, "ensure", s.Ensure(background(), "t"))
	for round := range 3 {
		items := []store.Item{item(1, 1, 1, 0, 3000), item(1, 2, 1, 0, 90_000+round)}
		must(t, "write", s.Write(background(), "t", items))
		sameItems(t, "written again", query(t, s, "t", 1, 0, 9), items)
		must(t, "delete", s.Delete(background(), "t", keysOf(items)))
		sameItems(t, "deleted again", query(t, s, "t", 1, 0, 9), nil)
	}
}

// deleteDuringQuery deletes what a query has yet to read: what it gives is
// whole, in order, and of what was there when it began.
func deleteDuringQuery(t *testing.T, s store.Store) {
	must(t, "ensure", s.Ensure(background(), "t"))
	var items []store.Item
	for n := range 40 {
		items = append(items, item(1, int64(n), 1, 0, 50<<10))
	}
	must(t, "write", s.Write(background(), "t", items))
	position := map[store.ItemKey]int{}
	for n, i := range items {
		position[i.Key] = n
	}
	deleted := map[store.ItemKey]bool{}
	for _, i := range items[10:35] {
		deleted[i.Key] = true
	}
	seen, last := map[store.ItemKey]bool{}, -1
	err := s.Query(background(), "t", 1, 0, 1000, func(i store.Item) bool {
		n, there := position[i.Key]
		if !there || n <= last {
			t.Fatalf("%+v after item %d: not written, twice, or out of order", i.Key, last)
		}
		sameItems(t, "during the delete", []store.Item{i}, items[n:n+1])
		seen[i.Key], last = true, n
		if n == 1 {
			must(t, "delete", s.Delete(background(), "t", keysOf(items[10:35])))
			more := []store.Item{item(2, 0, 1, 0, 300<<10)} // what makes the driver tidy up
			must(t, "write", s.Write(background(), "t", more))
		}
		return true
	})
	must(t, "query", err)
	for _, i := range items {
		if !seen[i.Key] && !deleted[i.Key] {
			t.Errorf("%+v was not deleted and not given", i.Key)
		}
	}
	want := append(append([]store.Item(nil), items[:10]...), items[35:]...)
	sameItems(t, "after the delete", query(t, s, "t", 1, 0, 1000), want)
}

// deleteFromMany lets several write their own items and delete them, while
// others read: an item that is given is whole, and what is kept stays.
func deleteFromMany(t *testing.T, s store.Store) {
	const callers, rounds = 5, 12
	must(t, "ensure", s.Ensure(background(), "t"))
	var group sync.WaitGroup
	for c := range callers {
		group.Go(func() {
			for r := range uint64(rounds) {
				items := []store.Item{item(1, int64(r), r, uint16(c), 20_000), item(1, int64(r), r, uint16(c+100), 2000)}
				if err := s.Write(background(), "t", items); err != nil {
					t.Errorf("write: %v", err)
				}
				if err := s.Delete(background(), "t", keysOf(items[:1])); err != nil {
					t.Errorf("delete: %v", err)
				}
				err := s.Query(background(), "t", 1, 0, rounds, func(i store.Item) bool {
					size := 20_000
					if i.Key.Part >= 100 {
						size = 2000
					}
					sameItems(t, "meanwhile", []store.Item{i}, []store.Item{item(1, i.Key.Span, i.Key.Flush.Nonce, i.Key.Part, size)})
					return true
				})
				if err != nil {
					t.Errorf("query: %v", err)
				}
			}
		})
	}
	group.Wait()
	var want []store.Item
	for r := range uint64(rounds) {
		for c := range callers {
			want = append(want, item(1, int64(r), r, uint16(c+100), 2000))
		}
	}
	sameItems(t, "after all", query(t, s, "t", 1, 0, rounds), want)
}

// deleteManyItems deletes more items than any driver does in one step.
func deleteManyItems(t *testing.T, s store.Store) {
	must(t, "ensure", s.Ensure(background(), "t"))
	var items []store.Item
	for n := range 12_000 {
		items = append(items, item(1, int64(n/100), uint64(n%100), 0, 16))
	}
	must(t, "write", s.Write(background(), "t", items))
	must(t, "delete", s.Delete(background(), "t", keysOf(items[1:len(items)-1])))
	sameItems(t, "the first and the last", query(t, s, "t", 1, 0, 1000), []store.Item{items[0], items[len(items)-1]})
}

// deleteThenCrash cuts the power right after a delete was answered: nothing
// comes back, and nothing else is gone.
func deleteThenCrash(t *testing.T, f Factory) {
	for round := range uint64(6) {
		p := place(t, f)
		s := open(t, p)
		must(t, "ensure", s.Ensure(background(), "t"))
		items := everySize(1)
		must(t, "write", s.Write(background(), "t", items))
		must(t, "delete", s.Delete(background(), "t", keysOf(items[:12])))
		must(t, "crash", p.Crash(round))
		s = open(t, p)
		sameItems(t, "after the crash", query(t, s, "t", 1, 0, 100), items[12:])
		must(t, "delete after the crash", s.Delete(background(), "t", keysOf(items[12:])))
		must(t, "drop", s.Drop(background(), "t"))
		if err := s.Delete(background(), "t", keysOf(items)); !errors.Is(err, store.ErrNoTable) {
			t.Fatalf("delete after drop: %v; want ErrNoTable", err)
		}
	}
}

func deleteThenReopen(t *testing.T, f Factory) {
	p := place(t, f)
	s := open(t, p)
	must(t, "ensure", s.Ensure(background(), "t"))
	items := everySize(1)
	for range 3 {
		must(t, "write", s.Write(background(), "t", items))
		must(t, "delete", s.Delete(background(), "t", keysOf(items[3:9])))
		must(t, "close", s.Close())
		s = open(t, p)
		want := append(append([]store.Item(nil), items[:3]...), items[9:]...)
		sameItems(t, "after reopening", query(t, s, "t", 1, 0, 100), want)
	}
}
