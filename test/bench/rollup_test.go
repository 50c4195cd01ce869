//go:build cgo

package bench

import (
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2" // the peer

	"weir/test/harness"
)

var (
	rollupSamples = flag.Int("samples", 100_000_000, "how many samples are rolled up")
	settled       = flag.Duration("settled", 20*time.Second, "how long Weir's counts of merging must not change before the rollup")
)

// rollupHosts is the fleet of TSBS's cpu-only: ten fields each, every ten seconds.
const (
	rollupHosts  = 1000
	rollupFields = 10
	rollupStep   = 10 * time.Second
)

const rollupPipeline = `
pipeline: bench
timeout: 10m
steps:
  - name: rollup
    analyse: {analysis: rollup, select: '{__name__=~"cpu_.+"}', every: 5m, functions: [count, min, max, mean, sum, last]}
`

// TestRollup rolls samples of TSBS's shape up to five minutes: Weir from its week
// volumes and then from its archive, DuckDB by SQL from the same samples as
// sorted Parquet, both into Parquet, on the same cores. It compares the rows.
func TestRollup(t *testing.T) {
	r := &rollups{t: t, server: harness.NewServer(t), began: time.Now()}
	r.client = r.server.Up(t, "--set", "log.level=warn")
	r.fill()
	r.volumes = r.run(0)
	volumesPeak := r.peak()
	r.weir("archive", r.week)
	r.peer()
	r.compare()
	r.weir("archive", "drop", r.week)
	r.archive = r.run(1)
	r.compare()
	r.report(max(volumesPeak, r.peak()))
}

// rollups is the measurement under way.
type rollups struct {
	t       *testing.T
	server  *harness.Server
	client  *harness.Client
	began   time.Time
	week    string
	from    time.Time
	length  time.Duration
	n       int    // samples
	parts   string // glob of the result
	sorted  string // the peer's file
	answer  string // the peer's rows
	volumes time.Duration
	archive time.Duration
	duckdb  time.Duration
	reading time.Duration // of DuckDB, into memory
	bytes   [3]int64      // items, archive, the peer's file
}

func (r *rollups) weir(arguments ...string) string {
	r.t.Helper()
	result, err := r.server.Command(r.t.Context(), arguments...)
	if err != nil || result.Code != 0 {
		r.t.Fatalf("weir %s: %v, %v", strings.Join(arguments, " "), err, result)
	}
	return result.Stdout
}

// fill sends the samples and waits until they are merged.
func (r *rollups) fill() {
	r.from = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	r.week = "2026-W02"
	perSeries := *rollupSamples / rollupHosts / rollupFields
	r.length = time.Duration(perSeries) * rollupStep
	if r.length > 7*24*time.Hour {
		r.t.Fatalf("%d samples take more than a week", *rollupSamples)
	}
	r.n = perSeries * rollupHosts * rollupFields
	r.t.Logf("sending %d samples", r.n)
	r.weir("simulate", "hosts", "--count", strconv.Itoa(rollupHosts), "--for", r.length.String(), "--start", r.from.Format(time.DateOnly))
	w := &weir{server: r.server, client: r.client, quiet: *settled}
	must(r.t, w.commit(r.t.Context()))
	must(r.t, w.merge(r.t.Context()))
	n, err := w.items(r.t.Context())
	must(r.t, err)
	r.bytes[0] = n
	r.t.Logf("sent and merged after %s", time.Since(r.began).Round(time.Second))
}

