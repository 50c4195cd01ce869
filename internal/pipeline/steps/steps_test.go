package steps

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/analysis"
	"weir/internal/analysis/rollup"
	"weir/internal/compute"
	"weir/internal/compute/local"
	"weir/internal/objects/folder"
	"weir/internal/pipeline"
	"weir/internal/pipeline/definition"
	"weir/internal/result"
	"weir/internal/sample"
	"weir/internal/warehouse"
	"weir/internal/warehouse/duckdb"
)

const minute = int64(60e9)

// oneSeries is an input of one series with a sample a minute.
type oneSeries struct{ add uint64 }

func testSeries() sample.Series {
	return sample.Series{Metric: "m", Tags: []sample.Tag{{Name: "host", Value: "a"}}}
}

func (o *oneSeries) Cut() string { return "w1.AAAAAA" }

func (o *oneSeries) Estimate(context.Context, int64, int64) (uint64, error) { return 60, nil }

func (o *oneSeries) Series(int, int) int { return 1 }

func (o *oneSeries) Whole(context.Context, int64, int64) (bool, error) { return false, nil }

func (o *oneSeries) Read(_ context.Context, p compute.Part, yield func(*analysis.Samples) error) error {
	s := &analysis.Samples{Series: analysis.NewSeries(testSeries(), testSeries().ID(), sample.Int64)}
	for at := p.From; at < p.To; at += minute {
		s.Times, s.Bits = append(s.Times, at), append(s.Bits, o.add+1)
	}
	return yield(s)
}

// inputs gives the one input, whatever is asked for, and notes what is.
type inputs struct {
	in    *oneSeries
	asked []string
}

func (i *inputs) Input(_ context.Context, selector string, _, _ int64, cut string) (compute.Input, error) {
	i.asked = append(i.asked, selector+" "+cut)
	return i.in, nil
}

func (i *inputs) Series(context.Context, string, int64, int64) ([]warehouse.Series, error) {
	return []warehouse.Series{{Series: testSeries(), Kind: sample.Int64, First: 2922, Last: 2922}}, nil
}

// weeks is an archiver of two weeks that notes what is done.
type weeks struct {
	done []string
	fail error
}

func (w *weeks) Ended(_ context.Context, before time.Time) ([]sample.Week, error) {
	w.done = append(w.done, "before "+before.UTC().Format(time.RFC3339))
	return []sample.Week{2900, 2901}, nil
}

func (w *weeks) Archive(_ context.Context, week sample.Week) error {
	w.done = append(w.done, "archive "+week.String())
	return w.fail
}

func (w *weeks) Drop(_ context.Context, _ pipeline.RunKey, week sample.Week) error {
	w.done = append(w.done, "drop "+week.String())
	return nil
}

const example = `
pipeline: hourly
steps:
  - name: rollup
    analyse: {analysis: rollup, select: 'm{host="a"}', every: 10m, functions: [count, sum]}
  - name: load
    load: {from: rollup}
  - name: report
    export: {from: rollup, format: csv, folder: reports}
  - name: totals
    sql: {statement: "select metric, sum(sum) as total from rollup group by metric", format: jsonl, folder: reports}
    after: [load]
  - name: old
    archive: {older_than: 4w, drop: true}
`

// rig is a worker over real drivers, and the definition.
type rig struct {
	t      *testing.T
	dir    string
	inputs *inputs
	weeks  *weeks
	worker *Worker
	def    pipeline.Definition
	done   map[string]pipeline.Output
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), inputs: &inputs{in: &oneSeries{}}, weeks: &weeks{}, done: map[string]pipeline.Output{}}
	results, err := folder.New(filepath.Join(r.dir, "results"))
	if err != nil {
		t.Fatal(err)
	}
	exports, err := folder.New(filepath.Join(r.dir, "exports"))
	if err != nil {
		t.Fatal(err)
	}
	config := duckdb.Default()
	config.Dir = filepath.Join(r.dir, "warehouse")
	house, err := duckdb.New(config)
	if err == nil {
		err = house.PutSeries(t.Context(), nil)
	}
	if errors.Is(err, warehouse.ErrUnsupported) {
		t.Skip("built without cgo: no warehouse")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := house.Close(); err != nil {
			t.Error(err)
		}
	})
	r.worker = New(Options{
		Inputs: r.inputs, Engine: local.New(local.Default(2), results), Warehouse: house, Results: results, Exports: exports,
		Archiver: r.weeks, Limits: warehouse.Limits{Rows: 1000, Timeout: time.Minute},
		Analyses: map[string]Maker{"rollup": func(p definition.Analyse) (analysis.Analysis, error) {
			return rollup.New(rollup.Parameters{Every: int64(p.Every), Functions: p.Functions, Quantiles: p.Quantiles})
		}},
	})
	if r.def, err = (definition.Parser{}).Parse("hourly.yaml", []byte(example)); err != nil {
		t.Fatal(err)
	}
	return r
}

