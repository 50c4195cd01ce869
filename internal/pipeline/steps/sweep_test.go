package steps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/objects"
	"weir/internal/objects/folder"
	"weir/internal/pipeline"
	"weir/internal/pipeline/definition"
)

// errCut ends a simulated process.
var errCut = errors.New("simulated kill")

// cutter counts calls, and dies at one of them, before it or after.
type cutter struct {
	at, n int
	after bool
}

func (c *cutter) call(do func() error) error {
	c.n++
	switch {
	case c.at == 0 || c.n < c.at:
		return do()
	case c.n == c.at && c.after:
		_ = do()
	}
	return errCut
}

type cutObjects struct {
	objects.Objects
	c *cutter
}

func (o cutObjects) List(ctx context.Context, prefix string) (out []objects.Info, err error) {
	err = o.c.call(func() error { out, err = o.Objects.List(ctx, prefix); return err })
	return out, err
}

func (o cutObjects) Delete(ctx context.Context, name string) error {
	return o.c.call(func() error { return o.Objects.Delete(ctx, name) })
}

// ledger is runs' records.
type ledger struct {
	runs []pipeline.Run
	c    *cutter
}

func (l *ledger) EachRun(_ context.Context, yield func(*pipeline.Run, bool) error) error {
	for _, r := range slices.Clone(l.runs) {
		newest := !slices.ContainsFunc(l.runs, func(o pipeline.Run) bool { return o.Window == r.Window && o.Revision > r.Revision })
		if err := yield(&r, newest); err != nil {
			return err
		}
	}
	return nil
}

func (l *ledger) Forget(_ context.Context, k pipeline.RunKey) error {
	return l.c.call(func() error {
		l.runs = slices.DeleteFunc(l.runs, func(r pipeline.Run) bool { return r.RunKey == k })
		return nil
	})
}

// sweepRig is a folder of results, one of exports, and runs.
type sweepRig struct {
	t                *testing.T
	dir              string
	now              time.Time
	runs             []pipeline.Run
	results, exports objects.Objects
}

func newSweepRig(t *testing.T) *sweepRig {
	t.Helper()
	r := &sweepRig{t: t, dir: t.TempDir(), now: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}
	var err error
	if r.results, err = folder.New(filepath.Join(r.dir, "results")); err != nil {
		t.Fatal(err)
	}
	if r.exports, err = folder.New(filepath.Join(r.dir, "exports")); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *sweepRig) put(name string, days int) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte("x"), 0o600)
	}
	at := r.now.AddDate(0, 0, -days)
	if err == nil {
		err = os.Chtimes(path, at, at)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// run adds a run of a day that ended so many days ago, with a result, what another
// attempt left, and a report.
func (r *sweepRig) run(day, revision int, state pipeline.State, ago int) {
	r.t.Helper()
	start := definition.InstantOf(time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC))
	run := pipeline.Run{State: state, RunKey: pipeline.RunKey{Pipeline: "p", Window: pipeline.Window{Start: start, End: start.Add(24 * time.Hour)}, Revision: revision}}
	if run.Finished() {
		run.Ended = definition.InstantOf(r.now.AddDate(0, 0, -ago))
	}
	window := windowName(run.Window)
	manifest := fmt.Sprintf("p/rollup/%s/rev=%d/good/manifest.json", window, revision)
	run.Steps = []pipeline.StepRun{
		{Name: "rollup", State: pipeline.Done, Output: pipeline.Output(fmt.Sprintf(`{"manifest":%q}`, manifest))},
		{Name: "report", State: state},
	}
	r.runs = append(r.runs, run)
	r.put("results/"+manifest, ago)
	for _, name := range []string{"good/part-0000.parquet", "bad/part-0000.parquet"} {
		r.put(fmt.Sprintf("results/p/rollup/%s/rev=%d/%s", window, revision, name), ago)
	}
	for _, ending := range []string{".csv", ".manifest.json"} {
		r.put(fmt.Sprintf("exports/reports/p.report.%s.r%d%s", window, revision, ending), ago)
	}
}

