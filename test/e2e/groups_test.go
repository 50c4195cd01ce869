package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestGroupsAgreeWithSeries: what a rollup by a tag says of groups is what SQL makes
// of the rows of their series.
func TestGroupsAgreeWithSeries(t *testing.T) {
	t.Parallel()
	p := newPlant(t)
	text := `
pipeline: groups
steps:
  - name: series
    analyse: {analysis: rollup, select: '{__name__=~"load|power"}', every: 1h}
  - name: racks
    analyse: {analysis: rollup, select: '{__name__=~"load|power"}', every: 1h, by: [rack], quantiles: [0.5]}
  - name: load-series
    load: {from: series}
  - name: load-racks
    load: {from: racks}
`
	if err := os.WriteFile(p.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	var body strings.Builder
	for minute := range 6 * 60 {
		for host := range 5 {
			at := start.Add(time.Duration(minute) * time.Minute).UnixNano()
			fmt.Fprintf(&body, "load,host=h%d,rack=r%d value=%d.25 %d\n", host, host%2, minute*7%97+host, at)
			fmt.Fprintf(&body, "power,host=h%d value=%di %d\n", host, minute*13%89-host, at)
		}
	}
	write(t, p.client, body.String())
	p.weir("pipeline", "run", p.file, "--window", "2026-01-05/2026-01-06")
	series := p.weir("sql", "--rows", "0", "--output", "csv", `select metric, coalesce(tags->>'rack', '') as rack, window_start, sum(count) as n, min(min) as low, max(max) as high, sum(sum) as total
		from rollup where step = 'series' group by all order by all`)
	racks := p.weir("sql", "--rows", "0", "--output", "csv", `select metric, coalesce(tags->>'rack', '') as rack, window_start, count as n, min as low, max as high, sum as total
		from rollup where step = 'racks' order by all`)
	if racks != series || strings.Count(racks, "\n") != 1+3*6 {
		t.Errorf("by racks the rollup says\n%s\nand of their series\n%s", racks, series)
	}
	odd := p.weir("sql", "--output", "csv", `select count(*) from rollup where step = 'racks' and (series <> '' or tags not in ('{}', '{"rack":"r0"}', '{"rack":"r1"}') or p50 is null or stddev is null)`)
	if !strings.Contains(odd, "\n0\n") {
		t.Errorf("rows of groups that are not as documented: %s", odd)
	}
}