// task gives the task of a step over the first hour of 2026.
func (r *rig) task(step, attempt string, revision int) pipeline.Task {
	r.t.Helper()
	s, ok := r.def.Step(step)
	if !ok {
		r.t.Fatalf("no step %s", step)
	}
	start := definition.InstantOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	return pipeline.Task{
		RunKey:  pipeline.RunKey{Pipeline: "hourly", Window: pipeline.Window{Start: start, End: start.Add(time.Hour)}, Revision: revision},
		Attempt: attempt, Cut: "w1.AAAAAA", Step: s, Outputs: r.done, Text: example,
	}
}

func (r *rig) do(step, attempt string, revision int) string {
	r.t.Helper()
	out, err := r.worker.Do(r.t.Context(), r.task(step, attempt, revision))
	if err != nil {
		r.t.Fatalf("step %s: %v", step, err)
	}
	r.done[step] = out
	return string(out)
}

func (r *rig) file(name string) string {
	r.t.Helper()
	body, err := os.ReadFile(filepath.Join(r.dir, "exports", name))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(body)
}

// TestStepsHandOn does all steps, twice over each, and looks at what they left.
func TestStepsHandOn(t *testing.T) {
	r := newRig(t)
	for _, attempt := range []string{"a1", "a2"} {
		if out := r.do("rollup", attempt, 0); !strings.Contains(out, `/rev=0/`+attempt+`/manifest.json"`) || !strings.Contains(out, `"rows":6`) {
			t.Errorf("rollup gave %s", out)
		}
		if out, want := r.do("load", attempt, 0), `{"table":"rollup","rows":6,"applied":`; !strings.HasPrefix(out, want) || strings.Contains(out, "true") != (attempt == "a1") {
			t.Errorf("load, attempt %s, gave %s; want it applied once", attempt, out)
		}
		if out := r.do("report", attempt, 0); !strings.Contains(out, `"reports/hourly.report.20260101T000000Z_20260101T010000Z.r0.csv","rows":6`) {
			t.Errorf("report gave %s", out)
		}
		if out := r.do("totals", attempt, 0); !strings.Contains(out, `"rows":1`) {
			t.Errorf("totals gave %s", out)
		}
	}
	if got := r.file("reports/hourly.totals.20260101T000000Z_20260101T010000Z.r0.jsonl"); got != `{"metric":"m","total":60}`+"\n" {
		t.Errorf("the totals are %s", got)
	}
	id := testSeries().ID().String()
	if got := r.file("reports/hourly.report.20260101T000000Z_20260101T010000Z.r0.csv"); !strings.Contains(got, id+`,m,"{""host"":""a""}",2026-01-01T00:10:00Z,2026-01-01T00:20:00Z,10,10`+"\n") {
		t.Errorf("the report is %s", got)
	}
	if r.inputs.asked[0] != `m{host="a"} w1.AAAAAA` {
		t.Errorf("asked for was %s", r.inputs.asked[0])
	}
	// The next revision takes the place of the first.
	r.inputs.in.add = 1
	r.do("rollup", "b1", 1)
	if out := r.do("load", "b1", 1); !strings.Contains(out, `"applied":true`) {
		t.Errorf("the next revision's load gave %s", out)
	}
	r.do("totals", "b1", 1)
	if got := r.file("reports/hourly.totals.20260101T000000Z_20260101T010000Z.r1.jsonl"); got != `{"metric":"m","total":120}`+"\n" {
		t.Errorf("after the next revision the totals are %s", got)
	}
}

