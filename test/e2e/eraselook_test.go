package e2e

import (
	"bytes"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/archive/partfile"
	"weir/internal/block"
	"weir/internal/journal"
	"weir/internal/objects/folder"
	"weir/internal/result"
	"weir/internal/sample"
	"weir/internal/store"
	"weir/internal/store/pebble"
	"weir/internal/warehouse"
	"weir/internal/warehouse/duckdb"
)

// persons gives the series of the person.
func persons() (all []sample.Series) {
	for _, metric := range []string{"load", "name"} {
		all = append(all, sample.Series{Metric: metric, Tags: []sample.Tag{{Name: "host", Value: person}}})
	}
	return all
}

// look decodes every file of a data folder that nobody has open, and fails where a
// sample of the person, or a row made of some, is in any of them. Bytes of the name
// may be in journals, which register it, in the records of erasures, whose selector
// has it, and in the files of queues, whose messages were settled.
func look(t *testing.T, data string) {
	t.Helper()
	lookStore(t, filepath.Join(data, "store"))
	e := &result.Erasure{IDs: map[string]bool{}, Names: map[string]bool{}, From: math.MinInt64, To: math.MaxInt64}
	handles := map[sample.SeriesID]sample.Handle{}
	gone := warehouse.Erasure{From: math.MinInt64, To: math.MaxInt64, Count: true}
	for i, s := range persons() {
		e.IDs[s.ID().String()], e.Names[result.Name(s.Metric, warehouse.Tags(s))] = true, true
		handles[s.ID()] = sample.Handle(i)
		gone.Series = append(gone.Series, s.ID())
	}
	lookArchive(t, filepath.Join(data, "archive"), handles)
	lookTables(t, filepath.Join(data, "results"), e)
	lookTables(t, filepath.Join(data, "exports"), e)
	c := duckdb.Default()
	c.Dir = filepath.Join(data, "warehouse")
	w, err := duckdb.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := w.Erase(t.Context(), gone); err != nil || len(rows) > 0 && (len(rows) > 1 || rows["series"] == 0) {
		t.Errorf("the warehouse has %v, %v", rows, err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, _ := filepath.Rel(data, path)
		body, err := os.ReadFile(path)
		if err == nil && bytes.Contains(body, []byte(person)) &&
			!strings.HasPrefix(name, "store/journals/") && !strings.HasPrefix(name, "erasures/") && !strings.HasPrefix(name, "buffer/") &&
			name != "warehouse/weir.duckdb" { // its table series, by the run after the erasure
			t.Errorf("%s has the person's name", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// lookStore decodes every item of every table, named or not.
func lookStore(t *testing.T, dir string) {
	t.Helper()
	config := pebble.Default()
	config.Dir = dir
	s, err := pebble.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	book := journal.NewBook(s, 1, func() uint64 { return 1 }, nil)
	if err := book.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	keys := map[string]map[sample.Handle]bool{"quarantine": {}} // by table: what the person is called
	for _, j := range book.Journals() {
		volumes, err := book.Volumes(t.Context(), j.ID().Week)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range volumes {
			if keys[v.Table] == nil {
				keys[v.Table] = map[sample.Handle]bool{}
			}
			j.View(func(state *journal.State) {
				for _, p := range persons() {
					if h, _, ok := state.Handle(p.Key()); ok {
						keys[v.Table][h] = true
					}
				}
			})
		}
	}
	tables, err := s.Names(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	items := 0
	for _, table := range tables {
		buckets := map[sample.Shard]bool{}
		if err := s.Keys(t.Context(), table, func(k store.ItemKey) bool { buckets[k.Bucket] = true; return true }); err != nil {
			t.Fatal(err)
		}
		for bucket := range buckets {
			var b block.Batch
			err := s.Query(t.Context(), table, bucket, math.MinInt64, math.MaxInt64, func(item store.Item) bool {
				items++
				if err := block.Decode(&b, item.Body); err != nil {
					t.Fatal(err)
				}
				for _, h := range b.Handles {
					if keys[table][h] {
						t.Errorf("table %s, item %v has samples of the person", table, item.Key)
					}
				}
				for _, key := range b.Keys {
					if strings.Contains(key, person) {
						t.Errorf("table %s, item %v has samples of %q", table, item.Key, key)
					}
				}
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if items == 0 {
		t.Error("no item was looked at")
	}
}

// files gives the Parquet files below a folder.
func files(t *testing.T, dir, ending string) (names []string) {
	t.Helper()
	at, err := folder.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	all, err := at.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range all {
		if strings.HasSuffix(o.Name, ending) {
			names = append(names, o.Name)
		}
	}
	if len(names) == 0 {
		t.Errorf("%s has no %s", dir, ending)
	}
	return names
}

func lookArchive(t *testing.T, dir string, handles map[sample.SeriesID]sample.Handle) {
	t.Helper()
	at, err := folder.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files(t, dir, ".parquet") {
		part, err := at.Open(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		var r partfile.Reader
		s := partfile.Selection{Wanted: partfile.Want(handles), From: math.MinInt64, To: math.MaxInt64}
		err = r.Read(t.Context(), part, s, func(b *block.Batch) error {
			t.Errorf("%s has %d rows of the person", name, b.Samples())
			return nil
		})
		if err != nil || part.Close() != nil {
			t.Fatal(err)
		}
	}
}

func lookTables(t *testing.T, dir string, e *result.Erasure) {
	t.Helper()
	at, err := folder.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files(t, dir, ".parquet") {
		columns, f, err := result.Describe(t.Context(), at, name)
		if err != nil {
			t.Fatal(err)
		}
		if n, known, err := result.CountFile(t.Context(), at, columns, &f, e); n > 0 || !known || err != nil {
			t.Errorf("%s has %d rows of the person, %v, %v", name, n, known, err)
		}
	}
}
