package gateway

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/catalog"
	"weir/internal/gateway/body"
	"weir/internal/message"
	"weir/internal/sample"
)

// faults is an answer that lists bad lines.
type faults struct {
	Type     string
	Status   int
	Detail   string
	Accepted int
	Rejected int
	Errors   []Fault
}

func readFaults(t testing.TB, w *httptest.ResponseRecorder) faults {
	t.Helper()
	wantStatus(t, w, http.StatusBadRequest)
	var f faults
	if err := json.Unmarshal(w.Body.Bytes(), &f); err != nil || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%v in %s: %s", err, w.Header().Get("Content-Type"), w.Body)
	}
	return f
}

func TestPrecisionAndPathsAndFormats(t *testing.T) {
	r := newRig(t, 2, nil)
	r.run(t)
	for _, c := range []struct{ path, body string }{
		{"/write", "m,c=default value=1 1700000000000000000"},
		{"/write?precision=ns", "m,c=ns value=1 1700000000000000000"},
		{"/write?precision=us", "m,c=us value=1 1700000000000000"},
		{"/api/v2/write?precision=ms&org=o&bucket=b", "m,c=ms value=1 1700000000000"},
		{"/write?precision=s", "m,c=s value=1 1700000000"},
		{"/api/v1/samples", `{"metric":"m","tags":{"c":"object"},"time":1700000000000000000,"value":1}`},
		{"/api/v1/samples", `[{"metric":"m","tags":{"c":"array"},"time":"2023-11-14T22:13:20Z","value":1}]`},
	} {
		wantStatus(t, r.post(c.path, c.body), http.StatusNoContent)
	}
	got := r.stored(t)
	if len(got) != 7 {
		t.Fatalf("stored %q", got)
	}
	for _, line := range got {
		if !strings.HasSuffix(line, " 2023-11-14T22:13:20Z") {
			t.Errorf("stored %s", line)
		}
	}
	wantStatus(t, r.post("/write?precision=fortnight", "m value=1 1"), http.StatusBadRequest)
}

func TestGoodLinesOfABadRequestAreKept(t *testing.T) {
	r := newRig(t, 2, nil)
	r.run(t)
	f := readFaults(t, r.post("/write", "a value=1 1\nno fields\n\nb value=2 2\nc value=\"open 3\n"))
	if f.Accepted != 2 || f.Rejected != 2 || len(f.Errors) != 2 || f.Errors[0].Line != 2 || f.Errors[1].Line != 5 {
		t.Fatalf("%+v", f)
	}
	if f.Errors[0].Reason == "" || f.Errors[0].Text != "no fields" || !strings.Contains(f.Detail, "the other 2 samples") {
		t.Fatalf("%+v", f)
	}
	if got := r.stored(t); len(got) != 2 {
		t.Fatalf("stored %q", got)
	}
	f = readFaults(t, r.post("/write", "bad\n"))
	if f.Accepted != 0 || !strings.Contains(f.Detail, "nothing of the request was kept") {
		t.Fatalf("%+v", f)
	}
	f = readFaults(t, r.post("/write", strings.Repeat("bad\n", maxFaults+5)))
	if f.Rejected != maxFaults+5 || len(f.Errors) != maxFaults {
		t.Fatalf("%d rejected, %d listed", f.Rejected, len(f.Errors))
	}
}

func TestTimesAreHeldToTheirBounds(t *testing.T) {
	r := newRig(t, 1, nil)
	r.run(t)
	now := time.Now()
	wantStatus(t, r.post("/write", fmt.Sprintf("m value=1 %d\nm value=1 %d\n", now.Add(23*time.Hour).UnixNano(), int64(-1e18))), http.StatusNoContent)
	f := readFaults(t, r.post("/write", fmt.Sprintf("m value=1 %d", now.Add(25*time.Hour).UnixNano())))
	if !strings.Contains(f.Errors[0].Reason, "ahead of now") {
		t.Fatalf("%+v", f)
	}
	f = readFaults(t, r.post("/write", "m value=1 -9223372036854775808"))
	if f.Rejected != 1 {
		t.Fatalf("%+v", f)
	}
}

