package query

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"weir/internal/sample"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testNow = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

// fleet is three hosts' cpu, in the hour before testNow, and a text.
func fleet(t testing.TB) *memory {
	var all []Points
	for i, region := range []string{"eu", "eu", "us"} {
		p := newPoints(t, "cpu", []string{"host", fmt.Sprintf("h%d", i+1), "region", region}, sample.Int64)
		for at := range 4 {
			p = p.with(sample.Sample{Time: testNow.Add(time.Duration(at-4) * 15 * time.Minute).UnixNano(), Value: sample.IntValue(int64(10*i + at))})
		}
		all = append(all, p)
	}
	level := newPoints(t, "level", []string{"site", "s1"}, sample.Float64).with(
		sample.Sample{Time: testNow.Add(-time.Minute).UnixNano(), Value: sample.FloatValue(0.1), Quality: 0x80000000})
	note := newPoints(t, "note", nil, sample.String).with(
		sample.Sample{Time: testNow.Add(-30 * 24 * time.Hour).UnixNano(), Value: sample.StringValue("old")},
		sample.Sample{Time: testNow.Add(-time.Second).UnixNano(), Value: sample.StringValue("new")})
	return &memory{all: append(all, level, note)}
}

func newServer(t testing.TB, source Source, change func(*Options)) *http.ServeMux {
	o := Options{Source: source, Limits: DefaultLimits(), Now: func() time.Time { return testNow }, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	mux := http.NewServeMux()
	// What an application may serve beside it must not clash.
	mux.HandleFunc("GET /", http.NotFound)
	NewHandler(o).Register(mux)
	return mux
}

func get(mux http.Handler, path string, params ...string) *httptest.ResponseRecorder {
	values := url.Values{}
	for i := 0; i < len(params); i += 2 {
		values.Add(params[i], params[i+1])
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path+"?"+values.Encode(), nil))
	return w
}

func TestSelect(t *testing.T) {
	mux := newServer(t, fleet(t), nil)
	h1 := `{"metric":"cpu","tags":{"host":"h1","region":"eu"},"kind":"int64","times":[1768474800000000000,1768475700000000000,1768476600000000000,1768477500000000000],"values":[0,1,2,3]}` + "\n"
	for name, c := range map[string]struct {
		params []string
		want   string
	}{
		"one series":     {[]string{"match", `cpu{host="h1"}`}, h1},
		"range":          {[]string{"match", `cpu{host="h1"}`, "start", "2026-01-15T11:15:00Z", "end", "1768476600000000000"}, `{"metric":"cpu","tags":{"host":"h1","region":"eu"},"kind":"int64","times":[1768475700000000000],"values":[1]}` + "\n"},
		"relative":       {[]string{"match", `cpu{host="h1"}`, "start", "-60m", "end", "now-45m"}, `{"metric":"cpu","tags":{"host":"h1","region":"eu"},"kind":"int64","times":[1768474800000000000],"values":[0]}` + "\n"},
		"without metric": {[]string{"match", `{site="s1"}`}, `{"metric":"level","tags":{"site":"s1"},"kind":"float64","times":[1768478340000000000],"values":[0.1],"quality":[2147483648]}` + "\n"},
		"text":           {[]string{"match", `note`, "format", "json"}, `{"metric":"note","tags":{},"kind":"string","times":[1768478399000000000],"values":["new"]}` + "\n"},
		"none":           {[]string{"match", `nothing`}, ""},
		"csv":            {[]string{"match", `{site="s1"}`, "format", "csv"}, "series,time,value,quality\r\n\"level{site=\"\"s1\"\"}\",2026-01-15T11:59:00Z,0.1,2147483648\r\n"},
		"csv of none":    {[]string{"match", `nothing`, "format", "csv"}, "series,time,value,quality\r\n"},
	} {
		w := get(mux, "/api/v1/select", c.params...)
		if w.Code != 200 || w.Body.String() != c.want {
			t.Errorf("%s: %d\n%s", name, w.Code, cmp.Diff(c.want, w.Body.String()))
		}
	}
	if w := get(mux, "/api/v1/select", "match", "{}"); strings.Count(w.Body.String(), "\n") != 5 {
		t.Errorf("everything is %s", w.Body)
	}
}

