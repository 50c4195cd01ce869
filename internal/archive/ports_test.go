package archive

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"weir/internal/objects"
	"weir/internal/sample"
	"weir/internal/store"
)

var errKilled = errors.New("simulated kill")

// turnstile is what each call of wrapped ports goes through: at one of them
// something happens.
type turnstile struct {
	mu   sync.Mutex
	n    int
	at   int         // which call
	what interrupted // happens there
	dead bool

	paused, release chan struct{}
}

type interrupted int

const (
	killedBefore interrupted = iota // nothing is done from there on
	killedAfter                     // the call is done, and nothing after it
	failedBefore                    // the call fails, and is not done
	failedAfter                     // the call is done, and its answer is lost
	pausedBefore                    // it waits to be released
)

func (i interrupted) String() string {
	return [...]string{"killed before", "killed after", "failed before", "failed after", "paused before"}[i]
}

func newTurnstile(at int, what interrupted) *turnstile {
	return &turnstile{at: at, what: what, paused: make(chan struct{}), release: make(chan struct{})}
}

// reached says whether the call at which something happens has come.
func (t *turnstile) reached() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n >= t.at
}

func (t *turnstile) pass(do func() error) error {
	t.mu.Lock()
	t.n++
	here, dead := t.n == t.at, t.dead
	if here && t.what <= killedAfter {
		t.dead = true
	}
	t.mu.Unlock()
	unavailable := fmt.Errorf("simulated failure: %w: %w", store.ErrUnavailable, objects.ErrUnavailable)
	switch {
	case dead, here && t.what == killedBefore:
		return errKilled
	case here && t.what == killedAfter:
		_ = do()
		return errKilled
	case here && t.what == failedBefore:
		return unavailable
	case here && t.what == failedAfter:
		_ = do()
		return unavailable
	case here && t.what == pausedBefore:
		close(t.paused)
		<-t.release
	}
	return do()
}

// testStore is a store behind a turnstile.
type testStore struct {
	store.Store
	t *turnstile
}

func (s testStore) Ensure(ctx context.Context, table string) error {
	return s.t.pass(func() error { return s.Store.Ensure(ctx, table) })
}

func (s testStore) Drop(ctx context.Context, table string) error {
	return s.t.pass(func() error { return s.Store.Drop(ctx, table) })
}

func (s testStore) Write(ctx context.Context, table string, items []store.Item) error {
	return s.t.pass(func() error { return s.Store.Write(ctx, table, items) })
}

func (s testStore) Query(ctx context.Context, table string, bucket sample.Shard, from, to int64, yield func(store.Item) bool) error {
	return s.t.pass(func() error { return s.Store.Query(ctx, table, bucket, from, to, yield) })
}

func (s testStore) Append(ctx context.Context, id store.JournalID, position uint64, entry []byte) error {
	return s.t.pass(func() error { return s.Store.Append(ctx, id, position, entry) })
}

func (s testStore) Read(ctx context.Context, id store.JournalID, from uint64, most int) (out [][]byte, err error) {
	err = s.t.pass(func() error { out, err = s.Store.Read(ctx, id, from, most); return err })
	return out, err
}

func (s testStore) Get(ctx context.Context, key string) (r store.Record, err error) {
	err = s.t.pass(func() error { r, err = s.Store.Get(ctx, key); return err })
	return r, err
}

func (s testStore) Put(ctx context.Context, key string, value []byte, version uint64) (r store.Record, err error) {
	err = s.t.pass(func() error { r, err = s.Store.Put(ctx, key, value, version); return err })
	return r, err
}

func (s testStore) Scan(ctx context.Context, prefix string) (out []store.Record, err error) {
	err = s.t.pass(func() error { out, err = s.Store.Scan(ctx, prefix); return err })
	return out, err
}

// testObjects is objects behind a turnstile.
type testObjects struct {
	objects.Objects
	t *turnstile
}

func (o testObjects) Create(ctx context.Context, name string) (w objects.Writer, err error) {
	err = o.t.pass(func() error { w, err = o.Objects.Create(ctx, name); return err })
	if err != nil {
		return nil, err
	}
	return testWriter{w, o.t}, nil
}

func (o testObjects) Open(ctx context.Context, name string) (r objects.Reader, err error) {
	err = o.t.pass(func() error { r, err = o.Objects.Open(ctx, name); return err })
	if err != nil {
		return nil, err
	}
	return testReader{r, o.t}, nil
}

func (o testObjects) List(ctx context.Context, prefix string) (out []objects.Info, err error) {
	err = o.t.pass(func() error { out, err = o.Objects.List(ctx, prefix); return err })
	return out, err
}

func (o testObjects) Delete(ctx context.Context, name string) error {
	return o.t.pass(func() error { return o.Objects.Delete(ctx, name) })
}

type testWriter struct {
	objects.Writer
	t *turnstile
}

func (w testWriter) Close() error { return w.t.pass(w.Writer.Close) }

type testReader struct {
	objects.Reader
	t *turnstile
}

func (r testReader) ReadAt(p []byte, at int64) (n int, err error) {
	err = r.t.pass(func() error { n, err = r.Reader.ReadAt(p, at); return nil })
	if err != nil && n == len(p) {
		err = nil
	}
	return n, err
}