// left gives what is there, in short.
func (r *sweepRig) left() string {
	r.t.Helper()
	var out []string
	err := filepath.WalkDir(r.dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			name, _ := filepath.Rel(r.dir, path)
			for _, drop := range []string{"results/p/rollup/", "exports/reports/p.report.", "T000000Z", "/part-0000.parquet"} {
				name = strings.ReplaceAll(name, drop, "")
			}
			out = append(out, strings.ReplaceAll(name, "202601", ""))
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return without(strings.Join(out, "\n"))
}

func (r *sweepRig) sweeper(keep Retention, c *cutter) (*Sweeper, *ledger) {
	l := &ledger{runs: r.runs, c: c}
	return &Sweeper{
		Results: cutObjects{r.results, c}, Exports: cutObjects{r.exports, c}, Runs: l,
		Keep: keep, Now: func() time.Time { return r.now }, Most: 1000,
	}, l
}

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// fill makes runs of all sorts, and files of none.
func (r *sweepRig) fill() {
	r.t.Helper()
	r.run(1, 0, pipeline.Done, 100)
	r.run(1, 1, pipeline.Done, 90)
	r.run(2, 0, pipeline.Failed, 100) // may go on
	r.run(3, 0, pipeline.Failed, 100)
	r.run(3, 1, pipeline.Running, 2)
	r.run(4, 0, pipeline.Done, 2)
	r.put("results/gone/rollup/20260101T000000Z_20260102T000000Z/rev=0/a/part-0000.parquet", 2)
	r.put("results/gone/rollup/20260101T000000Z_20260102T000000Z/rev=0/b/part-0000.parquet", 0)
	r.put("results/mine.txt", 100)
	r.put("exports/reports/p.report.20260101T000000Z_20260102T000000Z.r7.csv", 2)
	r.put("exports/reports/p.report.20260101T000000Z_20260102T000000Z.r8.csv", 0)
	r.put("exports/reports/mine.csv", 100)
}

const whole = `01_02.r0.csv
01_02.r0.manifest.json
01_02.r1.csv
01_02.r1.manifest.json
01_02.r8.csv
02_03.r0.csv
02_03.r0.manifest.json
03_04.r0.csv
03_04.r0.manifest.json
03_04.r1.csv
03_04.r1.manifest.json
04_05.r0.csv
04_05.r0.manifest.json
exports/reports/mine.csv
results/gone/rollup/01_02/rev=0/b
results/mine.txt
01_02/rev=0/good
01_02/rev=0/good/manifest.json
01_02/rev=1/good
01_02/rev=1/good/manifest.json
02_03/rev=0/bad
02_03/rev=0/good
02_03/rev=0/good/manifest.json
03_04/rev=0/good
03_04/rev=0/good/manifest.json
03_04/rev=1/bad
03_04/rev=1/good
03_04/rev=1/good/manifest.json
04_05/rev=0/good
04_05/rev=0/good/manifest.json`

// without gives lines but those that begin so, sorted.
func without(text string, prefixes ...string) string {
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(line, p) })
	})
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestSweep: by default leftovers alone; results, exports and records once they are
// old; never what a run that may go on needs, nor what is somebody else's.
func TestSweep(t *testing.T) {
	for name, c := range map[string]struct {
		keep Retention
		want string
		runs int
	}{
		"for ever": {Retention{}, without(whole), 6},
		"results":  {Retention{Results: days(30)}, without(whole, "01_02/", "03_04/rev=0"), 6},
		"young":    {Retention{Results: days(101), Exports: days(101), Runs: days(101)}, without(whole), 6},
		"edge":     {Retention{Results: days(90)}, without(whole, "01_02/", "03_04/rev=0"), 6},
		"exports":  {Retention{Exports: days(95)}, without(whole, "01_02.r0", "03_04.r0"), 6},
		"runs":     {Retention{Runs: days(30)}, without(whole, "01_02.r0", "01_02/rev=0", "03_04.r0", "03_04/rev=0"), 4},
	} {
		t.Run(name, func(t *testing.T) {
			r := newSweepRig(t)
			r.fill()
			before := strings.Count(r.left(), "\n") + 1
			s, l := r.sweeper(c.keep, &cutter{})
			swept, err := s.Sweep(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := r.left(); got != c.want {
				t.Errorf("left are\n%s\nwant\n%s", got, c.want)
			}
			removed := swept.Results.Files + swept.Exports.Files
			if removed != before-strings.Count(c.want, "\n")-1 || swept.Results.Bytes+swept.Exports.Bytes != int64(removed) || len(l.runs) != c.runs || swept.Runs != 6-c.runs {
				t.Errorf("swept are %+v, and %d runs are left", swept, len(l.runs))
			}
			if again, err := s.Sweep(t.Context()); err != nil || again != (Swept{}) {
				t.Errorf("the next sweep: %+v, %v", again, err)
			}
		})
	}
}

// TestSweepIsBounded: what one leaves the next removes.
func TestSweepIsBounded(t *testing.T) {
	r := newSweepRig(t)
	r.fill()
	s, l := r.sweeper(Retention{Runs: days(30)}, &cutter{})
	s.Most = 3
	for n := 3; n == 3; {
		swept, err := s.Sweep(t.Context())
		if n = swept.Results.Files + swept.Exports.Files; err != nil || n > 3 {
			t.Fatalf("swept are %+v, %v; want three at most", swept, err)
		}
	}
	if got := r.left(); got != without(whole, "01_02.r0", "01_02/rev=0", "03_04.r0", "03_04/rev=0") || len(l.runs) != 4 {
		t.Errorf("left are %s, and %d runs", got, len(l.runs))
	}
}

// TestSweepCutShortAnywhere: at each call, before it or after. No run names what is
// not there unless it is spent, and the next sweep ends it.
func TestSweepCutShortAnywhere(t *testing.T) {
	keep := Retention{Results: days(30), Exports: days(30), Runs: days(30)}
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			r := newSweepRig(t)
			r.fill()
			s, l := r.sweeper(keep, &cutter{at: at, after: after})
			_, err := s.Sweep(t.Context())
			if err == nil {
				break
			}
			if !errors.Is(err, errCut) {
				t.Fatal(err)
			}
			left := "\n" + r.left()
			for _, needed := range []string{"\n02_03/rev=0/good\n", "\n03_04/rev=1/bad\n", "\n03_04/rev=1/good/manifest.json\n", "\n04_05.r0.csv\n"} {
				if !strings.Contains(left, needed) {
					t.Errorf("killed at %d: %q is gone", at, needed)
				}
			}
			for _, line := range strings.Split(left, "\n") {
				if name, ok := strings.CutSuffix(line, ".manifest.json"); ok && !strings.Contains(left, name+".csv") {
					t.Errorf("killed at %d: the manifest of %s is there, and not the file", at, name)
				}
			}
			r.runs = l.runs
			s, l = r.sweeper(keep, &cutter{})
			if _, err := s.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := r.left(); got != without(whole, "01_02.r0", "01_02.r1", "01_02/", "03_04.r0", "03_04/rev=0") || len(l.runs) != 4 {
				t.Errorf("killed at %d, left are %s, and %d runs", at, got, len(l.runs))
			}
		}
	}
}
