package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"weir/internal/sample"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newClient makes a client of a server that answers by a handler.
func newClient(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.Client().CloseIdleConnections()
		server.Close()
	})
	c, err := New(server.URL, server.Client())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// say makes a handler that checks the request line and answers with a body.
func say(t *testing.T, request, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if got := r.Method + " " + r.URL.RequestURI(); got != request {
			t.Errorf("asked for %s; want %s", got, request)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Error(err)
		}
	}
}

func TestNew(t *testing.T) {
	for server, want := range map[string]string{
		"127.0.0.1:8480": "http://127.0.0.1:8480", "http://a/": "http://a", "https://a:1/weir/": "https://a:1/weir", "[::1]:80": "http://[::1]:80",
	} {
		c, err := New(server, nil)
		if err != nil || c.Server() != want {
			t.Errorf("%s: %v", server, err)
		}
	}
	for _, server := range []string{"", "ftp://a", "http://", "http://a?b=c", "http://a b", "://"} {
		if _, err := New(server, nil); err == nil || !strings.Contains(err.Error(), "such as http://127.0.0.1:8480") {
			t.Errorf("%q: %v", server, err)
		}
	}
}

func TestSelect(t *testing.T) {
	const f = `{"metric":"f","tags":{"b":"2","a":"1"},"kind":"float64","times":[1,2,3,4],"values":[-0,"NaN","+Inf",1e-07],"quality":[0,0,2147483648,0]}`
	lines := []string{f,
		`{"metric":"i","tags":{},"kind":"int64","times":[-5,6],"values":[9223372036854775807,-9223372036854775808]}`,
		`{"metric":"b","tags":{},"kind":"bool","times":[1,2],"values":[true,false]}`,
		`{"metric":"","tags":{},"kind":"string","times":[1,2],"values":["a,\"]\\", "é\n"]}`}
	c := newClient(t, say(t, "GET /api/v1/select?end=now&match=f%7Ba%3D%221%22%7D&start=-1h", strings.Join(lines, "\n")+"\n"))
	var got []string
	err := c.Select(t.Context(), Selection{Match: `f{a="1"}`, Start: "-1h", End: "now"}, func(l *Line) error {
		if string(l.JSON) != lines[len(got)] {
			t.Errorf("the line is %s", l.JSON)
		}
		got = append(got, fmt.Sprint(l.Series, l.Kind, l.Times, l.Values, l.Qualities))
		return nil
	})
	inf, nan := math.Float64bits(math.Inf(1)), math.Float64bits(math.NaN())
	want := []string{
		fmt.Sprintf(`f{a="1",b="2"} float64 [1 2 3 4] [{float64 %d } {float64 %d } {float64 %d } {float64 %d }] [0 0 2147483648 0]`, uint64(1)<<63, nan, inf, math.Float64bits(1e-7)),
		fmt.Sprintf(`i int64 [-5 6] [{int64 %d } {int64 %d }] []`, math.MaxInt64, uint64(1)<<63),
		`b bool [1 2] [{bool 1 } {bool 0 }] []`,
		" string [1 2] [{string 0 a,\"]\\} {string 0 é\n}] []",
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestAggregateAndSeriesAndQuarantine(t *testing.T) {
	c := newClient(t, say(t, "GET /api/v1/aggregate?by=host%2Cregion&fn=mean&match=cpu&window=5m", ""))
	fail := func(*Line) error { return errors.New("a line of nothing") }
	if err := c.Aggregate(t.Context(), Aggregation{Selection: Selection{Match: "cpu"}, Window: "5m", Function: "mean", Grouped: true, By: []string{"host", "region"}}, fail); err != nil {
		t.Error(err)
	}
	c = newClient(t, say(t, "GET /api/v1/aggregate?by=&fn=sum&match=cpu&window=1h", ""))
	if err := c.Aggregate(t.Context(), Aggregation{Selection: Selection{Match: "cpu"}, Window: "1h", Function: "sum", Grouped: true}, fail); err != nil {
		t.Error(err)
	}
	const line = `{"id":"ff","metric":"m","tags":{"a":"b"},"kind":"bool","weeks":["2026-W03"]}`
	c = newClient(t, say(t, "GET /api/v1/series?match=", line))
	want := SeriesLine{"ff", sample.Series{Metric: "m", Tags: []sample.Tag{{Name: "a", Value: "b"}}}, sample.Bool, []string{"2026-W03"}, []byte(line)}
	err := c.Series(t.Context(), Selection{}, func(s *SeriesLine) error {
		if diff := cmp.Diff(want, *s); diff != "" {
			t.Error(diff)
		}
		return io.ErrNoProgress
	})
	if !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("the caller's error came back as %v", err)
	}
	c = newClient(t, say(t, "GET /api/v1/quarantine?end=5", `{"metric":"m","kind":"int64","times":[1],"values":[2],"reason":"kind"}`))
	err = c.Quarantine(t.Context(), Selection{End: "5"}, func(l *Line) error {
		if l.Reason != "kind" || l.Values[0] != sample.IntValue(2) {
			t.Errorf("quarantined %+v", l)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAnswersThatBreakOff(t *testing.T) {
	const whole = `{"metric":"m","tags":{},"kind":"int64","times":[1],"values":[2]}` + "\n"
	for want, answer := range map[string]string{
		"Query failed: disk on fire":           whole + `{"metric":"m","tags":{},"kind":"int64","times":[1,` + "\n" + `{"error":{"title":"Query failed","status":500,"detail":"disk on fire"}}` + "\n",
		"Timed out: too long":                  `{"error":{"title":"Timed out","status":504,"detail":"too long"}}`,
		"the answer can't be read: unexpected": whole + `{"metric":"m"`,
		"the answer can't be read: invalid":    "<html>\n" + whole,
		"unknown kind":                         `{"metric":"m","kind":"int32"}`,
		"2 times, 1 values, 0 qualities":       `{"metric":"m","kind":"int64","times":[1,2],"values":[2]}`,
		"1 times, 1 values, 2 qualities":       `{"metric":"m","kind":"int64","times":[1],"values":[2],"quality":[1,2]}`,
		"values are not an array":              `{"metric":"m","kind":"int64","times":[1]}`,
		`value 1: strconv.ParseInt: parsing`:   `{"metric":"m","kind":"int64","times":[1],"values":[1.5]}`,
		`value 2: strconv.ParseBool`:           `{"metric":"m","kind":"bool","times":[1],"values":[true,"x"]}`,
		`value 1: strconv.ParseFloat`:          `{"metric":"m","kind":"float64","times":[1],"values":[null]}`,
		`value 1: json: cannot unmarshal`:      `{"metric":"m","kind":"string","times":[1],"values":[1]}`,
	} {
		c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
			if _, err := io.WriteString(w, answer); err != nil {
				t.Error(err)
			}
		})
		err := c.Select(t.Context(), Selection{Match: "m"}, func(*Line) error { return nil })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", answer, err, want)
		}
	}
	c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, whole)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	lines := 0
	err := c.Select(t.Context(), Selection{Match: "m"}, func(*Line) error { lines++; return nil })
	var e *Error
	if lines != 1 || !errors.As(err, &e) || !strings.Contains(err.Error(), "broke") || !errors.Is(err, io.ErrUnexpectedEOF) || !e.Temporary() {
		t.Errorf("%d lines, then %v", lines, err)
	}
}

func TestLongLines(t *testing.T) {
	text := strings.Repeat("x", 300_000)
	c := newClient(t, say(t, "GET /api/v1/select?match=m", `{"metric":"m","kind":"string","times":[1],"values":["`+text+`"]}`))
	err := c.Select(t.Context(), Selection{Match: "m"}, func(l *Line) error {
		if l.Values[0].Text != text {
			t.Errorf("%d characters came", len(l.Values[0].Text))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTextsOfAnyContent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOf(rapid.String()).Draw(t, "texts")
		array, err := json.Marshal(texts)
		if texts == nil {
			array = []byte(" [ ] ")
		}
		if err != nil {
			t.Fatal(err)
		}
		values, err := parseValues(array, sample.String, len(texts))
		if err != nil || len(values) != len(texts) {
			t.Fatalf("%s gives %d values, %v", array, len(values), err)
		}
		for i, v := range values {
			var want string
			one, _ := json.Marshal(texts[i])
			if err := json.Unmarshal(one, &want); err != nil || v.Text != want {
				t.Fatalf("%q is read as %q", want, v.Text)
			}
		}
	})
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		status      int
		retry, body string
		want        string
		temporary   bool
		after       time.Duration
	}{
		{422, "", `{"type":"x","title":"Limit exceeded","status":422,"detail":"narrow it"}`, "Limit exceeded: narrow it", false, 0},
		{503, "3", `{"title":"Buffer full","status":503}`, "Buffer full", true, 3 * time.Second},
		{429, "-1", `{"title":"Too fast"}`, "Too fast", true, 0},
		{404, "", "404 page not found\nx", "404 Not Found: 404 page not found (is that a Weir, and of this version? GET /api/v1/status is not there)", false, 0},
		{500, "x", "\xff" + strings.Repeat("a", 300), "500 Internal Server Error: \ufffd" + strings.Repeat("a", 199), false, 0},
		{502, "", "", "502 Bad Gateway", true, 0},
	} {
		client := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", c.retry)
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		})
		_, err := client.Status(t.Context())
		var e *Error
		if !errors.As(err, &e) || err.Error() != c.want || e.Status != c.status || e.Temporary() != c.temporary || e.RetryAfter != c.after {
			t.Errorf("got %v (%+v); want %s", err, e, c.want)
		}
	}
	if got := (&Error{Status: 418}).Error(); got != "418 I'm a teapot" {
		t.Errorf("a bare status reads %q", got)
	}
}