func TestKindsAreHeldToTheCatalog(t *testing.T) {
	r := newRig(t, 1, nil)
	for i, kind := range []sample.Kind{sample.Float64, sample.Int64} {
		s, err := sample.NewSeries(kind.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		in := catalog.InWeek{Week: 0, Handle: sample.NewHandle(s.ID().Shard(), uint32(i)), Kind: kind}
		if err := r.catalog.Register(s.Key(), in); err != nil {
			t.Fatal(err)
		}
	}
	r.run(t)
	wantStatus(t, r.post("/write", "float64 value=3i 1\nint64 value=3i 1\nnew value=t 1\n"), http.StatusNoContent)
	f := readFaults(t, r.post("/write", "int64 value=3.5 1\nfloat64 value=9007199254740993i 1\nfloat64 value=\"x\" 1\nint64 value=4i 1\n"))
	if f.Accepted != 1 || f.Rejected != 3 || !strings.Contains(f.Errors[0].Reason, "the series holds int64") {
		t.Fatalf("%+v", f)
	}
	for _, m := range r.buffer.messages(0) {
		if m.Role == message.Data && m.Week != 0 {
			t.Fatalf("week %s", m.Week)
		}
	}
}

func TestBodiesAreRefusedByWhatTheyAre(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.Body = body.Limits{Packed: 1000, Unpacked: 10_000} })
	r.run(t)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	if _, err := z.Write(bytes.Repeat([]byte("m value=1 1\n"), 2000)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	var good bytes.Buffer
	z = gzip.NewWriter(&good)
	if _, err := z.Write(bytes.Repeat([]byte("m value=1 1\n"), 200)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		body, encoding string
		status         int
	}{
		"good gzip":        {good.String(), "gzip", http.StatusNoContent},
		"long":             {strings.Repeat("m value=1 1\n", 100), "", http.StatusRequestEntityTooLarge},
		"just fits":        {"m value=1 1\n" + strings.Repeat("#", 988), "", http.StatusNoContent},
		"explodes":         {bomb.String(), "gzip", http.StatusRequestEntityTooLarge},
		"unknown encoding": {"m value=1 1", "br", http.StatusUnsupportedMediaType},
		"not gzip":         {"m value=1 1", "gzip", http.StatusBadRequest},
		"cut short":        {good.String()[:good.Len()/2], "gzip", http.StatusBadRequest},
	} {
		if w := r.post("/write", c.body, "Content-Encoding", c.encoding); w.Code != c.status {
			t.Errorf("%s: answered %d: %s; want %d", name, w.Code, w.Body, c.status)
		}
	}
	wantStatus(t, r.postReader("/write", io.MultiReader(strings.NewReader("m value=1 1"), broken{})), http.StatusBadRequest)
	if held := r.arriving.held.Load(); held != 0 {
		t.Fatalf("%d bytes are still booked", held)
	}
}

// broken is a connection that breaks.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

func TestManyWeeksInARequest(t *testing.T) {
	r := newRig(t, 2, func(c *Config) { c.MaxWeeks = 500 })
	r.run(t)
	week := int64(7 * 24 * time.Hour)
	var b strings.Builder
	for i := range int64(500) {
		fmt.Fprintf(&b, "m,i=%d value=1 %d\nn,i=%d value=2 %d\n", i%5, i*week, i%3, i*week+1)
	}
	wantStatus(t, r.post("/write", b.String()), http.StatusNoContent)
	if n := r.wantLife(t, 0, false) + r.wantLife(t, 1, false); n != 1000 || len(r.weeks.made) != 500 {
		t.Fatalf("%d samples of 1000 in %d weeks", n, len(r.weeks.made))
	}
	fmt.Fprintf(&b, "m value=1 %d\nm value=2 1\n", 501*week)
	f := readFaults(t, r.post("/write", b.String()))
	if f.Accepted != 1001 || f.Rejected != 1 || !strings.Contains(f.Detail, "more than 500 weeks") || len(r.weeks.made) != 500 {
		t.Fatalf("%+v, %d weeks made", f, len(r.weeks.made))
	}
}

func TestWeeksThatCannotBeMadeRefuseTheRequest(t *testing.T) {
	r := newRig(t, 1, nil)
	r.run(t)
	r.weeks.err = errors.New("the store is read-only")
	w := r.post("/write", lines("m", 3))
	wantStatus(t, w, http.StatusServiceUnavailable)
	if !strings.Contains(w.Body.String(), "read-only") || r.Untold() != 0 {
		t.Fatalf("%s, %d untold", w.Body, r.Untold())
	}
	r.weeks.err, r.weeks.partitions = nil, 9
	wantStatus(t, r.post("/write", lines("m", 3)), http.StatusServiceUnavailable)
	r.weeks.partitions = 1
	wantStatus(t, r.post("/write", lines("m", 3)), http.StatusNoContent)
}

