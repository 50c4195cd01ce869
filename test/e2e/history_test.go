package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/test/harness"
)

// importResult is a file of weir ingest --history --output json.
type importResult struct {
	Samples  int64 `json:"samples"`
	Repeated int64 `json:"repeated"`
	Rejected int64 `json:"rejected"`
	BadRows  int64 `json:"bad_rows"`
	Volumes  int64 `json:"volumes"`
	Sealed   int64 `json:"sealed"`
}

func imported(t *testing.T, r harness.Result) importResult {
	t.Helper()
	var out []importResult
	if err := json.Unmarshal([]byte(r.Stdout), &out); err != nil || len(out) != 1 {
		t.Fatalf("%v in %s", err, r)
	}
	return out[0]
}

// weekStart gives the first ns of a week of 2026.
func weekStart(number int) int64 {
	return time.Date(2025, 12, 29, 0, 0, 0, 0, time.UTC).AddDate(0, 0, 7*(number-1)).UnixNano()
}

// lifeOfWeeks leaves 2026-W02 absent, W03 open, W04 sealed and W05 dropped, each
// of them but the first with samples.
func lifeOfWeeks(t *testing.T, c *harness.Client, dropped bool) {
	t.Helper()
	for number := 3; number <= 5; number++ {
		if number == 5 && !dropped {
			continue // nobody can read them
		}
		start := weekStart(number)
		write(t, c, fmt.Sprintf("m0 value=-1 %d\nlive value=1 %d\n", start, start))
	}
	settled(t, c)
	post(t, c, "/api/v1/weeks/2026-W04/seal", "", http.StatusOK)
	if dropped {
		post(t, c, "/api/v1/weeks/2026-W05/seal", "", http.StatusOK)
		post(t, c, "/api/v1/weeks/2026-W05/discard?confirm=2026-W05", "", http.StatusOK)
	}
}

// historyLines is line protocol of 6 series over four weeks and the present
// hour; some times come twice, and the later line counts.
func historyLines(lines int) (text string, samples int64) {
	var b strings.Builder
	for i := range lines {
		start := weekStart(2 + i%4)
		if i%10 == 9 {
			start = time.Now().Truncate(24 * time.Hour).UnixNano()
		}
		fmt.Fprintf(&b, "m%d value=%d,other=%di %d\n", i%3, i, i%7, start+int64(i/40)*int64(time.Second))
		samples += 2
	}
	return b.String(), samples
}

// An import that is cut short by kills of the server and of the command is
// finished by the same command, and reads as the same samples sent by HTTP do.
func TestHistoryKilledAndRepeated(t *testing.T) {
	lines := 60_000
	if testing.Short() {
		lines = 6_000
	}
	text, samples := historyLines(lines)
	path := filepath.Join(t.TempDir(), "years.lp")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	server, c := start(t, flushSoon()...)
	lifeOfWeeks(t, c, true)
	before := settled(t, c)
	command := []string{"ingest", "--history", path, "--chunk", fmt.Sprint(len(text) / 40), "--patience", "500ms", "--output", "json"}
	cutShort := 0
	for _, what := range []string{"server", "command", "server"} {
		had, err := c.Ledger(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan harness.Result, 1)
		go func() {
			result, _ := server.Command(ctx, command...) // a killed one is no result
			ended <- result
		}()
		eventually(t, "some of the import is stored", func() bool {
			l, err := c.Ledger(t.Context())
			return err == nil && l.Accepted > had.Accepted+uint64(samples)/10
		})
		if what == "command" {
			cancel()
			<-ended
		} else {
			if err := server.Kill(); err != nil {
				t.Fatal(err)
			}
			if result := <-ended; result.Code != 0 {
				cutShort++
				if !strings.Contains(result.Stderr, "the same command again goes on from there") {
					t.Errorf("%s", result)
				}
			}
			c = server.Up(t, flushSoon()...)
		}
		cancel()
		settled(t, c) // it balances after each
	}
	if cutShort == 0 {
		t.Error("no import was cut short by a kill of the server")
	}
	first := imported(t, run(t, server, 0, command...))
	if first.Samples+first.Repeated != samples || first.Repeated < samples/4 || first.Volumes != 5 || first.Sealed != 4 {
		t.Errorf("%+v of %d samples", first, samples)
	}
	if again := imported(t, run(t, server, 0, command...)); again.Samples != 0 || again.Repeated != samples {
		t.Errorf("the second time: %+v", again)
	}
	if after := settled(t, c); after.Accepted != before.Accepted+uint64(samples) || after.Stored != after.Accepted {
		t.Errorf("ledger %+v, before %+v, and %d imported", after, before, samples)
	}
	result := run(t, server, 0, "ledger")
	if !strings.Contains(result.Stdout, "import years.lp") || !strings.Contains(result.Stdout, "closed") {
		t.Errorf("%s", result)
	}
	sameAsSent(t, c, text)
}

