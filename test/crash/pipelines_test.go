package crash

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/client"
)

func testCalendar() calendar { return newCalendar(time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)) }

// Every sample lies in a window of the calendar and has a time of its own, and
// the sums are those of the samples.
func TestExpectation(t *testing.T) {
	c := testCalendar()
	var number uint64
	now := time.Unix(0, c.begin)
	s := &windowSource{
		random: rand.New(rand.NewPCG(1, 2)), calendar: c, next: func() uint64 { number++; return number },
		now: func() time.Time { now = now.Add(10 * time.Millisecond); return now },
	}
	var attempts []*Attempt
	times, total := map[int64]bool{}, 0
	for range 2000 {
		a := s.Make()
		a.Outcome = Answered
		attempts = append(attempts, a)
		for i, one := range a.Samples {
			if i%lineFields == 0 && times[one.Time] {
				t.Fatalf("attempt %d: a time of another sample", a.Number)
			}
			times[one.Time] = true
		}
		total += len(a.Samples) / lineFields * 2
	}
	want, err := expect(c, attempts)
	if err != nil {
		t.Fatal(err)
	}
	due := map[window]bool{}
	for _, w := range windowsDue(c, want.last) {
		due[w] = true
	}
	n := int64(0)
	for w, sum := range want.windows {
		if n += sum.count; !due[w] {
			t.Errorf("%v is not due", w)
		}
	}
	if n != int64(total) || len(due) < 30 {
		t.Errorf("%d samples in %d windows, sent %d", n, len(due), total)
	}
	attempts[7].Outcome = Unanswered
	if _, err := expect(c, attempts); err == nil {
		t.Error("an attempt that was never answered passed")
	}
}

func TestBinsThatDiffer(t *testing.T) {
	k := binKey{livePipeline, "crash_count", 5}
	good := map[binKey]binSum{k: {rows: 2, series: 2, count: 7, sum: 9}}
	if err := compare(good, maps.Clone(good)).Err(); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]map[binKey]binSum{
		"1 bins lack":            {},
		"1 bins lack rows":       {k: {rows: 2, series: 2, count: 6, sum: 8}},
		"1 have rows twice":      {k: {rows: 3, series: 2, count: 7, sum: 9}},
		"1 have another sum":     {k: {rows: 2, series: 2, count: 7, sum: 10}},
		"1 nobody sent":          {k: good[k], {oldPipeline, "crash_count", 5}: {rows: 1, series: 1}},
		"samples too many, 0 ha": {k: {rows: 2, series: 2, count: 8, sum: 9}},
	} {
		if err := compare(good, got).Err(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want %q, got %v", name, err)
		}
	}
}

func TestRunsThatAreNotDone(t *testing.T) {
	c := testCalendar()
	last := window{livePipeline, c.begin, c.begin + int64(liveWindow)}
	due := windowsDue(c, last)
	run := func(change func(*client.Run)) error {
		var runs []client.Run
		loads := map[window]loaded{}
		for _, w := range due {
			r := client.Run{RunKey: w.key(), State: "done", Events: []client.RunEvent{{Text: "done"}}}
			if w == last {
				change(&r)
			}
			runs, loads[w] = append(runs, r), loaded{}
		}
		newest, err := newestOf(runs)
		if err != nil {
			return err
		}
		return checkRuns(c, due, newest, loads)
	}
	if err := run(func(*client.Run) {}); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*client.Run){
		"is failed":           func(r *client.Run) { r.State = "failed" },
		"stale true":          func(r *client.Run) { r.Stale = true },
		"is revision 1":       func(r *client.Run) { r.Revision = 1 },
		"is done, 2 times":    func(r *client.Run) { r.Events = append(r.Events, r.Events[0]) },
		"has no run":          func(r *client.Run) { r.RunKey = due[0].key(); r.Revision = 1 },
		"no window of the ca": func(r *client.Run) { r.RunKey = window{livePipeline, c.begin + 1, c.begin + 2}.key() },
	} {
		if err := run(change); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestHalfExportsAreSeen(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const file = "series,count\na,3\nb,4\n"
	manifest := func(rows string) string {
		return `{"pipeline":"live","window_start":1,"window_end":2,"revision":0,"file":"a.csv","bytes":21,"rows":` + rows + `,"sha256":"` + digest(file) + `"}`
	}
	put("a.csv", file)
	if all, bare, err := readExports(dir); err != nil || len(all) != 0 || bare != 1 {
		t.Fatal(all, bare, err)
	}
	put("a.manifest.json", manifest("2"))
	all, bare, err := readExports(dir)
	if err != nil || bare != 0 || len(all) != 1 || all[0].samples != 7 {
		t.Fatal(all, bare, err)
	}
	w := window{"live", 1, 2}
	if err := checkExports(all, map[window]loaded{w: {}}, map[window]windowSum{w: {2, 7}}); err != nil {
		t.Error(err)
	}
	if checkExports(all, map[window]loaded{w: {revision: 1}}, map[window]windowSum{w: {2, 7}}) == nil ||
		checkExports(all, map[window]loaded{w: {}}, map[window]windowSum{w: {2, 8}}) == nil {
		t.Error("an export of another revision, or of other samples, passed")
	}
	put("a.manifest.json", manifest("3"))
	if _, _, err := readExports(dir); err == nil {
		t.Error("a row is missing")
	}
	put("a.manifest.json", manifest("2"))
	put("a.csv", file[:15])
	if _, _, err := readExports(dir); err == nil {
		t.Error("half a file passed")
	}
	put(partialBegin+"1", "")
	half, err := partials(dir)
	if err != nil || len(half) != 1 || stillThere(half) == nil {
		t.Error(half, err)
	}
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
