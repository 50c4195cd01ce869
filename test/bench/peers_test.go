package bench

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
)

var (
	peer   = flag.String("peer", "", "path of victoria-metrics; without it nothing is compared")
	rounds = flag.Int("rounds", 2, "how often each system takes everything in; the best counts")
	within = flag.Duration("within", 12*time.Minute, "no further round begins that would end later")
	quiet  = flag.Duration("quiet", 70*time.Second, "how long Weir's counts of merging must not change until all counts as merged")
	report = flag.String("report", "", "file for all figures, the table and the verdict")

	readHosts = flag.Int("read-hosts", 300, "hosts that are read")
	readHours = flag.Int("read-hours", 12, "hours that are read")
)

// starter starts one of the two systems anew.
type starter func(testing.TB) system

// TestPeers measures Weir beside VictoriaMetrics: one machine, one client, the
// same bytes, in turns. It fails where a limit is missed or answers differ,
// and writes all figures to the report.
func TestPeers(t *testing.T) {
	if *peer == "" {
		t.Skip("no -peer is named; make bench-peers does")
	}
	began := time.Now()
	both := [2]starter{
		func(t testing.TB) system { return startWeir(t, *quiet) },
		func(t testing.TB) system { return startVictoria(t, *peer) },
	}
	book := newBook(*report)
	defer book.close(t)
	book.printf("%d hosts x %d fields, %d lines a request, %d connections\n", *hosts, hostFields, *lines, *connections)

	sent := render(t, fleet(*hosts, steps(*values, *hosts)))
	var best [2]intake
	for round := range *rounds {
		roundBegan := time.Now()
		for turn := range both {
			which := (turn + round) % 2 // the order alternates
			got := takeIn(t, both[which], sent)
			book.printf("round %d %s\n", round+1, got)
			best[which] = best[which].better(got)
		}
		if next := time.Since(began) + 2*time.Since(roundBegan); next > *within {
			book.printf("no time for a further round\n")
			break
		}
	}
	sent.bodies = nil
	readings := readBoth(t, both, book)
	book.conclude(t, judge(best, readings), time.Since(began))
}

// intake is what taking everything in cost.
type intake struct {
	system       string
	values       int
	answered     time.Duration
	cpu, merged  time.Duration // until committed; until merged
	peak, atRest int64
	items        int64 // bytes of Weir's items alone
}

func (i intake) String() string {
	n := float64(i.values)
	items := ""
	if i.items > 0 {
		items = fmt.Sprintf(" (items alone %.3f)", float64(i.items)/n)
	}
	return fmt.Sprintf("%-15s %d values: answered in %.1f s, CPU %.0f ns a value until committed, merging %.0f more, peak %.0f MiB, %.3f B a value at rest%s",
		i.system, i.values, i.answered.Seconds(), float64(i.cpu.Nanoseconds())/n, float64((i.merged-i.cpu).Nanoseconds())/n,
		float64(i.peak)/(1<<20), float64(i.atRest)/n, items)
}

// better takes the best of each figure.
func (i intake) better(other intake) intake {
	if i.values == 0 {
		return other
	}
	i.cpu, i.merged = min(i.cpu, other.cpu), min(i.merged, other.merged)
	i.peak, i.atRest, i.items = min(i.peak, other.peak), min(i.atRest, other.atRest), min(i.items, other.items)
	i.answered = min(i.answered, other.answered)
	return i
}

