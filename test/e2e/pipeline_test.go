package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/test/harness"
)

// rollups is a pipeline that rolls one metric up, loads and exports it.
const rollups = `
pipeline: rollups
steps:
  - name: hourly
    analyse: {analysis: rollup, select: 'load', every: 1h, quantiles: [0.5]}
  - name: load
    load: {from: hourly}
  - name: report
    export: {from: hourly, format: csv, folder: reports}
`

// runOf is a line of weir pipeline status --output json.
type runOf struct {
	Pipeline string `json:"pipeline"`
	Start    string `json:"window_start"`
	End      string `json:"window_end"`
	Revision int    `json:"revision"`
	State    string `json:"state"`
	Stale    bool   `json:"stale"`
	Attempts int    `json:"attempts"`
	Error    string `json:"error"`
}

// plant is an instance with the pipeline's file.
type plant struct {
	t      *testing.T
	server *harness.Server
	client *harness.Client
	file   string
}

func newPlant(t *testing.T) *plant {
	t.Helper()
	p := &plant{t: t, file: filepath.Join(t.TempDir(), "rollups.yaml")}
	if err := os.WriteFile(p.file, []byte(rollups), 0o600); err != nil {
		t.Fatal(err)
	}
	p.server, p.client = start(t)
	return p
}

// weir runs a command that has to succeed, and gives what it printed.
func (p *plant) weir(arguments ...string) string {
	p.t.Helper()
	result, err := p.server.Command(p.t.Context(), arguments...)
	if err != nil || result.Code != 0 {
		p.t.Fatalf("weir %s: %v, %v", strings.Join(arguments, " "), err, result)
	}
	return result.Stdout
}

// days are the windows of the test: two of each of three weeks.
func days() []string {
	var out []string
	for _, day := range []string{"2026-01-05", "2026-01-06", "2026-01-12", "2026-01-13", "2026-01-19", "2026-01-20"} {
		at, _ := time.Parse(time.DateOnly, day)
		out = append(out, day+"/"+at.AddDate(0, 0, 1).Format(time.DateOnly))
	}
	return out
}

// samples gives what comes in time: of every hour, of two hosts.
func (p *plant) samples() {
	p.t.Helper()
	var body strings.Builder
	for _, window := range days() {
		at, _ := time.Parse(time.DateOnly, window[:10])
		for minute := range 24 * 60 / 7 {
			for host := range 2 {
				fmt.Fprintf(&body, "load,host=h%d value=%d %d\n", host, minute*7%97+host, at.Add(time.Duration(7*minute)*time.Minute).UnixNano())
			}
		}
	}
	write(p.t, p.client, body.String())
}

// late gives what comes late: a new host's on the first day of each week, a
// value of its own for a time that had one, and another metric's on the others.
// imported says that it comes past the buffer.
func (p *plant) late(imported bool) {
	p.t.Helper()
	var body strings.Builder
	for i, window := range days() {
		at, _ := time.Parse(time.DateOnly, window[:10])
		if i%2 == 0 {
			fmt.Fprintf(&body, "load,host=late value=%d %d\n", i, at.Add(5*time.Hour).UnixNano())
			fmt.Fprintf(&body, "load,host=h0 value=1000 %d\n", at.Add(7*time.Minute).UnixNano())
		} else {
			fmt.Fprintf(&body, "other,host=late value=%d %d\n", i, at.Add(5*time.Hour).UnixNano())
		}
	}
	if !imported {
		write(p.t, p.client, body.String())
		return
	}
	path := filepath.Join(p.t.TempDir(), "late.lp")
	if err := os.WriteFile(path, []byte(body.String()), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.weir("ingest", "--history", path)
}

func (p *plant) runs() []runOf {
	p.t.Helper()
	var out []runOf
	if err := json.Unmarshal([]byte(p.weir("pipeline", "status", "--output", "json")), &out); err != nil {
		p.t.Fatal(err)
	}
	return out
}

// stale gives the windows whose newest run is stale.
func (p *plant) stale() string {
	p.t.Helper()
	var out []string
	seen := map[string]bool{}
	for _, r := range p.runs() {
		if r.State != "done" || r.Error != "" || r.Attempts < 1 {
			p.t.Errorf("run %+v; want it done", r)
		}
		if !seen[r.Start] && r.Stale {
			out = append([]string{r.Start[:10]}, out...)
		}
		seen[r.Start] = true
	}
	return strings.Join(out, " ")
}

// table gives the warehouse's rows as text, without what differs between runs.
func (p *plant) table() string {
	p.t.Helper()
	return p.weir("sql", "--rows", "0", "--output", "csv", `select series, metric, tags, window_start, window_end, count, min, max, mean, sum, first, last, stddev, p50
		from rollup order by series, window_start`)
}

// TestLateDataReachesResults: samples that come late for an open, a sealed and a
// dropped week mark exactly the runs that they touch, and after these ran again
// all results equal those of an instance that had the samples in time.
func TestLateDataReachesResults(t *testing.T) {
	for _, how := range []string{"sent", "imported"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			lateDataReachesResults(t, how == "imported")
		})
	}
}