func TestNobodyAnswers(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	c, err := New(server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Ready(t.Context())
	want := "no Weir answers at " + server.URL
	var e *Error
	if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), "(start one with `weir up`, or name it with --server or WEIR_SERVER)") ||
		!errors.As(err, &e) || !e.Temporary() {
		t.Errorf("got %v; want %s", err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Ready(ctx); !errors.Is(err, context.Canceled) || !errors.As(err, &e) || e.Temporary() {
		t.Errorf("cancelled: %v", err)
	}
	slow := newClient(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := slow.Ready(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "in time") {
		t.Errorf("slow: %v", err)
	}
}

func TestAdmin(t *testing.T) {
	at := time.Date(2026, 1, 12, 0, 0, 0, 5, time.UTC)
	half := func(got any, err error) any {
		if err != nil {
			t.Error(err)
		}
		return got
	}
	ask := func(request, body string) *Client { return newClient(t, say(t, request, body)) }
	ctx := t.Context()
	for _, c := range []struct{ got, want any }{
		{half(ask("GET /api/v1/status", `{"version":"1","started":"2026-01-12T00:00:00.000000005Z","profile":"embedded","queues":2,"series":3,"life":"ab","data_format":1,"ready":true,"later":1}`).Status(ctx)),
			Status{"1", at, "embedded", 2, 3, "ab", 1, true}},
		{half(ask("GET /api/v1/weeks", `[{"week":"2026-W03","revision":0,"state":"open","table":"samples_2026_w03","partitions":2,"series":10,"samples":1000,"items":3,"bytes":12345,"first":"2026-01-12T00:00:00.000000005Z","last":null}]`).Weeks(ctx)),
			[]Week{{"2026-W03", 0, "open", "samples_2026_w03", 2, 10, 1000, 3, 12345, at, time.Time{}}}},
		{half(ask("GET /api/v1/ledger?end=now&start=-1d", `{"start":"2026-01-12T00:00:00.000000005Z","end":null,"accepted":9,"stored":5,"in_flight":2,"dead_lettered":1,"quarantined":1,"rejected":4,"unproven":3,"balanced":true,"overwritten":7,"lives":[{"life":"ab","queue":1,"instance":"h","state":"open","accepted":9,"stored":5,"in_flight":2,"dead_lettered":1,"quarantined":1,"unproven":"crash"}]}`).Ledger(ctx, "-1d", "now")),
			Ledger{Balance: Balance{9, 5, 2, 1, 1}, Start: &at, Rejected: 4, Unproven: 3, Balanced: true, Overwritten: 7,
				Lives: []LedgerLife{{Balance{9, 5, 2, 1, 1}, "ab", 1, "h", "open", "crash"}}}},
		{half(ask("GET /api/v1/ledger", `{}`).Ledger(ctx, "", "")), Ledger{}},
		{half(ask("GET /api/v1/queues", `[{"queue":1,"messages":2,"in_flight":3,"bytes":4,"oldest":"2026-01-12T00:00:00.000000005Z","dead_letters":5}]`).Queues(ctx)),
			[]Queue{{1, 2, 3, 4, &at, 5}}},
		{half(ask("GET /api/v1/queues/1/dead-letters?after=x&max=5", `[{"id":"7","queue":1,"reason":"r","buried":"2026-01-12T00:00:00.000000005Z","bytes":4,"life":"ab","number":18446744073709551615,"week":"2026-W03","samples":6}]`).DeadLetters(ctx, 1, "x", 5)),
			[]DeadLetter{{"7", 1, "r", at, 4, "ab", math.MaxUint64, "2026-W03", 6}}},
		{half(ask("GET /api/v1/queues/0/dead-letters", `[]`).DeadLetters(ctx, 0, "", 0)), []DeadLetter{}},
		{half(ask("POST /api/v1/queues/1/dead-letters/redrive", `{"redriven":12}`).RedriveAll(ctx, 1)), 12},
		{half(nil, ask("POST /api/v1/queues/1/dead-letters/a%2Fb/redrive", "").Redrive(ctx, 1, "a/b")), nil},
		{half(nil, ask("GET /readyz", "ok").Ready(ctx)), nil},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := ask("GET /api/v1/weeks", `{"a"`).Weeks(ctx); err == nil || !strings.Contains(err.Error(), "the answer can't be read") {
		t.Errorf("broken JSON: %v", err)
	}
}

func TestWrite(t *testing.T) {
	var got []string
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = append(got, fmt.Sprint(r.Method, " ", r.URL.RequestURI(), " ", r.Header.Get("Content-Encoding"), " ", r.Header.Get("Content-Type"), " ", string(body)))
		if len(got) < 3 {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"title":"Partly rejected","status":400,"detail":"1 of 2 lines","accepted":3,"rejected":1,"errors":[{"line":2,"column":4,"reason":"no value","text":"m"}]}`)
	})
	if err := c.Write(t.Context(), strings.NewReader("m a=1"), "s", ""); err != nil {
		t.Error(err)
	}
	if err := c.WriteSamples(t.Context(), bytes.NewReader([]byte("{}")), "gzip"); err != nil {
		t.Error(err)
	}
	err := c.Write(t.Context(), strings.NewReader("m a=1\nm"), "", "zstd")
	var e *Error
	if !errors.As(err, &e) || len(e.Lines) != 1 || e.Lines[0] != (RejectedLine{2, "no value", 4, "m"}) || e.Accepted != 3 || e.Rejected != 1 || e.Temporary() {
		t.Errorf("rejected lines: %v", err)
	}
	want := []string{
		"POST /write?precision=s  text/plain; charset=utf-8 m a=1",
		"POST /api/v1/samples gzip application/json {}",
		"POST /write zstd text/plain; charset=utf-8 m a=1\nm",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
