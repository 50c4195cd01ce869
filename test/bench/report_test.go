package bench

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// book collects what a comparison found, and shows it as it comes.
type book struct {
	path string
	text strings.Builder
}

func newBook(path string) *book { return &book{path: path} }

func (b *book) printf(format string, values ...any) {
	line := fmt.Sprintf(format, values...)
	b.text.WriteString(line)
	fmt.Print(line)
}

// close writes the report, also of a comparison that broke off.
func (b *book) close(t *testing.T) {
	if b.path == "" {
		return
	}
	if err := os.WriteFile(b.path, []byte(b.text.String()), 0o644); err != nil {
		t.Error(err)
	}
}

// limit is one figure of both systems and how many times the peer's Weir's may
// be.
type limit struct {
	what, short  string
	ours, theirs float64
	most         float64
}

func (l limit) ratio() float64 { return l.ours / l.theirs }

func (l limit) met() bool { return l.ratio() <= l.most }

// judge holds the figures against issue 6's limits.
func judge(best [2]intake, r readings) []limit {
	perValue := func(d time.Duration, i intake) float64 { return float64(d.Nanoseconds()) / float64(i.values) }
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	us, them := best[0], best[1]
	return []limit{
		{"server CPU a value until committed, ns", "cpu", perValue(us.cpu, us), perValue(them.cpu, them), 0.5},
		{"peak resident memory, MiB", "mem", float64(us.peak) / (1 << 20), float64(them.peak) / (1 << 20), 2},
		{"bytes a value at rest, folder, merged", "disk", float64(us.atRest) / float64(us.values), float64(them.atRest) / float64(them.values), 1},
		{"one field of a host, 1 h by the minute, ms", "minute", ms(r.minutes[0].median), ms(r.minutes[1].median), 2},
		{"ten fields by hour and host, all hosts, ms", "hour", ms(r.hours[0].median), ms(r.hours[1].median), 0.2},
	}
}

// conclude writes the table and the closing line, and fails the test where a
// limit is missed.
func (b *book) conclude(t *testing.T, limits []limit, took time.Duration) {
	b.printf("\n%-44s %10s %15s %7s %7s\n", "best of each", "Weir", "VictoriaMetrics", "ratio", "at most")
	missed := 0
	var short []string
	for _, l := range limits {
		mark, sign := "", "/"
		if !l.met() {
			mark, sign = "  MISSED", ">"
			missed++
		}
		b.printf("%-44s %10.3f %15.3f %7.2f %7.2f%s\n", l.what, l.ours, l.theirs, l.ratio(), l.most, mark)
		short = append(short, fmt.Sprintf("%s %.2f%s%g", l.short, l.ratio(), sign, l.most))
	}
	b.printf("\n%s\n", closing(missed, short, took))
	if missed > 0 {
		t.Errorf("%d limits are missed", missed)
	}
}

// closing is the last line: each ratio before its limit, ">" where it is
// missed. It stays within 100 characters.
func closing(missed int, short []string, took time.Duration) string {
	verdict := "ok"
	if missed > 0 {
		verdict = fmt.Sprintf("MISSED %d", missed)
	}
	return fmt.Sprintf("bench-peers: %s, %s, %.0f s", verdict, strings.Join(short, " "), took.Seconds())
}

func TestClosingLineIsShortAndTellsWhatIsMissed(t *testing.T) {
	var short []string
	for _, l := range judge([2]intake{}, readings{}) {
		short = append(short, l.short+" 12.34>"+fmt.Sprint(l.most))
	}
	line := closing(5, short, 14*time.Minute)
	if len(line) > 100 || !strings.Contains(line, "MISSED 5") {
		t.Errorf("%d characters: %s", len(line), line)
	}
	for ours, met := range map[float64]bool{0.9: true, 1: true, 1.01: false} {
		if l := (limit{ours: ours, theirs: 2, most: 0.5}); l.met() != met {
			t.Errorf("%v of 2 at most 0.5: met is %v", ours, l.met())
		}
	}
}