// run has the pipeline run over all, and gives how long its step took.
func (r *rollups) run(revision int) time.Duration {
	r.resetPeak()
	file := filepath.Join(r.t.TempDir(), "bench.yaml")
	must(r.t, os.WriteFile(file, []byte(rollupPipeline), 0o600))
	window := r.from.Format(time.RFC3339) + "/" + r.from.Add(r.length).Format(time.RFC3339)
	if revision == 0 {
		r.weir("pipeline", "run", file, "--window", window)
	} else {
		r.weir("pipeline", "rerun", "bench", "--window", window)
	}
	var runs []struct {
		Revision int    `json:"revision"`
		State    string `json:"state"`
		Steps    []struct {
			Started time.Time       `json:"started"`
			Ended   time.Time       `json:"ended"`
			Output  json.RawMessage `json:"output"`
		} `json:"steps"`
	}
	must(r.t, r.client.JSON(r.t.Context(), "/api/v1/pipelines/runs", &runs))
	if len(runs) != revision+1 || runs[0].Revision != revision || runs[0].State != "done" {
		r.t.Fatalf("runs are %+v", runs)
	}
	var out struct {
		Manifest string `json:"manifest"`
	}
	must(r.t, json.Unmarshal(runs[0].Steps[0].Output, &out))
	r.parts = filepath.Join(r.server.Data, "results", filepath.Dir(out.Manifest), "part-*.parquet")
	took := runs[0].Steps[0].Ended.Sub(runs[0].Steps[0].Started)
	r.t.Logf("revision %d took %s, %.1f M samples/s, with %d MB at most", revision, took, r.rate(took), r.peak()>>20)
	return took
}

