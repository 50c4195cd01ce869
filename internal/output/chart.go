package output

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/guptarohit/asciigraph"
)

// Line is one series of a chart. Times ascend, in ns. NaN and infinities are
// drawn as gaps, and so is a pause of more than three usual steps.
type Line struct {
	Name   string
	Times  []int64
	Values []float64
}

// ChartOptions say how a chart is drawn.
type ChartOptions struct {
	Title  string
	Width  int  // of all of it, in characters; 0: 80
	Height int  // of the plot, in lines; 0: 12
	Color  bool // else lines are told apart by the characters they are drawn with
	// Start and End are the range of the time axis, in ns; both 0: that of the
	// lines.
	Start, End int64
	Zone       *time.Location // of the labels; nil: UTC
}

const (
	// maxLines is how many lines a person can tell apart.
	maxLines  = 8
	minPlot   = 10 // columns
	axisWidth = 3  // what asciigraph puts between a label and the plot
)

// Chart draws lines over time, with a legend below when they are several or
// named. Of more than eight lines the first eight are drawn, and the rest are
// counted.
func Chart(w io.Writer, o ChartOptions, lines []Line) error {
	left := len(lines)
	lines = lines[:min(left, maxLines)]
	left -= len(lines)
	o = o.withDefaults(lines)
	low, high, ok := valueRange(lines, o)
	if !ok {
		_, err := fmt.Fprintln(w, "no numbers to draw between", o.label(0, time.RFC3339), "and", o.label(1, time.RFC3339))
		return err
	}
	scale := newScale(low, high, o.Height)
	layout := o.timeLayout()
	columns := max(minPlot, o.Width-axisWidth-scale.labelWidth()-(len(layout)+1)/2)
	options := []asciigraph.Option{
		asciigraph.YAxisValueFormatter(scale.label),
		asciigraph.XAxisRange(0, 1),
		asciigraph.XAxisTickCount(max(2, columns/(len(layout)+6))),
		asciigraph.XAxisValueFormatter(func(part float64) string { return o.label(part, layout) }),
	}
	if scale.rows > 0 {
		options = append(options, asciigraph.Height(scale.rows),
			asciigraph.LowerBound(0), asciigraph.UpperBound(float64(scale.rows)))
	}
	data := make([][]float64, len(lines))
	for i, line := range lines {
		data[i] = line.resample(o.Start, o.End, columns)
		for j, v := range data[i] {
			data[i][j] = scale.place(v)
		}
	}
	options = append(options, marks(o.Color, len(lines))...)
	var b strings.Builder
	if o.Title != "" {
		fmt.Fprintln(&b, printable(o.Title))
	}
	fmt.Fprintln(&b, asciigraph.PlotMany(data, options...))
	fmt.Fprintf(&b, "%s to %s\n", o.label(0, time.RFC3339), o.label(1, time.RFC3339))
	legend(&b, o, lines, left)
	_, err := io.WriteString(w, b.String())
	return err
}

