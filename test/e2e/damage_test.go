package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/sample"
	"weir/internal/store"
	"weir/internal/store/pebble"
	"weir/test/harness"
)

// wounded is a data folder with samples of two weeks, committed and in files,
// and some of both that are in the buffer only. Each test damages a copy.
type wounded struct{ data string }

// One partition, so that each week has one journal and there is one queue.
func woundedFlags(more ...string) []string {
	return append([]string{"--set", "partitions=1", "--set", "merge.every=200ms"}, more...)
}

const committedRequests = 4

func line(metric string, week, n int) string {
	return fmt.Sprintf("%s,week=w%d,n=%d value=%q %d\n", metric, week, n, noise(week*1000+n), int64(week)*weekLength+int64(n))
}

func wantLine(metric string, week, n int) string {
	return fmt.Sprintf("%s{n=%d,week=w%d} %d=%q", metric, n, week, int64(week)*weekLength+int64(n), noise(week*1000+n))
}

// buildWounded makes the folder that is to be damaged.
func buildWounded(t *testing.T) *wounded {
	t.Helper()
	server := harness.NewServer(t, woundedFlags()...)
	c := server.Up(t, flushSoon()...)
	for n := range committedRequests {
		for week := range 2 {
			write(t, c, line("committed", week, n))
		}
		settled(t, c)
	}
	for range 2 { // a start writes what the logs hold to files
		if err := server.Stop(); err != nil {
			t.Fatal(err)
		}
		c = server.Up(t, flushNever()...)
		read(t, c, "committed")
	}
	for week := range 2 {
		write(t, c, line("buffered", week, 0))
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	return &wounded{data: server.Data}
}

// copied gives a server of a copy, in which the files that match are damaged.
func (w *wounded) copied(t *testing.T, harm func([]byte) []byte, patterns ...string) (server *harness.Server, hurt map[string][]byte) {
	t.Helper()
	server = harness.NewServer(t, woundedFlags(flushSoon()...)...)
	if err := os.CopyFS(server.Data, os.DirFS(w.data)); err != nil {
		t.Fatal(err)
	}
	hurt = map[string][]byte{}
	for _, pattern := range patterns {
		files, err := filepath.Glob(filepath.Join(server.Data, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %q, %v", pattern, files, err)
		}
		for _, file := range files {
			whole, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			hurt[file] = harm(bytes.Clone(whole))
			if err := os.WriteFile(file, hurt[file], 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return server, hurt
}

// selected reads a metric of one week.
func selected(t *testing.T, c *harness.Client, metric string, week int) harness.Answer {
	t.Helper()
	answer, err := c.Do(t.Context(), harness.Request{Path: harness.Query("/api/v1/select",
		"match", metric, "start", itoa(int64(week)*weekLength), "end", itoa(int64(week)*weekLength+1000))})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// whole wants all samples of a metric in a week to be read.
func whole(t *testing.T, c *harness.Client, metric string, week, n int) {
	t.Helper()
	var want []string
	for i := range n {
		want = append(want, wantLine(metric, week, i))
	}
	lines := readRange(t, c, metric, itoa(int64(week)*weekLength), itoa(int64(week)*weekLength+1000))
	expectLines(t, fmt.Sprintf("%s of week %d", metric, week), lines, want...)
}

// otherWeekGoesOn wants everything of the week that was not hurt, and new
// samples of it, to be read and stored.
func otherWeekGoesOn(t *testing.T, c *harness.Client) {
	t.Helper()
	whole(t, c, "committed", 1, committedRequests)
	whole(t, c, "buffered", 1, 1)
	write(t, c, line("fresh", 1, 0))
	whole(t, c, "fresh", 1, 1)
}

// kept wants files to be as they were damaged.
func kept(t *testing.T, hurt map[string][]byte) {
	t.Helper()
	for path, want := range hurt {
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what it was left as: %d bytes of %d, %v", path, len(got), len(want), err)
		}
	}
}

// mended puts whole files back, as a restored backup does.
func (w *wounded) mended(t *testing.T, server *harness.Server, hurt map[string][]byte) {
	t.Helper()
	for path := range hurt {
		data, err := os.ReadFile(strings.Replace(path, server.Data, w.data, 1))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func flip(b []byte) []byte {
	b[len(b)/2] ^= 0x55
	return b
}

func halve(b []byte) []byte { return b[:len(b)/2] }

// The items of one week are damaged: queries of that week are refused and name
// the table and the mend, the other week and all that comes go on, doctor names
// the file and gives what can be read, and nothing is deleted.
func TestDamagedItems(t *testing.T) {
	w := buildWounded(t)
	const table = "samples_1970_w01"
	for _, c := range []struct {
		name     string
		harm     func([]byte) []byte
		file     string
		readable int // committed samples of the week; -1: also what lies beside the damage is not given
		writable bool
	}{
		{"one body", flip, "*.blob", committedRequests - 1, true},
		{"half of the bodies", halve, "*.blob", 0, true},
		{"keys", flip, "*.sst", -1, true},
		{"keys cut off", halve, "*.sst", 0, false},
		{"manifest", flip, "MANIFEST-*", 0, false},
		{"manifest cut off", halve, "MANIFEST-*", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, hurt := w.copied(t, c.harm, "store/weeks/"+table+"/"+c.file)
			client := server.Up(t)
			answer := selected(t, client, "committed", 0)
			if answer.Status != http.StatusInternalServerError {
				t.Fatalf("the damaged week is answered %.300s", answer)
			}
			if p := explained(t, answer); !containsAll(p.Detail, []string{table, "nothing was deleted", "restore this folder from a backup"}) {
				t.Errorf("unclear: %s", answer)
			}
			logged(t, server, "level=ERROR", "the store is damaged; nothing is deleted", table)
			otherWeekGoesOn(t, client)
			write(t, client, line("fresh", 0, 0)) // it is in the buffer at least
			inFlight := uint64(0)
			if !c.writable {
				inFlight = 2 // with the one that was in the buffer
			}
			eventually(t, "all but what waits is committed", func() bool {
				ledger, err := client.Ledger(t.Context())
				return err == nil && ledger.Balanced() && ledger.Accepted == 2*committedRequests+4 && ledger.InFlight == inFlight
			})
			if n := metric(t, client, "weir_store_damaged"); n == "0" {
				t.Error("no damage is counted")
			}
			if err := server.Stop(); err != nil {
				t.Fatal(err)
			}
			kept(t, hurt)
			doctor := run(t, server, 1, "doctor", "--data", server.Data)
			if !strings.Contains(doctor.Stdout+doctor.Stderr, filepath.Join(server.Data, "store/weeks", table)) {
				t.Errorf("doctor names no path: %s", doctor)
			}
			if c.writable && c.readable >= 0 {
				readable(t, server, "committed", c.readable)
				readable(t, server, "buffered", 1)
				readable(t, server, "fresh", 1)
			}
			w.mended(t, server, hurt)
			client = server.Up(t)
			settled(t, client)
			for week := range 2 {
				whole(t, client, "committed", week, committedRequests)
				whole(t, client, "buffered", week, 1)
				whole(t, client, "fresh", week, 1)
			}
		})
	}
}

// readable wants doctor --items to give so many samples of the first week.
func readable(t *testing.T, server *harness.Server, metric string, want int) {
	t.Helper()
	result, err := server.Command(t.Context(), "doctor", "--items", "--data", server.Data, "--output", "json")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for text := range strings.Lines(result.Stdout) {
		if strings.Contains(text, `"`+metric+`"`) && strings.Contains(text, `"w0"`) {
			n++
		}
	}
	if n != want {
		t.Errorf("doctor gives %d samples of %s in the damaged week; want %d (%.300s)", n, metric, want, result.Stderr)
	}
}

// The journals are in one folder: where it is damaged the program does not
// start, says what and how to mend, touches nothing, and all is there once the
// files are.
func TestDamagedJournals(t *testing.T) {
	w := buildWounded(t)
	for _, c := range []struct {
		name, file string
		harm       func([]byte) []byte
	}{
		{"entries", "*.sst", flip},
		{"entries cut off", "*.sst", halve},
		{"manifest", "MANIFEST-*", flip},
		{"log", "*.log", flip},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, hurt := w.copied(t, c.harm, "store/journals/"+c.file)
			result := run(t, server, 1, "up", "--data", server.Data, "--http", server.Address)
			if !containsAll(result.Stderr, []string{"journals", "corrupt", "nothing was deleted", "restore this folder from a backup"}) {
				t.Errorf("unclear: %s", result.Stderr)
			}
			kept(t, hurt)
			w.mended(t, server, hurt)
			client := server.Up(t)
			for week := range 2 {
				whole(t, client, "committed", week, committedRequests)
				whole(t, client, "buffered", week, 1)
			}
			settled(t, client)
			ledgerBalances(t, server)
		})
	}
}

// A message file of the buffer is damaged after a kill: the log names it, the
// copy of it and the mend, all that was committed is read, and new samples come.
func TestDamagedMessages(t *testing.T) {
	w := buildWounded(t)
	server, hurt := w.copied(t, flip, "buffer/jetstream/$G/streams/queue-0/msgs/*.blk")
	client := server.Up(t)
	for path := range hurt {
		logged(t, server, "level=ERROR", "a message file of the buffer is damaged", path, "kept_as", "backup")
	}
	for week := range 2 {
		whole(t, client, "committed", week, committedRequests)
		write(t, client, line("fresh", week, 0))
		whole(t, client, "fresh", week, 1)
	}
	settled(t, client)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	copies, err := filepath.Glob(filepath.Join(server.Data, "buffer/damaged/queue-0-*"))
	if err != nil || len(copies) != 1 {
		t.Fatalf("copies are %q, %v", copies, err)
	}
	for _, want := range hurt {
		if got, err := os.ReadFile(copies[0]); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not the damaged file, %v", copies[0], err)
		}
	}
}

// One journal has an entry that is none: its week is refused and named, what
// comes for it waits in the queue, and the other week goes on.
func TestDamagedJournalEntry(t *testing.T) {
	w := buildWounded(t)
	server, _ := w.copied(t, flip)
	spoilJournal(t, filepath.Join(server.Data, "store"))
	client := server.Up(t)
	logged(t, server, "level=ERROR", "1970-W01/0", "corrupt", "nothing is deleted", "from a backup")
	for _, metric := range []string{"committed", "buffered", "unknown"} { // its series may be named behind the damage
		answer := selected(t, client, metric, 0)
		if p := explained(t, answer); answer.Status != http.StatusInternalServerError ||
			!containsAll(p.Detail, []string{"1970-W01/0, position", "corrupt", "nothing was deleted", "from a backup"}) {
			t.Errorf("unclear: %s", answer)
		}
	}
	otherWeekGoesOn(t, client)
	write(t, client, line("fresh", 0, 0))
	otherWeekGoesOn(t, client)
	answer, err := client.Do(t.Context(), harness.Request{Path: "/api/v1/ledger"})
	if err != nil || answer.Status == http.StatusOK || !strings.Contains(string(answer.Body), "1970-W01/0, position") {
		t.Errorf("a ledger that cannot be drawn up: %s, %v", answer, err)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	readable(t, server, "committed", committedRequests) // nothing was swept
}

// spoilJournal appends to the first week's journal what is no entry.
func spoilJournal(t *testing.T, dir string) {
	t.Helper()
	config := pebble.Default()
	config.Dir, config.Logger = dir, slog.New(slog.DiscardHandler)
	s, err := pebble.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	id := store.JournalID{Week: sample.WeekOf(0)}
	entries, err := s.Read(t.Context(), id, 0, 1<<20)
	if err == nil {
		err = s.Append(t.Context(), id, uint64(len(entries)), []byte("no entry"))
	}
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
}
