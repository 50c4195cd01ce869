package sample

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestWeekAgreesWithTheCalendar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ns := rapid.Int64().Draw(t, "ns")
		w := WeekOf(ns)
		if ns < w.Start() || ns > w.End() || (ns == w.End() && ns != math.MaxInt64) {
			t.Fatalf("%d lies outside %s: %d to %d", ns, w, w.Start(), w.End())
		}
		year, week := time.Unix(0, ns).UTC().ISOWeek()
		back, err := ParseWeek(w.String())
		if err != nil || back != w {
			t.Fatalf("ParseWeek(%s) = %d, %v; want %d", w, back, err, w)
		}
		if want := fmt.Sprintf("%04d-W%02d", year, week); w.String() != want {
			t.Fatalf("week of %d is %s; the calendar says %s", ns, w, want)
		}
	})
}

func TestParseWeekRefuses(t *testing.T) {
	for _, s := range []string{"", "2026", "2026-W00", "2026-W54", "2025-W53", "2026-W3", "2026-w03", "2026-W03x"} {
		if w, err := ParseWeek(s); err == nil {
			t.Errorf("ParseWeek(%q) = %s; want an error", s, w)
		}
	}
}

func TestSeriesKeyRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringN(1, 9, 20), 0, 5, rapid.ID[string]).Draw(t, "names")
		var tags []Tag
		for _, n := range names {
			tags = append(tags, Tag{n, rapid.StringN(0, 9, 20).Draw(t, "value")})
		}
		s, err := NewSeries(rapid.StringN(1, 9, 20).Draw(t, "metric"), tags)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseKey(s.AppendKey(nil))
		if err != nil {
			t.Fatal(err)
		}
		if back.String() != s.String() || back.ID() != s.ID() {
			t.Fatalf("%s came back as %s", s, back)
		}
	})
}

func TestNewSeriesRefuses(t *testing.T) {
	for name, s := range map[string]Series{
		"no metric":    {Metric: ""},
		"tag twice":    {Metric: "m", Tags: []Tag{{"a", "1"}, {"a", "2"}}},
		"unnamed tag":  {Metric: "m", Tags: []Tag{{"", "1"}}},
		"broken UTF-8": {Metric: "m\xff"},
		"long metric":  {Metric: string(make([]byte, MaxMetric+1))},
		"long key":     {Metric: "m", Tags: []Tag{{"a", string(make([]byte, MaxKey))}}},
	} {
		if _, err := NewSeries(s.Metric, s.Tags); err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte("\x01m"))
	f.Add(Series{Metric: "cpu", Tags: []Tag{{"a", "b"}}}.AppendKey(nil))
	f.Fuzz(func(t *testing.T, key []byte) {
		s, err := ParseKey(key)
		if err == nil && string(s.AppendKey(nil)) != string(key) {
			t.Fatalf("%q is read as %s, which is written otherwise", key, s)
		}
	})
}

func TestRangesCoverTheShardsInOrder(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 7, 64, Shards} {
		last := 0
		for s := Shard(0); s < Shards; s++ {
			r := s.Range(n)
			if r < last || r > last+1 || r >= n {
				t.Fatalf("shard %d of %d ranges is in %d after %d", s, n, r, last)
			}
			if r > last && FirstShard(r, n) != s {
				t.Fatalf("range %d of %d begins at %d; FirstShard says %d", r, n, s, FirstShard(r, n))
			}
			last = r
		}
		if last != n-1 {
			t.Fatalf("%d ranges end at %d", n, last)
		}
	}
}

func TestIntEntersFloatOnlyExactly(t *testing.T) {
	for i, ok := range map[int64]bool{0: true, -1: true, 1 << 53: true, 1<<53 + 1: false, math.MaxInt64: false, math.MinInt64: true} {
		v, err := IntValue(i).As(Float64)
		if (err == nil) != ok {
			t.Errorf("%d into a float series: %v; want ok %v", i, err, ok)
		}
		if ok && int64(v.Float()) != i {
			t.Errorf("%d became %v", i, v.Float())
		}
	}
	if _, err := FloatValue(1).As(Int64); err == nil {
		t.Error("a float entered an int series")
	}
}
