package query

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"weir/internal/sample"
)

// collect runs an aggregation and writes its answer as JSON lines, which tell
// every bit but the payload of a NaN.
func collect(source Source, limits Limits, a Aggregation) (string, error) {
	s := &stream{}
	err := NewEngine(source, limits).Aggregate(context.Background(), a, func(p *Points) error {
		return jsonLines{}.points(s, p)
	})
	return string(s.buf), err
}

// naive computes an aggregate anew, sample by sample, with big integers, and
// shares no code with the engine but the writing of JSON.
func naive(all []Points, a Aggregation) (string, error) {
	type entry struct {
		series sample.Series
		kind   sample.Kind
		at     sample.Sample
	}
	sorted := slices.Clone(all)
	sort.Slice(sorted, func(i, j int) bool { return Compare(sorted[i].Info.Series, sorted[j].Info.Series) < 0 })
	groups := map[string]map[int64][]entry{}
	names := map[string]sample.Series{}
	metrics := map[string]map[string]bool{}
	for _, p := range sorted {
		name := p.Info.Series
		if a.Grouped {
			name = sample.Series{}
			for _, tag := range p.Info.Series.Tags {
				if slices.Contains(a.By, tag.Name) {
					name.Tags = append(name.Tags, tag)
				}
			}
		}
		key := name.String()
		if a.Grouped && slices.Contains(a.By, MetricName) {
			key = p.Info.Series.Metric + key
		}
		for i, at := range p.Times {
			if at < a.Start || at >= a.End {
				continue
			}
			if groups[key] == nil {
				groups[key], metrics[key] = map[int64][]entry{}, map[string]bool{}
			}
			names[key] = name
			metrics[key][p.Info.Series.Metric] = true
			start := new(big.Int).Div(big.NewInt(at), big.NewInt(a.Window)).Int64() * a.Window // Euclid: floored
			value := sample.Value{Kind: p.Info.Kind}
			if p.Texts != nil {
				value.Text = p.Texts[i]
			} else {
				value.Bits = p.Bits[i]
			}
			groups[key][start] = append(groups[key][start], entry{p.Info.Series, p.Info.Kind, sample.Sample{Time: at, Value: value}})
		}
	}
	var lines []Points
	for key, windows := range groups {
		series := names[key]
		if a.Grouped && len(metrics[key]) == 1 {
			for metric := range metrics[key] {
				series.Metric = metric
			}
		}
		out := Points{Info: &SeriesInfo{Series: series}}
		for start := range windows {
			out.Times = append(out.Times, start)
		}
		slices.Sort(out.Times)
		mixed := map[sample.Kind]bool{}
		for _, entries := range windows {
			for _, e := range entries {
				mixed[e.kind] = true
			}
		}
		for _, start := range out.Times {
			var perSeries [][]sample.Value
			var last sample.Series
			var first, latest entry
			for i, e := range windows[start] {
				if i == 0 || Compare(last, e.series) != 0 {
					perSeries = append(perSeries, nil)
				}
				last = e.series
				perSeries[len(perSeries)-1] = append(perSeries[len(perSeries)-1], e.at.Value)
				if i == 0 || e.at.Time < first.at.Time {
					first = e
				}
				if i == 0 || e.at.Time >= latest.at.Time {
					latest = e
				}
			}
			value, err := naiveValue(a.Function, perSeries, first.at.Value, latest.at.Value, mixed[sample.Float64])
			if err != nil {
				return "", err
			}
			out.Info.Kind = value.Kind
			out.Bits, out.Texts = append(out.Bits, value.Bits), append(out.Texts, value.Text)
		}
		lines = append(lines, out)
	}
	sort.Slice(lines, func(i, j int) bool { return Compare(lines[i].Info.Series, lines[j].Info.Series) < 0 })
	s := &stream{}
	for i := range lines {
		if err := (jsonLines{}).points(s, &lines[i]); err != nil {
			return "", err
		}
	}
	return string(s.buf), nil
}

var errNaiveOverflow = errors.New("overflow")

