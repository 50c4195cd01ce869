package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/test/harness"
)

// halfYear is an instance with the weeks that go through the archive's whole
// life, and what it has to answer.
type halfYear struct {
	*plant
	random *rand.Rand
	from   time.Time
	weeks  []string
	rough  map[string]map[int64]string // the samples of what the test sends itself, by series and time
	want   [][]byte                    // of each query
}

func newHalfYear(t *testing.T) *halfYear {
	h := &halfYear{
		plant: &plant{t: t}, random: rand.New(rand.NewPCG(26, 26)), rough: map[string]map[int64]string{},
		from: time.Date(2025, 12, 29, 0, 0, 0, 0, time.UTC), // the Monday of 2026-W01
	}
	n := 26
	if testing.Short() {
		n = 4
	}
	for i := range n {
		year, week := h.monday(i).ISOWeek()
		h.weeks = append(h.weeks, fmt.Sprintf("%d-W%02d", year, week))
	}
	h.server, h.client = start(t, append(flushSoon(), "--set", "partitions=4")...)
	return h
}

func (h *halfYear) monday(week int) time.Time { return h.from.AddDate(0, 0, 7*week) }

func (h *halfYear) end() time.Time { return h.monday(len(h.weeks)) }

// fleets sends what three fleets have of all weeks, and of hosts also three
// hours each ten seconds, from one week to the next.
func (h *halfYear) fleets() {
	h.t.Helper()
	span := fmt.Sprintf("%dw", len(h.weeks))
	for _, fleet := range []string{
		"hosts --count 5 --interval 1h --for " + span + " --start " + h.from.Format(time.RFC3339),
		"industrial-instruments --count 4 --interval 2h --for " + span + " --start " + h.from.Format(time.RFC3339),
		"satellites --count 3 --interval 2h --for " + span + " --start " + h.from.Format(time.RFC3339),
		"hosts --count 3 --interval 10s --for 3h --start " + h.monday(2).Add(-90*time.Minute).Format(time.RFC3339),
	} {
		h.weir(append([]string{"simulate"}, strings.Fields(fleet)...)...)
	}
}

// send sends samples of every kind to some weeks: in no order, times more
// than once in one request, and such as came before in those of later calls.
func (h *halfYear) send(each int, weeks ...int) {
	h.t.Helper()
	settled(h.t, h.client) // which of two values of a time comes last is sure then
	var body strings.Builder
	for _, week := range weeks {
		for range each {
			series, kind := h.random.IntN(40), h.random.IntN(4)
			at := h.monday(week).Add(time.Duration(h.random.IntN(7*24*30)) * 2 * time.Minute).UnixNano()
			text, read := value(h.random, kind)
			fmt.Fprintf(&body, "rough,n=%d %s=%s %d\n", series, kinds[kind], text, at)
			name := fmt.Sprintf("rough_%s{n=%d}", kinds[kind], series)
			if h.rough[name] == nil {
				h.rough[name] = map[int64]string{}
			}
			h.rough[name][at] = read
		}
	}
	write(h.t, h.client, body.String())
	settled(h.t, h.client)
}

var kinds = []string{"float", "int", "bool", "text"}

// value gives a value in line protocol, and as JSON has it.
func value(random *rand.Rand, kind int) (text, read string) {
	n := random.IntN(1 << 20)
	switch kinds[kind] {
	case "float":
		text = strconv.FormatFloat(float64(n)+0.25, 'f', -1, 64)
		return text, text
	case "int":
		return strconv.Itoa(-n) + "i", strconv.Itoa(-n)
	case "bool":
		text = strconv.FormatBool(n%2 == 0)
		return text, text
	}
	text = strconv.Quote(fmt.Sprintf("state %d", n%17))
	return text, text
}

