package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/test/harness"
)

// person is the host that is forgotten; its name is nobody else's.
const person = "unmistakable-7f3a9c51"

const erasePipeline = `
pipeline: rollups
steps:
  - name: hourly
    analyse: {analysis: rollup, select: 'load', every: 1h, quantiles: [0.5]}
  - name: load
    load: {from: hourly}
  - name: csv
    export: {from: hourly, format: csv, folder: reports}
  - name: lines
    export: {from: hourly, format: jsonl, folder: reports}
  - name: parquet
    export: {from: hourly, format: parquet, folder: reports}
  - name: totals
    after: [load]
    sql: {statement: 'select count(*) as n from rollup', format: csv, folder: totals}
`

// report is what weir erase --output json prints.
type report struct {
	ID       string   `json:"id"`
	State    string   `json:"state"`
	Attempts int      `json:"attempts"`
	Series   []string `json:"series"`
	Pending  []string `json:"pending"`
	Notes    []string `json:"notes"`
	Error    string   `json:"error"`
	Places   []struct {
		Place                string
		Found, Removed, Left uint64
	} `json:"places"`
}

func (r *report) place(name string) (found, removed, left uint64) {
	for _, p := range r.Places {
		if p.Place == name {
			return p.Found, p.Removed, p.Left
		}
	}
	return 0, 0, 0
}

// forgetful is a plant with samples of a person and of others everywhere: weeks that
// are open, sealed, archived and dropped, some of them in two revisions, a quarantine,
// results, exports of each format, and warehouse tables.
func forgetful(t *testing.T) *plant {
	t.Helper()
	p := newPlant(t)
	if err := os.WriteFile(p.file, []byte(erasePipeline), 0o600); err != nil {
		t.Fatal(err)
	}
	var body strings.Builder
	for week := range 4 {
		monday := time.Date(2026, 1, 5+7*week, 0, 0, 0, 0, time.UTC)
		for minute := range 24 * 60 / 7 {
			for _, host := range []string{"h0", "h1", person} {
				fmt.Fprintf(&body, "load,host=%s value=%d %d\n", host, minute*7%97+len(host), monday.Add(time.Duration(7*minute)*time.Minute).UnixNano())
			}
		}
		fmt.Fprintf(&body, "name,host=%s value=\"text %d\" %d\nname,host=h0 value=\"text\" %d\n", person, week, monday.UnixNano(), monday.UnixNano())
	}
	write(t, p.client, body.String())
	for _, window := range []string{"2026-01-05/2026-01-06", "2026-01-12/2026-01-13", "2026-01-19/2026-01-20", "2026-01-26/2026-01-27"} {
		p.weir("pipeline", "run", p.file, "--window", window)
	}
	p.weir("archive", "2026-W02")
	p.weir("archive", "drop", "2026-W02")
	p.weir("archive", "2026-W03")
	p.weir("weeks", "seal", "2026-W04")
	for week := range 4 { // a further revision of those, with a value that takes another's place
		at := time.Date(2026, 1, 5+7*week, 1, 0, 0, 0, time.UTC)
		write(t, p.client, fmt.Sprintf("load,host=%s value=5000 %d\nload,host=h0 value=5000 %d\n", person, at.UnixNano(), at.Add(time.Hour).UnixNano()))
	}
	p.weir("archive", "2026-W02")
	limit, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for strings.Count(p.stale(), "2026") < 4 { // which is by those values, and by nothing after
		select {
		case <-time.After(100 * time.Millisecond):
		case <-limit.Done():
			t.Fatalf("stale are %s; want all", p.stale())
		}
	}
	return p
}

// erase runs weir erase, which must end with a code, and gives the report.
func (p *plant) erase(code int, arguments ...string) *report {
	p.t.Helper()
	result, err := p.server.Command(p.t.Context(), append([]string{"erase", "--output", "json"}, arguments...)...)
	if err != nil || result.Code != code {
		p.t.Fatalf("weir erase %q: %v, %v; want code %d", arguments, err, result, code)
	}
	var r report
	if err := json.Unmarshal([]byte(result.Stdout), &r); err != nil {
		p.t.Fatal(err)
	}
	return &r
}

