package volumes

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir/internal/block"
	"weir/internal/catalog"
	"weir/internal/journal"
	"weir/internal/query"
	"weir/internal/sample"
	"weir/internal/store"
)

func TestSeriesAreListedByWeekAndMatcher(t *testing.T) {
	r := unitNewRig(t, 2)
	tagged := func(metric, value string) sample.Series {
		return sample.Series{Metric: metric, Tags: []sample.Tag{{Name: "room", Value: value}}}
	}
	for _, in := range []struct {
		week   sample.Week
		series sample.Series
		kind   sample.Kind
	}{
		{unitWeek + 1, tagged("temp", "2"), sample.Float64}, {unitWeek, tagged("temp", "2"), sample.Int64}, {unitWeek + 3, tagged("temp", "2"), sample.Float64},
		{unitWeek, tagged("temp", "10"), sample.Float64}, {unitWeek, tagged("a", "2"), sample.String}, {unitWeek + 3, tagged("zz", "2"), sample.Bool},
		{unitWeek, unitMetric("longer"), sample.Bool}, // its key sorts behind those of short metrics
	} {
		r.register(in.week, in.series, in.kind)
	}
	cases := []struct {
		selector   string
		start, end int64
		want       []string
	}{
		{"", unitAt(0), unitAt(1), []string{`a{room="2"}`, "longer", `temp{room="10"}`, `temp{room="2"}`}},
		{"temp", unitAt(0), unitAt(1), []string{`temp{room="10"}`, `temp{room="2"}`}},
		{`{room="2"}`, unitAt(0), unitAt(1), []string{`a{room="2"}`, `temp{room="2"}`}},
		{`temp{room=~"1.*"}`, unitAt(0), unitAt(1), []string{`temp{room="10"}`}},
		{`{room=""}`, unitAt(0), unitAt(1), []string{"longer"}},
		{"", (unitWeek + 1).Start(), (unitWeek + 2).Start(), []string{`temp{room="2"}`}},
		{"", (unitWeek + 2).Start(), (unitWeek + 3).Start(), nil},
		{"", (unitWeek + 2).Start(), (unitWeek + 3).Start() + 1, []string{`temp{room="2"}`, `zz{room="2"}`}},
		{"nothing", unitAt(0), unitAt(1), nil},
	}
	for _, c := range cases {
		sel, err := query.ParseSelector(c.selector)
		if err != nil {
			t.Fatal(err)
		}
		list, err := r.source.Series(t.Context(), sel, c.start, c.end)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, info := range list {
			got = append(got, info.Series.String())
			if info.ID != info.Series.ID() || !slices.IsSorted(info.Weeks) || len(info.Weeks) == 0 {
				t.Errorf("selector %s lists %+v", c.selector, info)
			}
			if info.Series.String() == `temp{room="2"}` && info.Kind != sample.Int64 {
				t.Errorf("its kind is %v; want that of the earliest week", info.Kind)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("selector %q from %d: %q; want %q", c.selector, c.start, got, c.want)
		}
	}
}

func TestQueriesDoNotWaitForeverForTheHeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Catalog: catalog.New(), Heads: &unitHeads{catchUp: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}}})
		calls := map[string]func() error{
			"series": func() error { _, err := s.Series(t.Context(), query.NewSelector(), 0, 1); return err },
			"samples": func() error {
				return s.Samples(t.Context(), query.Reading{}, func(*query.Points) error { return nil })
			},
		}
		for name, call := range calls {
			began := time.Now()
			if err := call(); !errors.Is(err, query.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v; want ErrUnavailable", name, err)
			}
			if waited := time.Since(began); waited != catchUpTime {
				t.Errorf("%s waited %s; want %s", name, waited, catchUpTime)
			}
		}
	})
}

