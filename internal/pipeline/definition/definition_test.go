package definition

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// example gives the document's example of a whole definition.
func example(t testing.TB) string {
	t.Helper()
	doc, err := os.ReadFile("../../../docs/formats/pipeline.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(doc), "```yaml\n")
	text, _, ok := strings.Cut(text, "```")
	if !ok {
		t.Fatal("the document has no example")
	}
	return text
}

func mustParse(t testing.TB, text string) Definition {
	t.Helper()
	d, err := Parser{}.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestExample(t *testing.T) {
	got := mustParse(t, example(t))
	want := Definition{
		Name:     "daily-rollup",
		Schedule: Schedule{Every: Period{Clock: time.Hour}, Start: 1767225600e9, From: true, Zone: time.UTC},
		Delay:    10 * time.Minute, Backfill: Backfill{All: true}, Concurrency: 2,
		Retries: Retries{3, 10 * time.Second, 5 * time.Minute}, Timeout: 30 * time.Minute, LateAfter: 2 * time.Hour,
		RerunStale: true, Watermark: true,
		Steps: []Step{
			{Name: "rollup", Kind: KindAnalyse, Analyse: &Analyse{
				Analysis: "rollup", Select: `cpu_usage{host=~"a.*"}`, Every: 5 * time.Minute, By: []string{"host"},
				Functions: []string{"count", "min", "max", "mean"}, Quantiles: []float64{0.5, 0.99},
			}},
			{Name: "load", Kind: KindLoad, After: []string{"rollup"}, Load: &Load{"rollup"}},
			{Name: "report", Kind: KindExport, After: []string{"load", "rollup"}, Export: &Export{"rollup", "csv", "reports"}},
			{Name: "old", Kind: KindArchive, After: []string{"rollup"}, Archive: &Archive{28 * Day, true}},
			{Name: "busiest", Kind: KindSQL, After: []string{"load"}, SQL: &SQL{"select series, max(max) from rollup group by series", "csv", "reports"}},
		},
	}
	options := cmp.Options{
		cmpopts.IgnoreUnexported(Step{}, Schedule{}), cmpopts.IgnoreFields(Definition{}, "Text", "Hash"),
		cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() }),
	}
	if diff := cmp.Diff(want, got, options); diff != "" {
		t.Error(diff)
	}
	if got.Text != example(t) || len(got.Hash) != 32 {
		t.Error("text or hash is not the definition's")
	}
	if s, ok := got.Step("load"); !ok || s.Kind != KindLoad || s.String() != "load (load)" {
		t.Errorf("step load is %v, %v", s, ok)
	}
	if _, ok := got.Step("none"); ok {
		t.Error("there is a step that nobody gave")
	}
}

// TestImportHistory: whole weeks, read before a step of the pipeline drops them.
func TestImportHistory(t *testing.T) {
	const steps = "\nsteps:\n  - {name: old, archive: {older_than: 1w, drop: true}}\n  - {name: history, import-history: {select: m}}\n"
	for _, schedule := range []string{"", "\nschedule: {every: 1w, start: 2026-01-05T00:00:00Z}", "\nschedule: {every: 168h, start: 2026-01-05T00:00:00Z}", "\nschedule: {cron: 0 0 * * 1}"} {
		d := mustParse(t, "pipeline: p"+schedule+steps)
		if history, _ := d.Step("history"); history.ImportHistory == nil || history.ImportHistory.Select != "m" {
			t.Errorf("the step is %+v", history)
		}
		if old, _ := d.Step("old"); !slices.Equal(old.After, []string{"history"}) {
			t.Errorf("what drops weeks comes after %v; want history", old.After)
		}
	}
	_, err := Parser{}.Parse("p.yaml", []byte("pipeline: p\nschedule: {every: 6d, start: 2026-01-05T00:00:00Z}"+steps))
	if err == nil || !strings.Contains(err.Error(), `p.yaml:5:21: step "history" takes whole weeks`) {
		t.Errorf("windows of six days: %v", err)
	}
}

func TestDefaults(t *testing.T) {
	got := mustParse(t, "pipeline: p\nsteps: [{name: a, archive: {older_than: 1w}}]")
	if got.Scheduled() || !got.Backfill.All || got.Concurrency != 1 || got.Timeout != time.Hour || got.Retries.Attempts != 3 ||
		got.LateAfter != 0 || got.RerunStale || got.Watermark {
		t.Errorf("defaults are %+v", got)
	}
}

const oneStep = "\nsteps:\n  - {name: a, analyse: {analysis: rollup, select: m}}\n"

