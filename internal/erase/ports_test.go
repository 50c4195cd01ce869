package erase

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"weir/internal/objects"
	"weir/internal/sample"
	"weir/internal/store"
)

var errKilled = errors.New("simulated kill")

// gate is what each call of wrapped ports goes through: at one of them the process
// is killed, before the call is done or after it; nothing is done from there on.
type gate struct {
	mu    sync.Mutex
	n     int
	at    int // 0: never
	after bool
	dead  bool
}

func (g *gate) pass(do func() error) error {
	g.mu.Lock()
	g.n++
	here, dead := g.n == g.at, g.dead
	g.dead = g.dead || here
	g.mu.Unlock()
	if dead || here && !g.after {
		return errKilled
	}
	err := do()
	if here {
		return errKilled
	}
	return err
}

// gatedStore is a store behind a gate.
type gatedStore struct {
	store.Store
	g *gate
}

func (s gatedStore) Ensure(ctx context.Context, table string) error {
	return s.g.pass(func() error { return s.Store.Ensure(ctx, table) })
}

func (s gatedStore) Drop(ctx context.Context, table string) error {
	return s.g.pass(func() error { return s.Store.Drop(ctx, table) })
}

func (s gatedStore) Write(ctx context.Context, table string, items []store.Item) error {
	return s.g.pass(func() error { return s.Store.Write(ctx, table, items) })
}

func (s gatedStore) Delete(ctx context.Context, table string, keys []store.ItemKey) error {
	return s.g.pass(func() error { return s.Store.Delete(ctx, table, keys) })
}

func (s gatedStore) Query(ctx context.Context, table string, bucket sample.Shard, from, to int64, yield func(store.Item) bool) error {
	return s.g.pass(func() error { return s.Store.Query(ctx, table, bucket, from, to, yield) })
}

func (s gatedStore) Keys(ctx context.Context, table string, yield func(store.ItemKey) bool) error {
	return s.g.pass(func() error { return s.Store.(store.Lister).Keys(ctx, table, yield) })
}

func (s gatedStore) Append(ctx context.Context, id store.JournalID, position uint64, entry []byte) error {
	return s.g.pass(func() error { return s.Store.Append(ctx, id, position, entry) })
}

func (s gatedStore) Put(ctx context.Context, key string, value []byte, version uint64) (r store.Record, err error) {
	err = s.g.pass(func() error { r, err = s.Store.Put(ctx, key, value, version); return err })
	return r, err
}

// memory is objects in memory: what is closed is there.
type memory struct {
	mu  sync.Mutex
	all map[string][]byte
}

func (m *memory) Create(_ context.Context, name string) (objects.Writer, error) {
	return &memoryWriter{m: m, name: name}, objects.CheckName(name)
}

type memoryWriter struct {
	bytes.Buffer
	m    *memory
	name string
	over bool
}

func (w *memoryWriter) Close() error {
	if !w.over {
		w.over = true
		w.m.mu.Lock()
		defer w.m.mu.Unlock()
		w.m.all[w.name] = bytes.Clone(w.Bytes())
	}
	return nil
}

func (w *memoryWriter) Abort() { w.over = true }

type memoryReader struct{ *bytes.Reader }

func (memoryReader) Close() error { return nil }

func (m *memory) Open(_ context.Context, name string) (objects.Reader, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	body, ok := m.all[name]
	if !ok {
		return nil, &objects.Error{Op: "open", Name: name, Err: objects.ErrNotFound}
	}
	return memoryReader{bytes.NewReader(body)}, nil
}

func (m *memory) List(_ context.Context, prefix string) (out []objects.Info, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, body := range m.all {
		if strings.HasPrefix(name, prefix) {
			out = append(out, objects.Info{Name: name, Size: int64(len(body))})
		}
	}
	slices.SortFunc(out, func(a, b objects.Info) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (m *memory) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, name)
	return nil
}

// gatedObjects is objects behind a gate.
type gatedObjects struct {
	objects.Objects
	g *gate
}

func (o gatedObjects) Create(ctx context.Context, name string) (w objects.Writer, err error) {
	err = o.g.pass(func() error { w, err = o.Objects.Create(ctx, name); return err })
	if err != nil {
		return nil, err
	}
	return gatedWriter{w, o.g}, nil
}

func (o gatedObjects) Delete(ctx context.Context, name string) error {
	return o.g.pass(func() error { return o.Objects.Delete(ctx, name) })
}

type gatedWriter struct {
	objects.Writer
	g *gate
}

func (w gatedWriter) Close() error { return w.g.pass(w.Writer.Close) }