func TestOldWeeksAreArchived(t *testing.T) {
	r := newRig(t)
	out := r.do("old", "a1", 0)
	if want := `{"weeks":["` + sample.Week(2900).String() + `","` + sample.Week(2901).String() + `"],"dropped":true}`; out != want {
		t.Errorf("archive gave %s; want %s", out, want)
	}
	if r.weeks.done[0] != "before 2025-12-04T01:00:00Z" || len(r.weeks.done) != 5 || r.weeks.done[2] != "drop "+sample.Week(2900).String() {
		t.Errorf("done was %v", r.weeks.done)
	}
	r.weeks.fail = errors.New("full")
	if _, err := r.worker.Do(t.Context(), r.task("old", "a2", 0)); !errors.Is(err, r.weeks.fail) || errors.Is(err, pipeline.ErrPermanent) {
		t.Errorf("a week that could not be archived: %v", err)
	}
}

// TestWhatNeedsNoOtherAttempt: errors that would come again are permanent.
func TestWhatNeedsNoOtherAttempt(t *testing.T) {
	r := newRig(t)
	none := r.task("load", "a1", 0)
	if _, err := r.worker.Do(t.Context(), none); !errors.Is(err, pipeline.ErrPermanent) {
		t.Errorf("a load without a result: %v", err)
	}
	r.do("rollup", "a1", 0)
	var out Result
	if err := json.Unmarshal(r.done["rollup"], &out); err != nil {
		t.Fatal(err)
	}
	m, err := result.ReadManifest(t.Context(), r.worker.Results, out.Manifest, out.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	part := filepath.Join(r.dir, "results", m.Files[0].Name)
	if err := os.Truncate(part, 100); err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"load", "report"} {
		_, err := r.worker.Do(t.Context(), r.task(step, "a1", 0))
		if !errors.Is(err, pipeline.ErrPermanent) || !strings.Contains(err.Error(), m.Files[0].Name) {
			t.Errorf("%s of a corrupt part: %v; want the part named", step, err)
		}
	}
	bad := r.task("rollup", "a1", 0)
	bad.Step.Analyse = &definition.Analyse{Analysis: "fft"}
	if _, err := r.worker.Do(t.Context(), bad); !errors.Is(err, pipeline.ErrPermanent) {
		t.Errorf("an unknown analysis: %v", err)
	}
	wrong := r.task("totals", "a1", 0)
	wrong.Step.SQL = &definition.SQL{Statement: "select nothing from nowhere", Format: "csv", Folder: "x"}
	if _, err := r.worker.Do(t.Context(), wrong); !errors.Is(err, pipeline.ErrPermanent) {
		t.Errorf("a wrong statement: %v", err)
	}
	wrong.Step.SQL.Format = "xlsx"
	if _, err := r.worker.Do(t.Context(), wrong); err == nil {
		t.Error("an unknown format was taken")
	}
}

// TestDamagedResult: who reads a result that is not as it was left says whose it
// was.
func TestDamagedResult(t *testing.T) {
	r := newRig(t)
	r.do("rollup", "a1", 0)
	for name, pattern := range map[string]string{"manifest": "manifest.json", "part": "*.parquet"} {
		files, err := filepath.Glob(filepath.Join(r.dir, "results", "*", "*", "*", "*", "*", pattern))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		body, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		for what, spoil := range map[string]func() error{
			"flipped": func() error {
				spoiled := append([]byte(nil), body...)
				spoiled[len(spoiled)/2] ^= 1
				return os.WriteFile(files[0], spoiled, 0o600)
			},
			"gone": func() error { return os.Remove(files[0]) },
		} {
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			for _, step := range []string{"load", "report"} {
				var damaged *pipeline.DamagedError
				if _, err := r.worker.Do(t.Context(), r.task(step, "a2", 0)); !errors.As(err, &damaged) || damaged.Step != "rollup" {
					t.Errorf("%s %s, step %s: %v; want it to name step rollup", name, what, step, err)
				}
			}
			if err := os.WriteFile(files[0], body, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.do("load", "a3", 0)
}
