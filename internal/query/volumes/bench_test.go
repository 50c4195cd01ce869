package volumes

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"weir/internal/analysis/rollup"
	"weir/internal/block"
	"weir/internal/compute"
	"weir/internal/compute/local"
	"weir/internal/journal"
	"weir/internal/objects/folder"
	"weir/internal/query"
	"weir/internal/sample"
	"weir/internal/store"
)

const (
	benchHosts  = 300
	benchFields = 10
	benchHours  = 12
	benchStep   = 10 * unitSecond
)

// benchSeries is one series of the shape of TSBS's cpu-only.
type benchSeries struct {
	sample.Series
	handle sample.Handle
	value  int64
}

// benchRig stores 300 hosts × 10 fields × 12 h at 10 s, as the items of
// flushes that each bring so many seconds.
func benchRig(b testing.TB, seconds int64) *unitRig {
	r, byJournal := benchRegister(b, benchHosts)
	random := rand.New(rand.NewPCG(3, 4))
	for id, list := range byJournal {
		for from := int64(0); from < benchHours*3600; from += seconds {
			benchFlush(r, id, list, unitAt(from), unitAt(from+seconds), random)
		}
	}
	return r
}

// benchRegister registers the series of some hosts. They are by journal, in
// the order of their handles.
func benchRegister(b testing.TB, hosts int) (*unitRig, map[store.JournalID][]*benchSeries) {
	r := unitNewRig(b, 2)
	byJournal := map[store.JournalID][]*benchSeries{}
	for host := range hosts {
		for field := range benchFields {
			s := sample.Series{Metric: fmt.Sprintf("cpu_field_%d", field), Tags: []sample.Tag{{Name: "hostname", Value: fmt.Sprintf("host_%d", host)}}}
			id := r.journalOf(unitWeek, s)
			byJournal[id] = append(byJournal[id], &benchSeries{Series: s, value: 50})
		}
	}
	for id, list := range byJournal {
		var all []journal.Registration
		for _, s := range list {
			all = append(all, journal.Registration{Key: s.Key(), Kind: sample.Int64})
		}
		if err := r.writer(id).Register(b.Context(), all); err != nil {
			b.Fatal(err)
		}
		for _, s := range list {
			known, err := r.catalog.Intern([]byte(s.Key()))
			if err != nil {
				b.Fatal(err)
			}
			in, _ := known.In(unitWeek)
			s.handle = in.Handle
		}
		slices.SortFunc(list, func(x, y *benchSeries) int { return cmp.Compare(x.handle, y.handle) })
	}
	r.limit(math.MaxInt32)
	return r, byJournal
}

func benchFlush(r *unitRig, id store.JournalID, list []*benchSeries, from, to int64, random *rand.Rand) {
	const buckets = 4
	w := r.writer(id)
	c := &journal.Commit{Flush: w.NewFlush(), Buckets: buckets, Span: unitHour}
	batches := map[sample.Shard]*block.Batch{}
	total := uint64(0)
	for _, s := range list {
		bucket := sample.FirstShard(s.handle.Shard().Range(buckets), buckets)
		if batches[bucket] == nil {
			batches[bucket] = &block.Batch{}
		}
		batch := batches[bucket]
		for at := from; at < to; at += benchStep {
			s.value = min(100, max(0, s.value+int64(math.Round(random.NormFloat64()))))
			batch.AddSample(sample.Sample{Time: at, Value: sample.IntValue(s.value)})
			batch.Versions = append(batch.Versions, uint64(to))
			total++
		}
		batch.EndRun(s.handle, sample.Int64)
	}
	span := from - (from-unitWeek.Start())%unitHour
	for bucket, batch := range batches {
		body, err := block.Encode(nil, batch)
		if err != nil {
			r.t.Fatal(err)
		}
		c.Items = append(c.Items, journal.Item{Bucket: bucket, Span: span, Samples: uint32(batch.Samples()), Bytes: uint32(len(body))})
		r.write(unitWeek, store.Item{Key: c.Key(c.Items[len(c.Items)-1]), Body: body})
	}
	slices.SortFunc(c.Items, func(x, y journal.Item) int { return int(x.Bucket) - int(y.Bucket) })
	c.Hours = []journal.Hour{{Start: span, Samples: total}}
	if err := w.Commit(r.t.Context(), c); err != nil {
		r.t.Fatal(err)
	}
}

// BenchmarkReadingHTTP asks over HTTP: "one", one field of one host by the
// minute, and "peers", what make bench-peers asks of every field and host.
func BenchmarkReadingHTTP(b *testing.B) {
	r := benchRig(b, 3600)
	mux := http.NewServeMux()
	query.NewHandler(query.Options{
		Source: r.source, Limits: query.DefaultLimits(), Timeout: time.Minute, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	}).Register(mux)
	server := httptest.NewServer(mux)
	defer server.Close()
	for _, q := range []struct {
		name, match, window string
		from, to            int64
		lines               int
	}{
		{"one", `cpu_field_3{hostname="host_7"}`, "1m", 3600, 7200, 1},
		{"peers", `{__name__=~"cpu_.+"}`, "1h0m0s", 0, benchHours * 3600, benchHosts * benchFields},
	} {
		b.Run(q.name, func(b *testing.B) {
			address := fmt.Sprintf("%s/api/v1/aggregate?match=%s&start=%d&end=%d&window=%s&fn=mean",
				server.URL, url.QueryEscape(q.match), unitAt(q.from), unitAt(q.to), q.window)
			b.ReportAllocs()
			began := benchCPU(b)
			for b.Loop() {
				benchAsk(b, server.Client(), address, q.lines)
			}
			b.ReportMetric(float64((benchCPU(b)-began).Microseconds())/float64(b.N)/1e3, "cpu-ms/op")
		})
	}
}