func TestAggregate(t *testing.T) {
	mux := newServer(t, fleet(t), nil)
	for name, c := range map[string]struct {
		params []string
		want   string
	}{
		"by series": {[]string{"match", `cpu{host="h2"}`, "window", "30m", "fn", "sum"},
			`{"metric":"cpu","tags":{"host":"h2","region":"eu"},"kind":"int64","times":[1768474800000000000,1768476600000000000],"values":[21,25]}` + "\n"},
		"by tag": {[]string{"match", `cpu`, "window", "1h", "fn", "mean", "by", "region"},
			`{"metric":"cpu","tags":{"region":"eu"},"kind":"float64","times":[1768474800000000000],"values":[6.5]}` + "\n" +
				`{"metric":"cpu","tags":{"region":"us"},"kind":"float64","times":[1768474800000000000],"values":[21.5]}` + "\n"},
		"by tags twice": {[]string{"match", `cpu{host!="h3"}`, "window", "3600000000000", "fn", "max", "by", "region, host", "by", "none"},
			`{"metric":"cpu","tags":{"host":"h1","region":"eu"},"kind":"int64","times":[1768474800000000000],"values":[3]}` + "\n" +
				`{"metric":"cpu","tags":{"host":"h2","region":"eu"},"kind":"int64","times":[1768474800000000000],"values":[13]}` + "\n"},
		"all": {[]string{"match", `{}`, "window", "1d", "fn", "count", "by", ""},
			`{"metric":"","tags":{},"kind":"int64","times":[1768435200000000000],"values":[14]}` + "\n"},
		"by metric": {[]string{"match", `{__name__=~"cpu|level"}`, "window", "1w", "fn", "count", "by", "__name__"},
			`{"metric":"cpu","tags":{},"kind":"int64","times":[1768435200000000000],"values":[12]}` + "\n" +
				`{"metric":"level","tags":{},"kind":"int64","times":[1768435200000000000],"values":[1]}` + "\n"},
		"csv": {[]string{"match", `note`, "window", "1d", "fn", "last", "format", "csv"},
			"series,time,value,quality\r\nnote,2026-01-15T00:00:00Z,new,0\r\n"},
	} {
		w := get(mux, "/api/v1/aggregate", c.params...)
		if w.Code != 200 || w.Body.String() != c.want {
			t.Errorf("%s: %d\n%s", name, w.Code, cmp.Diff(c.want, w.Body.String()))
		}
	}
}

func TestSeries(t *testing.T) {
	mux := newServer(t, fleet(t), nil)
	w := get(mux, "/api/v1/series", "match", "note")
	want := `{"id":"` + sample.Series{Metric: "note"}.ID().String() + `","metric":"note","tags":{},"kind":"string","weeks":["2025-W51","2026-W03"]}` + "\n"
	if w.Code != 200 || w.Body.String() != want || w.Header().Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("%d %s %v; want %s", w.Code, w.Body, w.Header(), want)
	}
	if w := get(mux, "/api/v1/series"); strings.Count(w.Body.String(), "\n") != 5 {
		t.Errorf("all series are %s", w.Body)
	}
	if w := get(mux, "/api/v1/series", "end", "2026-01-01"); strings.Count(w.Body.String(), "\n") != 1 {
		t.Errorf("the series before 2026 are %s", w.Body)
	}
}