// others gives what queries and the warehouse say of all others.
func (p *plant) others() string {
	p.t.Helper()
	return p.weir("query", `{host!="`+person+`"}`, "--start", "2026-01-01", "--end", "2026-03-01", "--output", "json") +
		p.weir("query", `load{host!="`+person+`"}`, "--start", "2026-01-01", "--end", "2026-03-01", "--window", "1h", "--fn", "mean", "--output", "json") +
		p.weir("sql", "--rows", "0", "--output", "csv", `select * from rollup where tags->>'host' <> '`+person+`' order by series, window_start`)
}

// exported gives the lines of all exports that are text, but those of the person.
func (p *plant) exported() string {
	p.t.Helper()
	var out []string
	for _, pattern := range []string{"*.csv", "*.jsonl"} {
		files, err := filepath.Glob(filepath.Join(p.server.Data, "exports", "reports", pattern))
		if err != nil || len(files) != 4 {
			p.t.Fatalf("%v, %v", files, err)
		}
		for _, file := range files {
			body, err := os.ReadFile(file)
			if err != nil {
				p.t.Fatal(err)
			}
			for line := range strings.Lines(string(body)) {
				if !strings.Contains(line, person) {
					out = append(out, line)
				}
			}
		}
	}
	return strings.Join(out, "")
}

// TestErase erases a host everywhere, and looks for it in every file.
func TestErase(t *testing.T) {
	t.Parallel()
	p := forgetful(t)
	others, exported, runs := p.others(), p.exported(), p.runs()
	selector := `{host="` + person + `"}`

	dry := p.erase(0, selector)
	if dry.State != "dry run" || len(dry.Series) != 2 {
		t.Errorf("%+v", dry)
	}
	for place, want := range map[string]uint64{
		"volumes":   3*206 + 4, // of the dropped revision nothing
		"archives":  206 + 1 + 206,
		"warehouse": 4 * 24, "results": 4 * 24, "exports": 3 * 4 * 24,
	} {
		if found, removed, left := dry.place(place); found != want || removed != 0 || left != found {
			t.Errorf("dry run, %s: %d found, %d removed, %d left; want %d", place, found, removed, left, want)
		}
	}
	if got := p.others(); got != others || len(read(t, p.client, selector)) != 2 {
		t.Error("the dry run changed something")
	}

	done := p.erase(0, selector, "--yes")
	if done.State != "proven" || len(done.Pending) != 0 || done.Attempts != 1 {
		t.Errorf("%+v", done)
	}
	for _, place := range dry.Places {
		if found, removed, left := done.place(place.Place); found != place.Found || removed != found || left != 0 {
			t.Errorf("%s: %d found, %d removed, %d left; the dry run found %d", place.Place, found, removed, left, place.Found)
		}
	}
	if lines := read(t, p.client, selector); len(lines) != 0 {
		t.Errorf("it reads %v still", lines)
	}
	if got := p.others(); got != others {
		t.Errorf("others are not what they were:\n%.3000s\nwant\n%.3000s", got, others)
	}
	if got := p.exported(); got != exported {
		t.Error("lines of others in exports are not what they were")
	}
	if ledger := settled(t, p.client); ledger.Stored == 0 {
		t.Errorf("%+v", ledger)
	}
	p.weir("archive", "verify", "2026-W02")
	p.weir("archive", "2026-W03")
	p.weir("archive", "verify", "2026-W03")
	p.weir("archive", "drop", "2026-W03")
	p.weir("archive", "2026-W04")
	if got := p.others(); got != others {
		t.Error("from the archive, others are not what they were")
	}
	p.weir("archive", "restore", "2026-W02")
	p.weir("archive", "verify", "2026-W02")
	if got := p.others(); got != others || len(read(t, p.client, selector)) != 0 {
		t.Error("after a restore, others are not what they were, or the person is back")
	}
	if now := p.runs(); fmt.Sprint(now) != fmt.Sprint(runs) {
		t.Errorf("runs are %+v; want %+v", now, runs)
	}
	p.weir("pipeline", "rerun", "rollups", "--window", "2026-01-19/2026-01-20")
	if again := p.erase(0, selector, "--yes"); again.State != "proven" {
		t.Errorf("%+v", again)
	} else if found, _, _ := again.place("volumes"); found != 0 {
		t.Errorf("%d found by a second erasure", found)
	}

	write(t, p.client, "load,host="+person+" value=1 1767571200000000000\n")
	if lines := read(t, p.client, selector); len(lines) != 1 || len(lines[0].Times) != 1 {
		t.Errorf("a sample that came later reads as %v", lines)
	}
	p.erase(0, "load"+selector, "--yes")
	if err := p.server.Stop(); err != nil {
		t.Fatal(err)
	}
	look(t, p.server.Data)
	p.server.Up(t)
	if got := p.weir("erase", "list", "--output", "json"); strings.Count(got, `"proven"`) != 3 {
		t.Errorf("%s", got)
	}
}

