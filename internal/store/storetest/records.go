package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"weir/internal/store"
)

func recordCases() []testCase {
	return []testCase{
		with("Versions", recordVersions),
		with("Scan", scanRecords),
		with("Remove", removeRecord),
		with("BadKeys", badRecordKeys),
		with("OneWinsEachVersion", oneWinsVersion),
		with("OneMakesIt", oneMakesRecord),
	}
}

func recordVersions(t *testing.T, s store.Store) {
	if _, err := s.Get(background(), "week/2026-w03"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("get of a missing record: %v; want ErrNotFound", err)
	}
	if _, err := s.Put(background(), "week/2026-w03", nil, 4); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("put of version 4 of a missing record: %v; want ErrConflict", err)
	}
	for v := range uint64(5) {
		value := strings.Repeat("x", int(v))
		r, err := s.Put(background(), "week/2026-w03", []byte(value), v)
		must(t, "put", err)
		got, err := s.Get(background(), "week/2026-w03")
		must(t, "get", err)
		for _, r := range []store.Record{r, got} {
			if r.Key != "week/2026-w03" || string(r.Value) != value || r.Version != v+1 {
				t.Fatalf("after put of version %d the record is %q %q of version %d", v, r.Key, r.Value, r.Version)
			}
		}
		for _, wrong := range []uint64{v, v + 2, 0} {
			if _, err := s.Put(background(), "week/2026-w03", []byte("wrong"), wrong); !errors.Is(err, store.ErrConflict) {
				t.Fatalf("put of version %d when it is %d: %v; want ErrConflict", wrong, v+1, err)
			}
		}
	}
	r, err := s.Get(background(), "week/2026-w03")
	if err != nil || string(r.Value) != "xxxx" {
		t.Errorf("the record is %q, %v: what was refused must not be stored", r.Value, err)
	}
}

func removeRecord(t *testing.T, s store.Store) {
	for _, key := range []string{"a/b", "a/c"} {
		_, err := s.Put(background(), key, []byte("of "+key), 0)
		must(t, "put", err)
	}
	_, err := s.Put(background(), "a/b", []byte("again"), 1)
	must(t, "put", err)
	for _, version := range []uint64{0, 1, 3} {
		if err := s.Remove(background(), "a/b", version); !errors.Is(err, store.ErrConflict) {
			t.Errorf("remove of version %d when it is 2: %v; want ErrConflict", version, err)
		}
	}
	must(t, "remove", s.Remove(background(), "a/b", 2))
	for _, key := range []string{"a/b", "never/there"} {
		if err := s.Remove(background(), key, 2); !errors.Is(err, store.ErrConflict) {
			t.Errorf("remove of %s, which is not there: %v; want ErrConflict", key, err)
		}
	}
	if _, err := s.Get(background(), "a/b"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("get of what was removed: %v; want ErrNotFound", err)
	}
	if list, err := s.Scan(background(), "a/"); err != nil || len(list) != 1 || list[0].Key != "a/c" {
		t.Errorf("listed are %v, %v; want a/c", list, err)
	}
	if r, err := s.Put(background(), "a/b", []byte("new"), 0); err != nil || r.Version != 1 {
		t.Errorf("a record made anew is of version %d, %v; want 1", r.Version, err)
	}
	if err := s.Remove(background(), "A", 1); err == nil || errors.Is(err, store.ErrConflict) {
		t.Errorf("remove of a bad key: %v", err)
	}
}

func scanRecords(t *testing.T, s store.Store) {
	for _, key := range []string{"a", "a/b", "a/b/c", "a/c", "a.b/c", "a-b/c", "a0/b", "ab/c", "b/a", "a/b0"} {
		_, err := s.Put(background(), key, []byte("of "+key), 0)
		must(t, "put", err)
	}
	for prefix, want := range map[string]string{
		"a/": "a/b a/b/c a/b0 a/c", "a/b/": "a/b/c", "a.b/": "a.b/c", "c/": "", "b/": "b/a",
	} {
		records, err := s.Scan(background(), prefix)
		must(t, "scan", err)
		var keys []string
		for _, r := range records {
			keys = append(keys, r.Key)
			if string(r.Value) != "of "+r.Key || r.Version != 1 {
				t.Errorf("scan of %s: record %s is %q of version %d", prefix, r.Key, r.Value, r.Version)
			}
		}
		if got := strings.Join(keys, " "); got != want {
			t.Errorf("scan of %s gives %q; want %q", prefix, got, want)
		}
	}
}

func badRecordKeys(t *testing.T, s store.Store) {
	for _, key := range []string{"", "/", "a/", "/a", "a//b", "A", "a_b", "a b", "ä"} {
		if _, err := s.Put(background(), key, nil, 0); err == nil {
			t.Errorf("put of %q: want an error", key)
		}
		if _, err := s.Get(background(), key); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("get of %q: %v; want an error that is not ErrNotFound", key, err)
		}
	}
	for _, prefix := range []string{"", "a", "/", "A/", "a//"} {
		if _, err := s.Scan(background(), prefix); err == nil {
			t.Errorf("scan of %q: want an error", prefix)
		}
	}
}

// oneWinsVersion counts with a record from many at once: no increment is lost.
func oneWinsVersion(t *testing.T, s store.Store) {
	const callers, each = 6, 15
	_, err := s.Put(background(), "count", []byte("0"), 0)
	must(t, "put", err)
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for done := 0; done < each; {
				r, err := s.Get(background(), "count")
				if err != nil {
					t.Errorf("get: %v", err)
					return
				}
				var n int
				_, _ = fmt.Sscan(string(r.Value), &n)
				_, err = s.Put(background(), "count", fmt.Append(nil, n+1), r.Version)
				switch {
				case err == nil:
					done++
				case !errors.Is(err, store.ErrConflict):
					t.Errorf("put: %v", err)
					return
				}
			}
		})
	}
	group.Wait()
	r, err := s.Get(background(), "count")
	if want := fmt.Sprint(callers * each); err != nil || string(r.Value) != want || r.Version != callers*each+1 {
		t.Fatalf("the count is %s of version %d, %v; want %s", r.Value, r.Version, err, want)
	}
}

func oneMakesRecord(t *testing.T, s store.Store) {
	for n := range 20 {
		key := fmt.Sprintf("claim/%d", n)
		var wins atomic.Int64
		var group sync.WaitGroup
		for range 5 {
			group.Go(func() {
				_, err := s.Put(background(), key, nil, 0)
				switch {
				case err == nil:
					wins.Add(1)
				case !errors.Is(err, store.ErrConflict):
					t.Errorf("put: %v", err)
				}
			})
		}
		group.Wait()
		if wins.Load() != 1 {
			t.Fatalf("%s was made by %d", key, wins.Load())
		}
	}
}
