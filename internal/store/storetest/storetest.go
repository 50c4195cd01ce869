// Package storetest is the suite that every driver of store must pass,
// unchanged. A driver's test hands it a Factory and says by Abilities what the
// place can do; what it cannot do is skipped by name, so that it shows.
//
// It tests the contract that package store writes down and nothing beyond it.
// It imports store, sample and the test libraries, and no driver.
package storetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"weir/internal/sample"
	"weir/internal/store"
)

// Place is where a store keeps its data, outliving what is open on it.
type Place interface {
	// Open opens the store; it is called again after Close or Crash.
	Open() (store.Store, error)
	// Crash ends what is open as a power cut would: what no call had made
	// durable by then may be lost, by the seed in part. The store that was
	// open is the place's to tidy up, and calls under way on it may return
	// anything. Only called where Abilities say so.
	Crash(seed uint64) error
	// Discard removes the place.
	Discard() error
}

// Abilities are what a place can do.
type Abilities struct {
	Crash bool // Crash works
	Size  bool // the driver is a store.Sizer, and tells at once
	Gaps  bool // Append past the end is refused
}

// Factory makes empty places.
type Factory struct {
	Abilities
	New func() (Place, error)
}

// Run runs the suite.
func Run(t *testing.T, f Factory) {
	t.Helper()
	groups := []struct {
		name  string
		cases []testCase
	}{
		{"Tables", tableCases()},
		{"Items", itemCases()},
		{"Deletes", deleteCases()},
		{"Journals", journalCases()},
		{"Records", recordCases()},
		{"Durable", durableCases()},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.cases {
				t.Run(c.name, func(t *testing.T) {
					if c.crash && !f.Crash {
						t.Skip("the place cannot crash")
					}
					c.run(t, f)
				})
			}
		})
	}
}

type testCase struct {
	name  string
	crash bool
	run   func(t *testing.T, f Factory)
}

// with makes a test case of one that needs a single open store.
func with(name string, run func(t *testing.T, s store.Store)) testCase {
	return testCase{name: name, run: func(t *testing.T, f Factory) {
		p := place(t, f)
		run(t, open(t, p))
	}}
}

func place(t testing.TB, f Factory) Place {
	t.Helper()
	p, err := f.New()
	if err != nil {
		t.Fatalf("make a place: %v", err)
	}
	t.Cleanup(func() {
		if err := p.Discard(); err != nil {
			t.Errorf("discard the place: %v", err)
		}
	})
	return p
}

func open(t testing.TB, p Place) store.Store {
	t.Helper()
	s, err := p.Open()
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// background is the context of calls that nothing interrupts.
func background() context.Context { return context.Background() }

func must(t failer, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// failer is what testing.T and rapid.T have in common here.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// item makes an item whose body is told by its key and a size, and does not
// compress.
func item(bucket sample.Shard, span int64, nonce uint64, part uint16, size int) store.Item {
	key := store.ItemKey{Bucket: bucket, Span: span, Flush: store.FlushID{Epoch: 7, Nonce: nonce}, Part: part}
	return store.Item{Key: key, Body: bodyOf(key, size)}
}

func bodyOf(key store.ItemKey, size int) []byte {
	body := make([]byte, 0, size+8)
	state := key.Flush.Nonce ^ uint64(key.Span) ^ uint64(key.Bucket)<<32 ^ uint64(key.Part)<<48 ^ uint64(size)
	for len(body) < size {
		state = state*6364136223846793005 + 1442695040888963407
		body = binary.LittleEndian.AppendUint64(body, state^state>>29)
	}
	return body[:size]
}

// query collects a bucket's items.
func query(t failer, s store.Store, table string, bucket sample.Shard, from, to int64) []store.Item {
	t.Helper()
	var items []store.Item
	err := s.Query(background(), table, bucket, from, to, func(i store.Item) bool {
		items = append(items, store.Item{Key: i.Key, Body: bytes.Clone(i.Body)})
		return true
	})
	must(t, "query", err)
	return items
}

// sameItems compares items in order.
func sameItems(t failer, what string, got, want []store.Item) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d items; want %d", what, len(got), len(want))
	}
	for i := range got {
		if got[i].Key != want[i].Key {
			t.Fatalf("%s: item %d is %+v; want %+v", what, i, got[i].Key, want[i].Key)
		}
		if !bytes.Equal(got[i].Body, want[i].Body) {
			t.Fatalf("%s: item %+v has another body of %d bytes; want %d", what, got[i].Key, len(got[i].Body), len(want[i].Body))
		}
	}
}

func entry(n uint64) []byte { return fmt.Appendf(nil, "entry %d", n) }