// resetPeak forgets the process's peak memory so far.
func (r *rollups) resetPeak() {
	must(r.t, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", r.server.PID()), []byte("5"), 0))
}

func (r *rollups) peak() int64 { return peakOf(r.t, r.server.PID()) }

// rate gives samples a second, in millions.
func (r *rollups) rate(took time.Duration) float64 { return float64(r.n) / took.Seconds() / 1e6 }

// open gives DuckDB with the cores that Weir has.
func (r *rollups) open(ctx context.Context) *sql.Conn {
	db, err := sql.Open("duckdb", "")
	must(r.t, err)
	r.t.Cleanup(func() { _ = db.Close() })
	c, err := db.Conn(ctx)
	must(r.t, err)
	r.t.Cleanup(func() { _ = c.Close() })
	for _, statement := range []string{
		"SET autoinstall_known_extensions = false", "SET autoload_known_extensions = false", "SET preserve_insertion_order = false",
		fmt.Sprintf("SET threads = %d", runtime.GOMAXPROCS(0)), "SET memory_limit = '8GB'", "SET TimeZone = 'UTC'",
		fmt.Sprintf("SET temp_directory = '%s'", r.t.TempDir()),
	} {
		_, err := c.ExecContext(ctx, statement)
		must(r.t, err)
	}
	return c
}

// aggregate is the peer's rollup of its file.
func (r *rollups) aggregate() string {
	return fmt.Sprintf(`SELECT series, time_bucket(INTERVAL 5 MINUTES, time) AS window_start, count(*) AS count, min(v) AS min, max(v) AS max,
		avg(v) AS mean, sum(v) AS sum, arg_max(v, time) AS last FROM read_parquet('%s') GROUP BY ALL`, r.sorted)
}

// numbers is a query that counts the series of some files, in order.
func numbers(files string) string {
	return fmt.Sprintf("SELECT series, (row_number() OVER (ORDER BY series))::INTEGER AS number FROM (SELECT DISTINCT series FROM read_parquet('%s'))", files)
}

// peer writes the archive's samples as Parquet of DuckDB's own, sorted by series
// and time, and rolls that up: the best of three, into Parquet and into memory.
// It is given what it is fastest with: series as small integers, times without a
// time zone, and snappy.
func (r *rollups) peer() {
	ctx := r.t.Context()
	c := r.open(ctx)
	dir := r.t.TempDir()
	r.sorted, r.answer = filepath.Join(dir, "sorted.parquet"), filepath.Join(dir, "answer.parquet")
	parts := filepath.Join(r.server.Data, "archive", "week="+r.week, "*", "*", "*.parquet")
	began := time.Now()
	_, err := c.ExecContext(ctx, fmt.Sprintf(`COPY (SELECT number AS series, time::TIMESTAMP AS time, coalesce(value, value_int::DOUBLE) AS v
		FROM read_parquet('%s') JOIN (%s) USING (series) ORDER BY 1, 2) TO '%s' (FORMAT parquet, COMPRESSION snappy)`, parts, numbers(parts), r.sorted))
	must(r.t, err)
	for i, place := range []string{filepath.Join(r.server.Data, "archive", "week="+r.week), dir} {
		r.bytes[i+1] = folderSize(r.t, place)
	}
	r.t.Logf("the peer's file was written in %s", time.Since(began).Round(time.Second))
	best := func(statement string) time.Duration {
		least := time.Hour
		for range 3 {
			began := time.Now()
			_, err := c.ExecContext(ctx, statement)
			must(r.t, err)
			least = min(least, time.Since(began))
		}
		return least
	}
	r.reading = best(`CREATE OR REPLACE TEMP TABLE answer AS ` + r.aggregate())
	r.duckdb = best(fmt.Sprintf(`COPY (%s) TO '%s' (FORMAT parquet, COMPRESSION snappy)`, r.aggregate(), r.answer))
	r.t.Logf("DuckDB took %s into memory, %.1f M samples/s, and %s into Parquet, %.1f M samples/s", r.reading, r.rate(r.reading), r.duckdb, r.rate(r.duckdb))
}

// compare wants the same rows of both.
func (r *rollups) compare() {
	ctx := r.t.Context()
	var ours, theirs, different int64
	err := r.open(ctx).QueryRowContext(ctx, fmt.Sprintf(`
		WITH a AS (SELECT number AS series, window_start::TIMESTAMP AS w, count, min, max, mean, sum, last
			FROM read_parquet('%s') JOIN (%s) USING (series)),
		b AS (SELECT series, window_start::TIMESTAMP AS w, count, min, max, mean, sum, last FROM read_parquet('%s'))
		SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b),
		(SELECT count(*) FROM a JOIN b USING (series, w) WHERE a.count <> b.count OR a.min <> b.min OR a.max <> b.max OR a.last <> b.last
			OR abs(a.sum - b.sum) > 1e-9 * abs(b.sum) OR abs(a.mean - b.mean) > 1e-9 * abs(b.mean))
		+ (SELECT count(*) FROM a FULL JOIN b USING (series, w) WHERE a.count IS NULL OR b.count IS NULL)`, r.parts, numbers(r.parts), r.answer)).Scan(&ours, &theirs, &different)
	must(r.t, err)
	if ours != theirs || different > 0 || ours == 0 {
		r.t.Fatalf("Weir has %d rows and DuckDB %d; %d differ", ours, theirs, different)
	}
	r.t.Logf("%d rows are equal", ours)
}

// report writes the figures and the last line.
func (r *rollups) report(peak int64) {
	volumes, archive := r.duckdb.Seconds()/r.volumes.Seconds(), r.duckdb.Seconds()/r.archive.Seconds()
	gib := float64(peak) / (1 << 30)
	word := "ok"
	if volumes < 3 || archive < 0.7 || gib >= 1 {
		word = "FAILED"
		r.t.Fail()
	}
	text := fmt.Sprintf(`%d samples to five minutes, %d cores, both into Parquet
  Weir from week volumes   %7.1f M samples/s   %.3f bytes a sample
  Weir from the archive    %7.1f M samples/s   %.3f
  DuckDB, sorted Parquet   %7.1f M samples/s   %.3f
  DuckDB, into memory      %7.1f M samples/s
bench-rollup: %s, volumes %.2f x (3), archive %.2f x (.7), memory %.2f GiB (1), %.0f s
`, r.n, runtime.GOMAXPROCS(0), r.rate(r.volumes), r.each(0), r.rate(r.archive), r.each(1), r.rate(r.duckdb), r.each(2), r.rate(r.reading),
		word, volumes, archive, gib, time.Since(r.began).Seconds())
	fmt.Print(text)
	if *report != "" {
		must(r.t, os.WriteFile(*report, []byte(text), 0o600))
	}
}

func (r *rollups) each(i int) float64 { return float64(r.bytes[i]) / float64(r.n) }
