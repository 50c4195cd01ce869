package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// imported gives the rows of table samples.
func (p *plant) imported() []string {
	p.t.Helper()
	out := p.weir("sql", "--rows", "0", "--output", "csv", `select s.tags->>'host' as host, epoch_ns(time) as time, value
		from samples join series s using (series) where s.metric = 'load' order by host, time`)
	return strings.Split(strings.TrimSpace(out), "\n")[1:]
}

// queried gives the same by a query.
func (p *plant) queried(start, end string) (rows []string) {
	p.t.Helper()
	out := p.weir("query", "load", "--start", start, "--end", end, "--output", "csv")
	for _, line := range strings.Split(strings.TrimSpace(out), "\n")[1:] {
		name, rest, _ := strings.Cut(line, `}",`)
		_, host, _ := strings.Cut(name, `host=""`)
		fields := strings.Split(rest, ",")
		at, err := time.Parse(time.RFC3339Nano, fields[0])
		if err != nil {
			p.t.Fatalf("line %q: %v", line, err)
		}
		value := fields[1]
		rows = append(rows, fmt.Sprintf("%s,%d,%s", strings.TrimSuffix(host, `""`), at.UnixNano(), value))
	}
	slices.Sort(rows)
	return rows
}

// TestHistoryIsImported: the samples of three weeks, one of them archived and
// dropped, are in table samples as a query gives them, once, also after a kill and
// after late data.
func TestHistoryIsImported(t *testing.T) {
	t.Parallel()
	p := newPlant(t)
	text, err := os.ReadFile("../../examples/pipelines/history.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p.file = filepath.Join(t.TempDir(), "history.yaml")
	// The weeks of the test are dropped by hand, so that one is and two are not.
	if err := os.WriteFile(p.file, []byte(strings.Replace(string(text), "older_than: 4w", "older_than: 400w", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	p.samples()
	p.weir("archive", "2026-W02")
	p.weir("archive", "drop", "2026-W02")
	const window = "2026-01-05/2026-01-26"
	p.weir("pipeline", "run", p.file, "--window", window)
	check := func(revision int) {
		t.Helper()
		got, want := p.imported(), p.queried("2026-01-05", "2026-01-26")
		slices.Sort(got)
		if !slices.Equal(got, want) || len(want) < 2000 {
			t.Errorf("revision %d: samples has %d rows, and a query gives %d", revision, len(got), len(want))
		}
		loads := p.weir("sql", "--output", "csv", fmt.Sprintf("select week, sum(row_count) from loads join (select distinct week, load from samples) using (load) where revision = %d group by week order by week", revision))
		if !strings.Contains(loads, "2026-W02") {
			t.Errorf("revision %d loaded\n%s", revision, loads)
		}
	}
	check(0)
	if err := p.server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.server.Start(); err != nil {
		t.Fatal(err)
	}
	if err := p.server.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(0)
	p.late(false)
	limit, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for newest := p.runs()[0]; newest.Revision != 1 || newest.State != "done"; newest = p.runs()[0] {
		select {
		case <-time.After(200 * time.Millisecond):
		case <-limit.Done():
			t.Fatalf("the newest run is %+v; want what came late to be imported", newest)
		}
	}
	check(1)
	if got := p.weir("sql", "--output", "csv", "select count(*) from samples where value = 1000"); !strings.Contains(got, "\n3\n") {
		t.Errorf("of what came late there are %s", got)
	}
	if left, err := filepath.Glob(filepath.Join(p.server.Data, "results", "*", "*", "*", "*", "*", "*")); err != nil || len(left) > 0 {
		t.Errorf("what was written for the warehouse is there yet: %v, %v", left, err)
	}
	if _, err := p.server.Command(t.Context(), "pipeline", "validate", "../../examples/pipelines/history.yaml"); err != nil {
		t.Error(err)
	}
}
