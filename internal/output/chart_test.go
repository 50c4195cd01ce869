package output

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// wave is n samples of a sine, a minute apart, from the start of 2026.
func wave(n int, phase float64) Line {
	line := Line{Name: fmt.Sprintf("wave %g", phase)}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		line.Times = append(line.Times, start.Add(time.Duration(i)*time.Minute).UnixNano())
		line.Values = append(line.Values, math.Sin(float64(i)/10+phase))
	}
	return line
}

func draw(t *testing.T, o ChartOptions, lines ...Line) string {
	t.Helper()
	var b bytes.Buffer
	if err := Chart(&b, o, lines); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestChart(t *testing.T) {
	want := `sines
  1.0 ┤   *****  ooooo        *****  ooooo
  0.6 ┤ ***   *ooo   ooo    ***   **oo   ooo
  0.2 ┼**     oo**     oo  **     ooo*     ooo
 -0.2 ┤      oo  **     ooo*     oo  ***     o
 -0.6 ┼o   ooo    ***   **oo   ooo     **   **
 -1.0 ┤ooooo        *****  ooooo        *****
      └┬───────────────────┬──────────────────┬
     00:00               01:00              02:00
2026-01-01T00:00:00Z to 2026-01-01T02:00:00Z
* wave 0
o wave 4
`
	got := draw(t, ChartOptions{Title: "sines", Width: 50, Height: 5}, wave(121, 0), wave(121, 4))
	if got != want {
		t.Error(cmp.Diff(want, got))
	}
	if strings.Contains(got, "\x1b") {
		t.Error("colours without a terminal")
	}
	if got := draw(t, ChartOptions{Width: 50, Color: true}, wave(121, 0)); !strings.Contains(got, "\x1b[94m") || !strings.HasSuffix(got, "■\x1b[0m wave 0\n") {
		t.Errorf("no colours in %q", got)
	}
}

func TestChartShowsGaps(t *testing.T) {
	line := wave(100, 0)
	line.Times = append(line.Times[:30:30], line.Times[60:]...)
	line.Values = append(line.Values[:30:30], line.Values[60:]...)
	data := line.resample(line.Times[0], line.Times[len(line.Times)-1], 100)
	gaps := 0
	for at, v := range data {
		if math.IsNaN(v) {
			gaps++
			if at < 30 || at >= 60 {
				t.Errorf("a gap in column %d", at)
			}
		}
	}
	if gaps != 30 {
		t.Errorf("%d columns are gaps; want 30", gaps)
	}
	sparse := Line{Times: []int64{0, 100, 200}, Values: []float64{0, 10, 0}}
	if diff := cmp.Diff([]float64{0, 2.5, 5, 7.5, 10, 7.5, 5, 2.5, 0}, sparse.resample(0, 200, 9)); diff != "" {
		t.Errorf("between sparse samples: %s", diff)
	}
	dense := Line{Times: []int64{0, 1, 2, 3, 100}, Values: []float64{1, 2, 3, math.NaN(), 9}}
	if diff := cmp.Diff([]float64{2, 9}, dense.resample(0, 100, 2)); diff != "" {
		t.Errorf("dense samples: %s", diff)
	}
}

func TestChartOfNothing(t *testing.T) {
	for _, lines := range [][]Line{nil, {{Name: "a"}}, {{Times: []int64{5}, Values: []float64{math.NaN()}}}} {
		if got := draw(t, ChartOptions{}, lines...); !strings.HasPrefix(got, "no numbers to draw between 1970-01-01T00:00:00Z and") {
			t.Errorf("%v: %s", lines, got)
		}
	}
}

func TestChartOfManyLines(t *testing.T) {
	var lines []Line
	for i := range 10 {
		lines = append(lines, wave(50, float64(i)))
	}
	lines[3].Name = strings.Repeat("x", 100) + "\x1b"
	got := draw(t, ChartOptions{Width: 60}, lines...)
	if !strings.HasSuffix(got, "& wave 7\n… and 2 more series, which are not drawn\n") || !strings.Contains(got, "# xxx") || strings.Contains(got, "\x1b") {
		t.Errorf("the legend is wrong: %s", got)
	}
}

// Whatever the numbers, a chart fits its width and says what it shows.
func TestChartOfAnyNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := ChartOptions{Width: rapid.IntRange(45, 200).Draw(t, "width"), Height: rapid.IntRange(1, 30).Draw(t, "height"), Color: false}
		var lines []Line
		for range rapid.IntRange(1, 4).Draw(t, "lines") {
			line := Line{}
			at := rapid.OneOf(rapid.Int64Range(0, 100), rapid.Int64Range(math.MinInt64, math.MaxInt64/2)).Draw(t, "at")
			for range rapid.IntRange(0, 30).Draw(t, "samples") {
				line.Times = append(line.Times, at)
				line.Values = append(line.Values, rapid.OneOf(rapid.Float64(), rapid.Float64Range(-5, 5), rapid.Just(math.NaN())).Draw(t, "value"))
				at += rapid.OneOf(rapid.Int64Range(1, 50), rapid.Int64Range(1, 1<<55)).Draw(t, "step")
			}
			lines = append(lines, line)
		}
		var b bytes.Buffer
		if err := Chart(&b, o, lines); err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(b.String(), "\n") {
			if n := utf8.RuneCountInString(line); n > o.Width && !strings.Contains(line, "T") {
				t.Fatalf("a line of %d characters in a width of %d:\n%s", n, o.Width, b.String())
			}
		}
	})
}

func TestChartTimeLabels(t *testing.T) {
	for span, want := range map[time.Duration]string{
		time.Second: "00:00:01.000", time.Minute: "00:01:00", time.Hour: "01:00", 48 * time.Hour: "01-03 00:00", 100 * 24 * time.Hour: "2026-04-11",
	} {
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		o := ChartOptions{Start: start.UnixNano(), End: start.Add(span).UnixNano()}
		line := Line{Times: []int64{o.Start, o.End}, Values: []float64{1, 2}}
		if got := draw(t, o, line); !strings.Contains(got, want+"\n") {
			t.Errorf("%s: no label %s in\n%s", span, want, got)
		}
	}
	zone := time.FixedZone("", -3600)
	if got := draw(t, ChartOptions{Zone: zone}, Line{Times: []int64{0}, Values: []float64{1e300}}); !strings.Contains(got, "1969-12-31T23:00:00-01:00") || !strings.Contains(got, "1e+300 ┼") {
		t.Errorf("a single sample is drawn as\n%s", got)
	}
}