func TestBadRequests(t *testing.T) {
	mux := newServer(t, fleet(t), func(o *Options) { o.Limits.MaxSeries = 4 })
	for _, c := range []struct {
		path   string
		status int
		want   string
		params []string
	}{
		{"select", 400, "match: it is missing", nil},
		{"select", 400, `match: selector, column 5: expected`, []string{"match", "cpu{"}},
		{"select", 400, `unknown parameter "mach" (did you mean match?); there are match, start, end, format`, []string{"mach", "cpu"}},
		{"series", 400, `unknown parameter "fn"`, []string{"fn", "cpu"}},
		{"aggregate", 400, `unknown parameter "step"`, []string{"step", "1"}},
		{"select", 400, `parameter match is given 2 times`, []string{"match", "cpu", "match", "mem"}},
		{"select", 400, `start: "x" is not a time`, []string{"match", "cpu", "start", "x"}},
		{"select", 400, `write %2B`, []string{"match", "cpu", "start", "2026-01-01T00:00:00 01:00"}},
		{"select", 400, `start 2026-01-01T00:00:00Z is not before end 2026-01-01T00:00:00Z`, []string{"match", "cpu", "start", "2026-01-01", "end", "2026-01-01"}},
		{"select", 400, `(start is not given, and is 2026-01-15T11:00:00Z then)`, []string{"match", "cpu", "end", "0"}},
		{"select", 400, `no format "cvs" (did you mean csv?)`, []string{"match", "cpu", "format", "cvs"}},
		{"select", 422, `over max_series, which is 4: 5 series match`, []string{"match", "{}"}},
		{"aggregate", 400, `window: it is missing`, []string{"match", "cpu", "fn", "sum"}},
		{"aggregate", 400, `window: "1y" is not a duration`, []string{"match", "cpu", "fn", "sum", "window", "1y"}},
		{"aggregate", 400, `window: "-1" is not`, []string{"match", "cpu", "fn", "sum", "window", "-1"}},
		{"aggregate", 400, `fn: it is missing`, []string{"match", "cpu", "window", "1m"}},
		{"aggregate", 400, `fn: no function "meen" (did you mean mean?)`, []string{"match", "cpu", "window", "1m", "fn", "meen"}},
		{"aggregate", 400, `by: "a,,b" has a comma too many`, []string{"match", "cpu", "window", "1m", "fn", "sum", "by", "a,,b"}},
		{"aggregate", 400, `by: 65 names`, []string{"match", "cpu", "window", "1m", "fn", "sum", "by", strings.Repeat("a,", 64) + "a"}},
		{"aggregate", 422, `sum of string values`, []string{"match", "note", "window", "1m", "fn", "sum"}},
	} {
		w := get(mux, "/api/v1/"+c.path, c.params...)
		var p struct {
			Type, Title, Detail string
			Status              int
		}
		err := json.Unmarshal(w.Body.Bytes(), &p)
		if err != nil || w.Code != c.status || p.Status != c.status || !strings.Contains(p.Detail, c.want) ||
			p.Title == "" || !strings.HasPrefix(p.Type, "urn:weir:problem:") || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %v: %d %s\nwant %d %s", c.path, c.params, w.Code, w.Body, c.status, c.want)
		}
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/select?match=%zz", nil))
	if w.Code != 400 || !strings.Contains(w.Body.String(), "can't be read") {
		t.Errorf("a broken escape: %d %s", w.Code, w.Body)
	}
}

func TestPost(t *testing.T) {
	mux := newServer(t, fleet(t), nil)
	post := func(method, kind, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "/api/v1/select", strings.NewReader(body))
		if kind != "" {
			r.Header.Set("Content-Type", kind)
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w
	}
	const form = "application/x-www-form-urlencoded"
	if w := post("POST", form+"; charset=utf-8", "match=cpu"); w.Code != 200 || strings.Count(w.Body.String(), "\n") != 3 {
		t.Errorf("a form: %d %s", w.Code, w.Body)
	}
	if w := post("POST", "application/json", "{}"); w.Code != 415 || !strings.Contains(w.Body.String(), "send the parameters as") {
		t.Errorf("JSON: %d %s", w.Code, w.Body)
	}
	if w := post("POST", form, "match="+strings.Repeat("x", maxForm)); w.Code != 413 {
		t.Errorf("a large form: %d %s", w.Code, w.Body)
	}
	if w := post("DELETE", "", ""); w.Code != 405 || w.Header().Get("Allow") == "" || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("DELETE: %d %s", w.Code, w.Body)
	}
}

func TestAccept(t *testing.T) {
	mux := newServer(t, fleet(t), nil)
	for accept, csv := range map[string]bool{
		"": false, "*/*": false, "text/csv": true, "text/csv, */*;q=0.1": true, "application/json, text/csv;q=0.9": false,
		"text/csv;q=0": false, "text/csv;q=x": false, "application/x-ndjson;q=0.2,text/csv;q=0.3": true, ";;": false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/api/v1/select?match=cpu", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if got := strings.HasPrefix(w.Header().Get("Content-Type"), "text/csv"); got != csv || got != strings.HasPrefix(w.Body.String(), "series,time") {
			t.Errorf("Accept %q gives %s", accept, w.Header().Get("Content-Type"))
		}
	}
}

