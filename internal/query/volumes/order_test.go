package volumes

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/internal/message"
	"weir/internal/sample"
)

func TestItemsAndHeadAreMerged(t *testing.T) {
	r := unitNewRig(t, 2)
	m := unitMetric("m")
	const day = 24 * 3600
	r.flush(unitWeek, m, []unitVersioned{{unitFloat(30, 3), 100}, {unitFloat(10, 1), 100}, {unitFloat(2*day, 9), 100}}, false)
	r.flush(unitWeek, m, []unitVersioned{{unitFloat(20, 2), 200}}, false)
	r.flush(unitWeek, m, []unitVersioned{{unitFloat(20, 66), 300}, {unitFloat(50, 66), 300}}, true) // nothing names these
	r.pend(unitWeek, m, 200, 250, unitFloat(25, 2.5), unitFloat(40, 4))
	next := sample.Sample{Time: (unitWeek + 1).Start(), Value: sample.FloatValue(7)}
	r.pend(unitWeek+1, m, 0, 260, next)
	all := []sample.Sample{unitFloat(10, 1), unitFloat(20, 2), unitFloat(25, 2.5), unitFloat(30, 3), unitFloat(40, 4), unitFloat(2*day, 9), next}
	for _, c := range []struct{ start, end int64 }{
		{unitAt(0), (unitWeek + 2).Start()}, {unitAt(20), unitAt(40)}, {unitAt(20), unitAt(40) + 1}, {unitAt(41), unitAt(2 * day)},
		{unitAt(2 * day), unitAt(2*day) + 1}, {(unitWeek + 1).Start(), (unitWeek + 2).Start()}, {unitAt(31), unitAt(32)},
	} {
		want := map[string][]sample.Sample{}
		for _, s := range all {
			if s.Time >= c.start && s.Time < c.end {
				want["m"] = append(want["m"], s)
			}
		}
		got, err := r.read("m", c.start, c.end)
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("from %d to %d: %v %s", c.start, c.end, err, d)
		}
	}
}

// TestOneOrderDecidesBetweenSamplesOfATime holds what law 6 says of each pair.
func TestOneOrderDecidesBetweenSamplesOfATime(t *testing.T) {
	items := func(flushes ...[]unitVersioned) func(*unitRig, sample.Series) {
		return func(r *unitRig, m sample.Series) {
			for _, f := range flushes {
				r.flush(unitWeek, m, f, false)
			}
		}
	}
	won, lost := unitFloat(10, 1), unitFloat(10, 2)
	cases := map[string]func(*unitRig, sample.Series){
		"the higher version, stored later":    items([]unitVersioned{{lost, 5}}, []unitVersioned{{won, 6}}),
		"the higher version, stored first":    items([]unitVersioned{{won, 6}}, []unitVersioned{{lost, 5}}),
		"equal versions: the later position":  items([]unitVersioned{{lost, 5}}, []unitVersioned{{won, 5}}),
		"equal in one item: what stands last": items([]unitVersioned{{lost, 5}, {won, 5}}),
		"the highest of three": items(
			[]unitVersioned{{lost, 7}}, []unitVersioned{{won, 9}}, []unitVersioned{{lost, 8}}),
		"the head, past the horizon": func(r *unitRig, m sample.Series) {
			items([]unitVersioned{{lost, 1 << 62}})(r, m)
			r.pend(unitWeek, m, 10, 11, won)
		},
		"an item, where the head's came late": func(r *unitRig, m sample.Series) {
			items([]unitVersioned{{won, 6}})(r, m)
			r.pend(unitWeek, m, 10, 5, lost)
		},
		"a late one of the head with a higher version": func(r *unitRig, m sample.Series) {
			items([]unitVersioned{{lost, 6}})(r, m)
			r.pend(unitWeek, m, 10, 7, won)
		},
		"a late one of the head with an equal version": func(r *unitRig, m sample.Series) {
			items([]unitVersioned{{lost, 6}})(r, m)
			r.pend(unitWeek, m, 10, 6, won)
		},
		"the last of the head": func(r *unitRig, m sample.Series) {
			r.pend(unitWeek, m, 10, 11, lost)
			r.pend(unitWeek, m, 10, 12, won)
		},
		"the last of a message": func(r *unitRig, m sample.Series) { r.pend(unitWeek, m, 10, 11, lost, won) },
		"the head's punctual one over its late one": func(r *unitRig, m sample.Series) {
			r.pend(unitWeek, m, 10, 11, won)
			r.pend(unitWeek, m, 10, 9, lost)
		},
	}
	for name, write := range cases {
		r := unitNewRig(t, 1)
		write(r, unitMetric("m"))
		got, err := r.read("m", unitAt(0), unitAt(100))
		if d := cmp.Diff(map[string][]sample.Sample{"m": {won}}, got); err != nil || d != "" {
			t.Errorf("%s: %v %s", name, err, d)
		}
	}
}

// TestReadingAgreesWithANaiveModel writes random flushes and heads of several
// series and reads random ranges of them.
func TestReadingAgreesWithANaiveModel(t *testing.T) {
	r := unitNewRig(t, 4)
	rng := rand.New(rand.NewPCG(7, 7))
	type place struct {
		series string
		time   int64
	}
	type standing struct {
		sample   sample.Sample
		version  uint64
		position int
	}
	model := map[place]standing{}
	series := []sample.Series{unitMetric("a"), unitMetric("b"), unitMetric("c"), unitMetric("d"), unitMetric("e")}
	put := func(s sample.Series, v unitVersioned, position int) {
		at := place{s.String(), v.Time}
		if old, ok := model[at]; !ok || v.version > old.version || v.version == old.version && position >= old.position {
			model[at] = standing{v.Sample, v.version, position}
		}
	}
	draw := func() unitVersioned {
		return unitVersioned{unitFloat(rng.Int64N(40)*7200, rng.Float64()), uint64(1 + rng.IntN(5))}
	}
	for position := range 60 {
		s := series[rng.IntN(len(series))]
		var samples []unitVersioned
		for range 1 + rng.IntN(6) {
			samples = append(samples, draw())
			put(s, samples[len(samples)-1], position)
		}
		r.flush(unitWeek, s, samples, false)
	}
	for range 12 { // late by the horizon, so that their stamps are their versions
		s, v := series[rng.IntN(len(series))], draw()
		r.pend(unitWeek, s, 5, message.Stamp(v.version), v.Sample)
		put(s, v, 1000)
	}
	for range 40 {
		start := unitAt(rng.Int64N(42) * 7200)
		end := start + rng.Int64N(40)*7200*unitSecond
		want := map[string][]sample.Sample{}
		for at, s := range model {
			if at.time >= start && at.time < end {
				want[at.series] = append(want[at.series], s.sample)
			}
		}
		for _, list := range want {
			slices.SortFunc(list, func(a, b sample.Sample) int { return int((a.Time - b.Time) / unitSecond) })
		}
		got, err := r.read("", start, end)
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Fatalf("from %d to %d: %v %s", start, end, err, d)
		}
	}
}
