package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// parquetPipeline rolls up and exports as Parquet what parquet test sends.
const parquetPipeline = `
pipeline: parquet
steps:
  - name: hourly
    analyse: {analysis: rollup, select: 'meter', every: 1h, quantiles: [0.5]}
  - name: flags
    analyse: {analysis: rollup, select: 'meter_pulses', every: 30m, functions: [count, sum, first]}
  - name: report
    export: {from: hourly, format: parquet, folder: reports/hourly}
`

// readParquet is what tools/check-parquet.py says of a manifest's files.
type readParquet struct {
	What    string `json:"what"`
	Files   int    `json:"files"`
	Rows    uint64 `json:"rows"`
	Columns map[string]struct {
		Type string `json:"type"`
		Rows uint64 `json:"rows"`
		Sum  string `json:"sum"`
	} `json:"columns"`
	Wrong []string `json:"wrong"`
}

// tool gives the path of one of the repository's tools.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "tools", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// pythonOfOthers gives a Python with the packages of DuckDB and pyarrow.
func pythonOfOthers(t *testing.T) string {
	t.Helper()
	find := exec.CommandContext(t.Context(), tool(t, "parquet-python.sh"))
	find.Stderr = os.Stderr // of an installation that fails
	python, err := find.Output()
	if err != nil {
		t.Fatalf("%s: %v; what is to be installed is above", find, err)
	}
	return strings.TrimSpace(string(python))
}

// byOthers reads all Parquet of a data folder by DuckDB's and pyarrow's Python
// packages, which must agree in rows, sums, times and types.
func byOthers(t *testing.T, data string) []readParquet {
	t.Helper()
	found := readByOthers(t, data)
	for _, r := range found {
		if len(r.Wrong) > 0 {
			t.Errorf("%s: %q", r.What, r.Wrong)
		}
	}
	return found
}

// readByOthers gives what is read, and what of it is wrong.
func readByOthers(t *testing.T, data string) (found []readParquet) {
	t.Helper()
	check := exec.CommandContext(t.Context(), pythonOfOthers(t), tool(t, "check-parquet.py"), "--json", data)
	check.Stderr = os.Stderr
	var failed *exec.ExitError // also where something is wrong, which is in what it says
	out, err := check.Output()
	if err != nil && (!errors.As(err, &failed) || len(out) == 0) {
		t.Fatalf("%s: %v", check, err)
	}
	for line := range strings.Lines(string(out)) {
		var r readParquet
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		found = append(found, r)
	}
	return found
}

// sum asks Weir for the sum and the count of all of some series.
func (p *plant) sum(match, fn string) string {
	p.t.Helper()
	lines, err := p.client.Lines(p.t.Context(), "/api/v1/aggregate", "match", match, "start", "2026-01-01", "end", "2026-01-20", "window", "21900d", "fn", fn, "by", "")
	if err != nil || len(lines) != 1 || len(lines[0].Values) != 1 {
		p.t.Fatalf("%s of %s: %v, %v", fn, match, lines, err)
	}
	return string(lines[0].Values[0])
}

// TestParquetReadByOthers: parts of the archive, results and exports are read by
// the Python packages of DuckDB and pyarrow, which agree with each other in rows,
// sums and types, and with Weir.
func TestParquetReadByOthers(t *testing.T) {
	if testing.Short() {
		t.Skip("the packages of Python are installed once: left out by -short")
	}
	t.Parallel()
	p := &plant{t: t, file: filepath.Join(t.TempDir(), "parquet.yaml")}
	if err := os.WriteFile(p.file, []byte(parquetPipeline), 0o600); err != nil {
		t.Fatal(err)
	}
	p.server, p.client = start(t, "--set", "partitions=2")
	var body strings.Builder
	const first = 1767571200_000000000 // 2026-01-05, of week 2
	for n := range int64(20_000) {
		at := first + n*43_000_000_017 // ten days, with digits below the microsecond
		fmt.Fprintf(&body, "meter,site=s%d value=%d.%d,pulses=%di,open=%t,state=\"%s\" %d\n", n%7, n%100, n%8*125, n*n, n%3 == 0, []string{"läuft", "aus", ""}[n%3], at)
	}
	write(t, p.client, body.String())
	p.weir("pipeline", "run", p.file, "--window", "2026-01-05/2026-01-12")
	p.weir("archive", "2026-W02")
	write(t, p.client, fmt.Sprintf("meter,site=late value=0.5 %d\n", int64(first))) // revision 1
	p.weir("archive", "2026-W02")
	p.weir("archive", "2026-W03")

	found := byOthers(t, p.server.Data)
	var archived, results, exports uint64
	sums := map[string]float64{} // exact: the values are of few binary digits
	for _, r := range found {
		switch {
		case strings.HasPrefix(r.What, "archive"):
			archived += r.Rows
			for _, name := range []string{"value", "value_int"} {
				if sum := r.Columns[name].Sum; sum != "" {
					n, err := strconv.ParseFloat(sum, 64)
					if err != nil {
						t.Fatal(err)
					}
					sums[name] += n
				}
			}
		case strings.HasPrefix(r.What, "results"):
			results += r.Rows
		default:
			exports += r.Rows
		}
	}
	t.Logf("%d manifests; archive %d rows, sums %v; results %d rows; exports %d", len(found), archived, sums, results, exports)
	for _, of := range []struct {
		match, fn string
		others    any
	}{
		{`{__name__=~"meter.*"}`, "count", archived},
		{"meter", "sum", sums["value"]},
		{"meter_pulses", "sum", int64(sums["value_int"])},
	} {
		if want := p.sum(of.match, of.fn); fmt.Sprint(of.others) != want {
			t.Errorf("%s of %s is %v to others, and %s to Weir", of.fn, of.match, of.others, want)
		}
	}
	if len(found) != 6 || results == 0 || exports == 0 {
		t.Errorf("read were %+v", found)
	}
	damageParquet(t, p.server.Data)
}

// damageParquet makes a part say something else, and wants that to be told.
func damageParquet(t *testing.T, data string) {
	t.Helper()
	exported, err := filepath.Glob(filepath.Join(data, "exports", "reports", "hourly", "*.parquet"))
	if err != nil || len(exported) != 1 {
		t.Fatal(exported, err)
	}
	parts, err := filepath.Glob(filepath.Join(data, "results", "parquet", "flags", "*", "*", "*", "*.parquet"))
	if err != nil || len(parts) == 0 {
		t.Fatal(parts, err)
	}
	other, err := os.ReadFile(parts[0])
	if err == nil {
		err = os.WriteFile(exported[0], other, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range readByOthers(t, data) {
		if wrong := strings.Join(r.Wrong, " "); strings.HasPrefix(r.What, "exports") && !containsAll(wrong, []string{"hash", "rows", "columns"}) {
			t.Errorf("another file in the place of an export: %q", wrong)
		}
	}
}
