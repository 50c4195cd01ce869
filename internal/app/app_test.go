package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"weir/internal/block"
	"weir/internal/buffer"
	"weir/internal/message"
	"weir/internal/sample"
)

// instance is a running App on a folder of its own.
type instance struct {
	t    *testing.T
	url  string
	app  *App
	stop func() error
}

// start opens and runs an App with the real drivers and waits until it is
// ready.
func start(t *testing.T, dir string, change func(*Config)) *instance {
	t.Helper()
	c := Default()
	c.Data, c.Partitions, c.HTTP.Address, c.Worker.FlushAge = dir, 2, freeAddress(t), 50*time.Millisecond
	if change != nil {
		change(&c)
	}
	a, err := Open(t.Context(), c, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	i := &instance{t: t, url: "http://" + c.HTTP.Address, app: a}
	stopped := false
	i.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		err := <-ended
		if cerr := a.Close(); err == nil {
			err = cerr
		}
		return err
	}
	t.Cleanup(func() {
		if err := i.stop(); err != nil {
			t.Error(err)
		}
	})
	i.until("ready", func() bool { return i.status("GET", "/readyz", "") == http.StatusOK })
	return i
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// until polls for what another goroutine brings about.
func (i *instance) until(what string, holds func() bool) {
	i.t.Helper()
	every := time.NewTicker(10 * time.Millisecond)
	defer every.Stop()
	limit := time.After(30 * time.Second)
	for !holds() {
		select {
		case <-every.C:
		case <-limit:
			i.t.Fatalf("not %s within 30 s", what)
		}
	}
}

func (i *instance) send(method, path, body string) (int, string) {
	q, err := http.NewRequestWithContext(context.Background(), method, i.url+path, strings.NewReader(body))
	if err != nil {
		i.t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, err.Error()
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		i.t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

func (i *instance) status(method, path, body string) int {
	code, _ := i.send(method, path, body)
	return code
}

// get reads a JSON answer.
func (i *instance) get(path string, to any) {
	i.t.Helper()
	code, text := i.send("GET", path, "")
	if code != http.StatusOK {
		i.t.Fatalf("GET %s: %d %s", path, code, text)
	}
	if err := json.Unmarshal([]byte(text), to); err != nil {
		i.t.Fatalf("GET %s: %v in %s", path, err, text)
	}
}

func (i *instance) want(status int, method, path, body, part string) {
	i.t.Helper()
	code, text := i.send(method, path, body)
	if code != status || !strings.Contains(text, part) {
		i.t.Errorf("%s %s: %d %s; want %d with %q", method, path, code, text, status, part)
	}
}

const someLines = "m,i=1 value=1.5 1700000000000000000\nm,i=2 value=t 1700000001000000000\nm,i=3 value=\"text\" 1700000002000000000\nm,i=4 value=NaN 1\nm,i=5 value=7i 1700000003000000000\n"

func TestFromIntakeToFolderAndBack(t *testing.T) {
	dir := t.TempDir()
	i := start(t, dir, nil)
	i.want(http.StatusBadRequest, "POST", "/write", someLines, `"accepted":4`)
	i.want(http.StatusOK, "GET", "/api/v1/select?match=m&start=0&end=now", "", `"values":[1.5]`)
	var l ledgerAnswer
	i.until("committed", func() bool { l = ledgerAnswer{}; i.get("/api/v1/ledger", &l); return l.Stored == 4 })
	if l.Accepted != 4 || l.Rejected != 1 || !l.Balanced || l.Unproven != 0 || l.Start == nil || len(l.Lives) != 2 {
		t.Fatalf("%+v", l)
	}
	l = ledgerAnswer{}
	if i.get("/api/v1/ledger?start=2020-01-01T00:00:00Z&end=2020-01-02T00:00:00Z", &l); l.Accepted != 0 || l.Start != nil || l.Rejected != 0 {
		t.Fatalf("%+v", l)
	}
	var weeks []weekAnswer
	i.get("/api/v1/weeks", &weeks)
	if weeks[0].Week != "2023-W46" || weeks[0].Samples != 4 || weeks[0].Series != 4 || weeks[0].OnDisk == 0 || weeks[0].First == nil {
		t.Fatalf("%+v", weeks)
	}
	var s statusAnswer
	if i.get("/api/v1/status", &s); s.Version != "test" || !s.Ready || s.Series != 4 || s.Queues != 2 {
		t.Fatalf("%+v", s)
	}
	_, text := i.send("GET", "/metrics", "")
	for _, line := range []string{"weir_gateway_samples_total 4", "weir_gateway_rejected_total 1", "weir_ready 1", "weir_catalog_series 4", `weir_queue_messages{queue="1"}`} {
		if !strings.Contains(text, line) {
			t.Errorf("/metrics lacks %s", line)
		}
	}
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	inspect(t, dir)
	again := start(t, dir, nil)
	again.want(http.StatusOK, "GET", "/api/v1/select?match=m&start=0&end=now", "", `"values":[true]`)
	l = ledgerAnswer{}
	if again.get("/api/v1/ledger", &l); l.Stored != 4 || l.Rejected != 1 || !l.Balanced || l.Unproven != 0 {
		t.Fatalf("%+v", l)
	}
}

// inspect checks a folder that nobody runs on.
func inspect(t *testing.T, dir string) {
	t.Helper()
	c := Default()
	c.Data, c.Partitions = dir, 2
	a, err := Inspect(t.Context(), c, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	r, err := Check(t.Context(), a)
	if err != nil || len(r.Problems) != 0 || r.Samples != 4 || r.Items == 0 || r.Series != 4 {
		t.Fatalf("%+v, %v", r, err)
	}
	var b bytes.Buffer
	if err := DumpItems(t.Context(), a, &b); err != nil || strings.Count(b.String(), "\n") != 4 || !strings.Contains(b.String(), `"value":"text"`) {
		t.Fatalf("%s, %v", &b, err)
	}
	// What a journal names and the table lacks is found.
	week := sample.WeekOf(1700000000000000000)
	volume, err := a.book.Volume(t.Context(), week, 0)
	if err != nil {
		t.Fatal(err)
	}
	empty := a.store
	a.store = withoutTable{empty, volume.Table}
	r, err = Check(t.Context(), a)
	a.store = empty
	if err != nil || len(r.Problems) == 0 || !strings.Contains(r.Problems[0], "has no item") {
		t.Fatalf("%+v, %v", r, err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAdminRefusesWhatItDoesNotKnow(t *testing.T) {
	i := start(t, t.TempDir(), nil)
	for _, path := range []string{
		"/api/v1/weeks?x=1", "/api/v1/status?x=1", "/api/v1/queues?x=1", "/api/v1/ledger?strat=1", "/api/v1/ledger?start=soon",
		"/api/v1/ledger?start=2&end=1", "/api/v1/quarantine?match={", "/api/v1/quarantine?start=soon", "/api/v1/quarantine?x=1",
		"/api/v1/queues/2/dead-letters", "/api/v1/queues/x/dead-letters", "/api/v1/queues/0/dead-letters?max=0", "/api/v1/queues/0/dead-letters?x=1",
	} {
		i.want(http.StatusBadRequest, "GET", path, "", "urn:weir:problem:bad-request")
	}
	i.want(http.StatusNotFound, "GET", "/api/v1/nothing", "", "is not served here")
	i.want(http.StatusNotFound, "POST", "/api/v1/queues/0/dead-letters/99/redrive", "", "urn:weir:problem:not-found")
	i.want(http.StatusBadRequest, "POST", "/api/v1/queues/9/dead-letters/99/redrive", "", "queues 0 to 1")
	i.want(http.StatusBadRequest, "POST", "/api/v1/queues/9/dead-letters/redrive", "", "queues 0 to 1")
	i.want(http.StatusOK, "GET", "/healthz", "", "ok")
	i.want(http.StatusNoContent, "GET", "/ping", "", "")
	i.want(http.StatusOK, "GET", "/api/v1/queues/0/dead-letters", "", "[]")
}

func TestDeadLettersAreListedCountedAndRedriven(t *testing.T) {
	i := start(t, t.TempDir(), func(c *Config) { c.Worker.MaxFailures, c.Worker.RetryDelay = 1, time.Millisecond })
	// A message whose block cannot be read: what a worker can only bury. It is
	// of a life that ended.
	bad := message.Message{Role: message.Data, Life: 5, Number: 0, Stamp: 100, Samples: 3, Accepted: 3, Block: []byte("no block")}
	if failed := i.app.queues.Send(t.Context(), 0, [][]byte{bad.Append(nil)}); failed != nil {
		t.Fatal(failed)
	}
	var letters []letterAnswer
	i.until("buried", func() bool {
		letters = nil
		i.get("/api/v1/queues/0/dead-letters?max=10", &letters)
		return len(letters) == 1
	})
	if l := letters[0]; l.Life != message.Life(5).String() || l.Samples != 3 || l.Reason == "" || l.Bytes == 0 {
		t.Fatalf("%+v", l)
	}
	var l ledgerAnswer
	if i.get("/api/v1/ledger", &l); l.DeadLettered != 3 || l.Accepted != 3 || !l.Balanced {
		t.Fatalf("%+v", l)
	}
	var queues []queueAnswer
	if i.get("/api/v1/queues", &queues); len(queues) != 2 || queues[0].DeadLetters != 1 {
		t.Fatalf("%+v", queues)
	}
	i.want(http.StatusNoContent, "POST", "/api/v1/queues/0/dead-letters/"+letters[0].ID+"/redrive", "", "")
	buriedAgain := func() bool {
		var again []letterAnswer
		i.get("/api/v1/queues/0/dead-letters", &again)
		return len(again) == 1 && again[0].ID != letters[0].ID
	}
	i.until("buried again", buriedAgain)
	i.want(http.StatusOK, "POST", "/api/v1/queues/0/dead-letters/redrive", "", `"redriven": 1`)
}

func TestTheQuarantineTellsWhy(t *testing.T) {
	i := start(t, t.TempDir(), nil)
	i.want(http.StatusNoContent, "POST", "/write", "q value=1.5 1700000000000000000", "")
	var weeks []weekAnswer
	i.until("committed", func() bool { weeks = nil; i.get("/api/v1/weeks", &weeks); return weeks[0].Samples == 1 })
	// A sample that lost the race for its series' kind, as another gateway that
	// did not know the registration sends it.
	var b block.Batch
	s, err := sample.NewSeries("q", nil)
	if err != nil {
		t.Fatal(err)
	}
	b.AddSample(sample.Sample{Time: 1700000000000000001, Value: sample.StringValue("lost")})
	b.EndKeyRun(s.Key(), sample.String)
	body, err := block.Encode(nil, &b)
	if err != nil {
		t.Fatal(err)
	}
	queue := s.ID().Shard().Range(2)
	m := message.Message{
		Role: message.Data, Life: 5, Queue: queue, Stamp: 100, Samples: 1, Accepted: 1,
		Week: sample.WeekOf(1700000000000000001), Block: body,
	}
	if failed := i.app.queues.Send(t.Context(), queue, [][]byte{m.Append(nil)}); failed != nil {
		t.Fatal(failed)
	}
	var line string
	i.until("quarantined", func() bool { _, line = i.send("GET", "/api/v1/quarantine?match=q", ""); return line != "" })
	if !strings.Contains(line, `"values":["lost"]`) || !strings.Contains(line, "float64") || !strings.Contains(line, `"reason"`) {
		t.Fatal(line)
	}
	i.want(http.StatusOK, "GET", "/api/v1/quarantine?start=now", "", "")
	var l ledgerAnswer
	if i.get("/api/v1/ledger", &l); l.Quarantined != 1 || l.Stored != 1 || !l.Balanced {
		t.Fatalf("%+v", l)
	}
}

func TestNothingIsServedBeforeItIsReady(t *testing.T) {
	c := Default()
	c.Data, c.Partitions = t.TempDir(), 1
	a, err := Open(t.Context(), c, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	h := a.handler()
	for _, path := range []string{"/readyz", "/api/v1/select?match=m", "/write", "/nothing"} {
		w := newRecorder(h, path)
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := newRecorder(h, "/healthz"); w.Code != http.StatusOK {
		t.Errorf("/healthz: %d", w.Code)
	}
}

func TestRunStopsInTimeAndTellsATakenAddress(t *testing.T) {
	i := start(t, t.TempDir(), func(c *Config) { c.HTTP.Admin = freeAddress(t) })
	if r, err := http.Get("http://" + i.app.config.HTTP.Admin + "/debug/pprof/cmdline"); err != nil || r.StatusCode != http.StatusOK {
		t.Fatal(r, err)
	}
	c := Default()
	c.Data, c.Partitions, c.HTTP.Address = t.TempDir(), 1, i.app.config.HTTP.Address
	other, err := Open(t.Context(), c, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "http.address") {
		t.Fatal(err)
	}
	for range 2 {
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", i.app.config.HTTP.Address); err == nil {
		t.Fatal("it still listens")
	}
}

func TestErrorsOfTheBufferAndTheStoreAreTold(t *testing.T) {
	a := &App{logger: slog.New(slog.DiscardHandler)}
	for err, status := range map[error]int{
		badRequest{io.EOF}:       http.StatusBadRequest,
		buffer.ErrFull:           http.StatusServiceUnavailable,
		context.DeadlineExceeded: http.StatusServiceUnavailable,
		buffer.ErrNotFound:       http.StatusNotFound,
		io.EOF:                   http.StatusInternalServerError,
	} {
		w := newRecorder(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { a.explain(w, fmt.Errorf("doing: %w", err)) }), "/")
		if w.Code != status {
			t.Errorf("%v: %d; want %d", err, w.Code, status)
		}
	}
}
