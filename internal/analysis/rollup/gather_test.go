package rollup

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"weir/internal/analysis"
	"weir/internal/result"
	"weir/internal/sample"
)

// drawFleet draws some series of two metrics and two racks, one a host.
func drawFleet(t *rapid.T) []*analysis.Samples {
	var out []*analysis.Samples
	for i := range rapid.IntRange(1, 6).Draw(t, "series") {
		s := drawSeries(t)
		tags := []sample.Tag{{Name: "host", Value: fmt.Sprint(i)}}
		if rack := rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "rack"); rack != "" {
			tags = append(tags, sample.Tag{Name: "rack", Value: rack})
		}
		series, err := sample.NewSeries(rapid.SampledFrom([]string{"m", "n"}).Draw(t, "metric"), tags)
		if err != nil {
			t.Fatal(err)
		}
		s.Series = analysis.NewSeries(series, series.ID(), s.Series.Kind)
		out = append(out, s)
	}
	return out
}

// gathered gives the rows that some gatherers make, each of some series.
func gathered(t interface{ Fatal(...any) }, r *Rollup, fleets [][]*analysis.Samples, start, end int64) []string {
	var all analysis.Gatherer
	for _, fleet := range fleets {
		g := r.Worker().(analysis.Gatherer)
		for _, s := range fleet {
			if err := g.Analyse(nil, s, start, end); err != nil {
				t.Fatal(err)
			}
		}
		if all == nil {
			all = g
		} else if err := all.Join(g); err != nil {
			t.Fatal(err)
		}
	}
	rows := result.NewRows(r.Columns())
	if err := all.Gathered(func(appendTo func(*result.Rows)) error { appendTo(rows); return nil }); err != nil {
		t.Fatal(err)
	}
	return texts(rows)
}

// texts gives rows as text, floats by their bits.
func texts(rows *result.Rows) (out []string) {
	for i := range rows.Len() {
		line := ""
		for k := range rows.Columns {
			c := &rows.Columns[k]
			switch {
			case c.Null != nil && c.Null[i]:
				line += " null"
			case c.Type == result.Text:
				line += fmt.Sprintf(" %q", c.Texts[c.Index[i]])
			case c.Type == result.Float && math.IsNaN(c.Floats[i]):
				line += " NaN"
			case c.Type == result.Float:
				line += fmt.Sprintf(" %x", c.Floats[i])
			default:
				line += fmt.Sprint(" ", c.Ints[i])
			}
		}
		out = append(out, line)
	}
	return out
}

// TestGroupsHangOnNoOrder: however the series are divided and in whatever order they
// come, the rows are the same to the last bit.
func TestGroupsHangOnNoOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fleet := drawFleet(t)
		r, err := New(Parameters{Every: rapid.SampledFrom([]int64{0, 7, 50}).Draw(t, "every"), Quantiles: []float64{0.5, 0.99}, By: []string{"rack"}})
		if err != nil {
			t.Fatal(err)
		}
		want := gathered(t, r, [][]*analysis.Samples{fleet}, 98, 202)
		shuffled := rapid.Permutation(fleet).Draw(t, "order")
		divided := make([][]*analysis.Samples, rapid.IntRange(1, 4).Draw(t, "gatherers"))
		for _, s := range shuffled {
			i := rapid.IntRange(0, len(divided)-1).Draw(t, "of")
			divided[i] = append(divided[i], s)
		}
		if got := gathered(t, r, divided, 98, 202); !slices.Equal(got, want) {
			t.Errorf("divided, the rows are\n%s\nwant\n%s", got, want)
		}
	})
}

// naiveGroup brings the samples of a group's series in one window together, one by
// one, in order of time and then of series.
type naiveGroup struct {
	count  int
	values []float64
}

func naiveGroups(fleet []*analysis.Samples, from, to int64) map[string]*naiveGroup {
	type point struct {
		at     int64
		id     string
		value  float64
		number bool
	}
	points := map[string][]point{}
	for _, s := range fleet {
		rack := ""
		for _, tag := range s.Series.Of.Tags {
			if tag.Name == "rack" {
				rack = fmt.Sprintf(`"rack":%q`, tag.Value)
			}
		}
		key := fmt.Sprintf("%s {%s}", s.Series.Metric, rack)
		for i, at := range s.Times {
			if at < from || at >= to {
				continue
			}
			p := point{at: at, id: s.Series.ID, number: s.Series.Kind != sample.String}
			if p.number {
				p.value = floatOf(s.Series.Kind, s.Bits[i])
			}
			points[key] = append(points[key], p)
		}
	}
	out := map[string]*naiveGroup{}
	for key, list := range points {
		slices.SortFunc(list, func(a, b point) int {
			if a.at != b.at {
				return int(a.at - b.at)
			}
			if a.id < b.id {
				return -1
			}
			return 1
		})
		g := &naiveGroup{count: len(list)}
		for _, p := range list {
			if p.number {
				g.values = append(g.values, p.value)
			}
		}
		out[key] = g
	}
	return out
}

// deviationOf is the textbook's, in many digits.
func deviationOf(values []float64) float64 {
	wide := func(x float64) *big.Float { return new(big.Float).SetPrec(9000).SetFloat64(x) }
	total := wide(0)
	for _, x := range values {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return math.NaN()
		}
		total.Add(total, wide(x))
	}
	total.Quo(total, wide(float64(len(values))))
	squares := wide(0)
	for _, x := range values {
		d := wide(x)
		d.Sub(d, total)
		squares.Add(squares, d.Mul(d, d))
	}
	squares.Quo(squares, wide(float64(len(values)-1)))
	root, _ := squares.Sqrt(squares).Float64()
	return root
}