func TestAllKindsAndQualitiesAreRead(t *testing.T) {
	r := unitNewRig(t, 2)
	for i, values := range map[string][3]sample.Value{
		"floats":  {sample.FloatValue(1.5), sample.FloatValue(math.Copysign(0, -1)), sample.FloatValue(7)},
		"ints":    {sample.IntValue(-1), sample.IntValue(1 << 62), sample.IntValue(0)},
		"bools":   {sample.BoolValue(true), sample.BoolValue(false), sample.BoolValue(true)},
		"strings": {sample.StringValue("b"), sample.StringValue(""), sample.StringValue("a")},
	} {
		m := unitMetric(i)
		var all []sample.Sample
		for k, v := range values {
			all = append(all, sample.Sample{Time: unitAt(int64(k)), Value: v, Quality: sample.Quality(k%2) << 31})
		}
		r.flush(unitWeek, m, []unitVersioned{{all[0], 1}}, false) // all Good: the column begins later
		r.flush(unitWeek, m, []unitVersioned{{all[1], 2}}, false)
		r.pend(unitWeek, m, 5, 9, all[2])
		got, err := r.read(i, unitAt(0), unitAt(10))
		if d := cmp.Diff(map[string][]sample.Sample{i: all}, got); err != nil || d != "" {
			t.Errorf("%s: %v %s", i, err, d)
		}
	}
}

func TestKindsThatDifferBetweenWeeks(t *testing.T) {
	r := unitNewRig(t, 1)
	later := func(v sample.Value) []unitVersioned {
		return []unitVersioned{{sample.Sample{Time: (unitWeek + 1).Start(), Value: v}, 1}}
	}
	for _, c := range []struct {
		metric        string
		first, second sample.Value
		want          sample.Value // of the second, where it can be said
	}{
		{"int", sample.FloatValue(1), sample.IntValue(3), sample.FloatValue(3)},
		{"wide", sample.FloatValue(1), sample.IntValue(1<<53 + 1), sample.Value{}},
		{"text", sample.BoolValue(true), sample.StringValue("x"), sample.Value{}},
	} {
		m := unitMetric(c.metric)
		first := sample.Sample{Time: unitAt(5), Value: c.first}
		r.flush(unitWeek, m, []unitVersioned{{first, 1}}, false)
		r.flush(unitWeek+1, m, later(c.second), false)
		got, err := r.read(c.metric, unitAt(0), (unitWeek + 2).Start())
		if c.want.Kind == 0 {
			if err == nil {
				t.Errorf("%s: read as %v", c.metric, got)
			}
			continue
		}
		want := []sample.Sample{first, {Time: (unitWeek + 1).Start(), Value: c.want}}
		if d := cmp.Diff(want, got[c.metric]); err != nil || d != "" {
			t.Errorf("%s: %v %s", c.metric, err, d)
		}
	}
}

func TestAReadingHasALimit(t *testing.T) {
	r := unitNewRig(t, 1)
	m := unitMetric("m")
	r.flush(unitWeek, m, []unitVersioned{{unitFloat(1, 1), 1}, {unitFloat(2, 1), 1}}, false)
	r.pend(unitWeek, m, 5, 9, unitFloat(3, 1))
	for limit, end := range map[int]int64{3: 4, 2: 3, 1: 2} {
		r.limit(limit)
		if got, err := r.read("m", unitAt(0), unitAt(end)); err != nil || len(got["m"]) != limit {
			t.Errorf("limit %d, as many samples: %v, %v", limit, got, err)
		}
		if limit == 3 {
			continue
		}
		_, err := r.read("m", unitAt(0), unitAt(end+1)) // 2: in the head, 1: in an item
		var over *query.LimitError
		if !errors.As(err, &over) || over.Limit != "max_samples" || over.Max != int64(limit) {
			t.Errorf("limit %d, one sample more: %v", limit, err)
		}
	}
}

func TestWhatIsNamedAndMissingIsCorrupt(t *testing.T) {
	r := unitNewRig(t, 1)
	m := unitMetric("m")
	handle := r.register(unitWeek, m, sample.Float64)
	bucket := sample.FirstShard(handle.Shard().Range(4), 4)
	c := &journal.Commit{
		Flush: r.writer(r.journalOf(unitWeek, m)).NewFlush(), Buckets: 4, Span: unitSpan,
		Items: []journal.Item{{Bucket: bucket, Span: unitAt(0), Samples: 1}},
		Hours: []journal.Hour{{Start: unitAt(0), Samples: 1}},
	}
	r.commit(unitWeek, m, c)
	if _, err := r.read("m", unitAt(0), unitAt(10)); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("an item that is not there: %v; want ErrCorrupt", err)
	}
	if got, err := r.read("m", unitAt(7200), unitAt(9000)); err != nil || len(got) != 0 {
		t.Errorf("where the commit has no samples: %v, %v", got, err)
	}
	r.write(unitWeek, store.Item{Key: c.Key(c.Items[0]), Body: []byte("no block")})
	if _, err := r.read("m", unitAt(0), unitAt(10)); !errors.Is(err, block.ErrCorrupt) {
		t.Errorf("an item that is no block: %v; want ErrCorrupt", err)
	}
}