func (o ChartOptions) withDefaults(lines []Line) ChartOptions {
	if o.Width <= 0 {
		o.Width = defaultWidth
	}
	if o.Height <= 0 {
		o.Height = 12
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	if o.Start != 0 || o.End != 0 {
		return o
	}
	o.Start, o.End = math.MaxInt64, math.MinInt64
	for _, line := range lines {
		if n := len(line.Times); n > 0 {
			o.Start, o.End = min(o.Start, line.Times[0]), max(o.End, line.Times[n-1])
		}
	}
	if o.Start > o.End {
		o.Start, o.End = 0, 0
	}
	return o
}

// label writes the time at a part, 0 to 1, of the time axis.
func (o ChartOptions) label(part float64, layout string) string {
	at := o.Start
	switch span := float64(o.End) - float64(o.Start); {
	case part >= 1:
		at = o.End
	case part > 0:
		at += int64(part * span)
	}
	return time.Unix(0, at).In(o.Zone).Format(layout)
}

func (o ChartOptions) timeLayout() string {
	span := float64(o.End) - float64(o.Start)
	switch {
	case span < float64(10*time.Second):
		return "15:04:05.000"
	case span < float64(10*time.Minute):
		return "15:04:05"
	case span < float64(24*time.Hour):
		return "15:04"
	case span < float64(60*24*time.Hour):
		return "01-02 15:04"
	}
	return "2006-01-02"
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// valueRange gives the least and the greatest number in the chart's range.
func valueRange(lines []Line, o ChartOptions) (low, high float64, ok bool) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, line := range lines {
		for i, v := range line.Values {
			if finite(v) && line.Times[i] >= o.Start && line.Times[i] <= o.End {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	return low, high, low <= high
}

// scale maps values to the rows of the plot, 0 at the bottom: asciigraph's own
// scaling breaks on numbers beyond the integers.
type scale struct {
	low, high float64
	rows      int
	format    byte // as in strconv.FormatFloat
	precision int
}

func newScale(low, high float64, height int) scale {
	s := scale{low: low, high: high, rows: height, format: 'f'}
	if low == high {
		s.rows, s.format, s.precision = 0, 'g', -1
		return s
	}
	step := high/float64(height) - low/float64(height)
	largest := max(math.Abs(low), math.Abs(high))
	if largest >= 1e9 || largest < 1e-4 {
		s.format, s.precision = 'e', 3
		return s
	}
	s.precision = int(min(9, max(0, math.Ceil(-math.Log10(step)))))
	return s
}

func (s scale) place(v float64) float64 {
	if s.rows == 0 || math.IsNaN(v) {
		return v * 0 // NaN stays a gap
	}
	// Halves, since the difference of two float64 can be infinite.
	return (v/2 - s.low/2) / (s.high/2 - s.low/2) * float64(s.rows)
}

func (s scale) label(row float64) string {
	v := s.low
	if s.rows > 0 {
		part := row / float64(s.rows)
		v = s.low*(1-part) + s.high*part
	}
	return strconv.FormatFloat(v, s.format, s.precision, 64)
}

func (s scale) labelWidth() int {
	width := 0
	for row := range s.rows + 1 {
		width = max(width, utf8.RuneCountInString(s.label(float64(row))))
	}
	return width
}

// strokes are the characters of lines without colours.
const strokes = "*o+x#@%&"

func colors() []asciigraph.AnsiColor {
	return []asciigraph.AnsiColor{asciigraph.Blue, asciigraph.Orange, asciigraph.Green, asciigraph.Red,
		asciigraph.Purple, asciigraph.Teal, asciigraph.Goldenrod, asciigraph.DeepPink}
}

// marks tells n lines apart.
func marks(color bool, n int) []asciigraph.Option {
	if color {
		return []asciigraph.Option{asciigraph.SeriesColors(colors()...)}
	}
	if n < 2 {
		return nil
	}
	var sets []asciigraph.CharSet
	for _, stroke := range strokes {
		sets = append(sets, asciigraph.CreateCharSet(string(stroke)))
	}
	return []asciigraph.Option{asciigraph.SeriesChars(sets...)}
}

func legend(b *strings.Builder, o ChartOptions, lines []Line, left int) {
	for i, line := range lines {
		if line.Name == "" && len(lines) == 1 {
			break
		}
		mark := "─"
		if o.Color {
			mark = colors()[i].String() + "■" + asciigraph.Default.String()
		} else if len(lines) > 1 {
			mark = strokes[i : i+1]
		}
		fmt.Fprintf(b, "%s %s\n", mark, shorten(printable(line.Name), o.Width-2))
	}
	if left > 0 {
		fmt.Fprintf(b, "… and %d more series, which are not drawn\n", left)
	}
}

func shorten(name string, width int) string {
	if utf8.RuneCountInString(name) <= width {
		return name
	}
	return string([]rune(name)[:max(1, width)-1]) + "…"
}
