package store_test

import (
	"bytes"
	"cmp"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weir/internal/sample"
	"weir/internal/store"
)

func drawKey(t *rapid.T, name string) store.ItemKey {
	return store.ItemKey{
		Bucket: sample.Shard(rapid.Uint16().Draw(t, name+" bucket")),
		Span:   rapid.Int64().Draw(t, name+" span"),
		Flush:  store.FlushID{Epoch: rapid.Uint64().Draw(t, name+" epoch"), Nonce: rapid.Uint64().Draw(t, name+" nonce")},
		Part:   rapid.Uint16().Draw(t, name+" part"),
	}
}

// TestKeysSortAsTheirPartsDo: drivers scan bytes, readers think in spans.
func TestKeysSortAsTheirPartsDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawKey(t, "a"), drawKey(t, "b")
		same := rapid.IntRange(0, 4).Draw(t, "equal parts") // so that later parts decide
		for i, take := range []func(){
			func() { b.Bucket = a.Bucket }, func() { b.Span = a.Span },
			func() { b.Flush.Epoch = a.Flush.Epoch }, func() { b.Flush.Nonce = a.Flush.Nonce },
		} {
			if i < same {
				take()
			}
		}
		want := cmp.Or(
			cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Span, b.Span), cmp.Compare(a.Flush.Epoch, b.Flush.Epoch),
			cmp.Compare(a.Flush.Nonce, b.Flush.Nonce), cmp.Compare(a.Part, b.Part))
		if got := bytes.Compare(a.Append(nil), b.Append(nil)); got != want {
			t.Fatalf("%+v and %+v: bytes compare as %d, parts as %d", a, b, got, want)
		}
	})
}

func TestKeyRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := drawKey(t, "key")
		encoded := key.Append([]byte("before"))
		if len(encoded) != len("before")+store.KeySize {
			t.Fatalf("%+v takes %d bytes", key, len(encoded))
		}
		back, err := store.ParseItemKey(encoded[len("before"):])
		if err != nil || back != key {
			t.Fatalf("%+v came back as %+v, %v", key, back, err)
		}
		cut := rapid.IntRange(0, store.KeySize-1).Draw(t, "cut")
		if _, err := store.ParseItemKey(encoded[:cut]); !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("a key of %d bytes: %v; want ErrCorrupt", cut, err)
		}
	})
}

func TestErrorsSayWhatAndHow(t *testing.T) {
	err := error(&store.Unwritten{
		Keys: []store.ItemKey{{}},
		Err:  &store.Error{Op: "write", Key: "samples_2026_w03", Hint: "free space", Err: store.ErrUnavailable},
	})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v does not wrap ErrUnavailable", err)
	}
	for _, part := range []string{"1 items", "write", "samples_2026_w03", "unavailable", "(free space)"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	err = &store.Undeleted{Keys: make([]store.ItemKey, 2), Err: store.ErrNoTable}
	if !errors.Is(err, store.ErrNoTable) || !strings.Contains(err.Error(), "2 items not known to be deleted") {
		t.Errorf("%v does not say what is left, or why", err)
	}
	if s := (store.JournalID{Week: 2924, Partition: 3}).String(); s != "2026-W03/3" {
		t.Errorf("the journal is called %s", s)
	}
	if s := (store.FlushID{Epoch: 7, Nonce: 255}).String(); s != "7-00000000000000ff" {
		t.Errorf("the flush is called %s", s)
	}
}