func benchAsk(b *testing.B, client *http.Client, address string, lines int) {
	answer, err := client.Get(address)
	if err != nil {
		b.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || bytes.Count(text, []byte("\n")) != lines {
		b.Fatalf("%v: %s %.200s", err, answer.Status, text)
	}
	if err := answer.Body.Close(); err != nil {
		b.Fatal(err)
	}
}

// benchCPU gives the CPU time of the process, which others' work moves less
// than the clock.
func benchCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkReading asks what a dashboard does of flushes' items (a minute
// each) and of merged ones (an hour each): one field of one host over an hour
// by the minute; and the mean of ten fields by hour and host over 12 hours.
func BenchmarkReading(b *testing.B) {
	for _, items := range []struct {
		name    string
		seconds int64
	}{{"flushed", 60}, {"merged", 3600}} {
		r := benchRig(b, items.seconds)
		for _, q := range []struct {
			name, match string
			from, to    int64
			window      time.Duration
			by          []string
			lines       int
		}{
			{"one", `cpu_field_3{hostname="host_7"}`, 3600, 7200, time.Minute, nil, 1},
			{"all", `{__name__=~"cpu_field_.*"}`, 0, benchHours * 3600, time.Hour, []string{query.MetricName, "hostname"}, benchHosts * benchFields},
			{"hosts", `{__name__=~"cpu_field_.*"}`, 0, benchHours * 3600, time.Hour, []string{"hostname"}, benchHosts},
		} {
			b.Run(items.name+"/"+q.name, func(b *testing.B) {
				sel, err := query.ParseSelector(q.match)
				if err != nil {
					b.Fatal(err)
				}
				limits := query.DefaultLimits()
				a := query.Aggregation{
					Selection: query.Selection{Selector: sel, Start: unitAt(q.from), End: unitAt(q.to)},
					Function:  query.Mean, Window: int64(q.window), Grouped: q.by != nil, By: q.by,
				}
				b.ReportAllocs()
				began := benchCPU(b)
				for b.Loop() {
					lines := 0
					err := query.NewEngine(r.source, limits).Aggregate(b.Context(), a, func(*query.Points) error { lines++; return nil })
					if err != nil || lines != q.lines {
						b.Fatal(lines, err)
					}
				}
				b.ReportMetric(float64((benchCPU(b)-began).Microseconds())/float64(b.N)/1e3, "cpu-ms/op")
			})
		}
	}
}

// BenchmarkRollup rolls all of it up to five minutes into Parquet on disk: from
// items of one-hour runs, on all cores.
func BenchmarkRollup(b *testing.B) {
	r := benchRig(b, 3600)
	place, err := folder.New(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	sums, err := rollup.New(rollup.Parameters{Every: 300e9, Functions: []string{"count", "min", "max", "mean", "sum", "last"}})
	if err != nil {
		b.Fatal(err)
	}
	sel, err := query.ParseSelector(`{__name__=~"cpu_.+"}`)
	if err != nil {
		b.Fatal(err)
	}
	engine := local.New(local.Default(runtime.GOMAXPROCS(0)), place)
	start, end := unitWeek.Start(), unitWeek.Start()+benchHours*unitHour
	samples := benchHosts * benchFields * benchHours * 360
	var busy syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &busy)
	before := busy.Utime.Nano() + busy.Stime.Nano()
	for b.Loop() {
		in, err := r.source.Input(b.Context(), InputOptions{
			Selector: sel, Start: start, End: end, Cut: "w1.x", Memory: 1 << 30,
			Positions: func(id store.JournalID) uint64 { return r.book.Journal(id).Snapshot().Cut },
		})
		if err != nil {
			b.Fatal(err)
		}
		out, err := engine.Run(b.Context(), compute.Job{
			Pipeline: "p", Step: "s", Analysis: sums, Start: start, End: end, Input: in, Prefix: "a/",
		}, nil)
		if err != nil || out.Rows != uint64(samples/30) {
			b.Fatalf("%d rows, %v; want %d", out.Rows, err, samples/30)
		}
		b.ReportMetric(float64(out.Bytes)/float64(out.Rows), "B/row")
	}
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &busy)
	b.ReportMetric(float64(samples)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Msamples/s")
	b.ReportMetric(float64(busy.Utime.Nano()+busy.Stime.Nano()-before)/float64(b.N)/float64(samples), "cpu-ns/sample")
}
