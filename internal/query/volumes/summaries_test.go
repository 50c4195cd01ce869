package volumes

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/internal/message"
	"weir/internal/query"
	"weir/internal/sample"
)

// decoding is a Source that takes no run by its statistics.
type decoding struct{ *Source }

func (d decoding) Windows(ctx context.Context, r query.Reading, w query.Windowing, yield func(*query.SeriesInfo, []query.Cell) error) error {
	return d.Samples(ctx, r, func(p *query.Points) error { return yield(p.Info, w.Samples(nil, p)) })
}

// longOnes gives a run of so many seconds from one on, a sample a second.
func longOnes(from, count int64, version uint64, value func(int64) sample.Value) []unitVersioned {
	var out []unitVersioned
	for i := range count {
		out = append(out, unitVersioned{sample.Sample{Time: unitAt(from + i), Value: value(i)}, version})
	}
	return out
}

func (r *unitRig) aggregate(source query.Source, a query.Aggregation) (string, error) {
	text := ""
	err := query.NewEngine(source, r.limits).Aggregate(r.t.Context(), a, func(p *query.Points) error {
		text += fmt.Sprintln(p.Info.Series, p.Info.Kind, p.Times, p.Bits, p.Texts)
		return nil
	})
	return text, err
}

// TestStatisticsGiveWhatDecodingGives reads random runs, of which some overlap
// and some are in a head, by random windows, and compares bit by bit.
func TestStatisticsGiveWhatDecodingGives(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	values := map[string]func(int64) sample.Value{
		"floats": func(int64) sample.Value { return sample.FloatValue(math.Round(rng.NormFloat64()*1e4) / 1e3) },
		"wild":   func(int64) sample.Value { return sample.FloatValue(math.Ldexp(rng.NormFloat64(), rng.IntN(2000)-1000)) },
		"zeros":  func(int64) sample.Value { return sample.FloatValue(math.Copysign(0, -1)) },
		"special": func(i int64) sample.Value {
			return sample.FloatValue([]float64{1, math.NaN(), math.Inf(1)}[max(0, i-97)])
		},
		"ints":  func(int64) sample.Value { return sample.IntValue(rng.Int64N(2000) - 1000) },
		"huge":  func(int64) sample.Value { return sample.IntValue(rng.Int64() >> 8) },
		"bools": func(int64) sample.Value { return sample.BoolValue(rng.IntN(2) == 0) },
		"texts": func(i int64) sample.Value { return sample.StringValue(fmt.Sprint(i)) },
	}
	r := unitNewRig(t, 2)
	r.limit(1 << 30)
	for name, value := range values {
		m := unitMetric(name)
		at := int64(0)
		for range 8 {
			r.flush(unitWeek, m, longOnes(at, 100, 1+rng.Uint64N(3), value), false)
			at += 100 + rng.Int64N(100) - 40
		}
		r.pend(unitWeek, m, 0, message.Stamp(2), longOnes(at-rng.Int64N(400), 3, 0, value)[1].Sample)
	}
	for range 300 {
		from := rng.Int64N(600)
		for name := range values {
			a := query.Aggregation{
				Selection: query.Selection{Selector: unitSelector(t, name), Start: unitAt(from), End: unitAt(from + 1 + rng.Int64N(900))},
				Function:  query.Functions()[rng.IntN(7)], Window: (1 + rng.Int64N(800)) * unitSecond, Grouped: rng.IntN(2) == 0,
			}
			want, wantErr := r.aggregate(decoding{r.source}, a)
			got, err := r.aggregate(r.source, a)
			if d := cmp.Diff(want, got); d != "" || fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Fatalf("%s of %s, %+v: %v, %v: %s", a.Function, name, a, err, wantErr, d)
			}
		}
	}
}

// TestStatisticsOfManySeriesInAnItem reads items of many series, some of which
// are not wanted and some not there, with and without a head.
func TestStatisticsOfManySeriesInAnItem(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	r, byJournal := benchRegister(t, 12)
	for id, list := range byJournal {
		benchFlush(r, id, list, unitAt(0), unitAt(3600), rng)
		benchFlush(r, id, list[:len(list)/2], unitAt(3600), unitAt(7200), rng)
		benchFlush(r, id, list[:len(list)*15/16], unitAt(7200), unitAt(10800), rng)
	}
	selectors := []string{"", `{__name__=~"cpu_field_[0-4]"}`, `{hostname=~"host_[1-9]"}`, "cpu_field_3"}
	for round := range 200 {
		if round == 100 {
			for _, list := range byJournal {
				for _, s := range list[len(list)/3:] {
					r.pend(unitWeek, s.Series, 0, 9, unitInt(7200+rng.Int64N(3600)))
				}
			}
		}
		from := int64(0)
		if rng.IntN(2) == 0 {
			from = rng.Int64N(4000)
		}
		a := query.Aggregation{
			Selection: query.Selection{Selector: unitSelector(t, selectors[rng.IntN(4)]), Start: unitAt(from), End: unitAt(10800 - rng.Int64N(2)*rng.Int64N(4000))},
			Function:  query.Functions()[rng.IntN(7)], Window: (1 + rng.Int64N(4)) * 1800 * unitSecond, Grouped: rng.IntN(2) == 0, By: []string{"hostname"},
		}
		want, wantErr := r.aggregate(decoding{r.source}, a)
		got, err := r.aggregate(r.source, a)
		if d := cmp.Diff(want, got); d != "" || want == "" || err != nil || wantErr != nil {
			t.Fatalf("round %d, %s, %+v: %v, %v: %s", round, a.Function, a, err, wantErr, d)
		}
	}
}

