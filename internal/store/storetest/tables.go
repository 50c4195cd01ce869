package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"weir/internal/sample"
	"weir/internal/store"
)

func tableCases() []testCase {
	return []testCase{
		with("EnsureIsIdempotent", ensureIsIdempotent),
		with("EnsureFromManyAtOnce", ensureFromManyAtOnce),
		with("NoTable", noTable),
		with("BadNames", badTableNames),
		with("Drop", dropTable),
		with("DropDuringQueryAndWrite", dropDuringUse),
		with("Closed", closedStore),
		with("CancelledContext", cancelledContext),
		{name: "Size", run: sizeOfTable},
	}
}

func ensureIsIdempotent(t *testing.T, s store.Store) {
	for range 3 {
		must(t, "ensure", s.Ensure(background(), "samples_2026_w03"))
		must(t, "write", s.Write(background(), "samples_2026_w03", []store.Item{item(1, 2, 3, 0, 100)}))
	}
	must(t, "ensure", s.Ensure(background(), "a"))
	names, err := s.Names(background())
	must(t, "names", err)
	if want := []string{"a", "samples_2026_w03"}; !slices.Equal(names, want) {
		t.Fatalf("names are %q; want %q", names, want)
	}
	sameItems(t, "after the third ensure", query(t, s, "samples_2026_w03", 1, 2, 2), []store.Item{item(1, 2, 3, 0, 100)})
}

func ensureFromManyAtOnce(t *testing.T, s store.Store) {
	const tables, callers = 4, 8
	var group sync.WaitGroup
	for c := range callers {
		group.Go(func() {
			for n := range tables {
				table := fmt.Sprintf("t%d", (n+c)%tables)
				if err := s.Ensure(background(), table); err != nil {
					t.Errorf("ensure %s: %v", table, err)
				}
				if err := s.Write(background(), table, []store.Item{item(sample.Shard(c), 0, 1, 0, 10)}); err != nil {
					t.Errorf("write to %s right after ensure: %v", table, err)
				}
			}
		})
	}
	group.Wait()
	names, err := s.Names(background())
	must(t, "names", err)
	if len(names) != tables {
		t.Fatalf("names are %q; want %d of them", names, tables)
	}
	for _, table := range names {
		for c := range callers {
			if got := query(t, s, table, sample.Shard(c), 0, 0); len(got) != 1 {
				t.Errorf("%s, bucket %d: %d items; want the one written", table, c, len(got))
			}
		}
	}
}

func noTable(t *testing.T, s store.Store) {
	err := s.Write(background(), "missing", []store.Item{item(1, 1, 1, 1, 1)})
	if !errors.Is(err, store.ErrNoTable) {
		t.Errorf("write: %v; want ErrNoTable", err)
	}
	if err := s.Delete(background(), "missing", []store.ItemKey{{}}); !errors.Is(err, store.ErrNoTable) {
		t.Errorf("delete: %v; want ErrNoTable", err)
	}
	var detail *store.Error
	if !errors.As(err, &detail) || detail.Key != "missing" || detail.Op == "" {
		t.Errorf("write: %#v does not name operation and table", err)
	}
	err = s.Query(background(), "missing", 1, 0, 1, func(store.Item) bool { return true })
	if !errors.Is(err, store.ErrNoTable) {
		t.Errorf("query: %v; want ErrNoTable", err)
	}
	names, err := s.Names(background())
	if err != nil || len(names) != 0 {
		t.Errorf("names are %q, %v: using a table must not make it", names, err)
	}
}

func badTableNames(t *testing.T, s store.Store) {
	for _, name := range []string{"", "A", "a-b", "a/b", "..", "a b", "ä", strings.Repeat("a", 65)} {
		if err := s.Ensure(background(), name); err == nil {
			t.Errorf("ensure %q: want an error", name)
		}
		if err := s.Drop(background(), name); err == nil {
			t.Errorf("drop %q: want an error", name)
		}
		if err := s.Write(background(), name, nil); err == nil {
			t.Errorf("write to %q: want an error", name)
		}
		if err := s.Delete(background(), name, nil); err == nil {
			t.Errorf("delete from %q: want an error", name)
		}
	}
	must(t, "ensure the longest name", s.Ensure(background(), strings.Repeat("a", 64)))
}

func dropTable(t *testing.T, s store.Store) {
	must(t, "drop what is not there", s.Drop(background(), "t"))
	for round := range 3 {
		must(t, "ensure", s.Ensure(background(), "t"))
		if got := query(t, s, "t", 1, 0, 10); len(got) != 0 {
			t.Fatalf("round %d: a new table has %d items", round, len(got))
		}
		must(t, "write", s.Write(background(), "t", []store.Item{item(1, 1, uint64(round), 0, 1000)}))
		must(t, "drop", s.Drop(background(), "t"))
		must(t, "drop again", s.Drop(background(), "t"))
		if err := s.Write(background(), "t", []store.Item{item(1, 1, 1, 0, 1)}); !errors.Is(err, store.ErrNoTable) {
			t.Fatalf("write after drop: %v; want ErrNoTable", err)
		}
		names, err := s.Names(background())
		if err != nil || len(names) != 0 {
			t.Fatalf("names after drop are %q, %v", names, err)
		}
	}
}