// TestEraseRange erases a range of time: rows whose window it touches go.
func TestEraseRange(t *testing.T) {
	t.Parallel()
	p := forgetful(t)
	others := p.others()
	before := read(t, p.client, `load{host="`+person+`"}`)
	from := time.Date(2026, 1, 12, 5, 30, 0, 0, time.UTC)
	to := time.Date(2026, 1, 19, 2, 0, 0, 0, time.UTC)
	r := p.erase(0, `load{host="`+person+`"}`, "--from", from.Format(time.RFC3339), "--to", to.Format(time.RFC3339), "--yes")
	if found, removed, left := r.place("warehouse"); r.State != "proven" || found != 19+2 || removed != found || left != 0 {
		t.Errorf("%+v", r)
	}
	after := read(t, p.client, `load{host="`+person+`"}`)
	var want []string
	for i, at := range before[0].Times {
		if at < from.UnixNano() || at >= to.UnixNano() {
			want = append(want, fmt.Sprintf("%d=%s", at, before[0].Values[i]))
		}
	}
	if len(after) != 1 || !strings.HasSuffix(series(after[0]), "} "+strings.Join(want, " ")) || len(want) == len(before[0].Times) {
		t.Errorf("%d samples are left; want %d", len(after[0].Times), len(want))
	}
	if got := p.others(); got != others {
		t.Error("others are not what they were")
	}
	p.weir("archive", "2026-W03")
	p.weir("archive", "verify", "2026-W03")
	if a := post(t, p.client, "/api/v1/erasures?match=load&start=5&end=5", "", http.StatusBadRequest); !strings.Contains(string(a.Body), "before end") {
		t.Errorf("%s", a.Body)
	}
	if result, err := p.server.Command(t.Context(), "erase", `load{host="nobody"}`); err != nil || result.Code != 1 || !strings.Contains(result.Stderr, "no series matches") {
		t.Errorf("%v, %v", result, err)
	}
}

// TestEraseKilled kills the process while it erases, again and again, and starts the
// same command anew.
func TestEraseKilled(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("kills take long")
	}
	p := forgetful(t)
	others := p.others()
	selector := `{host="` + person + `"}`
	kills := 0
	for delay := 30 * time.Millisecond; ; delay += delay / 3 {
		ended := make(chan harness.Result, 1)
		go func() {
			result, _ := p.server.Command(t.Context(), "erase", selector, "--yes", "--output", "json")
			ended <- result
		}()
		select {
		case result := <-ended:
			if result.Code != 0 || !strings.Contains(result.Stdout, `"proven"`) {
				t.Fatalf("%v", result)
			}
		case <-time.After(delay):
			kills++
			if err := p.server.Kill(); err != nil {
				t.Fatal(err)
			}
			<-ended
			p.client = p.server.Up(t)
			if got := p.others(); got != others {
				t.Fatalf("after kill %d, others are not what they were", kills)
			}
			continue
		}
		break
	}
	if kills < 3 {
		t.Errorf("%d kills; want more", kills)
	}
	t.Logf("%d kills", kills)
	if got := p.others(); got != others || len(read(t, p.client, selector)) != 0 {
		t.Error("others are not what they were, or the person is there")
	}
	p.weir("archive", "verify", "2026-W02")
	p.weir("archive", "2026-W03")
	p.weir("archive", "verify", "2026-W03")
	if ledger := settled(t, p.client); ledger.Stored == 0 {
		t.Errorf("%+v", ledger)
	}
	if err := p.server.Stop(); err != nil {
		t.Fatal(err)
	}
	look(t, p.server.Data)
}
