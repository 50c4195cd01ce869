package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"weir/internal/sample"
	"weir/internal/store"
)

func durableCases() []testCase {
	return []testCase{
		{name: "Reopen", run: func(t *testing.T, f Factory) { survives(t, f, false) }},
		{name: "Crash", crash: true, run: func(t *testing.T, f Factory) { survives(t, f, true) }},
		{name: "RandomOperationsWithCrashes", crash: true, run: randomOperations},
		{name: "CrashAmidConcurrentWrites", crash: true, run: crashAmidWrites},
	}
}

// survives does a little of all, ends the store, and finds it again.
func survives(t *testing.T, f Factory, crash bool) {
	p := place(t, f)
	m := newModel()
	for round := range 4 {
		s := open(t, p)
		m.compare(t, s)
		table := fmt.Sprintf("t%d", round)
		m.ensure(t, s, table)
		m.write(t, s, table, []store.Item{item(1, 5, uint64(round), 0, 100_000), item(2, -5, 1, 0, 10)})
		m.write(t, s, table, []store.Item{item(3, 1, 1, 0, 5000), item(3, 1, 1, 1, 50)})
		m.delete(t, s, table, []store.ItemKey{item(3, 1, 1, 0, 0).Key, item(3, 9, 9, 9, 0).Key})
		m.append(t, s, store.JournalID{Week: sample.Week(round - 1)})
		m.append(t, s, store.JournalID{Week: 9})
		m.put(t, s, "r/a", fmt.Append(nil, round))
		if round == 2 {
			m.drop(t, s, "t0")
		}
		if crash {
			must(t, "crash", p.Crash(uint64(round)))
		} else {
			must(t, "close", s.Close())
		}
	}
	m.compare(t, open(t, p))
}

// model is the naive store: what was acknowledged.
type model struct {
	tables   map[string]map[store.ItemKey]store.Item
	journals map[store.JournalID][][]byte
	records  map[string]store.Record
}

func newModel() *model {
	return &model{
		tables:   map[string]map[store.ItemKey]store.Item{},
		journals: map[store.JournalID][][]byte{},
		records:  map[string]store.Record{},
	}
}

func (m *model) ensure(t failer, s store.Store, table string) {
	must(t, "ensure", s.Ensure(background(), table))
	if m.tables[table] == nil {
		m.tables[table] = map[store.ItemKey]store.Item{}
	}
}

func (m *model) drop(t failer, s store.Store, table string) {
	must(t, "drop", s.Drop(background(), table))
	delete(m.tables, table)
}

func (m *model) write(t failer, s store.Store, table string, items []store.Item) {
	err := s.Write(background(), table, items)
	if m.tables[table] == nil {
		if !errors.Is(err, store.ErrNoTable) {
			t.Fatalf("write to a missing table: %v; want ErrNoTable", err)
		}
		return
	}
	must(t, "write", err)
	for _, i := range items {
		m.tables[table][i.Key] = i
	}
}

func (m *model) delete(t failer, s store.Store, table string, keys []store.ItemKey) {
	err := s.Delete(background(), table, keys)
	if m.tables[table] == nil {
		if !errors.Is(err, store.ErrNoTable) {
			t.Fatalf("delete from a missing table: %v; want ErrNoTable", err)
		}
		return
	}
	must(t, "delete", err)
	for _, key := range keys {
		delete(m.tables[table], key)
	}
}

func (m *model) append(t failer, s store.Store, id store.JournalID) {
	position := uint64(len(m.journals[id]))
	e := fmt.Appendf(nil, "%s at %d", id, position)
	must(t, "append", s.Append(background(), id, position, e))
	m.journals[id] = append(m.journals[id], e)
}

func (m *model) put(t failer, s store.Store, key string, value []byte) {
	r, err := s.Put(background(), key, value, m.records[key].Version)
	must(t, "put", err)
	m.records[key] = r
}

