package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"weir/internal/buffer"
	"weir/internal/catalog"
	"weir/internal/gateway"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
)

// sink is a buffer that takes everything and keeps nothing.
type sink struct{ buffer.Buffer }

func (sink) Queues() int                                 { return 2 }
func (sink) MaxBody() int                                { return 1 << 20 }
func (sink) Send(context.Context, int, [][]byte) []error { return nil }

type twoPartitions struct{}

func (twoPartitions) EnsureWeek(context.Context, sample.Week) (journal.WeekRecord, error) {
	return journal.WeekRecord{Partitions: 2}, nil
}

// BenchmarkWrite is a request of 5,000 lines with ten fields each, of 1,000
// hosts, all registered: TSBS's shape, from the body to the encoded messages.
func BenchmarkWrite(b *testing.B) {
	c := catalog.New()
	g, err := gateway.New(gateway.Options{
		Config: gateway.Default(), Life: 1, Buffer: sink{}, Catalog: c, Weeks: twoPartitions{},
		Clock: message.NewClock(time.Now), Now: time.Now,
	})
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	var body bytes.Buffer
	for line := range 5000 {
		fmt.Fprintf(&body, "cpu,hostname=host_%d,region=eu-%d ", line%1000, line%1000%7)
		for field := range 10 {
			if line < 1000 {
				s, err := sample.NewSeries(fmt.Sprintf("cpu_usage_%d", field), []sample.Tag{
					{Name: "hostname", Value: fmt.Sprintf("host_%d", line)}, {Name: "region", Value: fmt.Sprintf("eu-%d", line%7)}})
				if err != nil {
					b.Fatal(err)
				}
				in := catalog.InWeek{Week: sample.WeekOf(now.UnixNano()), Handle: sample.NewHandle(s.ID().Shard(), uint32(line*10+field)), Kind: sample.Float64}
				if err := c.Register(s.Key(), in); err != nil {
					b.Fatal(err)
				}
			}
			fmt.Fprintf(&body, "%susage_%d=%d.5", ","[:min(field, 1)], field, (line*7+field)%100)
		}
		fmt.Fprintf(&body, " %d\n", now.Add(time.Duration(line/1000)*time.Second).UnixNano())
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	opened := make(chan struct{})
	go func() { _ = g.Run(ctx, nil, func() { close(opened) }) }()
	<-opened
	mux := http.NewServeMux()
	g.Register(mux)
	b.SetBytes(int64(body.Len()))
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/write", bytes.NewReader(body.Bytes())))
		if w.Code != http.StatusNoContent {
			b.Fatalf("answered %d: %s", w.Code, w.Body)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/50_000, "ns/sample")
}