func naiveValue(f Function, perSeries [][]sample.Value, first, last sample.Value, float bool) (sample.Value, error) {
	asFloat := func(v sample.Value) float64 {
		if v.Kind == sample.Float64 {
			return v.Float()
		}
		return float64(v.Int())
	}
	total, count := new(big.Int), 0
	var floats []float64
	var floatSum, low, high float64
	var lowInt, highInt sample.Value
	for _, values := range perSeries {
		exact := new(big.Int)
		for _, v := range values {
			x := asFloat(v)
			if v.Kind == sample.Float64 {
				floats = append(floats, x)
			} else { // two floats that are exactly the integer
				floats = append(floats, float64(v.Int()>>32)*0x1p32, float64(v.Int()&(1<<32-1)))
			}
			exact.Add(exact, big.NewInt(v.Int()))
			if count == 0 {
				low, high, lowInt, highInt = x, x, v, v
			}
			count++
			if math.IsNaN(low) {
				low = x
			}
			if math.IsNaN(high) {
				high = x
			}
			if !math.IsNaN(x) {
				low, high = math.Min(low, x), math.Max(high, x)
			}
			if v.Int() < lowInt.Int() {
				lowInt = v
			}
			if v.Int() > highInt.Int() {
				highInt = v
			}
		}
		total.Add(total, exact)
	}
	floatSum = naiveSum(floats)
	widen := func(v sample.Value) (sample.Value, error) {
		if float {
			return sample.FloatValue(asFloat(v)), nil
		}
		return v, nil
	}
	switch f {
	case Count:
		return sample.IntValue(int64(count)), nil
	case First:
		return widen(first)
	case Last:
		return widen(last)
	case Min:
		if float {
			return sample.FloatValue(low), nil
		}
		return lowInt, nil
	case Max:
		if float {
			return sample.FloatValue(high), nil
		}
		return highInt, nil
	case Sum:
		if float {
			return sample.FloatValue(floatSum), nil
		}
		if !total.IsInt64() {
			return sample.Value{}, errNaiveOverflow
		}
		return sample.IntValue(total.Int64()), nil
	}
	if !float {
		floatSum, _ = new(big.Float).SetInt(total).Float64()
	}
	return sample.FloatValue(floatSum / float64(count)), nil
}

// naiveSum is the exact sum, rounded once; NaN wins, and so do both infinities.
func naiveSum(values []float64) float64 {
	var plain float64 // right where a NaN or an infinity takes part
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			plain += v
		}
	}
	if plain != 0 {
		return plain
	}
	total := new(big.Float).SetPrec(4000)
	minus := true // all are -0
	for _, v := range values {
		total.Add(total, new(big.Float).SetFloat64(v))
		minus = minus && v == 0 && math.Signbit(v)
	}
	if total.Sign() == 0 {
		if minus {
			return math.Copysign(0, -1)
		}
		return 0
	}
	nearest, _ := total.Float64()
	return nearest
}

// drawPoints makes series of kinds that may be combined by every function that
// f is, with times around the epoch so that windows begin before it too.
func drawPoints(t *rapid.T, f Function) []Points {
	kinds := rapid.SampledFrom([][]sample.Kind{
		{sample.Float64}, {sample.Int64}, {sample.Float64, sample.Int64}, {sample.Bool}, {sample.String},
	}).Draw(t, "kinds")
	if kinds[0] == sample.String && f != Count && f != First && f != Last {
		kinds = []sample.Kind{sample.Int64}
	}
	var all []Points
	for i := range rapid.IntRange(1, 8).Draw(t, "series") {
		tags := []string{"id", fmt.Sprint(i), "host", rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "host"),
			"region", rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "region")}
		metric := rapid.SampledFrom([]string{"m1", "m2"}).Draw(t, "metric")
		p := newPoints(t, metric, tags, rapid.SampledFrom(kinds).Draw(t, "kind"))
		times := rapid.SliceOfNDistinct(rapid.Int64Range(-60, 60), 1, 25, rapid.ID[int64]).Draw(t, "times")
		slices.Sort(times)
		for _, at := range times {
			p = p.with(sample.Sample{Time: at, Value: drawValue(t, p.Info.Kind)})
		}
		all = append(all, p)
	}
	return all
}

func drawValue(t *rapid.T, kind sample.Kind) sample.Value {
	switch kind {
	case sample.Int64:
		return sample.IntValue(rapid.OneOf(rapid.Int64Range(-9, 9), rapid.Int64()).Draw(t, "int"))
	case sample.Bool:
		return sample.BoolValue(rapid.Bool().Draw(t, "bool"))
	case sample.String:
		return sample.StringValue(rapid.StringN(0, 3, 6).Draw(t, "text"))
	}
	special := rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), math.MaxFloat64})
	return sample.FloatValue(rapid.OneOf(rapid.Float64Range(-1e3, 1e3), special).Draw(t, "float"))
}

func TestAggregateAgreesWithTheNaiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(Functions()).Draw(t, "function")
		all := drawPoints(t, f)
		a := Aggregation{Function: f, Window: rapid.Int64Range(1, 40).Draw(t, "window")}
		a.Start = rapid.Int64Range(-70, 0).Draw(t, "start")
		a.End = rapid.Int64Range(a.Start+1, 70).Draw(t, "end")
		a.Grouped = rapid.Bool().Draw(t, "grouped")
		if a.Grouped {
			a.By = rapid.SampledFrom([][]string{nil, {"host"}, {"region"}, {"region", "host"}, {"host", MetricName}, {"none"}, {"host", "host"}}).Draw(t, "by")
		}
		// The kind of a group is that of all series listed for the range.
		all = slices.DeleteFunc(all, func(p Points) bool {
			return !slices.ContainsFunc(p.Times, func(at int64) bool { return at >= a.Start && at < a.End })
		})
		source := &memory{all: all, shuffle: rapid.Bool().Draw(t, "shuffle")}
		want, wantErr := naive(all, a)
		got, err := collect(source, DefaultLimits(), a)
		if wantErr != nil {
			var overflow *OverflowError
			if !errors.As(err, &overflow) {
				t.Fatalf("got %v; want an overflow", err)
			}
			return
		}
		if err != nil || got != want {
			t.Fatalf("%s: %v\n%s", f, err, cmp.Diff(want, got))
		}
	})
}

func TestWindowOf(t *testing.T) {
	for _, c := range []struct{ t, window, first, last int64 }{
		{0, 10, 0, 9}, {9, 10, 0, 9}, {10, 10, 10, 19}, {-1, 10, -10, -1}, {-10, 10, -10, -1}, {-11, 10, -20, -11}, {5, 1, 5, 5},
		{math.MaxInt64, 10, math.MaxInt64 - 7, math.MaxInt64}, {math.MinInt64, 10, math.MinInt64, math.MinInt64 + 7},
		{math.MaxInt64, 1, math.MaxInt64, math.MaxInt64}, {math.MinInt64, 1, math.MinInt64, math.MinInt64},
		{-1, math.MaxInt64, -math.MaxInt64, -1}, {math.MinInt64, math.MaxInt64, math.MinInt64, -math.MaxInt64 - 1},
		{math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64},
	} {
		if first, last := windowOf(c.t, c.window); first != c.first || last != c.last {
			t.Errorf("%d lies in the window of %d from %d to %d; want %d to %d", c.t, c.window, first, last, c.first, c.last)
		}
	}
}

func TestAggregateRefusesKinds(t *testing.T) {
	one := func(metric string, v sample.Value) Points {
		return newPoints(t, metric, nil, v.Kind).with(sample.Sample{Time: 1, Value: v})
	}
	source := &memory{all: []Points{one("b", sample.BoolValue(true)), one("f", sample.FloatValue(1.5)),
		one("i", sample.IntValue(2)), one("s", sample.StringValue("x"))}}
	for _, c := range []struct {
		match   string
		f       Function
		grouped bool
		want    string // in the answer or the error
	}{
		{`{}`, Count, true, `"kind":"int64","times":[0],"values":[4]`},
		{`s`, Sum, false, `sum of string values is not defined, and s is string`},
		{`{__name__=~"s|i"}`, Max, true, `max of string values`},
		{`{__name__=~"b|i"}`, Max, true, `mixes bool and int64 is not defined, and i is int64`},
		{`{__name__=~"s|f"}`, Last, true, `mixes float64 and string is not defined, and s is string`},
		{`{__name__=~"b|i"}`, Sum, true, `"kind":"int64","times":[0],"values":[3]`},
		{`{__name__=~"b|i|f"}`, Sum, true, `"kind":"float64","times":[0],"values":[4.5]`},
		{`{__name__=~"b|i|f"}`, Mean, true, `"kind":"float64","times":[0],"values":[1.5]`},
		{`{__name__=~"i|f"}`, Min, true, `"kind":"float64","times":[0],"values":[1.5]`},
		{`b`, Max, false, `"kind":"bool","times":[0],"values":[true]`},
		{`s`, Last, true, `"kind":"string","times":[0],"values":["x"]`},
	} {
		a := Aggregation{Selection: Selection{mustSelector(t, c.match), 0, 10}, Function: c.f, Window: 10, Grouped: c.grouped}
		got, err := collect(source, DefaultLimits(), a)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s of %s: got %s; want %s", c.f, c.match, got, c.want)
		}
	}
}

func TestMeanOfSumsPastInt64(t *testing.T) {
	p := newPoints(t, "m", nil, sample.Int64)
	for i := range int64(4) {
		p = p.with(sample.Sample{Time: i, Value: sample.IntValue(math.MaxInt64 - i%2)})
	}
	a := Aggregation{Selection: Selection{Selector{}, 0, 10}, Function: Mean, Window: 10}
	got, err := collect(&memory{all: []Points{p}}, DefaultLimits(), a)
	if err != nil || !strings.Contains(got, `"values":[9223372036854776000]`) {
		t.Errorf("mean: %s %v", got, err)
	}
	a.Function = Sum
	_, err = collect(&memory{all: []Points{p}}, DefaultLimits(), a)
	if err == nil || !strings.Contains(err.Error(), "the sum of m in the window that begins at 0 is past int64") {
		t.Errorf("sum: %v", err)
	}
}