// compare reads the whole store and finds the model.
func (m *model) compare(t failer, s store.Store) {
	t.Helper()
	names, err := s.Names(background())
	must(t, "names", err)
	if want := slices.Sorted(maps.Keys(m.tables)); !slices.Equal(names, want) {
		t.Fatalf("tables are %q; want %q", names, want)
	}
	for table, items := range m.tables {
		buckets := map[sample.Shard][]store.Item{}
		for _, i := range items {
			buckets[i.Key.Bucket] = append(buckets[i.Key.Bucket], i)
		}
		for b := range sample.Shard(4) {
			slices.SortFunc(buckets[b], byKey)
			sameItems(t, fmt.Sprintf("%s, bucket %d", table, b), query(t, s, table, b, -1000, 1000), buckets[b])
		}
	}
	ids, err := s.List(background())
	must(t, "list", err)
	if len(ids) != len(m.journals) {
		t.Fatalf("journals are %v; want %d", ids, len(m.journals))
	}
	for id, want := range m.journals {
		entries, err := s.Read(background(), id, 0, len(want)+5)
		must(t, "read", err)
		if !slices.EqualFunc(entries, want, bytes.Equal) {
			t.Fatalf("journal %s is %q; want %q", id, entries, want)
		}
	}
	for key, want := range m.records {
		r, err := s.Get(background(), key)
		must(t, "get", err)
		if r.Version != want.Version || !bytes.Equal(r.Value, want.Value) {
			t.Fatalf("record %s is %q of version %d; want %q of %d", key, r.Value, r.Version, want.Value, want.Version)
		}
	}
}

// randomOperations does random things with crashes between them and compares
// with the model after each crash.
func randomOperations(t *testing.T, f Factory) {
	rapid.Check(t, func(t *rapid.T) {
		p, err := f.New()
		must(t, "make a place", err)
		s, err := p.Open()
		must(t, "open", err)
		defer func() {
			_ = s.Close()
			_ = p.Discard()
		}()
		m := newModel()
		table := func(t *rapid.T) string { return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "table") }
		t.Repeat(map[string]func(*rapid.T){
			"ensure": func(t *rapid.T) { m.ensure(t, s, table(t)) },
			"drop":   func(t *rapid.T) { m.drop(t, s, table(t)) },
			"write": func(t *rapid.T) {
				var items []store.Item
				for range rapid.IntRange(1, 4).Draw(t, "items") {
					size := rapid.SampledFrom([]int{0, 100, 5000, 60_000}).Draw(t, "size")
					bucket := sample.Shard(rapid.IntRange(0, 3).Draw(t, "bucket"))
					span := rapid.Int64Range(-3, 3).Draw(t, "span")
					items = append(items, item(bucket, span, uint64(size), uint16(bucket), size))
				}
				m.write(t, s, table(t), items)
			},
			"delete": func(t *rapid.T) {
				table := table(t)
				keys := []store.ItemKey{item(0, 0, 1, 0, 0).Key} // never written
				there := slices.SortedFunc(maps.Keys(m.tables[table]), compareKeys)
				if n := len(there); n > 0 {
					first := rapid.IntRange(0, n-1).Draw(t, "first")
					keys = append(keys, there[first:first+rapid.IntRange(1, n-first).Draw(t, "keys")]...)
				}
				m.delete(t, s, table, keys)
			},
			"append": func(t *rapid.T) {
				m.append(t, s, store.JournalID{Week: sample.Week(rapid.IntRange(-1, 1).Draw(t, "week")), Partition: 2})
			},
			"put": func(t *rapid.T) {
				key := rapid.SampledFrom([]string{"x", "x/y", "z"}).Draw(t, "key")
				m.put(t, s, key, rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "value"))
			},
			"crash": func(t *rapid.T) {
				must(t, "crash", p.Crash(rapid.Uint64().Draw(t, "seed")))
				s, err = p.Open()
				must(t, "open after a crash", err)
				m.compare(t, s)
			},
		})
		m.compare(t, s)
	})
}
