package app

import (
	"context"
	"net/http"
	"net/http/httptest"

	"weir/internal/sample"
	"weir/internal/store"
)

func newRecorder(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

// withoutTable is a store one of whose tables is found empty.
type withoutTable struct {
	store.Store
	table string
}

func (s withoutTable) Query(ctx context.Context, table string, bucket sample.Shard, from, to int64, yield func(store.Item) bool) error {
	if table == s.table {
		return nil
	}
	return s.Store.Query(ctx, table, bucket, from, to, yield)
}