func unitSelector(t testing.TB, text string) query.Selector {
	t.Helper()
	sel, err := query.ParseSelector(text)
	if err != nil {
		t.Fatal(err)
	}
	return sel
}

// TestOnlyWhatStatisticsDoNotSayIsDecoded counts by the limit on samples.
func TestOnlyWhatStatisticsDoNotSayIsDecoded(t *testing.T) {
	one := func(int64) sample.Value { return sample.IntValue(1) }
	for name, c := range map[string]struct {
		from, to int64
		write    func(*unitRig, sample.Series)
		decoded  int
	}{
		"runs that are apart":            {0, 3600, func(*unitRig, sample.Series) {}, 0},
		"a range that cuts one":          {50, 3600, func(*unitRig, sample.Series) {}, 50},
		"a window's end within one":      {0, 7200, func(r *unitRig, m sample.Series) { r.flush(unitWeek, m, longOnes(3550, 100, 1, one), false) }, 100},
		"two that overlap":               {0, 3600, func(r *unitRig, m sample.Series) { r.flush(unitWeek, m, longOnes(250, 70, 2, one), false) }, 170},
		"a sample of the head among one": {0, 3600, func(r *unitRig, m sample.Series) { r.pend(unitWeek, m, 0, 9, unitInt(220)) }, 101},
		"a sample of the head apart":     {0, 3600, func(r *unitRig, m sample.Series) { r.pend(unitWeek, m, 0, 9, unitInt(700)) }, 1},
		"runs too short to tell":         {0, 3600, func(r *unitRig, m sample.Series) { r.flush(unitWeek, m, longOnes(900, 5, 1, one), false) }, 5},
	} {
		r := unitNewRig(t, 1)
		m := unitMetric("m")
		r.flush(unitWeek, m, longOnes(0, 100, 1, one), false)
		r.flush(unitWeek, m, longOnes(200, 100, 1, one), false)
		c.write(r, m)
		a := query.Aggregation{
			Selection: query.Selection{Selector: unitSelector(t, "m"), Start: unitAt(c.from), End: unitAt(c.to)},
			Function:  query.Sum, Window: 3600 * unitSecond,
		}
		r.limit(max(c.decoded, 1))
		if _, err := r.aggregate(r.source, a); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.decoded == 0 {
			continue
		}
		r.limits.MaxSamples = c.decoded - 1
		var over *query.LimitError
		if _, err := r.aggregate(r.source, a); !errors.As(err, &over) {
			t.Errorf("%s: fewer than %d were decoded: %v", name, c.decoded, err)
		}
	}
}

func unitInt(second int64) sample.Sample {
	return sample.Sample{Time: unitAt(second), Value: sample.IntValue(1)}
}

// TestMemoryIsLimitedAndGivenBack reads by ever larger limits.
func TestMemoryIsLimitedAndGivenBack(t *testing.T) {
	r := unitNewRig(t, 1)
	for _, m := range []string{"a", "b", "c"} {
		r.flush(unitWeek, unitMetric(m), longOnes(0, 500, 1, func(i int64) sample.Value { return sample.IntValue(i * i) }), false)
	}
	r.limit(1 << 30)
	failed := 0
	for limit := int64(100); ; limit += 900 {
		r.limits.MaxMemory = limit
		got, err := r.read("", unitAt(0), unitAt(1000))
		if held := r.budget.Held(); held != 0 {
			t.Fatalf("limit %d: %d bytes are still held after %v", limit, held, err)
		}
		var over *query.LimitError
		if err == nil {
			if len(got) != 3 {
				t.Errorf("%d series", len(got))
			}
			break
		}
		if !errors.As(err, &over) || over.Limit != "max_memory" {
			t.Fatal(err)
		}
		failed++
	}
	if least := 3 * 500 * 16 / 900; failed < least {
		t.Errorf("%d limits were too small; the samples alone make %d so", failed, least)
	}
}