func TestBodiesOnTheirWayAreBounded(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.MaxReading, c.MaxRequests = 64<<10, 1 })
	r.run(t)
	slow, sender := io.Pipe()
	answer := make(chan int, 1)
	go func() { answer <- r.postReader("/write", slow).Code }()
	// The pipe hands each piece over before Write returns: the request holds
	// what was sent, and neither a place to decode nor room it did not use.
	if _, err := sender.Write([]byte("m value=1 1\n")); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, r.post("/write", "n value=1 1"), http.StatusNoContent)
	if _, err := sender.Write([]byte(strings.Repeat("#", 30<<10) + "\n")); err != nil {
		t.Fatal(err)
	}
	w := r.post("/write", strings.Repeat("#", 40<<10))
	wantStatus(t, w, http.StatusServiceUnavailable)
	if w.Header().Get("Retry-After") == "" {
		t.Fatal("no Retry-After")
	}
	if err := sender.Close(); err != nil {
		t.Fatal(err)
	}
	if code := <-answer; code != http.StatusNoContent {
		t.Fatalf("the slow one was answered %d", code)
	}
	if held := r.arriving.held.Load(); held != 0 {
		t.Fatalf("%d bytes are still booked", held)
	}
}

func TestASlowBodyIsAnswered408(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.ReadTime = 250 * time.Millisecond })
	r.run(t)
	server := httptest.NewServer(r.mux)
	defer server.Close()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "POST /write HTTP/1.1\r\nHost: weir\r\nContent-Length: 100\r\n\r\nm value=1 1\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c) // to the end: the server hangs up
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") {
		t.Fatalf("%q, %v", answer, err)
	}
	// A body that came in time has no deadline left on it: the wait for the
	// buffer may be longer than the body took.
	response, err := http.Post(server.URL+"/write", "", strings.NewReader("m value=1 1"))
	if err != nil || response.StatusCode != http.StatusNoContent {
		t.Fatal(response, err)
	}
	response.Body.Close()
	http.DefaultClient.CloseIdleConnections()
}

func TestAClientThatLeavesIsNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, func(c *Config) { c.MaxRequests = 1; c.Linger = time.Second })
		r.run(t)
		send := func(ctx context.Context) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			r.mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/write", strings.NewReader("m value=1 1")).WithContext(ctx))
			return w
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		wantStatus(t, send(ctx), http.StatusServiceUnavailable) // left while lingering
		r.decoding <- struct{}{}
		wantStatus(t, send(ctx), http.StatusServiceUnavailable) // left before its turn
		<-r.decoding
		if c := r.Counts(); c.Samples != 0 || c.Refused != 2 {
			t.Fatalf("%+v", c)
		}
	})
}

func TestMemoryOfLargeRequestsIsLetGo(t *testing.T) {
	pool := newBundles(1)
	u := pool.get(1)
	u.bits = make([]uint64, 0, bundleKept+1)
	pool.put(u)
	if got := pool.get(1); cap(got.bits) > bundleKept {
		t.Fatalf("a bundle of %d is kept", cap(got.bits))
	}
	a := newArriving(1<<30, 1<<30, 1)
	p, err := a.read(strings.NewReader(strings.Repeat("x", bodyKept+1)))
	if err != nil {
		t.Fatal(err)
	}
	a.release(p)
	if p, err = a.read(strings.NewReader("")); err != nil || cap(p.bytes) > bodyKept {
		t.Fatalf("a body of %d is kept: %v", cap(p.bytes), err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"instance":      func(c *Config) { c.Instance = "" },
		"linger":        func(c *Config) { c.Linger = -1 },
		"group_samples": func(c *Config) { c.GroupSamples = 0 },
		"max_weeks":     func(c *Config) { c.MaxWeeks = 0 },
		"max_reading":   func(c *Config) { c.MaxReading = 1 },
		"gateway.body":  func(c *Config) { c.Body.Packed = 0 },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	if _, err := New(Options{}); err == nil {
		t.Error("limits of nothing are taken")
	}
}
