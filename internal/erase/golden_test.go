package erase

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden file anew")

// TestGoldenReportStaysReadable: docs/formats/erasure.md names what is in it.
func TestGoldenReportStaysReadable(t *testing.T) {
	from := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	want := &Report{
		Version: 1, ID: "20261126T061259Z-69242943", State: Unfinished, Selector: `meter_power{site="x"}`, From: &from,
		Asked: time.Date(2026, 11, 26, 6, 12, 59, 238926795, time.UTC), Ended: time.Date(2026, 11, 26, 6, 13, 0, 0, time.UTC), Attempts: 2,
		Series: []string{"840a8610a93a6547455515734eba2bf6a761846884872e2142b38671ef7379b4"}, Pending: []string{"6d1f6fd2039f7d50737acd54f2f9a824"},
		Places: []Count{{PlaceVolumes, unitSamples, 3, 2, 1}, {PlaceArchives, unitRows, 2, 2, 0}},
		Notes:  []string{"the series stay registered"}, Error: "samples are left",
	}
	path := filepath.Join("testdata", "report.json")
	text, err := json.MarshalIndent(want, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	body, err := os.ReadFile(path)
	if err != nil || string(body) != string(text) {
		t.Errorf("the golden report is\n%s, %v; want\n%s", body, err, text)
	}
	if r, err := parseReport(body); err != nil || r.ID != want.ID || r.Left() != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}