func TestFaults(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":        {"# nothing\n", "1:1: the definition is empty"},
		"list":         {"- a", "1:1: the definition takes keys and values: pipeline, "},
		"syntax":       {"pipeline: p\nsteps: [", "this is no YAML"},
		"control":      {"\x00", "1:1: this is no YAML"},
		"two":          {"pipeline: p" + oneStep + "---\nb: 1", "4:1: a second document begins"},
		"second":       {"pipeline: p" + oneStep + "---\nb: [1", "this is no YAML"},
		"misspelt":     {"pipeline: p\nshedule: {}" + oneStep, `2:1: the definition has no key "shedule"; did you mean "schedule"?`},
		"far off":      {"pipeline: p\nzzzzzzzzzz: {}" + oneStep, `2:1: the definition has no key "zzzzzzzzzz"; there are pipeline, schedule`},
		"nested":       {"pipeline: p\nretries: {attemts: 3}" + oneStep, `2:11: retries has no key "attemts"; did you mean "attempts"?`},
		"in a step":    {"pipeline: p\nsteps:\n  - name: a\n    analyse: {analysis: rollup, selct: m}", `4:33: analyse has no key "selct"; did you mean "select"?`},
		"kind":         {"pipeline: p\nsteps:\n  - name: a\n    analize: {}", `4:5: a step has no key "analize"; did you mean "analyse"?`},
		"no kind":      {"pipeline: p\nsteps:\n  - name: a", `3:5: step "a" does nothing: give it exactly one of analyse, load`},
		"two kinds":    {"pipeline: p\nsteps:\n  - {name: a, load: {from: b}, archive: {older_than: 1w}}", `3:5: step "a" does load and archive: give it exactly one`},
		"twice":        {"pipeline: p\npipeline: q" + oneStep, `2:1: key "pipeline" is given twice; the first is on line 1`},
		"no name":      {"steps: [{analyse: {analysis: rollup, select: m}}]", `1:9: a step lacks "name"`},
		"lacks":        {"delay: 1h", `1:1: the definition lacks "pipeline"` + "\n" + `test.yaml:1:1: the definition lacks "steps"`},
		"bad name":     {"pipeline: Daily" + oneStep, `1:11: pipeline: name "Daily": use lower-case letters`},
		"dash":         {"pipeline: -d" + oneStep, `name "-d": use lower-case`},
		"null":         {"pipeline:" + oneStep, `"pipeline" has no value`},
		"a list":       {"pipeline: [a]" + oneStep, `1:11: "pipeline" takes one value`},
		"alias":        {"pipeline: &x p\nconcurrency: *x" + oneStep, `2:14: "concurrency": aliases are not read`},
		"steps":        {"pipeline: p\nsteps: {}", "2:8: steps takes a list of at least one step"},
		"step":         {"pipeline: p\nsteps: [a]", "2:9: a step takes keys and values"},
		"kind's value": {"pipeline: p\nsteps: [{name: a, load: rollup}]", "2:25: load takes keys and values: from"},
		"many steps":   {"pipeline: p\nsteps: [" + strings.Repeat("a,", 33) + "]", "33 steps; the limit is 32"},
		"after":        {"pipeline: p\nsteps: [{name: a, after: b, archive: {older_than: 1w}}]", `2:26: "after" takes a list`},
		"unknown": {"pipeline: p\nsteps:\n  - {name: rollup, analyse: {analysis: r, select: m}}\n  - {name: b, archive: {older_than: 1w}, after: [rolup]}",
			`4:42: step "b" comes after "rolup", which is no step; did you mean "rollup"?`},
		"from nothing": {"pipeline: p\nsteps:\n  - {name: rollup, analyse: {analysis: r, select: m}}\n  - {name: b, load: {from: rolup}}",
			`4:22: step "b" takes from "rolup", which is no step; did you mean "rollup"?`},
		"from a load": {"pipeline: p\nsteps:\n  - {name: r, analyse: {analysis: r, select: m}}\n  - {name: b, load: {from: r}}\n  - {name: c, export: {from: b, format: csv, folder: f}}",
			`5:24: step "c" takes from "b", which does no analysis: name an analyse step`},
		"same name": {"pipeline: p\nsteps:\n  - {name: a, archive: {older_than: 1w}}\n  - {name: a, archive: {older_than: 1w}}",
			`4:6: step "a" is given twice; the first is on line 3`},
		"cycle": {"pipeline: p\nsteps:\n  - {name: z, archive: {older_than: 1w}}\n  - {name: a, archive: {older_than: 1w}, after: [c]}\n  - {name: b, archive: {older_than: 1w}, after: [z, a]}\n  - {name: c, archive: {older_than: 1w}, after: [b]}",
			`4:42: steps wait for each other: a after c after b after a; take one "after" away`},
		"itself":      {"pipeline: p\nsteps: [{name: a, archive: {older_than: 1w}, after: [a]}]", "a after a"},
		"duration":    {"pipeline: p\ndelay: 10 minutes" + oneStep, `2:8: delay: duration "10 minutes": write whole numbers with units`},
		"zero":        {"pipeline: p\ntimeout: 0" + oneStep, "2:10: timeout: it must be more than 0"},
		"concurrency": {"pipeline: p\nconcurrency: 0" + oneStep, `2:14: concurrency: "0": write a number from 1 to 100`},
		"backfill":    {"pipeline: p\nbackfill: some" + oneStep, `2:11: backfill: "some": write all, none, or for how long back`},
		"bool":        {"pipeline: p\nrerun_stale: yes" + oneStep, `2:14: rerun_stale: "yes": write true or false`},
		"retries":     {"pipeline: p\nretries: 3" + oneStep, "2:10: retries takes keys and values"},
		"most":        {"pipeline: p\nretries: {backoff: 1h, most: 1m}" + oneStep, "2:24: most: the longest pause, 1m0s, is less than the first, 1h0m0s"},
		"when":        {"pipeline: p\nwhen: {watermrk: true}" + oneStep, `2:8: when has no key "watermrk"; did you mean "watermark"?`},
		"quantile":    {"pipeline: p\nsteps: [{name: a, analyse: {analysis: r, select: m, quantiles: [half]}}]", `quantiles: "half" is no number`},
		"schedule":    {"pipeline: p\nschedule: hourly" + oneStep, "2:11: schedule takes keys and values: every, start, cron, zone"},
		"neither":     {"pipeline: p\nschedule: {zone: UTC}" + oneStep, `2:11: a schedule has either "every" with "start", or "cron"`},
		"both":        {"pipeline: p\nschedule: {every: 1h, start: 2026-01-01T00:00:00Z, cron: 0 2 * * *}" + oneStep, "a schedule has either"},
		"no start":    {"pipeline: p\nschedule: {every: 1h}" + oneStep, `2:12: schedule lacks "start"`},
		"zone":        {"pipeline: p\nschedule: {cron: 0 2 * * *, zone: Europe/Berln}" + oneStep, `2:35: zone: time zone "Europe/Berln" is not known`},
		"local":       {"pipeline: p\nschedule: {cron: 0 2 * * *, zone: Local}" + oneStep, `time zone "Local" is not known`},
		"idle zone":   {"pipeline: p\nschedule: {every: 1h, start: 2026-01-01T00:00:00Z, zone: Europe/Berlin}" + oneStep, "2:52: zone says nothing"},
		"start":       {"pipeline: p\nschedule: {every: 1h, start: 2026-01-01}" + oneStep, `2:30: start: time "2026-01-01": write it as RFC 3339`},
		"old start":   {"pipeline: p\nschedule: {every: 1h, start: 1969-01-01T00:00:00Z}" + oneStep, "a schedule starts between 1970 and 2199"},
		"far start":   {"pipeline: p\nschedule: {every: 1h, start: 9999-01-01T00:00:00Z}" + oneStep, "the years are 1678 to 2261"},
		"period":      {"pipeline: p\nschedule: {every: 1d12h, start: 2026-01-01T00:00:00Z}" + oneStep, `2:19: every: period "1d12h": write either whole days`},
		"short":       {"pipeline: p\nschedule: {every: 1ms, start: 2026-01-01T00:00:00Z}" + oneStep, "it must be a second to ten years"},
		"no period":   {"pipeline: p\nschedule: {every: often, start: 2026-01-01T00:00:00Z}" + oneStep, `2:19: every: duration "often"`},
		"cron":        {"pipeline: p\nschedule: {cron: 0 25 * * *}" + oneStep, `2:18: cron: "0 25 * * *": end of range (25) above maximum (23)`},
		"cron zone":   {"pipeline: p\nschedule: {cron: TZ=UTC}" + oneStep, "write five fields"},
		"cron every":  {"pipeline: p\nschedule: {cron: '@every 1h'}" + oneStep, "write five fields"},
		"never":       {"pipeline: p\nschedule: {cron: 0 0 30 2 *}" + oneStep, `"0 0 30 2 *" never ticks`},
		"large":       {strings.Repeat("#", maxText+1), "the definition has 65537 bytes; the limit is 65536"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parser{}.Parse("test.yaml", []byte(c.text))
			var faults *Faults
			if !errors.As(err, &faults) {
				t.Fatalf("got %v; want faults", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// TestAllFaultsAtOnce: they come together, in the text's order.
func TestAllFaultsAtOnce(t *testing.T) {
	_, err := Parser{}.Parse("p.yaml", []byte("pipeline: P\ndelay: 1x\nschedule: {every: 1h}\nsteps:\n  - {name: a, load: {form: b}}\n"))
	var faults *Faults
	if !errors.As(err, &faults) || len(faults.List) < 5 {
		t.Fatalf("got %v", err)
	}
	if !slices.IsSortedFunc(faults.List, func(a, b Fault) int { return a.Line - b.Line }) {
		t.Errorf("not in order: %v", err)
	}
}

func TestChecksShowTheKey(t *testing.T) {
	text := "pipeline: p\nsteps:\n  - name: a\n    analyse:\n      analysis: rollup\n      select: 'm{'\n  - {name: l, load: {from: a}}\n"
	p := Parser{Checks: Checks{
		KindAnalyse: func(s Step) error { return fmt.Errorf("analysis: %w", &KeyError{"select", errors.New("unclosed")}) },
		KindLoad:    func(s Step) error { return errors.New("no warehouse") },
	}}
	_, err := p.Parse("p.yaml", []byte(text))
	want := "p.yaml:6:7: step \"a\": analysis: select: unclosed\np.yaml:7:15: step \"l\": no warehouse"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// TestChecksBesideOtherFaults: a step that is right in itself is judged, whatever
// is wrong elsewhere, and one that is not is named once.
func TestChecksBesideOtherFaults(t *testing.T) {
	text := "pipeline: p\nschedule: {cron: 30 2 * * *, zone: Europe/Berlin}\nsteps:\n  - {name: a, analyse: {analysis: rollup, slect: m}}\n  - {name: l, load: {from: b}}\n"
	p := Parser{Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Checks: Checks{
		KindAnalyse: func(Step) error { return errors.New("must not be asked") },
		KindLoad:    func(Step) error { return errors.New("no warehouse") },
	}}
	_, err := p.Parse("p.yaml", []byte(text))
	for _, want := range []string{"2:12: on 2026-03-29", `4:24: analyse lacks "select"`, `4:43: analyse has no key "slect"`, `5:22: step "l" takes from "b"`, `5:15: step "l": no warehouse`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
	if err != nil && strings.Contains(err.Error(), "must not be asked") {
		t.Error(err)
	}
}

func TestRetriesWait(t *testing.T) {
	r := Retries{Attempts: 9, Backoff: 10 * time.Second, Most: 65 * time.Second}
	for failures, want := range map[int]int{1: 10, 2: 20, 3: 40, 4: 65, 5: 65, 90: 65} {
		if got := r.Wait(failures); got.Seconds() != float64(want) {
			t.Errorf("after %d failures: %s", failures, got)
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "2d": 48 * time.Hour, "4w1d": 29 * Day, "5ms3us2ns": 5003002,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1", "h", "-1h", "1m1h", "1h1h", "1.5h", "1 h", "20000w", "99999999999999999999s", "1month"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(example(f))
	f.Add("pipeline: p\nschedule: {cron: 0 2 * * *, zone: Europe/Berlin}" + oneStep)
	f.Add("a: &x [*x]")
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parser{Now: now}.Parse("f.yaml", []byte(text))
		if err != nil {
			var faults *Faults
			if !errors.As(err, &faults) || len(faults.List) == 0 {
				t.Fatalf("no faults in %v", err)
			}
			return
		}
		again, err := Parser{}.Parse("f.yaml", []byte(d.Text))
		if err != nil || again.Hash != d.Hash {
			t.Fatalf("a definition that was right is not again: %v", err)
		}
		at := InstantOf(now)
		n := 0
		for w := range d.Schedule.Windows(at, at.Add(400*Day)) {
			if w.Start < at || w.End <= w.Start {
				t.Fatalf("window %s", w)
			}
			if at, n = w.End, n+1; n == 100 {
				break
			}
		}
	})
}

// TestDeepNesting: a text of nothing but brackets is refused, and soon.
func TestDeepNesting(t *testing.T) {
	for _, text := range []string{strings.Repeat("[", maxText), strings.Repeat("{a: ", maxText/4), strings.Repeat("- ", maxText/2), strings.Repeat("? ", maxText/2)} {
		if _, err := (Parser{}).Parse("p.yaml", []byte(text)); err == nil {
			t.Errorf("%.8q… is accepted", text)
		}
	}
}
