package sql_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/sql"
	"weir/internal/warehouse"
)

// asker answers every statement alike.
type asker struct {
	rows  rows
	err   error
	asked []string
	hold  chan struct{} // nil: answer at once
}

func (a *asker) Query(ctx context.Context, statement string, l warehouse.Limits) (warehouse.Rows, error) {
	a.asked = append(a.asked, fmt.Sprintf("%s %d %v", statement, l.Rows, l.Timeout))
	if a.hold != nil {
		select {
		case <-a.hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if a.err != nil {
		return nil, a.err
	}
	return &a.rows, nil
}

type rows struct {
	columns []warehouse.Column
	values  [][]any
	at      int
	err     error
	closed  int
}

func (r *rows) Columns() []warehouse.Column { return r.columns }
func (r *rows) Next() bool                  { r.at++; return r.at <= len(r.values) }
func (r *rows) Values() []any               { return r.values[r.at-1] }
func (r *rows) Err() error                  { return r.err }
func (r *rows) Close() error                { r.closed++; return nil }

func serve(a sql.Asker, c sql.Config) http.Handler {
	mux := http.NewServeMux()
	sql.NewHandler(a, c, slog.New(slog.DiscardHandler)).Register(mux)
	return mux
}

// post gives status and body; broken says that the connection was broken off.
func post(h http.Handler, body string) (answer *httptest.ResponseRecorder, broken bool) {
	r := httptest.NewRequest(http.MethodPost, sql.Path, strings.NewReader(body))
	answer = httptest.NewRecorder()
	defer func() {
		if v := recover(); v != nil {
			broken = errors.Is(v.(error), http.ErrAbortHandler)
		}
	}()
	h.ServeHTTP(answer, r)
	return answer, false
}

func TestAnswer(t *testing.T) {
	a := &asker{rows: rows{
		columns: []warehouse.Column{{Name: `a "b"`, Type: "BIGINT"}, {Name: "c", Type: "DOUBLE"}, {Name: "d", Type: "VARCHAR"}, {Name: "e", Type: "X"}},
		values: [][]any{
			{int64(math.MaxInt64), 0.1, "<ü>\n", true},
			{uint64(math.MaxUint64), math.NaN(), "", time.Date(2026, 1, 5, 1, 2, 3, 4, time.FixedZone("", 3600))},
			{nil, math.Inf(-1), nil, warehouse.Number("18446744073709551616.5")},
			{int64(-1), 1e300, "x", warehouse.JSON("{\"a\":\n[1]}")},
		},
	}}
	answer, broken := post(serve(a, sql.Default()), `{"sql":"select 'ü'"}`)
	want := `{"columns":[{"name":"a \"b\"","type":"BIGINT"},{"name":"c","type":"DOUBLE"},{"name":"d","type":"VARCHAR"},{"name":"e","type":"X"}]}
{"values":[9223372036854775807,0.1,"<ü>\n",true]}
{"values":[18446744073709551615,"NaN","","2026-01-05T00:02:03.000000004Z"]}
{"values":[null,"-Inf",null,18446744073709551616.5]}
{"values":[-1,1e+300,"x",{"a": [1]}]}
`
	if got := answer.Body.String(); got != want || broken || answer.Code != http.StatusOK || answer.Header().Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("status %d, %v, got\n%swant\n%s", answer.Code, answer.Header(), got, want)
	}
	if len(a.asked) != 1 || a.asked[0] != "select 'ü' 1000000 1m0s" || a.rows.closed != 1 {
		t.Errorf("asked %q, closed %d times", a.asked, a.rows.closed)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		title  string
	}{
		{warehouse.ErrQuery, 400, "Bad statement"}, {warehouse.ErrLimit, 422, "Limit exceeded"}, {warehouse.ErrUnsupported, 501, "No warehouse"},
		{warehouse.ErrLocked, 503, "Warehouse unavailable"}, {warehouse.ErrUnavailable, 503, "Warehouse unavailable"}, {warehouse.ErrClosed, 503, "Warehouse unavailable"},
		{context.Canceled, 503, "Warehouse unavailable"}, {warehouse.ErrVersion, 500, "Warehouse of another version"},
		{warehouse.ErrCorrupt, 500, "Warehouse is corrupt"}, {errors.New("x"), 500, "Statement failed"},
	} {
		err := &warehouse.Error{Op: "query", Hint: "mend it", Err: c.err}
		answer, broken := post(serve(&asker{err: err}, sql.Default()), `{"sql":"x"}`)
		if answer.Code != c.status || broken || !strings.Contains(answer.Body.String(), `"title":"`+c.title+`"`) || !strings.Contains(answer.Body.String(), "mend it") {
			t.Errorf("%v: %d %s", c.err, answer.Code, answer.Body)
		}
		if retry := answer.Header().Get("Retry-After"); (retry != "") != (c.status == 503) {
			t.Errorf("%v: Retry-After %q", c.err, retry)
		}
		// The same, once rows were sent.
		answer, broken = post(serve(&asker{rows: rows{values: [][]any{{}}, err: err}}, sql.Default()), `{"sql":"x"}`)
		if want := fmt.Sprintf(`{"error":{"title":%q,"status":%d,"detail":%q}}`+"\n", c.title, c.status, err.Error()); !broken || !strings.HasSuffix(answer.Body.String(), "{\"values\":[]}\n"+want) {
			t.Errorf("%v: broken %v, %s; want %s", c.err, broken, answer.Body, want)
		}
	}
}

func TestRequests(t *testing.T) {
	for body, status := range map[string]int{
		``: 400, `select 1`: 400, `{}`: 400, `{"sql":1}`: 400, `{"sql":"x","limit":3}`: 400, `{"sql":"x"}{}`: 400, `[]`: 400, `null`: 400,
		`{"sql":"` + strings.Repeat("x", 1<<20) + `"}`: 413,
	} {
		a := &asker{}
		if answer, _ := post(serve(a, sql.Default()), body); answer.Code != status || len(a.asked) > 0 {
			t.Errorf("%.30s: status %d, asked %v; want %d", body, answer.Code, a.asked, status)
		}
	}
	h := serve(&asker{}, sql.Default())
	r := httptest.NewRequest(http.MethodPost, sql.Path, strings.NewReader("sql=x"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := httptest.NewRecorder()
	if h.ServeHTTP(answer, r); answer.Code != http.StatusUnsupportedMediaType {
		t.Errorf("a form: %d", answer.Code)
	}
	answer = httptest.NewRecorder()
	if h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, sql.Path, nil)); answer.Code != http.StatusMethodNotAllowed || answer.Header().Get("Allow") != "POST" {
		t.Errorf("GET: %d", answer.Code)
	}
}

func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sql.Default()
		c.Running = 1
		a := &asker{hold: make(chan struct{})}
		h := serve(a, c)
		first := make(chan int)
		go func() { answer, _ := post(h, `{"sql":"first"}`); first <- answer.Code }()
		synctest.Wait()
		// The second waits in vain.
		answer, _ := post(h, `{"sql":"second"}`)
		if answer.Code != http.StatusServiceUnavailable || !strings.Contains(answer.Body.String(), "max_running") {
			t.Errorf("%d %s", answer.Code, answer.Body)
		}
		close(a.hold)
		if code := <-first; code != http.StatusOK {
			t.Errorf("the first: %d", code)
		}
		if answer, _ := post(h, `{"sql":"third"}`); answer.Code != http.StatusOK {
			t.Errorf("the third: %d", answer.Code)
		}
	})
}

// gone is a client that went away.
type gone struct{ *httptest.ResponseRecorder }

func (gone) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestClientGone(t *testing.T) {
	a := &asker{rows: rows{values: [][]any{{}}}}
	defer func() {
		if recover() == nil || a.rows.closed != 1 {
			t.Errorf("the connection was kept, or the rows were: closed %d times", a.rows.closed)
		}
	}()
	serve(a, sql.Default()).ServeHTTP(gone{httptest.NewRecorder()}, httptest.NewRequest(http.MethodPost, sql.Path, strings.NewReader(`{"sql":"x"}`)))
}

func TestConfig(t *testing.T) {
	if err := sql.Default().Validate(); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]sql.Config{"timeout": {0, 1, 1}, "max_rows": {1, 0, 1}, "max_running": {1, 1, 0}} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
