package query

import (
	"math"
	"strconv"
	"testing"

	"weir/internal/sample"
)

func TestValuesOfEveryKind(t *testing.T) {
	float := newPoints(t, "f", nil, sample.Float64).with(
		sample.Sample{Time: 1, Value: sample.FloatValue(math.NaN())},
		sample.Sample{Time: 2, Value: sample.FloatValue(math.Inf(1))},
		sample.Sample{Time: 3, Value: sample.FloatValue(math.Inf(-1)), Quality: 0x80000000},
		sample.Sample{Time: 4, Value: sample.FloatValue(1e300)})
	whole := newPoints(t, "i\n", []string{"é", `"`}, sample.Int64).with(
		sample.Sample{Time: math.MinInt64, Value: sample.IntValue(math.MinInt64)},
		sample.Sample{Time: math.MaxInt64, Value: sample.IntValue(math.MaxInt64)})
	truth := newPoints(t, "b", []string{"x", "1", "a", "2"}, sample.Bool).with(
		sample.Sample{Time: 0, Value: sample.BoolValue(true)}, sample.Sample{Time: 1, Value: sample.BoolValue(false)})
	truth.Qualities = []sample.Quality{0, 0}
	text := newPoints(t, "s", nil, sample.String).with(
		sample.Sample{Time: 0, Value: sample.StringValue("")}, sample.Sample{Time: 1, Value: sample.StringValue("a,\"b\"\n\t\x01\xff")})
	for _, c := range []struct {
		points    Points
		json, csv string
	}{
		{float, `{"metric":"f","tags":{},"kind":"float64","times":[1,2,3,4],"values":["NaN","+Inf","-Inf",1e+300],"quality":[0,0,2147483648,0]}`,
			"f,1970-01-01T00:00:00.000000001Z,NaN,0\r\nf,1970-01-01T00:00:00.000000002Z,+Inf,0\r\n" +
				"f,1970-01-01T00:00:00.000000003Z,-Inf,2147483648\r\nf,1970-01-01T00:00:00.000000004Z,1e+300,0"},
		{whole, `{"metric":"i\n","tags":{"é":"\""},"kind":"int64","times":[-9223372036854775808,9223372036854775807],"values":[-9223372036854775808,9223372036854775807]}`,
			"\"i\n{é=\"\"\\\"\"\"\"}\",1677-09-21T00:12:43.145224192Z,-9223372036854775808,0\r\n" +
				"\"i\n{é=\"\"\\\"\"\"\"}\",2262-04-11T23:47:16.854775807Z,9223372036854775807,0"},
		{truth, `{"metric":"b","tags":{"a":"2","x":"1"},"kind":"bool","times":[0,1],"values":[true,false]}`,
			"\"b{a=\"\"2\"\",x=\"\"1\"\"}\",1970-01-01T00:00:00Z,true,0\r\n\"b{a=\"\"2\"\",x=\"\"1\"\"}\",1970-01-01T00:00:00.000000001Z,false,0"},
		{text, `{"metric":"s","tags":{},"kind":"string","times":[0,1],"values":["","a,\"b\"\n\t\u0001` + "\ufffd" + `"]}`,
			"s,1970-01-01T00:00:00Z,\"\",0\r\ns,1970-01-01T00:00:00.000000001Z,\"a,\"\"b\"\"\n\t\x01\xff\",0"},
	} {
		s := &stream{}
		if err := (jsonLines{}).points(s, &c.points); err != nil || string(s.buf) != c.json+"\n" {
			t.Errorf("got  %s\nwant %s\n%v", s.buf, c.json, err)
		}
		s = &stream{}
		if err := (csvRows{}).points(s, &c.points); err != nil || string(s.buf) != c.csv+"\r\n" {
			t.Errorf("got  %q\nwant %q\n%v", s.buf, c.csv, err)
		}
	}
}

func TestWritingSamplesAllocatesNothing(t *testing.T) {
	for _, kind := range []sample.Kind{sample.Float64, sample.Int64, sample.Bool, sample.String} {
		p := newPoints(t, "m", []string{"host", "a"}, kind)
		for at := range int64(1000) {
			v := sample.Value{Bits: math.Float64bits(float64(at) / 7), Text: "text \"" + strconv.FormatInt(at, 10)}
			p = p.with(sample.Sample{Time: at * 1e9, Value: v, Quality: sample.Quality(at % 2)})
		}
		for _, form := range []format{jsonLines{}, csvRows{}} {
			s := &stream{buf: make([]byte, 0, held)}
			allocs := testing.AllocsPerRun(3, func() {
				s.buf = s.buf[:0]
				if err := form.points(s, &p); err != nil {
					t.Fatal(err)
				}
			})
			if allocs > 10 { // the text of the series in CSV
				t.Errorf("%s of 1,000 samples as %s allocates %v times", kind, form.contentType(), allocs)
			}
		}
	}
}

func BenchmarkJSON(b *testing.B) {
	for name, value := range map[string]func(int) float64{
		"whole":    func(i int) float64 { return float64(i % 100) },
		"decimals": func(i int) float64 { return float64(i%100000) / 1000 },
		"full":     func(i int) float64 { return math.Sqrt(float64(i)) },
	} {
		b.Run(name, func(b *testing.B) {
			p := newPoints(b, "cpu_usage_user", []string{"hostname", "host_1"}, sample.Float64)
			for i := range 10_000 {
				p = p.with(sample.Sample{Time: 1769860800000000000 + int64(i)*1e10, Value: sample.FloatValue(value(i))})
			}
			s := &stream{}
			b.ReportAllocs()
			for b.Loop() {
				s.buf = s.buf[:0]
				if err := (jsonLines{}).points(s, &p); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e4, "ns/sample")
		})
	}
}

func BenchmarkAggregate(b *testing.B) {
	var all []Points
	for i := range 100 {
		p := newPoints(b, "cpu_usage_user", []string{"hostname", "host_" + strconv.Itoa(i)}, sample.Float64)
		for j := range 10_000 {
			p = p.with(sample.Sample{Time: 1769860800000000000 + int64(j)*1e10, Value: sample.FloatValue(float64(j % 100))})
		}
		all = append(all, p)
	}
	engine := NewEngine(&memory{all: all}, DefaultLimits())
	for name, grouped := range map[string]bool{"series": false, "all": true} {
		b.Run(name, func(b *testing.B) {
			a := Aggregation{Selection: Selection{Selector{}, 0, math.MaxInt64}, Function: Mean, Window: 60e9, Grouped: grouped}
			for b.Loop() {
				if err := engine.Aggregate(b.Context(), a, func(*Points) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e6, "ns/sample")
		})
	}
}
