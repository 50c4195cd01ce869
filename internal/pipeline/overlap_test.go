package pipeline

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const alike = `
pipeline: NAME
schedule: {every: 1d, start: 2026-01-01T00:00:00Z}
delay: 10m
backfill: none
steps:
  - {name: a, analyse: {analysis: ANALYSIS, select: SELECT}}
  - {name: b, load: {from: a}}
  - {name: c, analyse: {analysis: rollup, select: SELECT}}
`

// alikeText gives the text of one pipeline, whose step c is not loaded.
func alikeText(name, analysis, selector string) string {
	return strings.NewReplacer("NAME", name, "ANALYSIS", analysis, "SELECT", selector).Replace(alike)
}

// TestOverlapsAreTold: of other pipelines' loaded steps, of one analysis and series,
// when a definition is given; and when it runs next, though nobody has looked yet what
// is due.
func TestOverlapsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "2026-03-02T12:00:00Z")
		s := r.scheduler(r.records)
		s.c.Shared = func(a, b string) bool { return a == b }
		apply := func(name, analysis, selector string) Pipeline {
			t.Helper()
			p, err := s.Apply(t.Context(), name, []byte(alikeText(name, analysis, selector)))
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		p := apply("one", "rollup", "m")
		if len(p.Warnings) > 0 {
			t.Errorf("the first is warned of %q", p.Warnings)
		}
		if want := at(t, "2026-03-03T00:10:00Z"); p.Next != want {
			t.Errorf("right after it was given, the next tick is %s; want %s", p.Next, want)
		}
		for _, c := range []struct{ analysis, selector string }{{"rollup", "n"}, {"other", "m"}} {
			if p := apply("two", c.analysis, c.selector); len(p.Warnings) > 0 {
				t.Errorf("%v is warned of %q", c, p.Warnings)
			}
		}
		p = apply("three", "rollup", "m")
		if len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], `step "a" and step "a" of pipeline one`) || !strings.Contains(p.Warnings[0], "where pipeline = 'three'") {
			t.Errorf("warnings are %q; want one of pipeline one", p.Warnings)
		}
		if again := apply("one", "rollup", "n"); len(again.Warnings) != 0 {
			t.Errorf("once it takes others, it is warned of %q", again.Warnings)
		}
		s.c.Shared = nil
		if p := apply("four", "rollup", "m"); p.Warnings != nil {
			t.Errorf("nobody judges selectors, and warnings are %q", p.Warnings)
		}
		time.Sleep(time.Second)
	})
}