// dropDuringUse drops a table while it is read and written: each call ends
// well or with ErrNoTable.
func dropDuringUse(t *testing.T, s store.Store) {
	must(t, "ensure", s.Ensure(background(), "t"))
	var items []store.Item
	for n := range 40 {
		items = append(items, item(1, int64(n), 1, 0, 50<<10))
	}
	must(t, "write", s.Write(background(), "t", items))

	reading, dropped := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		seen := 0
		err := s.Query(background(), "t", 1, 0, 1000, func(i store.Item) bool {
			sameItems(t, "during the drop", []store.Item{i}, items[seen:seen+1])
			if seen++; seen == 2 {
				close(reading)
				<-dropped
			}
			return true
		})
		if err != nil && !errors.Is(err, store.ErrNoTable) {
			t.Errorf("query: %v; want its end or ErrNoTable", err)
		}
		if err == nil && seen != len(items) {
			t.Errorf("the query ended well after %d items of %d", seen, len(items))
		}
	})
	for w := range 2 {
		group.Go(func() {
			<-reading
			for n := uint64(0); ; n++ {
				err := s.Write(background(), "t", []store.Item{item(2, 0, n, uint16(w), 20<<10)})
				if errors.Is(err, store.ErrNoTable) {
					return
				}
				if err != nil {
					t.Errorf("write: %v; want ErrNoTable", err)
					return
				}
			}
		})
	}
	<-reading
	must(t, "drop", s.Drop(background(), "t"))
	close(dropped)
	group.Wait()
	must(t, "ensure after drop", s.Ensure(background(), "t"))
	if got := query(t, s, "t", 1, 0, 1000); len(got) != 0 {
		t.Fatalf("%d items came back with the table", len(got))
	}
}

func closedStore(t *testing.T, s store.Store) {
	must(t, "ensure", s.Ensure(background(), "t"))
	must(t, "close", s.Close())
	must(t, "close again", s.Close())
	for name, err := range allCalls(background(), s) {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s: %v; want ErrClosed", name, err)
		}
	}
}

func cancelledContext(t *testing.T, s store.Store) {
	must(t, "ensure", s.Ensure(background(), "t"))
	ctx, cancel := context.WithCancel(background())
	cancel()
	for name, err := range allCalls(ctx, s) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v; want the context's error", name, err)
		}
	}
	must(t, "ensure afterwards", s.Ensure(background(), "t"))
}

// allCalls makes each call once and gives its error.
func allCalls(ctx context.Context, s store.Store) map[string]error {
	id := store.JournalID{Week: 2900, Partition: 1}
	_, namesErr := s.Names(ctx)
	_, readErr := s.Read(ctx, id, 0, 1)
	_, listErr := s.List(ctx)
	_, getErr := s.Get(ctx, "a/b")
	_, putErr := s.Put(ctx, "a/b", nil, 0)
	_, scanErr := s.Scan(ctx, "a/")
	return map[string]error{
		"ensure": s.Ensure(ctx, "u"),
		"names":  namesErr,
		"write":  s.Write(ctx, "t", []store.Item{item(1, 1, 1, 1, 1)}),
		"query":  s.Query(ctx, "t", 1, 0, 1, func(store.Item) bool { return true }),
		"delete": s.Delete(ctx, "t", []store.ItemKey{{Bucket: 1}}),
		"drop":   s.Drop(ctx, "t"),
		"append": s.Append(ctx, id, 0, entry(0)),
		"read":   readErr,
		"list":   listErr,
		"get":    getErr,
		"put":    putErr,
		"scan":   scanErr,
	}
}

func sizeOfTable(t *testing.T, f Factory) {
	if !f.Size {
		t.Skip("the driver does not tell sizes at once")
	}
	s := open(t, place(t, f))
	sizer := s.(store.Sizer)
	if _, err := sizer.Size(background(), "t"); !errors.Is(err, store.ErrNoTable) {
		t.Errorf("size of a missing table: %v; want ErrNoTable", err)
	}
	must(t, "ensure", s.Ensure(background(), "t"))
	must(t, "write", s.Write(background(), "t", []store.Item{item(1, 1, 1, 0, 300<<10)}))
	size, err := sizer.Size(background(), "t")
	if err != nil || size < 300<<10 || size > 64<<20 {
		t.Errorf("size is %d, %v; want 300 KiB and a little", size, err)
	}
}
