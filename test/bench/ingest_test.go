package bench

import (
	"errors"
	"flag"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/test/harness"
)

// What is sent: by default the shape of TSBS's cpu-only use case.
var (
	hosts       = flag.Int("hosts", 1000, "hosts of ten fields each")
	values      = flag.Int("values", 20_000_000, "values to send")
	lines       = flag.Int("lines", 5000, "lines a request")
	connections = flag.Int("connections", 2, "requests under way at once")
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// BenchmarkIngest sends line protocol through the HTTP intake, each request
// fsynced before its answer, until all is committed. It reports the server's
// CPU a value, its peak resident memory, and bytes a value at rest: of the
// items that journals name, and of the whole store folder. The client's cost
// is not in these: it runs in this process, and makes its bodies before.
func BenchmarkIngest(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		r := ingest(b, *values, "")
		b.StartTimer()
		n := float64(r.values)
		b.ReportMetric(float64(r.cpu.Nanoseconds())/n, "cpu-ns/value")
		b.ReportMetric(n/r.answered.Seconds(), "values/s")
		b.ReportMetric(r.committed.Seconds(), "s-to-commit")
		b.ReportMetric(float64(r.peak)/(1<<20), "peak-MiB")
		b.ReportMetric(float64(r.items)/n, "item-B/value")
		b.ReportMetric(float64(r.folder)/n, "store-B/value")
		b.ReportMetric(0, "ns/op") // says nothing here
	}
}

// BenchmarkIngestProfile is a shorter run under the profiler; it logs the
// dearest places. The profile is kept beside the test's other output.
func BenchmarkIngestProfile(b *testing.B) {
	profile, err := filepath.Abs(filepath.Join("..", "..", ".cache", "ingest.prof"))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		ingest(b, min(*values, 10_000_000), profile)
		for _, order := range []string{"-flat", "-cum"} {
			b.Logf("dearest places (%s):\n%s", order, dearest(b, profile, order))
		}
		b.ReportMetric(0, "ns/op")
	}
}

type result struct {
	values              int
	answered, committed time.Duration
	cpu                 time.Duration
	peak, items, folder int64
}

// ingest sends that many values to an instance of its own, under the profiler
// where a file is named for it.
func ingest(b *testing.B, values int, profile string) result {
	sent := render(b, fleet(*hosts, steps(values, *hosts)))
	flags := []string{}
	admin := ""
	if profile != "" {
		var err error
		if admin, err = harness.FreeAddress(); err != nil {
			b.Fatal(err)
		}
		flags = append(flags, "--set", "http.admin="+admin)
	}
	server := harness.NewServer(b, flags...)
	client := server.Up(b)
	r := result{values: sent.values}
	pid := server.PID()
	var profiled sync.WaitGroup
	if profile != "" {
		profiled.Go(func() { takeProfile(b, admin, profile) })
	}
	before := cpuOf(b, pid)
	began := time.Now()
	send(b, server.URL(), sent.bodies)
	r.answered = time.Since(began)
	if _, err := client.Settled(b.Context(), 2*time.Minute); err != nil {
		b.Fatal(err)
	}
	r.committed = time.Since(began)
	r.cpu = cpuOf(b, pid) - before
	r.peak = peakOf(b, pid)
	profiled.Wait()
	var weeks []struct {
		Bytes int64 `json:"bytes"`
	}
	if err := client.JSON(b.Context(), "/api/v1/weeks", &weeks); err != nil {
		b.Fatal(err)
	}
	for _, w := range weeks {
		r.items += w.Bytes
	}
	if err := server.Stop(); err != nil {
		b.Fatal(err)
	}
	r.folder = folderSize(b, filepath.Join(server.Data, "store"))
	return r
}

func takeProfile(b *testing.B, admin, file string) {
	request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://"+admin+"/debug/pprof/profile?seconds=12", nil)
	if err != nil {
		b.Error(err)
		return
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		b.Error(err)
		return
	}
	defer answer.Body.Close()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		b.Error(err)
		return
	}
	out, err := os.Create(file)
	if err != nil {
		b.Error(err)
		return
	}
	_, err = out.ReadFrom(answer.Body)
	if err = errors.Join(err, out.Close()); err != nil {
		b.Error(err)
	}
}

// dearest gives the table of a profile, the five first flat or the dozen
// first with what they call.
func dearest(b *testing.B, profile, order string) string {
	count := map[string]string{"-flat": "-nodecount=5", "-cum": "-nodecount=12"}[order]
	out, err := exec.CommandContext(b.Context(), "go", "tool", "pprof", "-top", order, count, profile).Output()
	if err != nil {
		b.Fatal(err)
	}
	_, table, _ := strings.Cut(string(out), "flat%")
	return table
}
