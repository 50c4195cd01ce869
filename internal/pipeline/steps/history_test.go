package steps

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/analysis"
	"weir/internal/compute"
	"weir/internal/pipeline"
	"weir/internal/pipeline/definition"
	"weir/internal/sample"
	"weir/internal/warehouse"
)

// fourKinds is an input of a series of each kind, with two samples in each week.
type fourKinds struct {
	oneSeries
	version uint64
	read    []compute.Part
}

func (f *fourKinds) Estimate(context.Context, int64, int64) (uint64, error) {
	return 3 * historyRead, nil
}

func (f *fourKinds) Series(first, end int) int { return end - first }

func (f *fourKinds) Read(_ context.Context, p compute.Part, yield func(*analysis.Samples) error) error {
	f.read = append(f.read, p)
	for i, kind := range []sample.Kind{sample.Float64, sample.Int64, sample.Bool, sample.String} {
		if shard := i * sample.Shards / 4; shard < p.First || shard >= p.End {
			continue
		}
		of := sample.Series{Metric: kind.String()}
		s := &analysis.Samples{
			Series: analysis.NewSeries(of, of.ID(), kind), Times: []int64{p.From, p.To - 1},
			Bits: []uint64{math.Float64bits(1.5), math.Float64bits(-1)}, Qualities: []sample.Quality{0, 0x80000000},
			Versions: []uint64{f.version, 10}, Positions: []uint64{3, 4},
		}
		switch kind {
		case sample.Int64:
			s.Bits = []uint64{1<<53 + 1, math.MaxUint64}
		case sample.Bool:
			s.Bits = []uint64{1, 0}
		case sample.String:
			s.Bits, s.Texts = nil, []string{fmt.Sprint("at ", f.version), "shut"}
		}
		if err := yield(s); err != nil {
			return err
		}
	}
	return nil
}

// kindsOf gives the one input for whatever is asked.
type kindsOf struct{ *fourKinds }

func (k kindsOf) Input(context.Context, string, int64, int64, string) (compute.Input, error) {
	return k.fourKinds, nil
}

func (k kindsOf) Series(_ context.Context, _ string, start, end int64) ([]warehouse.Series, error) {
	return []warehouse.Series{{Series: sample.Series{Metric: "bool"}, Kind: sample.Bool, First: sample.WeekOf(start), Last: sample.WeekOf(end - 1)}}, nil
}

func (r *rig) history(revision, days int) pipeline.Task {
	t := r.task("rollup", fmt.Sprintf("h%d", revision), revision)
	t.Step = pipeline.Step{Name: "history", Kind: definition.KindImportHistory, ImportHistory: &definition.ImportHistory{Select: "m"}}
	t.Start = definition.InstantOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) // a Thursday
	t.End = t.Start.Add(time.Duration(days) * 24 * time.Hour)
	return t
}

func (r *rig) rows(statement string) (out []string) {
	r.t.Helper()
	rows, err := r.worker.Warehouse.Query(r.t.Context(), statement, r.worker.Limits)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		out = append(out, strings.Trim(fmt.Sprint(rows.Values()), "[]"))
	}
	if err := rows.Err(); err != nil {
		r.t.Fatal(err)
	}
	return out
}

// TestHistoryIsImported: of all kinds, whole weeks, once a revision, the newer
// over the older and never the other way.
func TestHistoryIsImported(t *testing.T) {
	r := newRig(t)
	in := &fourKinds{version: 20}
	r.worker.Inputs = kindsOf{in}
	do := func(revision int) string {
		t.Helper()
		out, err := r.worker.Do(t.Context(), r.history(revision, 21)) // weeks 2 and 3, and two in part
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	want := `{"first_week":"2026-W02","last_week":"2026-W03","weeks":2,"applied":%d,"rows":16,"read":{"select":"m","from":1767571200000000000,"to":1768780800000000000}}`
	for i, applied := range []int{2, 0} {
		if got := do(0); got != fmt.Sprintf(want, applied) {
			t.Errorf("import %d gave\n%s", i, got)
		}
	}
	if read, ok := ReadOf(pipeline.Output(do(0))); !ok || read.Select != "m" {
		t.Errorf("it has read %v, %v: late data would not be told", read, ok)
	}
	if len(in.read) < 8 || !in.read[0].Versions || in.read[0].End == sample.Shards {
		t.Errorf("read was %v; want ranges of shards, with versions", in.read)
	}
	const all = `select value, int_value, bool_value, text_value, quality, week, revision, version, position from samples order by week, time, value desc nulls last, series`
	got := r.rows(all)
	wantRows := []string{
		"9.007199254740992e+15 9007199254740993 <nil> <nil> 0 2026-W02 0 20 3",
		"1.5 <nil> <nil> <nil> 0 2026-W02 0 20 3",
		"1 <nil> true <nil> 0 2026-W02 0 20 3",
		"<nil> <nil> <nil> at 20 0 2026-W02 0 20 3",
		"0 <nil> false <nil> 2147483648 2026-W02 0 10 4",
	}
	if len(got) != 16 || !slices.Equal(got[:5], wantRows) {
		t.Errorf("samples are\n%s\nwant them to begin with\n%s", strings.Join(got, "\n"), strings.Join(wantRows, "\n"))
	}
	if got := r.rows("select series, first_week, last_week from series"); len(got) != 1 || !strings.Contains(got[0], "2026-W02 2026-W03") {
		t.Errorf("series are %v", got)
	}
	if list, err := r.worker.Results.List(t.Context(), ""); err != nil || len(list) != 0 {
		t.Errorf("what was written for the warehouse is there yet: %v, %v", list, err)
	}
	// What came late takes the place of what was there; an older run's does not.
	in.version = 30
	if got := do(1); got != fmt.Sprintf(want, 2) {
		t.Errorf("the next revision gave\n%s", got)
	}
	in.version = 5
	if got := do(0); got != fmt.Sprintf(want, 0) {
		t.Errorf("the older revision gave\n%s", got)
	}
	other := r.history(0, 21)
	other.Pipeline = "other"
	if _, err := r.worker.Do(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if got := r.rows("select version, count(*), min(text_value) from samples group by version order by version"); !slices.Equal(got, []string{"10 8 shut", "30 8 at 30"}) {
		t.Errorf("versions are %v; want the highest of each time", got)
	}
	if got := r.rows("select pipeline, step, target, revision, row_count, count(*) from loads group by all order by all"); len(got) != 3 || got[0] != "hourly history samples 0 8 2" {
		t.Errorf("loads are %v", got)
	}
}

func TestHistoryTakesWholeWeeks(t *testing.T) {
	r := newRig(t)
	r.worker.Inputs = kindsOf{&fourKinds{version: 20}}
	_, err := r.worker.Do(t.Context(), r.history(0, 10))
	if !errors.Is(err, pipeline.ErrPermanent) || !strings.Contains(err.Error(), "from 2026-01-05T00:00:00Z to 2026-01-12T00:00:00Z") {
		t.Errorf("a window without a whole week: %v", err)
	}
	if first, last, err := wholeWeeks(r.history(0, 11).Window); err != nil || first != last || first.String() != "2026-W02" {
		t.Errorf("eleven days hold %s to %s, %v", first, last, err)
	}
	exact := pipeline.Window{Start: definition.Instant(sample.Week(2922).Start()), End: definition.Instant(sample.Week(2923).End())}
	if first, last, err := wholeWeeks(exact); err != nil || first != 2922 || last != 2923 {
		t.Errorf("two weeks exactly hold %d to %d, %v", first, last, err)
	}
}