func TestJournalsThatCannotBeReadAreErrors(t *testing.T) {
	r := unitNewRig(t, 1)
	m := unitMetric("m")
	r.register(unitWeek, m, sample.Float64)
	id := r.journalOf(unitWeek, m)
	if err := r.store.Append(t.Context(), id, 2, []byte("no entry")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.read("m", unitAt(0), unitAt(10)); !errors.Is(err, journal.ErrCorrupt) {
		t.Errorf("a corrupt journal: %v", err)
	}
	if err := r.catalog.Register(m.Key(), catalog.InWeek{Week: unitWeek + 9, Kind: sample.Float64}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.read("m", (unitWeek + 9).Start(), (unitWeek + 9).End()); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("a week without its record: %v; want ErrCorrupt", err)
	}
	if _, err := r.store.Put(t.Context(), "weeks/2026-w33", []byte("{"), 0); err != nil {
		t.Fatal(err)
	}
	week, err := sample.ParseWeek("2026-W33")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.catalog.Register(m.Key(), catalog.InWeek{Week: week, Kind: sample.Float64}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.read("m", week.Start(), week.End()); !errors.Is(err, journal.ErrCorrupt) {
		t.Errorf("a week whose record is corrupt: %v; want ErrCorrupt", err)
	}
}

func TestAReadingEndsWithTheErrorOfItsReader(t *testing.T) {
	r := unitNewRig(t, 1)
	for _, metric := range []string{"a", "b"} {
		r.flush(unitWeek, unitMetric(metric), []unitVersioned{{unitFloat(1, 1), 1}}, false)
	}
	list, err := r.source.Series(t.Context(), query.NewSelector(), unitAt(0), unitAt(10))
	if err != nil {
		t.Fatal(err)
	}
	enough, calls := errors.New("enough"), 0
	err = r.source.Samples(t.Context(), r.reading(list, unitAt(0), unitAt(10)), func(*query.Points) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

// TestOneCallSeesEachJournalAsOfOneMoment reads more series than are read at
// once, and moves the head on meanwhile.
func TestOneCallSeesEachJournalAsOfOneMoment(t *testing.T) {
	r := unitNewRig(t, 1)
	first, last := unitMetric("first"), unitMetric("last")
	r.pend(unitWeek, first, 0, 1, unitFloat(1, 1))
	r.pend(unitWeek, last, 0, 2, unitFloat(1, 2))
	list := make([]query.SeriesInfo, chunk+1)
	for i := range list {
		list[i] = query.SeriesInfo{Series: first, Kind: sample.Float64} // in no week
	}
	list[0].Weeks = []sample.Week{unitWeek, unitWeek + 1} // in the later it is not registered
	list[chunk] = query.SeriesInfo{Series: last, Kind: sample.Float64, Weeks: []sample.Week{unitWeek}}
	var got []string
	err := r.source.Samples(t.Context(), r.reading(list, unitAt(0), (unitWeek+2).Start()), func(p *query.Points) error {
		got = append(got, p.Info.Series.Metric)
		r.pend(unitWeek, last, 0, 3, unitFloat(2, 3))
		if len(p.Times) != 1 {
			t.Errorf("%s has times %v", p.Info.Series, p.Times)
		}
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"first", "last"}) {
		t.Errorf("%v, %v", got, err)
	}
	if n := r.heads.asked[r.journalOf(unitWeek, first)]; n != 1 {
		t.Errorf("the journal's head was asked %d times", n)
	}
}

// TestAHeadThatWasLost and has not come again is no answer without it.
func TestAHeadThatWasLost(t *testing.T) {
	r := unitNewRig(t, 1)
	r.flush(unitWeek, unitMetric("m"), []unitVersioned{{unitFloat(1, 1), 1}}, false)
	r.heads.lost = context.DeadlineExceeded
	if got, err := r.read("m", unitAt(0), unitAt(10)); !errors.Is(err, query.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, %v", got, err)
	}
}