// TestGroupsAreRight compares with the naive model: members, windows, functions, nulls.
func TestGroupsAreRight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fleet := drawFleet(t)
		every := rapid.SampledFrom([]int64{20, 200}).Draw(t, "every")
		r, err := New(Parameters{Every: every, Functions: []string{count, least, most, first, last, stddev}, Quantiles: []float64{0.5}, By: []string{"rack", "rack"}})
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for from := int64(100); from < 200; from += every {
			for key, g := range naiveGroups(fleet, from, min(from+every, 200)) {
				want = append(want, fmt.Sprint(key, from, naiveRow(g)))
			}
		}
		all := r.Worker().(analysis.Gatherer)
		for _, s := range fleet {
			if err := all.Analyse(nil, s, 100, 200); err != nil {
				t.Fatal(err)
			}
		}
		rows := result.NewRows(r.Columns())
		if err := all.Gathered(func(appendTo func(*result.Rows)) error { appendTo(rows); return nil }); err != nil {
			t.Fatal(err)
		}
		c := rows.Columns
		for i := range rows.Len() {
			if c[0].Texts[c[0].Index[i]] != "" || c[4].Ints[i] != min(c[3].Ints[i]+every, 200) {
				t.Errorf("row %s", texts(rows)[i])
			}
			text := fmt.Sprint(c[1].Texts[c[1].Index[i]], " ", c[2].Texts[c[2].Index[i]], c[3].Ints[i], " count ", c[5].Ints[i])
			for k, name := range []string{least, most, first, last, stddev} {
				if v := &c[6+k]; v.Null == nil || !v.Null[i] {
					text += fmt.Sprintf(" %s %.9e", name, v.Floats[i])
				}
			}
			got = append(got, text)
			checkMedian(t, &c[11], i, naiveGroups(fleet, c[3].Ints[i], c[4].Ints[i])[c[1].Texts[c[1].Index[i]]+" "+c[2].Texts[c[2].Index[i]]])
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("rows are\n%q\nwant\n%q", got, want)
		}
	})
}

func naiveRow(g *naiveGroup) string {
	text := fmt.Sprint(" count ", g.count)
	if len(g.values) == 0 {
		return text
	}
	of := naive(g.values)
	for _, name := range []string{least, most, first, last} {
		text += fmt.Sprintf(" %s %.9e", name, of[name])
	}
	if len(g.values) > 1 {
		text += fmt.Sprintf(" %s %.9e", stddev, deviationOf(g.values))
	}
	return text
}

// checkMedian wants a quantile within its accuracy of the sample of its rank.
func checkMedian(t *rapid.T, v *result.Values, i int, g *naiveGroup) {
	finite := slices.DeleteFunc(slices.Clone(g.values), func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) })
	if len(finite) == 0 {
		if v.Null == nil || !v.Null[i] {
			t.Errorf("the median of nothing is %v", v.Floats[i])
		}
		return
	}
	slices.Sort(finite)
	got := v.Floats[i]
	for _, want := range finite[(len(finite)-1)/2 : len(finite)/2+1] { // of an even number either
		if math.Abs(want) >= 1e308 || math.Abs(got-want) <= Accuracy*math.Abs(want)*1.0001 {
			return
		}
	}
	t.Errorf("the median of %v is %v", finite, got)
}

// TestOneSeriesIsAGroup: its row is that of the series, but for who it is of, and for
// the last places of its deviation.
func TestOneSeriesIsAGroup(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSeries(t)
		functions := []string{count, least, most, mean, sum, first, last}
		parameters := Parameters{Every: 30, Functions: functions, Quantiles: []float64{0.1, 0.9}}
		single, err := New(parameters)
		if err != nil {
			t.Fatal(err)
		}
		rows := result.NewRows(single.Columns())
		if err := single.Worker().Analyse(rows, s, 100, 200); err != nil {
			t.Fatal(err)
		}
		parameters.By = []string{"host"}
		groups, err := New(parameters)
		if err != nil {
			t.Fatal(err)
		}
		for i := range rows.Columns[0].Texts {
			rows.Columns[0].Texts[i] = ""
		}
		if got, want := gathered(t, groups, [][]*analysis.Samples{{s}}, 100, 200), texts(rows); !slices.Equal(got, want) {
			t.Errorf("rows are\n%q\nwant\n%q", got, want)
		}
	})
}

func TestGroupsAreBounded(t *testing.T) {
	if _, err := New(Parameters{By: []string{"__name__"}}); !errors.Is(err, analysis.ErrParameters) {
		t.Errorf("by __name__: %v", err)
	}
	r, err := New(Parameters{Every: 1, Quantiles: []float64{0.5}, By: []string{"host"}})
	if err != nil {
		t.Fatal(err)
	}
	g := newGatherer(r)
	if g.most != maxSketched {
		t.Errorf("with quantiles there may be %d groups", g.most)
	}
	g.most = 3
	series, err := sample.NewSeries("m", nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &analysis.Samples{Series: analysis.NewSeries(series, series.ID(), sample.Int64), Times: []int64{0, 1, 2, 2}, Bits: []uint64{1, 2, 3, 3}}
	s.Times[3] = 3
	if err := g.Analyse(nil, s, 0, 10); !errors.Is(err, analysis.ErrParameters) {
		t.Errorf("four windows where three are the most: %v", err)
	}
	if err := newGatherer(r).Join(nil); err == nil {
		t.Error("what is no gatherer is joined")
	}
}
