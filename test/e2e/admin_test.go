package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/test/harness"
)

type week struct {
	Week       string `json:"week"`
	Revision   int    `json:"revision"`
	State      string `json:"state"`
	Table      string `json:"table"`
	Partitions int    `json:"partitions"`
	Series     int    `json:"series"`
	Samples    int    `json:"samples"`
	Items      int    `json:"items"`
	Bytes      int    `json:"bytes"`
}

func TestWeeks(t *testing.T) {
	_, c := start(t, flushSoon()...)
	write(t, c, "weekly,a=1 value=1 0\nweekly,a=2 value=1 1\nweekly,a=1 value=1 604800000000000\n")
	settled(t, c)
	var weeks []week
	if err := c.JSON(t.Context(), "/api/v1/weeks", &weeks); err != nil {
		t.Fatal(err)
	}
	byName := map[string]week{}
	names := []string{}
	for _, w := range weeks {
		byName[w.Week] = w
		names = append(names, w.Week)
	}
	if !slices.IsSorted(names) {
		t.Errorf("not in order: %v", names)
	}
	first, second := byName["1970-W01"], byName["1970-W02"]
	if first.Samples != 2 || first.Series != 2 || first.Items < 1 || first.Bytes < 1 || first.State != "open" ||
		first.Table != "samples_1970_w01" || first.Partitions < 1 || first.Revision != 0 {
		t.Errorf("%+v", first)
	}
	if second.Samples != 1 || second.Series != 1 {
		t.Errorf("%+v", second)
	}
	year, number := time.Now().UTC().ISOWeek()
	if now := fmt.Sprintf("%d-W%02d", year, number); byName[now].Week == "" {
		t.Errorf("the present week %s is not made: %v", now, names)
	}
}

func TestSeriesPath(t *testing.T) {
	_, c := start(t, flushSoon()...)
	write(t, c, "listed,a=1 value=1 0\nlisted,a=2 value=2i 604800000000000\nother value=t 1\n")
	answer, err := c.Do(t.Context(), harness.Request{Path: harness.Query("/api/v1/series", "match", "listed")})
	if err != nil || answer.Status != http.StatusOK {
		t.Fatal(answer, err)
	}
	kinds := map[string]string{}
	for text := range strings.Lines(string(answer.Body)) {
		var line struct {
			Metric string
			Tags   map[string]string
			Kind   string
			Weeks  []string
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		kinds[line.Metric+" "+line.Tags["a"]] = line.Kind + fmt.Sprint(line.Weeks)
	}
	if len(kinds) != 2 || kinds["listed 1"] != "float64[1970-W01]" || kinds["listed 2"] != "int64[1970-W02]" {
		t.Errorf("%v", kinds)
	}
}

type ranged struct {
	harness.Ledger
	Start    *time.Time `json:"start"`
	End      *time.Time `json:"end"`
	Balanced bool       `json:"balanced"`
}

func TestLedgerRanges(t *testing.T) {
	server, c := start(t, flushSoon()...)
	before := time.Now()
	write(t, c, "first value=1 1\nfirst value=2 2\n")
	settled(t, c)
	between := time.Now()
	write(t, c, "second value=1 1\nsecond value=2 2\nsecond value=3 3\n")
	settled(t, c)
	after := time.Now()
	check := func(start, end time.Time, want int) {
		t.Helper()
		var l ranged
		path := harness.Query("/api/v1/ledger", "start", start.UTC().Format(time.RFC3339Nano), "end", itoa(end.UnixNano()))
		if err := c.JSON(t.Context(), path, &l); err != nil {
			t.Fatal(err)
		}
		if int(l.Accepted) != want || int(l.Stored) != want || !l.Balanced || !l.Ledger.Balanced() {
			t.Errorf("%s to %s: want %d, got %+v", start, end, want, l)
		}
		if want > 0 && (l.Start == nil || l.End == nil || l.Start.Before(start) || l.End.After(end)) {
			t.Errorf("no flush is cut by %s to %s, and the range was widened: %+v", start, end, l)
		}
	}
	check(before, after, 5)
	check(before, between, 2)
	check(between, after, 3)
	check(after, after.Add(time.Hour), 0)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	c = server.Up(t, flushSoon()...)
	check(before, between, 2)
	check(between, after, 3)
}

// A range that cuts a flush is widened to the whole of it, and says so.
func TestLedgerRangeThatCutsAFlush(t *testing.T) {
	server, c := start(t, flushNever()...)
	write(t, c, "cut value=1 1\ncut value=2 2\n")
	between := time.Now()
	write(t, c, "cut value=3 3\n")
	if err := server.Stop(); err != nil { // one flush of both requests
		t.Fatal(err)
	}
	c = server.Up(t, flushNever()...)
	var l ranged
	path := harness.Query("/api/v1/ledger", "start", itoa(between.UnixNano()), "end", itoa(time.Now().UnixNano()))
	if err := c.JSON(t.Context(), path, &l); err != nil {
		t.Fatal(err)
	}
	if l.Accepted != 3 || l.Stored != 3 || l.Start == nil || !l.Start.Before(between) {
		t.Errorf("from between the two: %+v", l)
	}
}

func TestLedgerWhileInFlight(t *testing.T) {
	server, c := start(t, flushNever()...)
	write(t, c, "flying value=1 1\nflying value=2 2\n")
	ledger, err := c.Ledger(t.Context())
	if err != nil || ledger.Accepted != 2 || ledger.InFlight != 2 || ledger.Stored != 0 {
		t.Errorf("%+v, %v", ledger, err)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	c = server.Up(t, flushNever()...)
	if ledger, err = c.Ledger(t.Context()); err != nil || ledger.Accepted != 2 || ledger.InFlight != 2 {
		t.Errorf("after a crash: %+v, %v", ledger, err)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	c = server.Up(t, flushSoon()...)
	if ledger := settled(t, c); ledger.Accepted != 2 || ledger.Stored != 2 {
		t.Errorf("settled: %+v", ledger)
	}
}
