package app

import (
	"strings"
	"testing"
)

func TestPipelineWarnings(t *testing.T) {
	text := func(name, selector string) []byte {
		return []byte("pipeline: " + name + "\nsteps:\n  - {name: a, analyse: {analysis: rollup, select: " + selector + "}}\n  - {name: b, load: {from: a}}\n")
	}
	got := PipelineWarnings(map[string][]byte{"x.yaml": text("x", "cpu"), "y.yaml": text("y", "cpu"), "z.yaml": text("z", "disk"), "bad.yaml": []byte("a")})
	if len(got) != 2 || len(got["x.yaml"]) != 1 || !strings.Contains(got["x.yaml"][0], "pipeline y") || !strings.Contains(got["y.yaml"][0], "pipeline x") {
		t.Errorf("%v", got)
	}
}
