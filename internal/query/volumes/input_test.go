package volumes

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"weir/internal/analysis"
	"weir/internal/compute"
	"weir/internal/query"
	"weir/internal/sample"
	"weir/internal/store"
)

// inputOf gives a job's input as of where the journals stand.
func (r *unitRig) inputOf(t *testing.T, selector string) *Input {
	t.Helper()
	sel, err := query.ParseSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	positions := map[store.JournalID]uint64{}
	for _, j := range r.book.Journals() {
		positions[j.ID()] = j.Snapshot().Cut
	}
	in, err := r.source.Input(t.Context(), InputOptions{
		Selector: sel, Start: unitWeek.Start(), End: unitWeek.End(), Cut: "w1.x", Memory: 1 << 30,
		Positions: func(id store.JournalID) uint64 { return positions[id] },
	})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// readInput gives samples of all shards as text, series by series.
func readInput(t *testing.T, in *Input) string {
	t.Helper()
	out := ""
	err := in.Read(t.Context(), compute.Part{End: sample.Shards, From: unitAt(10), To: unitAt(90)}, func(of *analysis.Samples) error {
		out += fmt.Sprintf(" %s%s", of.Series.Metric, of.Series.Tags)
		for i, at := range of.Times {
			out += fmt.Sprintf(" %d=%v", (at-unitWeek.Start())/unitSecond, math.Float64frombits(of.Bits[i]))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestInputNeverMoves reads a job's samples, lets more come to the same series,
// to others and to the head, and reads them again.
func TestInputNeverMoves(t *testing.T) {
	r := unitNewRig(t, 2)
	a := unitMetric("a")
	r.flush(unitWeek, a, []unitVersioned{{unitFloat(5, 1), 5}, {unitFloat(20, 2), 5}, {unitFloat(90, 3), 5}}, false)
	r.flush(unitWeek, unitMetric("b"), []unitVersioned{{unitFloat(30, 4), 5}}, false)
	in := r.inputOf(t, `{__name__=~".*"}`)
	before := readInput(t, in)
	for _, want := range []string{" a{} 20=2", " b{} 30=4"} {
		if !strings.Contains(before, want) {
			t.Errorf("read %s; want %s", before, want)
		}
	}
	r.flush(unitWeek, a, []unitVersioned{{unitFloat(20, 7), 9}, {unitFloat(40, 8), 9}}, false)
	r.flush(unitWeek, unitMetric("c"), []unitVersioned{{unitFloat(30, 4), 9}}, false)
	r.pend(unitWeek, a, 9, 10, unitFloat(50, 9))
	if again := readInput(t, in); again != before {
		t.Errorf("read %s; before more came it was %s", again, before)
	}
	if now := readInput(t, r.inputOf(t, `a`)); !strings.Contains(now, " a{} 20=7 40=8") || strings.Contains(now, "50=") {
		t.Errorf("a later cut reads %s; want what was committed by then, without the head", now)
	}
}

// TestEstimateIsWhatCommitsCount: of the hours and the series that are wanted.
func TestEstimateIsWhatCommitsCount(t *testing.T) {
	r := unitNewRig(t, 2)
	for i := range 20 {
		c := r.flush(unitWeek, unitMetric(fmt.Sprintf("m%d", i)), []unitVersioned{{unitFloat(5, 1), 5}}, true)
		c.Hours[0].Samples = 1000 // said, not there
		r.commit(unitWeek, unitMetric(fmt.Sprintf("m%d", i)), c)
	}
	all, some := r.inputOf(t, `{__name__=~".*"}`), r.inputOf(t, `{__name__=~"m1.*"}`)
	for _, c := range []struct {
		in         *Input
		start, end int64
		want       uint64
	}{
		{all, unitWeek.Start(), unitWeek.End(), 20_000},
		{some, unitWeek.Start(), unitWeek.End(), 11_000},
		{all, unitWeek.Start() + unitHour, unitWeek.End(), 0},
		{all, unitWeek.End(), unitWeek.End() + 1, 0},
		{&Input{past: r.source}, 0, 1, 0},
	} {
		if n, err := c.in.Estimate(t.Context(), c.start, c.end); err != nil || n != c.want {
			t.Errorf("%d series, [%d, %d): %d, %v; want %d", c.in.Series(0, sample.Shards), c.start, c.end, n, err, c.want)
		}
	}
	if a, b := all.Series(0, 512), all.Series(512, 1024); a+b != 20 || a == 0 || b == 0 {
		t.Errorf("the shards have %d and %d series; want 20 together", a, b)
	}
	stop := errors.New("stop")
	if err := all.Read(t.Context(), compute.Part{End: sample.Shards, From: unitWeek.Start(), To: unitWeek.End()}, func(*analysis.Samples) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the error of yield: %v", err)
	}
}

// TestChangedIsExact: what comes after a cut changes the windows it lies in, of
// the series that are selected.
func TestChangedIsExact(t *testing.T) {
	r := unitNewRig(t, 2)
	a, b := unitMetric("a"), unitMetric("b")
	r.flush(unitWeek, a, []unitVersioned{{unitFloat(5, 1), 50}, {unitFloat(20, 2), 50}}, false)
	r.flush(unitWeek, b, []unitVersioned{{unitFloat(30, 4), 50}}, false)
	cut := map[store.JournalID]uint64{}
	for _, j := range r.book.Journals() {
		cut[j.ID()] = j.Snapshot().Cut
	}
	changed := func(selector string, from, to int64) bool {
		t.Helper()
		sel, err := query.ParseSelector(selector)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.source.Changed(t.Context(), sel, unitAt(from), unitAt(to), func(id store.JournalID) uint64 { return cut[id] })
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if changed(`{__name__=~".*"}`, 0, 7*24*3600) {
		t.Error("nothing came, and something changed")
	}
	r.flush(unitWeek, a, []unitVersioned{{unitFloat(40, 8), 60}}, false)
	for _, c := range []struct {
		selector string
		from, to int64
		want     bool
	}{
		{`a`, 40, 41, true}, {`{__name__=~".*"}`, 0, 3600, true}, {`a`, 0, 40, false}, {`a`, 41, 60, false}, {`b`, 0, 3600, false}, {`c`, 0, 3600, false},
	} {
		if got := changed(c.selector, c.from, c.to); got != c.want {
			t.Errorf("%s from %d to %d: changed is %v; want %v", c.selector, c.from, c.to, got, c.want)
		}
	}
}