func lateDataReachesResults(t *testing.T, imported bool) {
	p := newPlant(t)
	p.samples()
	for _, window := range days() {
		p.weir("pipeline", "run", p.file, "--window", window)
	}
	before := p.table()
	p.weir("archive", "2026-W02")
	p.weir("archive", "drop", "2026-W02")
	p.weir("weeks", "seal", "2026-W03")
	if got := p.stale(); got != "" {
		t.Errorf("before anything came late, stale are %s", got)
	}
	p.late(imported)
	const touched = "2026-01-05 2026-01-12 2026-01-19"
	limit, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for p.stale() != touched {
		select {
		case <-time.After(200 * time.Millisecond):
		case <-limit.Done():
			t.Fatalf("stale are %s; want %s", p.stale(), touched)
		}
	}
	if got := p.table(); got != before {
		t.Error("the warehouse changed before a run was asked for")
	}
	for i, window := range days() {
		if i%2 == 0 {
			p.weir("pipeline", "rerun", "rollups", "--window", window)
		}
	}
	if got := p.stale(); got != "" {
		t.Errorf("after the reruns, stale are %s", got)
	}

	inTime := newPlant(t)
	inTime.samples()
	inTime.late(false)
	for _, window := range days() {
		inTime.weir("pipeline", "run", inTime.file, "--window", window)
	}
	want := inTime.table()
	if got := p.table(); got != want || got == before {
		t.Errorf("after the reruns the warehouse holds\n%s\nwant, as of samples that came in time,\n%s", got, want)
	}
	for i, window := range days() {
		revision := 1 - i%2
		for plant, revision := range map[*plant]int{p: revision, inTime: 0} {
			name := fmt.Sprintf("rollups.report.%sT000000Z_%sT000000Z.r%d.csv", strings.ReplaceAll(window[:10], "-", ""), strings.ReplaceAll(window[11:], "-", ""), revision)
			if _, err := os.Stat(filepath.Join(plant.server.Data, "exports", "reports", name)); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestScheduledPipelineMakesUpForDowntime: what a schedule missed before it was
// applied, and while the instance was down, is run once a window, in order.
func TestScheduledPipelineMakesUpForDowntime(t *testing.T) {
	t.Parallel()
	p := newPlant(t)
	p.samples()
	began := time.Now().UTC().Truncate(time.Minute).Add(-50 * time.Minute)
	text := strings.Replace(rollups, "steps:", fmt.Sprintf("schedule: {every: 1m, start: %s}\nbackfill: all\nconcurrency: 2\nsteps:", began.Format(time.RFC3339)), 1)
	if err := os.WriteFile(p.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.weir("pipeline", "apply", p.file)
	for kills := range 3 {
		limit, cancel := context.WithTimeout(t.Context(), time.Minute)
		for len(p.runs()) < 12*(kills+1) && limit.Err() == nil {
			time.Sleep(50 * time.Millisecond)
		}
		cancel()
		if err := p.server.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := p.server.Start(); err != nil {
			t.Fatal(err)
		}
		if err := p.server.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	limit, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var done map[string]int
	for limit.Err() == nil {
		done = map[string]int{}
		for _, r := range p.runs() {
			if r.State == "done" {
				done[r.Start]++
			}
		}
		if len(done) >= 50 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	for minute := range 50 {
		start := began.Add(time.Duration(minute) * time.Minute).Format(time.RFC3339)
		if done[start] != 1 {
			t.Errorf("the window from %s was run %d times; want once", start, done[start])
		}
	}
}