// queries are of all forms: samples and windows, the whole range and within a
// week and over its bounds, all series and some by each kind of matcher.
func (h *halfYear) queries() []string {
	all := []string{"start", h.from.Format(time.RFC3339), "end", h.end().Format(time.RFC3339)}
	turn := h.monday(2)
	around := []string{"start", turn.Add(-time.Hour).Format(time.RFC3339), "end", turn.Add(time.Hour).Format(time.RFC3339)}
	within := []string{"start", turn.Add(-70*time.Hour + time.Second).Format(time.RFC3339), "end", turn.Add(-3 * time.Hour).Format(time.RFC3339)}
	ask := func(path string, pairs ...[]string) string {
		return harness.Query("/api/v1/"+path, slices.Concat(pairs...)...)
	}
	out := []string{
		ask("series", []string{"match", `{__name__=~".+"}`}),
		ask("select", []string{"match", `{__name__=~".+"}`}, all),
		ask("select", []string{"match", `rough_text{n!~"1.*"}`}, all),
		ask("select", []string{"match", `cpu_usage_user{hostname=~"host_[12]"}`}, all),
		ask("select", []string{"match", `{__name__=~"rough_.*",n="7"}`}, within),
		ask("select", []string{"match", `{line!="",instrument!="i00001"}`}, around),
		ask("select", []string{"match", `cpu_usage_idle{hostname!="host_0"}`}, around),
		ask("aggregate", []string{"match", `{__name__=~"cpu_.*"}`, "window", "1m", "fn", "mean"}, around),
		ask("aggregate", []string{"match", `{__name__=~"cpu_.*"}`, "window", "1h", "fn", "last", "by", "__name__,hostname"}, within),
	}
	windows := [][]string{
		{"match", `{__name__=~"rough_(float|int)"}`, "window", "1d"},
		{"match", `{__name__=~"satellite_.*"}`, "window", "7d", "by", ""},
		{"match", `cpu_usage_user`, "window", "6h", "by", "hostname"},
	}
	for i, fn := range []string{"count", "min", "max", "mean", "sum", "first", "last"} {
		out = append(out, ask("aggregate", windows[i%len(windows)], []string{"fn", fn}, all))
	}
	return out
}

// answers gives each query's body.
func (h *halfYear) answers() (out [][]byte) {
	h.t.Helper()
	for _, query := range h.queries() {
		answer, err := h.client.Do(h.t.Context(), harness.Request{Path: query})
		if err != nil || answer.Status != http.StatusOK || len(answer.Body) == 0 {
			h.t.Fatalf("%s: %.300s, %v", query, answer, err)
		}
		out = append(out, answer.Body)
	}
	return out
}

// changed takes new answers for right: all samples that the test sent are read.
func (h *halfYear) changed() {
	h.t.Helper()
	before := h.want
	h.want = h.answers()
	for i, query := range h.queries() {
		if before != nil && i == 1 && bytes.Equal(before[i], h.want[i]) {
			h.t.Errorf("%s: what came late changes nothing", query)
		}
	}
	found := 0
	for _, line := range read(h.t, h.client, `{__name__=~"rough_.*"}`) {
		name, wrong := fmt.Sprintf("%s{n=%s}", line.Metric, line.Tags["n"]), 0
		for i, at := range line.Times {
			if want := h.rough[name][at]; string(line.Values[i]) != want {
				h.t.Errorf("%s at %d is %s; want %q", name, at, line.Values[i], want)
				if wrong++; wrong == 5 {
					break
				}
			}
		}
		if len(line.Times) != len(h.rough[name]) {
			h.t.Errorf("%s has %d samples; want %d", name, len(line.Times), len(h.rough[name]))
		}
		found++
	}
	if found != len(h.rough) {
		h.t.Errorf("%d series are read of %d that the test sent", found, len(h.rough))
	}
}

// same wants the same bytes.
func (h *halfYear) same(when string) {
	h.t.Helper()
	for i, got := range h.answers() {
		if bytes.Equal(got, h.want[i]) {
			continue
		}
		at := 0
		for at < min(len(got), len(h.want[i])) && got[at] == h.want[i][at] {
			at++
		}
		from := max(0, at-100)
		h.t.Errorf("%s, %s: %d bytes are read, want %d; from byte %d they differ:\n got …%.200s\nwant …%.200s",
			when, h.queries()[i], len(got), len(h.want[i]), at, got[from:], h.want[i][from:])
	}
}