// sameAsSent compares with a server that was sent the same by HTTP.
func sameAsSent(t *testing.T, c *harness.Client, text string) {
	t.Helper()
	_, other := start(t, flushSoon()...)
	lifeOfWeeks(t, other, false)
	write(t, other, text)
	settled(t, other)
	for _, path := range []string{
		harness.Query("/api/v1/select", "match", `{}`, "start", firstTime, "end", endTime),
		harness.Query("/api/v1/aggregate", "match", `{}`, "start", "2026-01-01", "end", "2026-02-15", "window", "1h", "fn", "mean"),
	} {
		var bodies [2]string
		for i, of := range []*harness.Client{c, other} {
			answer, err := of.Do(t.Context(), harness.Request{Path: path})
			if err != nil || answer.Status != http.StatusOK || len(answer.Body) < 1000 {
				t.Fatalf("%s: %.300s, %v", path, answer, err)
			}
			bodies[i] = string(answer.Body)
		}
		if bodies[0] != bodies[1] {
			t.Errorf("%s: %d bytes of what was imported, %d of what was sent, and they differ", path, len(bodies[0]), len(bodies[1]))
		}
	}
}

// CSV and JSON lines are imported as well, and what is wrong is told by its line
// of the file.
func TestHistoryOfEveryFormat(t *testing.T) {
	server, c := start(t, flushSoon()...)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"meter.csv":   "time,kw\n2026-01-05T00:00:00Z,1\nnever,2\n2026-01-05T00:10:00Z,3\n",
		"room.jsonl":  `{"metric":"room","time":1767571200000000000,"value":20.5}` + "\nnonsense\n" + `{"metric":"room","time":1767571260000000000,"value":"warm"}` + "\n",
		"door.lp":     "door open=t 1767571200\ndoor open=5 1767571260\ndoor open=f\n",
		"missing.txt": "a,b\n1,2\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, one := range []struct {
		arguments []string
		told      []string
	}{
		{[]string{"meter.csv"}, []string{"meter.csv:3 "}},
		{[]string{"room.jsonl"}, []string{"room.jsonl:2 ", "room.jsonl:3 "}},
		{[]string{"door.lp", "--precision", "s"}, []string{"door.lp:2 ", "door.lp:3 ", "has no time"}},
		{[]string{"missing.txt"}, []string{"time"}},
	} {
		result := run(t, server, 1, append([]string{"ingest", "--history", filepath.Join(dir, one.arguments[0])}, one.arguments[1:]...)...)
		for _, told := range one.told {
			if !strings.Contains(result.Stderr, told) {
				t.Errorf("%v: %q is not told: %s", one.arguments, told, result)
			}
		}
	}
	expect(t, c, "{}", "meter_kw{} 1767571200000000000=1 1767571800000000000=3", "room{} 1767571200000000000=20.5", "door_open{} 1767571200000000000=true")
	if ledger := settled(t, c); ledger.Stored != 4 || ledger.Rejected != 4 {
		t.Errorf("%+v", ledger)
	}
	// A wrong command line says so.
	run(t, server, 2, "ingest", "--history", "--format", "xml", "x")
	run(t, server, 2, "ingest", "--precision", "s", "x")
	// And so does a wrong request.
	for path, want := range map[string]int{
		"/api/v1/history/xyz/chunks/0?format=lines":              http.StatusBadRequest,
		"/api/v1/history/0123456789abcdef/chunks/-1":             http.StatusBadRequest,
		"/api/v1/history/0123456789abcdef/chunks/0?format=xml":   http.StatusBadRequest,
		"/api/v1/history/0123456789abcdef/chunks/0?no=1":         http.StatusBadRequest,
		"/api/v1/history/0123456789abcdef/finish?chunks=":        http.StatusBadRequest,
		"/api/v1/history/0123456789abcdef/finish?chunks=1&seal=": http.StatusOK,
	} {
		post(t, c, path, "", want)
	}
}

// On a full disk the command says so; with space again, the same command ends it.
func TestHistoryOnAFullDisk(t *testing.T) {
	disk := smallDisk(t, 128)
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 112<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	server := harness.NewServer(t, flushSoon()...)
	server.Data = filepath.Join(disk, "data")
	c := server.Up(t)
	const requests = 400 // of 60 KB, half of which remains: more than the disk has room for
	path := filepath.Join(t.TempDir(), "noise.lp")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range requests {
		if _, err := fmt.Fprintf(file, "disk,n=%d value=\"%s\" %d\n", n, noise(n), weekStart(2+n/100)); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	command := []string{"ingest", "--history", path, "--chunk", "4000000", "--patience", "1s", "--output", "json"}
	result := run(t, server, 1, command...)
	for _, told := range []string{"the disk is full", "the same command again goes on from there"} {
		if !strings.Contains(result.Stderr, told) {
			t.Errorf("%q is not told: %s", told, result)
		}
	}
	ledgerBalances(t, server)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the import goes on", func() bool {
		result, err := server.Command(t.Context(), command...)
		return err == nil && result.Code == 0
	})
	if again := imported(t, run(t, server, 0, command...)); again.Samples != 0 || again.Repeated != requests {
		t.Errorf("%+v", again)
	}
	if ledger := settled(t, c); ledger.Stored != requests {
		t.Errorf("%+v", ledger)
	}
	for _, n := range []int{0, requests / 2, requests - 1} {
		expect(t, c, fmt.Sprintf(`disk{n="%d"}`, n), fmt.Sprintf("disk{n=%d} %d=%q", n, weekStart(2+n/100), noise(n)))
	}
}
