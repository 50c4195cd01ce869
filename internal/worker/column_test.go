package worker

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"weir/internal/block"
	"weir/internal/sample"
)

// settled is one sample of a column.
type settled struct {
	Time    int64
	Bits    uint64
	Version uint64
	Quality sample.Quality
}

// drawTimes makes times as messages bring them: ascending stretches that
// overlap, overtake and repeat one another, or anything at all.
func drawTimes(t *rapid.T) []int64 {
	if rapid.Bool().Draw(t, "wild") {
		return rapid.SliceOfN(rapid.Int64Range(-50, 50), 0, 200).Draw(t, "times")
	}
	var times []int64
	for range rapid.IntRange(0, 8).Draw(t, "stretches") {
		at := rapid.Int64Range(0, 100).Draw(t, "start")
		for range rapid.IntRange(1, 20).Draw(t, "length") {
			times = append(times, at)
			at += rapid.Int64Range(0, 3).Draw(t, "step")
		}
	}
	return times
}

// TestSettleAgreesWithANaiveOne: in order of time, of equal ones the last, and
// all columns moved alike, whatever memory they had before.
func TestSettleAgreesWithANaiveOne(t *testing.T) {
	var c column
	rapid.Check(t, func(t *rapid.T) {
		c.reset()
		late, bad := rapid.Bool().Draw(t, "late"), rapid.Bool().Draw(t, "bad")
		last := map[int64]settled{}
		for i, at := range drawTimes(t) {
			r := settled{Time: at, Bits: uint64(i)}
			c.times, c.bits = append(c.times, at), append(c.bits, r.Bits)
			if late {
				r.Version = uint64(1000 + i)
				c.versions = append(c.versions, r.Version)
			}
			if bad {
				r.Quality = sample.Quality(i % 3)
				c.qualities = append(c.qualities, r.Quality)
			}
			last[at] = r
		}
		var want []settled
		for _, r := range last {
			want = append(want, r)
		}
		slices.SortFunc(want, func(a, b settled) int { return compareInt64(a.Time, b.Time) })
		c.settle()
		var got []settled
		for i, at := range c.times {
			r := settled{Time: at, Bits: c.bits[i]}
			if late {
				r.Version = c.versions[i]
			}
			if bad {
				r.Quality = c.qualities[i]
			}
			got = append(got, r)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	})
}

// TestSettlingTheWorstOrderIsNotQuadratic: what merging would move again and
// again is sorted instead.
func TestSettlingTheWorstOrderIsNotQuadratic(t *testing.T) {
	const n = 2_000_000 // merged one by one they would take hours
	var c column
	for i := range int64(n) {
		c.times, c.bits = append(c.times, n-i), append(c.bits, uint64(n-i))
	}
	c.settle()
	for i, at := range c.times {
		if at != int64(i+1) || c.bits[i] != uint64(at) {
			t.Fatalf("place %d has time %d and value %d", i, at, c.bits[i])
		}
	}
}

// TestHoursAreThoseOfASlowCount, also at the far ends of time.
func TestHoursAreThoseOfASlowCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h hourly
		want := map[int64]uint64{}
		for range rapid.IntRange(0, 5).Draw(t, "series") {
			start := rapid.SampledFrom([]int64{-1 << 62, -2*hour - 1, 0, 1, 1 << 62}).Draw(t, "start")
			var times []int64
			for range rapid.IntRange(0, 50).Draw(t, "samples") {
				start += rapid.Int64Range(1, hour).Draw(t, "step")
				times = append(times, start)
				want[floor(start, hour)]++
			}
			h.add(times)
		}
		got := map[int64]uint64{}
		for start, n := range h.counts {
			got[start] = *n
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%v; want %v", got, want)
		}
	})
}

// TestRunsKeepTheirTexts: strings go to an item by their place in it.
func TestRunsKeepTheirTexts(t *testing.T) {
	c := column{times: []int64{2, 1}, bits: []uint64{0, 1}, texts: []string{"two", "one"}}
	c.settle()
	b := &block.Batch{Times: []int64{7}, Bits: []uint64{0}, Texts: []string{"before"}, Versions: []uint64{5}}
	b.EndRun(1, sample.String)
	c.appendTo(b, sample.String, 0, 2, 9)
	b.EndRun(2, sample.String)
	if err := b.Validate(); err != nil {
		t.Fatal(err)
	}
	if b.Value(sample.String, 1).Text != "one" || b.Value(sample.String, 2).Text != "two" || !slices.Equal(b.Versions, []uint64{5, 9, 9}) {
		t.Fatalf("%+v", b)
	}
}