// archive does something to weeks.
func (h *halfYear) archive(action string, weeks ...string) {
	h.t.Helper()
	for _, week := range weeks {
		if action == "" {
			h.weir("archive", week)
		} else {
			h.weir("archive", action, week)
		}
	}
}

// archiveOf is a line of weir archive list --output json.
type archiveOf struct {
	Week     string `json:"week"`
	Revision int    `json:"revision"`
	State    string `json:"state"`
	Manifest string `json:"manifest"`
}

func (p *plant) archives() (list []archiveOf) {
	p.t.Helper()
	if err := json.Unmarshal([]byte(p.weir("archive", "list", "--output", "json")), &list); err != nil {
		p.t.Fatal(err)
	}
	return list
}

// volumes gives how many revisions there are in each state.
func (h *halfYear) volumes() map[string]int {
	h.t.Helper()
	out := map[string]int{}
	for _, v := range h.archives() {
		if slices.Contains(h.weeks, v.Week) {
			out[v.State]++
		}
	}
	return out
}

// tables gives the weeks' folders in the store.
func (h *halfYear) tables() (out []string) {
	h.t.Helper()
	for _, week := range h.weeks {
		name := "samples_" + strings.ToLower(strings.ReplaceAll(week, "-", "_"))
		found, err := filepath.Glob(filepath.Join(h.server.Data, "store", "weeks", name+"*"))
		if err != nil {
			h.t.Fatal(err)
		}
		out = append(out, found...)
	}
	return out
}

// TestHalfYearThroughTheArchive: weeks of several fleets are sealed, archived,
// verified, dropped and restored, and some of them get samples late, before and
// after they are dropped. The same queries give the same bytes all along.
func TestHalfYearThroughTheArchive(t *testing.T) {
	t.Parallel()
	h := newHalfYear(t)
	h.fleets()
	last := len(h.weeks) - 1
	all := make([]int, len(h.weeks))
	for i := range all {
		all[i] = i
	}
	h.send(600, all...)
	h.send(100, all...)
	h.changed()

	h.archive("", h.weeks...)
	h.same("archived")
	h.send(80, 1, 2, last)
	h.changed()
	h.archive("", h.weeks[1], h.weeks[2], h.weeks[last])
	h.same("archived with what came late")
	h.archive("drop", h.weeks[:last/2]...)
	h.same("half of it dropped")
	h.archive("drop", h.weeks[last/2:]...)
	h.same("dropped")
	h.send(80, 2, 3)
	h.changed()
	h.archive("", h.weeks[2], h.weeks[3])
	h.archive("drop", h.weeks[2], h.weeks[3])
	h.same("dropped with what came later still")
	n := len(h.weeks) + 5
	if got := h.volumes(); len(got) != 1 || got["dropped"] != n {
		t.Errorf("volumes are %v; want %d dropped", got, n)
	}
	if tables := h.tables(); len(tables) != 0 {
		t.Errorf("after all were dropped there are %s", tables)
	}
	if parts, err := filepath.Glob(filepath.Join(h.server.Data, "archive", "*", "rev=0", "bucket=*", "*")); err != nil || len(parts) < 4*len(h.weeks) {
		t.Errorf("%d parts, %v; want four a week", len(parts), err)
	}

	if err := h.server.Kill(); err != nil {
		t.Fatal(err)
	}
	h.client = h.server.Up(t)
	h.same("dropped, after a kill")
	h.archive("verify", h.weeks...)
	h.archive("restore", h.weeks...)
	h.same("restored")
	if got := h.volumes(); len(got) != 1 || got["verified"] != n {
		t.Errorf("volumes are %v; want %d verified", got, n)
	}
	// The tables alone answer now.
	if err := os.Rename(filepath.Join(h.server.Data, "archive"), filepath.Join(h.server.Data, "archive.away")); err != nil {
		t.Fatal(err)
	}
	h.same("restored, without the archive")
	ledgerBalances(t, h.server)
}
