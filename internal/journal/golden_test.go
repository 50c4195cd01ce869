package journal

import (
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"weir/internal/sample"
	"weir/internal/store"
)

var unitUpdate = flag.Bool("update", false, "write the golden files anew")

// unitGoldens are the entries under testdata, which docs/formats/journal.md
// walks through. An entry that was ever written must stay readable, so a
// change of version adds files here and replaces none.
func unitGoldens() map[string]*Entry {
	const second, hour = int64(1e9), int64(3600e9)
	monday := 1767571200 * second // 2026-01-05T00:00:00Z
	all := map[string]*Entry{
		"v1-epoch": {ID: EntryID{0x1122334455667788, 1}, Epoch: &Epoch{Worker: "west-1"}},
		"v1-register": {ID: EntryID{0x1122334455667788, 2}, Register: &Register{Series: []Registration{
			{Key: "\x04temp\x04room\x011", Kind: sample.Float64}, {Key: "\x04door", Kind: sample.String},
		}}},
		"v1-commit": {ID: EntryID{0x1122334455667788, 300}, Commit: &Commit{
			Flush: store.FlushID{Epoch: 4, Nonce: 0x0102030405060708}, Buckets: 4, Span: hour,
			Horizon: 1767571230e9, Overwritten: 1, Rejected: 2,
			Items: []Item{
				{Bucket: 0, Span: monday, Part: 0, Samples: 8, Bytes: 130},
				{Bucket: 512, Span: monday, Part: 0, Samples: 3, Bytes: 90},
				{Bucket: 256, Span: monday + hour, Part: 1, Samples: 200, Bytes: 1000},
			},
			Hours: []Hour{{monday, 11}, {monday + hour, 200}},
			Lives: []Life{{
				Life: 0xa1, Ranges: []Range{{0, 2}, {4, 4}}, Samples: 213, First: 1767571200e9, Last: 1767571230e9,
				Accepted: 500, Instance: "gw", Started: true,
			}, {
				Life: 0xa2, Ranges: []Range{{9, 9}}, First: 1767571210e9, Last: 1767571210e9, Accepted: 7, Closed: true,
			}},
			Quarantined: []Refusal{{Item: Item{Bucket: 768, Span: monday, Samples: 1, Bytes: 60}, Life: 0xa1, Reason: "kind", Samples: 1}},
		}},
		"v2-merge": {ID: EntryID{0x99aabbccddeeff00, 1}, Merge: &Merge{
			Flush: store.FlushID{Epoch: 4, Nonce: 0x1112131415161718}, Revision: 1, Buckets: 2, Span: hour,
			Items: []Item{{Bucket: 0, Span: monday, Samples: 10, Bytes: 120}},
			Replaces: []store.ItemKey{
				{Bucket: 0, Span: monday, Flush: store.FlushID{Epoch: 4, Nonce: 0x0102030405060708}, Part: 0},
				{Bucket: 512, Span: monday, Flush: store.FlushID{Epoch: 4, Nonce: 0x0102030405060708}, Part: 0},
				{Bucket: 0, Span: monday, Flush: store.FlushID{Epoch: 4, Nonce: 0x0102030405060709}, Part: 1},
			},
			Overwritten: 1,
		}},
		"v3-merge": {ID: EntryID{0x99aabbccddeeff00, 3}, Merge: &Merge{
			Flush: store.FlushID{Epoch: 4, Nonce: 0x1112131415161719}, Revision: 1, Buckets: 2, Span: hour,
			Items:    []Item{{Bucket: 0, Span: monday, Samples: 7, Bytes: 100}},
			Replaces: []store.ItemKey{{Bucket: 0, Span: monday, Flush: store.FlushID{Epoch: 4, Nonce: 0x1112131415161718}, Part: 0}},
			Erased:   3,
		}},
		"v2-seal": {ID: EntryID{0x99aabbccddeeff00, 2}, Seal: &Seal{Revision: 1}},
	}
	later := *all["v1-commit"].Commit
	later.Revision, later.Class = 1, Fast
	all["v2-commit"] = &Entry{ID: all["v1-commit"].ID, Commit: &later}
	return all
}

func TestGoldenEntriesStayReadable(t *testing.T) {
	for name, e := range unitGoldens() {
		file := filepath.Join("testdata", name+".entry")
		old := strings.HasPrefix(name, "v1")
		if *unitUpdate && !old { // nothing writes version 1 any more
			if err := os.WriteFile(file, e.Encode(nil), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeEntry(body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(e, got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if written := e.Encode(nil); string(written) != string(body) && !old {
			t.Errorf("%s: Encode writes\n%x\nthe file holds\n%x", name, written, body)
		}
	}
}

// TestDocumentShowsTheGoldenEntries keeps the walk through the golden entries
// honest: its hex dumps are the files.
func TestDocumentShowsTheGoldenEntries(t *testing.T) {
	document, err := os.ReadFile(filepath.Join("..", "..", "docs", "formats", "journal.md"))
	if err != nil {
		t.Fatal(err)
	}
	for name := range unitGoldens() {
		body, err := os.ReadFile(filepath.Join("testdata", name+".entry"))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(document), "<!-- "+name+" -->")
		table, _, _ := strings.Cut(rest, "<!-- end -->")
		var shown string
		for line := range strings.Lines(table) {
			if cells := strings.Split(line, "|"); len(cells) > 2 && strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
				shown += strings.Join(strings.Fields(strings.Trim(strings.TrimSpace(cells[1]), "`")), "")
			}
		}
		if shown != hex.EncodeToString(body) {
			t.Errorf("%s: docs/formats/journal.md shows\n%s\nthe file holds\n%x", name, shown, body)
		}
	}
}
