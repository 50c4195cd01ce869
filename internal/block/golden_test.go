package block

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/sample"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldens are the blocks under testdata. A block that was ever written must
// stay readable, so a change of version adds files here and replaces none.
func goldens() map[string]model {
	return map[string]model{
		"v1-small": smallModel(), "v1-wide": wideModel(29, 30), "v2-small": smallModel(), "v2-wide": wideModel(29, 30),
		"v2-floats": floatsModel(),
	}
}

// smallModel is the block that docs/formats/block.md walks through.
func smallModel() model {
	at := func(second int64, v sample.Value, q sample.Quality) modelSample {
		return modelSample{Sample: sample.Sample{Time: (1767571200 + second) * 1e9, Value: v, Quality: q}, version: 1767571230e9}
	}
	return model{versions: true, runs: []modelRun{
		{handle: sample.NewHandle(3, 0), kind: sample.Float64, samples: []modelSample{
			at(0, sample.FloatValue(20.5), 0), at(10, sample.FloatValue(20.75), 0), at(20, sample.FloatValue(20.7), 0),
		}},
		{handle: sample.NewHandle(3, 1), kind: sample.Int64, samples: []modelSample{
			at(0, sample.IntValue(1000), 0), at(10, sample.IntValue(1003), 0), at(20, sample.IntValue(1001), 0x80000000),
		}},
		{key: "\x04door", keyed: true, kind: sample.String, samples: []modelSample{at(15, sample.StringValue("open"), 0)}},
		{key: "\x04pump", keyed: true, kind: sample.Bool, samples: []modelSample{at(15, sample.BoolValue(true), 0)}},
	}}
}

// render writes a model as text.
func render(m model) string {
	var out strings.Builder
	for _, r := range m.runs {
		name := fmt.Sprintf("%016x", uint64(r.handle))
		if r.keyed {
			name = fmt.Sprintf("%q", r.key)
		}
		fmt.Fprintf(&out, "%s %s\n", name, r.kind)
		for _, s := range r.samples {
			fmt.Fprintf(&out, "\t%d %#x %q quality=%#x", s.Time, s.Value.Bits, s.Value.Text, uint32(s.Quality))
			if m.versions {
				fmt.Fprintf(&out, " version=%d", s.version)
			}
			if m.positions {
				fmt.Fprintf(&out, " position=%d", s.position)
			}
			out.WriteByte('\n')
		}
	}
	return out.String()
}

func TestGoldenBlocksStayReadable(t *testing.T) {
	for name, m := range goldens() {
		block, text := filepath.Join("testdata", name+".block"), filepath.Join("testdata", name+".txt")
		if *update && !strings.HasPrefix(name, "v1") { // nothing writes version 1 any more
			for file, content := range map[string][]byte{block: mustEncode(t, m), text: []byte(render(m))} {
				if err := os.WriteFile(file, content, 0o666); err != nil {
					t.Fatal(err)
				}
			}
		}
		body, err := os.ReadFile(block)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(text)
		if err != nil {
			t.Fatal(err)
		}
		var b Batch
		if err := Decode(&b, body); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := render(read(&b)); got != string(want) {
			t.Errorf("%s is read as\n%s\nwant\n%s", name, got, want)
		}
	}
}

// TestDocumentShowsTheGoldenBlock keeps the walk through the small golden
// block honest: its hex dump is the file, and what Encode writes today.
func TestDocumentShowsTheGoldenBlock(t *testing.T) {
	body := mustEncode(t, smallModel())
	document, err := os.ReadFile(filepath.Join("..", "..", "docs", "formats", "block.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(document), "<!-- golden -->")
	table, _, _ := strings.Cut(rest, "<!-- end -->")
	var shown string
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) > 2 && strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			shown += strings.Join(strings.Fields(strings.Trim(strings.TrimSpace(cells[1]), "`")), "")
		}
	}
	if shown != hex.EncodeToString(body) {
		t.Errorf("docs/formats/block.md shows\n%s\nEncode writes\n%s", shown, hex.EncodeToString(body))
	}
}