// takeIn sends everything to a new instance and looks at its process. That a
// query counts all values is seen after the CPU was read, so that reading is
// not counted as intake.
func takeIn(t *testing.T, start starter, sent load) intake {
	t.Helper()
	system := start(t)
	where := system.place()
	result := intake{system: system.name(), values: sent.values}
	before, began := cpuOf(t, where.pid), time.Now()
	send(t, where.url, sent.bodies)
	result.answered = time.Since(began)
	must(t, system.commit(t.Context()))
	result.cpu = cpuOf(t, where.pid) - before
	must(t, system.merge(t.Context()))
	result.merged = cpuOf(t, where.pid) - before
	result.peak = peakOf(t, where.pid)
	if got := countAll(t, system, sent); got != sent.values {
		t.Fatalf("%s counts %d of %d values", system.name(), got, sent.values)
	}
	if w, ok := system.(*weir); ok {
		var err error
		result.items, err = w.items(t.Context())
		must(t, err)
		must(t, system.stop())
		w.again(t) // a start cleans up
	}
	must(t, system.stop())
	result.atRest = atRest(t, where.folder)
	must(t, os.RemoveAll(where.folder))
	return result
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// countAll asks how many values there are, series by series.
func countAll(t *testing.T, s system, sent load) int {
	t.Helper()
	window := time.Hour
	end := (sent.end + int64(window) - 1) / int64(window) * int64(window)
	counts := mustAsk(t, s, question{function: "count", window: window, start: sent.start, end: end})
	n := 0.0
	for _, c := range counts {
		n += c
	}
	return int(n)
}

func mustAsk(t *testing.T, s system, q question) answer {
	t.Helper()
	body, _, err := fetch(t.Context(), s.ask(q))
	must(t, err)
	got, err := s.understand(q, body)
	must(t, err)
	return got
}

// timing is how long a system took to answer one kind of question.
type timing struct{ cold, median time.Duration }

// readings are the timings of the two kinds of questions, by system.
type readings struct{ minutes, hours [2]timing }

// readBoth fills both systems, lets them merge, compares their answers and
// times them in turns.
func readBoth(t *testing.T, both [2]starter, book *book) readings {
	t.Helper()
	sent := render(t, fleet(*readHosts, time.Duration(*readHours)*time.Hour))
	book.printf("reading %d hosts x %d fields x %d h, %d values\n", sent.hosts, hostFields, *readHours, sent.values)
	var systems [2]system
	for i, start := range both {
		systems[i] = start(t)
		send(t, systems[i].place().url, sent.bodies)
		must(t, systems[i].commit(t.Context()))
		must(t, systems[i].merge(t.Context()))
	}
	var r readings
	r.minutes = timeBoth(t, systems, minuteQuestions(sent), book)
	r.hours = timeBoth(t, systems, hourQuestions(sent), book)
	sameRaw(t, systems, sent)
	for _, s := range systems {
		must(t, s.stop())
	}
	return r
}

// minuteQuestions ask for a host's field over an hour by the minute, each for
// another host and hour.
func minuteQuestions(sent load) []question {
	var out []question
	for i := range 40 {
		start := sent.start + int64(i*7%*readHours)*int64(time.Hour)
		out = append(out, question{
			metric: "cpu_usage_user", host: fmt.Sprintf("host_%d", i*37%sent.hosts),
			function: "max", window: time.Minute, start: start, end: start + int64(time.Hour),
		})
	}
	return out
}

// hourQuestions ask for the mean of every field by hour and host.
func hourQuestions(sent load) []question {
	q := question{function: "mean", window: time.Hour, start: sent.start, end: sent.end}
	return slices.Repeat([]question{q}, 8)
}

// timeBoth asks both systems each question in turns. The first one is cold;
// the others make the median. Answers must be equal.
func timeBoth(t *testing.T, systems [2]system, questions []question, book *book) [2]timing {
	t.Helper()
	var took [2][]time.Duration
	for n, q := range questions {
		var bodies [2][]byte
		for turn := range systems {
			which := (turn + n) % 2
			var d time.Duration
			var err error
			bodies[which], d, err = fetch(t.Context(), systems[which].ask(q))
			must(t, err)
			took[which] = append(took[which], d)
		}
		compareAnswers(t, systems, q, bodies)
	}
	var out [2]timing
	for i, all := range took {
		book.printf("%s of %s windows, %s took %v\n", questions[0].function, questions[0].window, systems[i].name(), all)
		warm := slices.Sorted(slices.Values(all[1:]))
		out[i] = timing{all[0], warm[len(warm)/2]}
	}
	return out
}

func compareAnswers(t *testing.T, systems [2]system, q question, bodies [2][]byte) {
	t.Helper()
	var said [2]answer
	for i, s := range systems {
		var err error
		said[i], err = s.understand(q, bodies[i])
		must(t, err)
	}
	if what := said[0].differs(said[1]); what != "" {
		t.Fatalf("answers to %+v differ: %s", q, what)
	}
}

// sameRaw compares every sample of a few hosts, and the counts of all.
func sameRaw(t *testing.T, systems [2]system, sent load) {
	t.Helper()
	for _, host := range []int{0, sent.hosts / 2, sent.hosts - 1} {
		var raw [2]answer
		for i, s := range systems {
			var err error
			raw[i], err = s.raw(t.Context(), fmt.Sprintf("host_%d", host), sent.start, sent.end)
			must(t, err)
		}
		if what := raw[0].differs(raw[1]); what != "" {
			t.Fatalf("samples of host %d differ: %s", host, what)
		}
	}
	q := question{function: "count", window: time.Hour, start: sent.start, end: sent.end}
	one, two := mustAsk(t, systems[0], q), mustAsk(t, systems[1], q)
	if what := one.differs(two); what != "" {
		t.Fatalf("counts differ: %s", what)
	}
}