func TestFailuresOfTheSource(t *testing.T) {
	for _, c := range []struct {
		err    error
		at     int
		status int
		want   string
	}{
		{errors.New("disk on fire"), -1, 500, "list series: disk on fire"},
		{errors.New("disk on fire"), 1, 500, "read samples: disk on fire"},
		{fmt.Errorf("opening: %w", ErrUnavailable), -1, 503, "can't be read now"},
		{fmt.Errorf("%w: not taken within 10s: %w", ErrUnavailable, context.DeadlineExceeded), -1, 503, "not taken within 10s"},
		{context.DeadlineExceeded, 2, 504, "took longer than 1h0m0s"},
		{context.Canceled, 0, 503, "cancelled"},
	} {
		source := fleet(t)
		source.err, source.failAt = c.err, c.at
		mux := newServer(t, source, func(o *Options) { o.Timeout = time.Hour })
		w := get(mux, "/api/v1/select", "match", "cpu")
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) || strings.Contains(w.Body.String(), "values") {
			t.Errorf("%v at %d: %d %s", c.err, c.at, w.Code, w.Body)
		}
		if (w.Header().Get("Retry-After") != "") != (c.status == 503) {
			t.Errorf("%v: Retry-After is %q", c.err, w.Header().Get("Retry-After"))
		}
	}
}

func TestSourceThatBreaksItsContract(t *testing.T) {
	for _, by := range [][]string{nil, {"by", ""}} {
		mux := newServer(t, &stranger{fleet(t)}, nil)
		w := get(mux, "/api/v1/aggregate", append(by, "match", "cpu", "window", "1h", "fn", "sum")...)
		if w.Code != 500 || !strings.Contains(w.Body.String(), "was not asked for") {
			t.Errorf("by %v: %d %s", by, w.Code, w.Body)
		}
	}
}

// stranger gives samples of a series that was not asked for.
type stranger struct{ *memory }

func (s *stranger) Windows(_ context.Context, _ Reading, _ Windowing, yield func(*SeriesInfo, []Cell) error) error {
	return yield(s.all[4].Info, []Cell{{}})
}

// A failure after the status was sent must not look like the end.
func TestFailureInTheMiddleOfAnAnswer(t *testing.T) {
	source := fleet(t)
	large := newPoints(t, "a", nil, sample.Int64)
	for at := range int64(200_000) {
		large.Times, large.Bits = append(large.Times, at), append(large.Bits, uint64(at))
	}
	source.all = append(source.all, large)
	source.err, source.failAt = errors.New("disk on fire"), 1
	server := httptest.NewServer(newServer(t, source, nil))
	defer server.Close()
	for form, want := range map[string]string{
		"json": `{"error":{"title":"Query failed","status":500,"detail":"read samples: disk on fire"}}`,
		"csv":  `error: Query failed: read samples: disk on fire,,,`,
	} {
		res, err := server.Client().Get(server.URL + "/api/v1/select?match={}&start=0&format=" + form)
		if err != nil {
			t.Fatal(err)
		}
		var last string
		lines := bufio.NewReader(res.Body)
		for err == nil {
			var line string
			if line, err = lines.ReadString('\n'); strings.TrimSpace(line) != "" {
				last = strings.TrimSpace(line)
			}
		}
		if res.StatusCode != http.StatusOK || last != want || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %d, ended by %v after %.200s", form, res.StatusCode, err, last)
		}
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
	}
	server.Client().CloseIdleConnections()
}

// brokenWriter is a client that went away.
type brokenWriter struct{ *httptest.ResponseRecorder }

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestClientThatWentAway(t *testing.T) {
	mux := newServer(t, fleet(t), nil)
	defer func() {
		if got, ok := recover().(error); !ok || !errors.Is(got, http.ErrAbortHandler) {
			t.Errorf("recovered %v; want the connection broken off", got)
		}
	}()
	mux.ServeHTTP(brokenWriter{httptest.NewRecorder()}, httptest.NewRequest(http.MethodGet, "/api/v1/select?match=cpu", nil))
	t.Error("the handler returned as if all were well")
}