// What random numbers seldom meet.
func TestGroupsAtTheEdges(t *testing.T) {
	series := func(name string, values ...sample.Value) Points {
		p := newPoints(t, "m", []string{"name", name}, values[0].Kind)
		for i, v := range values {
			p = p.with(sample.Sample{Time: int64(i), Value: v})
		}
		return p
	}
	minus := math.Copysign(0, -1)
	most := sample.IntValue(math.MaxInt64)
	for name, c := range map[string]struct {
		f    Function
		want string
		all  []Points
	}{
		"last of equal times":   {Last, `["b"]`, []Points{series("1", sample.StringValue("a")), series("2", sample.StringValue("b"))}},
		"first of equal times":  {First, `["a"]`, []Points{series("1", sample.StringValue("a")), series("2", sample.StringValue("b"))}},
		"min of zeros":          {Min, `[-0]`, []Points{series("1", sample.FloatValue(0), sample.FloatValue(minus), sample.FloatValue(0))}},
		"max of zeros":          {Max, `[0]`, []Points{series("1", sample.FloatValue(minus), sample.FloatValue(0), sample.FloatValue(minus))}},
		"min past NaN":          {Min, `[3]`, []Points{series("1", sample.FloatValue(math.NaN())), series("2", sample.FloatValue(3))}},
		"max past NaN":          {Max, `[3]`, []Points{series("1", sample.FloatValue(3)), series("2", sample.FloatValue(math.NaN()))}},
		"all NaN":               {Max, `["NaN"]`, []Points{series("1", sample.FloatValue(math.NaN()), sample.FloatValue(math.NaN()))}},
		"sum past int64, mixed": {Sum, `[36893488147419103000]`, []Points{series("1", most, most, most, most), series("2", sample.FloatValue(0.5))}},
		"sum that comes back":   {Sum, `[-2]`, []Points{series("1", most, most), series("2", sample.IntValue(math.MinInt64), sample.IntValue(math.MinInt64))}},
		"one -0":                {Sum, `[-0]`, []Points{series("1", sample.FloatValue(minus))}},
	} {
		a := Aggregation{Selection: Selection{Selector{}, 0, 10}, Function: c.f, Window: 10, Grouped: true}
		got, err := collect(&memory{all: c.all}, DefaultLimits(), a)
		if err != nil || !strings.HasSuffix(got, `"values":`+c.want+"}\n") {
			t.Errorf("%s: %s%v; want %s", name, got, err, c.want)
		}
	}
}

func TestLimits(t *testing.T) {
	var all []Points
	for i := range 5 {
		p := newPoints(t, "m", []string{"i", fmt.Sprint(i)}, sample.Int64)
		for at := range int64(10) {
			p = p.with(sample.Sample{Time: at*5 + int64(i), Value: sample.IntValue(at)})
		}
		all = append(all, p)
	}
	a := Aggregation{Selection: Selection{Selector{}, 0, 1000}, Function: Sum, Window: 1, Grouped: true}
	for _, c := range []struct {
		limits Limits
		name   string
	}{
		{Limits{4, 50, 50, 1 << 30, 1}, "max_series, which is 4: 5 series match"},
		{Limits{5, 49, 50, 1 << 30, 1}, "max_samples, which is 49"},
		{Limits{5, 50, 49, 1 << 30, 1}, "max_windows, which is 49"},
		{Limits{5, 50, 50, 50*CellSize - 1, 1}, "max_memory, which is 3199: give a shorter range"},
		{Limits{5, 50, 50, 50 * CellSize, 1}, ""},
	} {
		_, err := collect(&memory{all: all}, c.limits, a)
		var limit *LimitError
		if c.name == "" && err != nil || c.name != "" && (!errors.As(err, &limit) || !strings.Contains(err.Error(), c.name)) {
			t.Errorf("%+v: got %v; want %q", c.limits, err, c.name)
		}
	}
	if err := DefaultLimits().Validate(); err != nil {
		t.Error(err)
	}
	if err := (Limits{MaxSeries: 1, MaxSamples: 1}).Validate(); err == nil || !strings.Contains(err.Error(), "max_windows is 0") {
		t.Errorf("a limit of 0 is valid: %v", err)
	}
}

func TestAggregateRefusesNonsense(t *testing.T) {
	source := &memory{}
	for want, a := range map[string]Aggregation{
		"must be above 0": {Function: Sum},
		"is not a":        {Window: 1, Function: Last + 1},
	} {
		if _, err := collect(source, DefaultLimits(), a); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %s", err, want)
		}
	}
	if got, err := collect(source, DefaultLimits(), Aggregation{Window: 1, Function: Sum}); got != "" || err != nil {
		t.Errorf("no series give %q, %v", got, err)
	}
}
