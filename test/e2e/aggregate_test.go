package e2e

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"weir/test/harness"
)

// point is a sample of the naive model.
type point struct {
	series string
	tags   map[string]string
	time   int64
	value  float64
}

// functions are the naive ones, over a window's values in time order.
func functions() map[string]func([]float64) float64 {
	sum := func(v []float64) float64 {
		total := 0.0
		for _, x := range v {
			total += x
		}
		return total
	}
	return map[string]func([]float64) float64{
		"count": func(v []float64) float64 { return float64(len(v)) },
		"min":   slices.Min[[]float64],
		"max":   slices.Max[[]float64],
		"sum":   sum,
		"mean":  func(v []float64) float64 { return sum(v) / float64(len(v)) },
		"first": func(v []float64) float64 { return v[0] },
		"last":  func(v []float64) float64 { return v[len(v)-1] },
	}
}

func aggregate(t *testing.T, c *harness.Client, pairs ...string) []harness.Line {
	t.Helper()
	lines, err := c.Lines(t.Context(), "/api/v1/aggregate", pairs...)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestAggregate(t *testing.T) {
	_, c := start(t, flushSoon()...)
	points := fleet()
	var body strings.Builder
	for i, p := range points {
		fmt.Fprintf(&body, "power,meter=%s,site=%s value=%v %d\n", p.tags["meter"], p.tags["site"], p.value, p.time)
		if i == len(points)/2 { // one half in volumes, the other in the head
			write(t, c, body.String())
			settled(t, c)
			body.Reset()
		}
	}
	write(t, c, body.String())

	for name, f := range functions() {
		for _, by := range []string{"-", "", "site", "site,meter", "floor"} {
			t.Run(name+" by "+by, func(t *testing.T) {
				pairs := []string{"match", "power", "start", firstTime, "end", endTime, "window", "1m", "fn", name}
				if by != "-" {
					pairs = append(pairs, "by", by)
				}
				expectLines(t, name, rounded(t, aggregate(t, c, pairs...)), naive(points, by, f)...)
			})
		}
	}

	t.Run("half open, aligned to the epoch, gaps left out", func(t *testing.T) {
		write(t, c, "gaps value=1 -1\ngaps value=2 0\ngaps value=3 9\ngaps value=4 30\n")
		got := aggregate(t, c, "match", "gaps", "start", "-5", "end", "31", "window", "10ns", "fn", "sum")
		expectLines(t, "sum", got, "gaps{} -10=1 0=5 30=4")
		got = aggregate(t, c, "match", "gaps", "start", "5", "end", "30", "window", "10ns", "fn", "sum")
		expectLines(t, "a part", got, "gaps{} 0=3")
	})

	t.Run("integers stay exact", func(t *testing.T) {
		write(t, c, "exact value=9007199254740993i 1\nexact value=2i 2\n")
		got := aggregate(t, c, "match", "exact", "start", "0", "end", "10", "window", "10ns", "fn", "sum")
		expectLines(t, "sum", got, "exact{} 0=9007199254740995")
	})

	t.Run("what can't be asked", func(t *testing.T) {
		for query, want := range map[string]string{
			"match=power&window=1h":                     "fn",
			"match=power&fn=mean":                       "window",
			"match=power&window=1h&fn=median":           "median",
			"match=power&window=-1h&fn=mean":            "-1h",
			"match=power&window=1h&fn=mean&group=site":  "group",
			"match=power&window=0s&fn=mean":             "0s",
			"match=power&window=fortnight&fn=mean&by=x": "fortnight",
		} {
			answer, err := c.Do(t.Context(), harness.Request{Path: "/api/v1/aggregate?" + query})
			if err != nil || answer.Status != http.StatusBadRequest {
				t.Errorf("%s: %s, %v", query, answer, err)
			} else if p := explained(t, answer); !strings.Contains(p.Detail, want) {
				t.Errorf("%s: want %q in %q", query, want, p.Detail)
			}
		}
		write(t, c, "words value=\"a\" 1\n")
		answer, err := c.Do(t.Context(), harness.Request{Path: "/api/v1/aggregate?match=words&start=0&end=9&window=1h&fn=mean"})
		if err != nil || answer.Status < 400 || answer.Status > 499 {
			t.Error(answer, err)
		} else {
			explained(t, answer)
		}
	})
}

// fleet makes points of which every window's sums are exact.
func fleet() []point {
	var points []point
	for meter := range 4 {
		tags := map[string]string{"meter": fmt.Sprintf("m%d", meter), "site": fmt.Sprintf("s%d", meter%2)}
		for i := range 50 {
			at := int64(i)*17_000_000_000 + int64(meter)
			if meter == 1 && i > 10 && i < 30 {
				continue // a gap
			}
			points = append(points, point{series: tags["meter"], tags: tags, time: at, value: float64((i*7+meter*13)%29) / 4})
		}
	}
	slices.SortStableFunc(points, func(a, b point) int { return int(a.time - b.time) })
	return points
}

// naive groups the points by tags, and by windows of a minute.
func naive(points []point, by string, f func([]float64) float64) []string {
	const window = 60_000_000_000
	groups := map[string]map[int64][]float64{}
	for _, p := range points {
		name := fmt.Sprintf("power{meter=%s,site=%s}", p.tags["meter"], p.tags["site"])
		if by != "-" {
			var tags []string
			names := strings.Split(by, ",")
			slices.Sort(names)
			for _, tag := range names {
				if p.tags[tag] != "" {
					tags = append(tags, tag+"="+p.tags[tag])
				}
			}
			name = "power{" + strings.Join(tags, ",") + "}"
		}
		if groups[name] == nil {
			groups[name] = map[int64][]float64{}
		}
		start := p.time / window * window
		groups[name][start] = append(groups[name][start], p.value)
	}
	var lines []string
	for name, windows := range groups {
		starts := make([]int64, 0, len(windows))
		for start := range windows {
			starts = append(starts, start)
		}
		slices.Sort(starts)
		for _, start := range starts {
			name += fmt.Sprintf(" %d=%s", start, round(f(windows[start])))
		}
		lines = append(lines, name)
	}
	return lines
}

// round leaves out what the order of a float sum may change.
func round(f float64) string { return strconv.FormatFloat(math.Round(f*1e9)/1e9, 'f', -1, 64) }

func rounded(t *testing.T, lines []harness.Line) []harness.Line {
	t.Helper()
	for _, line := range lines {
		for i, value := range line.Values {
			f, err := strconv.ParseFloat(string(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			line.Values[i] = []byte(round(f))
		}
	}
	return lines
}
