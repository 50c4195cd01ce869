package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"weir/test/harness"
)

// copyOf is a sample as the fake keeps it.
type copyOf struct {
	place
	value string
}

// fake is a Victim in memory, which keeps what it took over every kill, and
// breaks its promises where a test says so.
type fake struct {
	address string
	// fault gives what is stored of the n-th request, nil for as it came.
	fault func(n int, samples []copyOf) []copyOf
	// hide leaves samples out of what select answers.
	hide func(copyOf) bool
	// status is what requests are answered; 0 stands for 204.
	status int

	// discards says whether what is discarded goes.
	discards func(copyOf) bool
	// greedy discards take other weeks along.
	greedy bool

	mu       sync.Mutex
	dropped  int
	week     string // that was discarded
	requests int
	stored   []copyOf
	server   *http.Server
	listener net.Listener
}

func newFake(t *testing.T) *fake {
	address, err := harness.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{address: address}
	t.Cleanup(func() { _ = f.Kill() })
	return f
}

func (f *fake) URL() string                     { return "http://" + f.address }
func (f *fake) WaitReady(context.Context) error { return nil }
func (f *fake) Signal(os.Signal)                {}
func (f *fake) Stop() error                     { return f.Kill() }

func (f *fake) Start(...string) error {
	listener, err := net.Listen("tcp", f.address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	for _, path := range []string{"/write", "/api/v2/write", "/api/v1/samples"} {
		mux.HandleFunc("POST "+path, f.take)
	}
	mux.HandleFunc("GET /api/v1/select", f.answer)
	mux.HandleFunc("GET /api/v1/ledger", f.ledger)
	mux.HandleFunc("GET /api/v1/weeks", f.weeks)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "weir_merge_merges_total 1\n") })
	mux.HandleFunc("POST /api/v1/weeks/{week}/seal", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /api/v1/weeks/{week}/discard", f.discard)
	f.server, f.listener = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}, listener
	go func(s *http.Server) { _ = s.Serve(listener) }(f.server)
	return nil
}

func (f *fake) Kill() error {
	if f.server == nil {
		return nil
	}
	// Serve may not have got to know the listener yet.
	_ = f.listener.Close()
	_ = f.server.Close()
	return nil
}

func (f *fake) take(w http.ResponseWriter, r *http.Request) {
	samples, err := read(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	f.requests++
	if f.fault != nil {
		samples = f.fault(f.requests, samples)
	}
	f.stored = append(f.stored, samples...)
	f.mu.Unlock()
	if f.status != 0 {
		w.WriteHeader(f.status)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func read(r *http.Request) ([]copyOf, error) {
	var body io.Reader = r.Body
	var err error
	switch r.Header.Get("Content-Encoding") {
	case harness.Gzip:
		body, err = gzip.NewReader(r.Body)
	case harness.Zstd:
		body, err = zstd.NewReader(r.Body, zstd.WithDecoderConcurrency(1))
	}
	if err != nil {
		return nil, err
	}
	bytes, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	if r.URL.Path == "/api/v1/samples" {
		return readJSON(string(bytes))
	}
	precision := lineprotocol.Nanosecond
	if r.URL.Query().Get("precision") == "us" {
		precision = lineprotocol.Microsecond
	}
	return readLines(bytes, precision)
}

func readJSON(body string) ([]copyOf, error) {
	var out []copyOf
	for text := range strings.Lines(body) {
		var one item
		if err := json.Unmarshal([]byte(text), &one); err != nil {
			return nil, err
		}
		field := strings.TrimPrefix(one.Metric, measurement+"_")
		out = append(out, copyOf{place{Series{field, one.Tags["lane"]}, one.Time}, string(one.Value)})
	}
	return out, nil
}

func readLines(body []byte, precision lineprotocol.Precision) ([]copyOf, error) {
	var out []copyOf
	decoder := lineprotocol.NewDecoderWithBytes(body)
	for decoder.Next() {
		if _, err := decoder.Measurement(); err != nil {
			return nil, err
		}
		_, lane, err := decoder.NextTag()
		if err != nil {
			return nil, err
		}
		if key, _, err := decoder.NextTag(); key != nil || err != nil {
			return nil, fmt.Errorf("a second tag %s, %w", key, err)
		}
		from := len(out)
		for {
			key, value, err := decoder.NextField()
			if err != nil {
				return nil, err
			}
			if key == nil {
				break
			}
			text, err := json.Marshal(value.Interface())
			if err != nil {
				return nil, err
			}
			out = append(out, copyOf{place{series: Series{string(key), string(lane)}}, string(text)})
		}
		at, err := decoder.Time(precision, time.Time{})
		if err != nil {
			return nil, err
		}
		for i := from; i < len(out); i++ {
			out[i].time = at.UnixNano()
		}
	}
	return out, nil
}

// answer gives each sample once, whatever is stored, as a query does.
func (f *fake) answer(w http.ResponseWriter, r *http.Request) {
	start, _ := strconv.ParseInt(r.URL.Query().Get("start"), 10, 64)
	end, _ := strconv.ParseInt(r.URL.Query().Get("end"), 10, 64)
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := map[place]bool{}
	for _, s := range f.stored {
		if s.time < start || s.time >= end || seen[s.place] || f.hide != nil && f.hide(s) {
			continue
		}
		seen[s.place] = true
		_ = json.NewEncoder(w).Encode(harness.Line{
			Metric: measurement + "_" + s.series.Field, Tags: map[string]string{"lane": s.series.Lane},
			Times: []int64{s.time}, Values: []json.RawMessage{json.RawMessage(s.value)},
		})
	}
}

// discard drops the samples of a week.
func (f *fake) discard(_ http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.week = r.PathValue("week")
	f.stored = slices.DeleteFunc(f.stored, func(s copyOf) bool {
		year, week := time.Unix(0, s.time).UTC().ISOWeek()
		gone := fmt.Sprintf("%04d-W%02d", year, week) == f.week && (f.discards == nil || f.discards(s))
		gone = gone || f.greedy && s.time%3 == 0
		if gone {
			f.dropped++
		}
		return gone
	})
}

func (f *fake) weeks(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.week == "" {
		_, _ = io.WriteString(w, "[]")
		return
	}
	_ = json.NewEncoder(w).Encode([]volume{{Week: f.week, State: "dropped", Samples: uint64(f.dropped)}})
}

func (f *fake) ledger(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := uint64(len(f.stored) + f.dropped)
	_ = json.NewEncoder(w).Encode(harness.Ledger{Accepted: n, Stored: n})
}

func (f *fake) Items(_ context.Context, read func(io.Reader) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out strings.Builder
	for _, s := range f.stored {
		fmt.Fprintf(&out, `{"metric":"%s_%s","tags":{"lane":%q},"time":%d,"value":%s,"table":"t","flush":"f"}`+"\n",
			measurement, s.series.Field, s.series.Lane, s.time, s.value)
	}
	return read(strings.NewReader(out.String()))
}
