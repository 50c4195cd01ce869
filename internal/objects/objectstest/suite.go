// Package objectstest is the suite that every driver of objects must pass,
// unchanged. A driver's test hands it how to open a place. It imports its port
// alone.
package objectstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"weir/internal/objects"
)

// Run runs the suite. open gives an empty place, and again the same one for the
// same test, as after a restart.
func Run(t *testing.T, open func(t *testing.T) objects.Objects) {
	for name, test := range map[string]func(*testing.T, func(*testing.T) objects.Objects){
		"WhatIsClosedIsThere":    testClosed,
		"WhatIsNotClosedIsNot":   testUnclosed,
		"ListsByPrefix":          testList,
		"ReplacesWhole":          testReplace,
		"Deletes":                testDelete,
		"BadNames":               testNames,
		"CreatesBesideDeletes":   testBeside,
		"ReadsAnywhere":          testReadAt,
		"WriteAfterCloseIsError": testAfterClose,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

func put(t *testing.T, o objects.Objects, name, content string) {
	t.Helper()
	w, err := o.Create(t.Context(), name)
	if err == nil {
		_, err = io.WriteString(w, content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatalf("put %s: %v", name, err)
	}
}

func get(o objects.Objects, name string) (string, error) {
	r, err := o.Open(context.Background(), name)
	if err != nil {
		return "", err
	}
	defer r.Close()
	body, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	return string(body), err
}

func want(t *testing.T, o objects.Objects, name, content string) {
	t.Helper()
	if got, err := get(o, name); err != nil || got != content {
		t.Errorf("%s is %.40q, %v; want %.40q", name, got, err, content)
	}
}

func wantMissing(t *testing.T, o objects.Objects, name string) {
	t.Helper()
	if got, err := get(o, name); !errors.Is(err, objects.ErrNotFound) {
		t.Errorf("%s is %.40q, %v; want ErrNotFound", name, got, err)
	}
}

func names(t *testing.T, o objects.Objects, prefix string) string {
	t.Helper()
	list, err := o.List(t.Context(), prefix)
	if err != nil {
		t.Fatalf("list %q: %v", prefix, err)
	}
	var out []string
	for _, i := range list {
		out = append(out, fmt.Sprintf("%s:%d", i.Name, i.Size))
	}
	return strings.Join(out, " ")
}

func testClosed(t *testing.T, open func(*testing.T) objects.Objects) {
	o := open(t)
	large := strings.Repeat("weir", 1<<20)
	put(t, o, "a", "")
	put(t, o, "week=2026-W03/rev=0/bucket=0001/part-1.parquet", large)
	for range 2 { // the second time as after a restart
		want(t, o, "a", "")
		want(t, o, "week=2026-W03/rev=0/bucket=0001/part-1.parquet", large)
		o = open(t)
	}
}

func testUnclosed(t *testing.T, open func(*testing.T) objects.Objects) {
	o := open(t)
	for _, name := range []string{"x/aborted", "x/left"} {
		w, err := o.Create(t.Context(), name)
		if err == nil {
			_, err = io.WriteString(w, "half")
		}
		if err != nil {
			t.Fatal(err)
		}
		if name == "x/aborted" {
			w.Abort()
			w.Abort()
			if err := w.Close(); err != nil {
				t.Errorf("close after abort: %v", err)
			}
		}
		wantMissing(t, o, name)
	}
	o = open(t)
	wantMissing(t, o, "x/left")
	if got := names(t, o, ""); got != "" {
		t.Errorf("listed are %s; want none", got)
	}
}

func testList(t *testing.T, open func(*testing.T) objects.Objects) {
	o := open(t)
	for _, name := range []string{"b/2", "a", "b/1/x", "bb/1"} {
		put(t, o, name, name)
	}
	for prefix, want := range map[string]string{"": "a:1 b/1/x:5 b/2:3 bb/1:4", "b/": "b/1/x:5 b/2:3", "c/": "", "b/1/": "b/1/x:5"} {
		if got := names(t, o, prefix); got != want {
			t.Errorf("list %q is %s; want %s", prefix, got, want)
		}
	}
	list, err := o.List(t.Context(), "")
	if err != nil || len(list) != 4 {
		t.Fatalf("listed are %v, %v", list, err)
	}
	if first, last := list[2].Modified, list[3].Modified; first.IsZero() || last.Before(first) {
		t.Errorf("b/2 is of %s, and bb/1, which was put last, of %s", first, last)
	}
	if _, err := o.List(t.Context(), "b"); !errors.Is(err, objects.ErrName) {
		t.Errorf("list of a prefix without '/': %v; want ErrName", err)
	}
}

func testReplace(t *testing.T, open func(*testing.T) objects.Objects) {
	o := open(t)
	put(t, o, "a/b", "first")
	r, err := o.Open(t.Context(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	put(t, o, "a/b", "second one")
	want(t, o, "a/b", "second one")
	body := make([]byte, 5)
	if _, err := r.ReadAt(body, 0); err != nil || string(body) != "first" {
		t.Errorf("who had it open reads %q, %v; want what it opened", body, err)
	}
}

func testDelete(t *testing.T, open func(*testing.T) objects.Objects) {
	o := open(t)
	put(t, o, "a/b/c", "x")
	put(t, o, "a/d", "y")
	for range 2 {
		for _, name := range []string{"a/b/c", "never/there"} {
			if err := o.Delete(t.Context(), name); err != nil {
				t.Errorf("delete %s: %v", name, err)
			}
		}
	}
	wantMissing(t, o, "a/b/c")
	want(t, open(t), "a/d", "y")
}

func testNames(t *testing.T, open func(*testing.T) objects.Objects) {
	o := open(t)
	put(t, o, "a", "x")
	for _, name := range []string{"", "/a", "a/", "a//b", "../a", "a/../b", ".a", "a\x00", "a b", "a\\b", strings.Repeat("a", 1025)} {
		if w, err := o.Create(t.Context(), name); !errors.Is(err, objects.ErrName) {
			t.Errorf("create %.20q: %v; want ErrName", name, err)
			if err == nil {
				w.Abort()
			}
		}
		if _, err := o.Open(t.Context(), name); !errors.Is(err, objects.ErrName) {
			t.Errorf("open %.20q: %v; want ErrName", name, err)
		}
		if err := o.Delete(t.Context(), name); !errors.Is(err, objects.ErrName) {
			t.Errorf("delete %.20q: %v; want ErrName", name, err)
		}
	}
	if got := names(t, o, ""); got != "a:1" {
		t.Errorf("listed are %s; want a alone", got)
	}
}

// testBeside creates objects where others are deleted, so that what holds them
// comes and goes.
func testBeside(t *testing.T, open func(*testing.T) objects.Objects) {
	o := open(t)
	var group sync.WaitGroup
	for g := range 4 {
		group.Go(func() {
			for i := range 50 {
				name := fmt.Sprintf("x/y/%d-%d", g, i)
				w, err := o.Create(context.Background(), name)
				if err == nil {
					err = w.Close()
				}
				if err == nil {
					_, err = get(o, name)
				}
				if err == nil {
					err = o.Delete(context.Background(), name)
				}
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	group.Wait()
	if got := names(t, o, ""); got != "" {
		t.Errorf("listed are %s; want none", got)
	}
}

func testReadAt(t *testing.T, open func(*testing.T) objects.Objects) {
	o := open(t)
	put(t, o, "a", "0123456789")
	r, err := o.Open(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	body := make([]byte, 4)
	if n, err := r.ReadAt(body, 3); n != 4 || err != nil || !bytes.Equal(body, []byte("3456")) {
		t.Errorf("read at 3: %q, %v", body[:n], err)
	}
	if n, err := r.ReadAt(body, 8); n != 2 || !errors.Is(err, io.EOF) {
		t.Errorf("read over the end: %d, %v; want 2 and EOF", n, err)
	}
	if r.Size() != 10 {
		t.Errorf("size is %d; want 10", r.Size())
	}
}

func testAfterClose(t *testing.T, open func(*testing.T) objects.Objects) {
	o := open(t)
	w, err := o.Create(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	w.Abort()
	if _, err := io.WriteString(w, "late"); err == nil {
		t.Error("a write after close was taken")
	}
	want(t, o, "a", "")
}
