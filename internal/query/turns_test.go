package query

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestQueriesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(2)
		first, err := turns.wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		second, err := turns.wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		got := make([]error, 2*waiting)
		ctx, cancel := context.WithCancel(t.Context())
		for i := range got {
			group.Go(func() {
				ctx := ctx
				if i > 0 {
					ctx = t.Context()
				}
				var done func()
				if done, got[i] = turns.wait(ctx); got[i] == nil {
					time.Sleep(patience * 2)
					done()
				}
			})
		}
		synctest.Wait()
		var busy *busyError
		if _, err := turns.wait(t.Context()); !errors.As(err, &busy) || busy.running != 2 || busy.waiting != 2*waiting {
			t.Errorf("one too many: %v", err)
		}
		cancel()
		synctest.Wait()
		if !errors.Is(got[0], context.Canceled) {
			t.Errorf("one that was cancelled: %v", got[0])
		}
		first()
		second()
		began := time.Now()
		group.Wait()
		refused := 0
		for _, err := range got[1:] {
			if errors.As(err, &busy) {
				refused++
			}
		}
		if want := 2*waiting - 1 - 2; refused != want {
			t.Errorf("%d lost patience; want %d", refused, want)
		}
		if took := time.Since(began); took != patience*2 {
			t.Errorf("it took %s", took)
		}
		if len(turns.present) != 0 || len(turns.running) != 0 {
			t.Errorf("%d are present, %d run, when all are done", len(turns.present), len(turns.running))
		}
	})
}

// blocked is a Source that waits.
type blocked struct {
	*memory
	entered, free chan struct{}
}

func (b *blocked) Series(ctx context.Context, sel Selector, start, end int64) ([]SeriesInfo, error) {
	b.entered <- struct{}{}
	<-b.free
	return b.memory.Series(ctx, sel, start, end)
}

func TestTooManyQueriesAreAnswered503(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &blocked{fleet(t), make(chan struct{}), make(chan struct{})}
		mux := newServer(t, source, func(o *Options) { o.Limits.MaxRunning = 1 })
		var group sync.WaitGroup
		group.Go(func() {
			if w := get(mux, "/api/v1/series"); w.Code != http.StatusOK {
				t.Errorf("the first: %d %s", w.Code, w.Body)
			}
		})
		<-source.entered
		w := get(mux, "/api/v1/series") // after patience
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "max_running") {
			t.Errorf("the second: %d %v %s", w.Code, w.Header(), w.Body)
		}
		close(source.free)
		group.Wait()
	})
}
