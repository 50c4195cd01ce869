package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"weir/internal/analysis"
	"weir/internal/analysis/rollup"
	"weir/internal/compute"
	"weir/internal/objects"
	"weir/internal/objects/folder"
	"weir/internal/result"
	"weir/internal/sample"
)

const hour = int64(3600e9)

// input is made-up samples: one a series and minute.
type input struct {
	series  []sample.Series // in order of ID
	samples uint64          // the estimate
	fail    error           // if set, what reading the last series gives
	reads   atomic.Int64
	whole   int64 // before that time all is read at once
}

func newInput(n int) *input {
	in := &input{samples: 1}
	for i := range n {
		in.series = append(in.series, sample.Series{Metric: "m", Tags: []sample.Tag{{Name: "n", Value: fmt.Sprint(i)}}})
	}
	sortByID(in.series)
	return in
}

func sortByID(list []sample.Series) {
	slices.SortFunc(list, func(a, b sample.Series) int {
		x, y := a.ID(), b.ID()
		return slices.Compare(x[:], y[:])
	})
}

func (in *input) Cut() string { return "w1.AAAAAA" }

func (in *input) Estimate(context.Context, int64, int64) (uint64, error) { return in.samples, nil }

func (in *input) Series(first, end int) int {
	n := 0
	for _, s := range in.series {
		if shard := int(s.ID().Shard()); shard >= first && shard < end {
			n++
		}
	}
	return n
}

func (in *input) Whole(_ context.Context, from, _ int64) (bool, error) { return from < in.whole, nil }

func (in *input) Read(_ context.Context, p compute.Part, yield func(*analysis.Samples) error) error {
	in.reads.Add(1)
	for i, series := range in.series {
		id := series.ID()
		if shard := int(id.Shard()); shard < p.First || shard >= p.End {
			continue
		}
		if in.fail != nil && i == len(in.series)-1 {
			return in.fail
		}
		s := &analysis.Samples{Series: analysis.NewSeries(series, id, sample.Int64)}
		for at := p.From; at < p.To; at += 60e9 {
			s.Times = append(s.Times, at)
			s.Bits = append(s.Bits, uint64(at/60e9)+uint64(i))
		}
		if err := yield(s); err != nil {
			return err
		}
	}
	return nil
}

func place(t *testing.T) objects.Objects {
	t.Helper()
	f, err := folder.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func job(t *testing.T, in compute.Input, every int64) compute.Job {
	t.Helper()
	r, err := rollup.New(rollup.Parameters{Every: every, Functions: []string{"count", "sum"}})
	if err != nil {
		t.Fatal(err)
	}
	return compute.Job{Pipeline: "p", Step: "s", Revision: 3, Analysis: r, Start: 0, End: 5*hour + hour/2, Input: in, Prefix: "a/b/"}
}

// rows gives a result's rows as text, sorted.
func rows(t *testing.T, place objects.Objects, out compute.Output) []string {
	t.Helper()
	m, err := result.ReadManifest(t.Context(), place, out.Manifest, out.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if m.Rows != out.Rows || m.Cut != "w1.AAAAAA" || m.Revision != 3 || m.Table != "rollup" || m.End != 5*hour+hour/2 {
		t.Errorf("the manifest is %+v; the output %+v", m, out)
	}
	var list []string
	if err := result.Read(t.Context(), place, m, func(r *result.Rows) error {
		for i := range r.Len() {
			c := r.Columns
			list = append(list, fmt.Sprint(c[0].Texts[c[0].Index[i]], c[2].Texts[c[2].Index[i]], c[3].Ints[i], c[4].Ints[i], c[5].Ints[i], c[6].Floats[i]))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

// TestRowsAreTheSameHoweverDivided computes with few and many samples, cores and
// rows a group: the rows are the same, and with them, for one division, the bytes.
func TestRowsAreTheSameHoweverDivided(t *testing.T) {
	for _, every := range []int64{0, 300e9, 7 * 60e9, hour, 2 * hour} {
		var want []string
		sums := map[uint64]string{} // of the manifest, by the estimate
		for _, cores := range []int{1, 4} {
			for _, samples := range []uint64{0, 1 << 20, 1 << 24} {
				in, place := newInput(40), place(t)
				in.samples, in.whole = samples, int64(cores-1)*hour
				out, err := New(Config{Cores: cores, GroupRows: 100}, place).Run(t.Context(), job(t, in, every), nil)
				if err != nil {
					t.Fatal(err)
				}
				got := rows(t, place, out)
				if want == nil {
					want = got
				}
				if !slices.Equal(got, want) || len(got) == 0 {
					t.Errorf("every %d, %d cores, %d samples: %d rows; want the same %d", every, cores, samples, len(got), len(want))
				}
				if sums[samples] != "" && sums[samples] != out.SHA256 {
					t.Errorf("every %d, %d samples: %d cores give other bytes", every, samples, cores)
				}
				sums[samples] = out.SHA256
			}
		}
		length := every
		if every == 0 {
			length = 5*hour + hour/2
		}
		if windows := int((5*hour + hour/2 + length - 1) / length); len(want) != 40*windows {
			t.Errorf("every %d: %d rows; want %d", every, len(want), 40*windows)
		}
	}
}

// TestManySamplesAreReadInParts: no more at once than fit.
func TestManySamplesAreReadInParts(t *testing.T) {
	in := newInput(40)
	in.samples = 6 * 8 << 19
	list, err := compute.Divide(t.Context(), new(job(t, in, 300e9)))
	if err != nil || len(list) != 16 || len(list[0].Stretches) != 7 {
		t.Fatalf("%d slices, %v; want 16 of 6 hours each", len(list), err)
	}
	in.samples = 100
	list, err = compute.Divide(t.Context(), new(job(t, in, 300e9)))
	if err != nil || len(list) != 1 || len(list[0].Stretches) != 2 {
		t.Fatalf("%d slices, %v; want all at once", len(list), err)
	}
	in.samples = 6 * 8 << 19
	list, err = compute.Divide(t.Context(), new(job(t, in, 7*60e9)))
	if err != nil || list[0].End-list[0].First != sample.Shards/64 || len(list[0].Stretches) != 2 {
		t.Fatalf("%d slices, %v; want 64th parts, and time left whole where hours would cut windows", len(list), err)
	}
}

func TestProgressIsTold(t *testing.T) {
	in := newInput(40)
	in.samples = 1 << 22
	last, total := 0, 0
	_, err := New(Config{Cores: 1, GroupRows: 1000}, place(t)).Run(t.Context(), job(t, in, 300e9), func(done, all int, _ uint64) {
		if done <= last {
			t.Errorf("done are %d after %d", done, last)
		}
		last, total = done, all
	})
	if err != nil || last == 0 || last != total {
		t.Errorf("%d of %d slices were told, %v", last, total, err)
	}
}

// TestAJobThatFailsLeavesNoManifest, and nothing that is half written.
func TestAJobThatFailsLeavesNoManifest(t *testing.T) {
	in, place := newInput(40), place(t)
	in.fail = errors.New("broken")
	if _, err := New(Config{Cores: 2, GroupRows: 10}, place).Run(t.Context(), job(t, in, 300e9), nil); !errors.Is(err, in.fail) {
		t.Errorf("the job gave %v; want what reading gave", err)
	}
	if list, err := place.List(t.Context(), ""); err != nil || len(list) != 0 {
		t.Errorf("left are %v, %v", list, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(Default(2), place).Run(ctx, job(t, newInput(3), 0), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before it began: %v", err)
	}
}

func TestNoSeriesNoRows(t *testing.T) {
	place := place(t)
	out, err := New(Default(2), place).Run(t.Context(), job(t, newInput(0), 0), nil)
	if err != nil || out.Rows != 0 || len(rows(t, place, out)) != 0 {
		t.Errorf("%+v, %v; want a result without rows", out, err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []Config{{0, 1}, {1, 0}} {
		if c.Validate() == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	if err := Default(2).Validate(); err != nil {
		t.Error(err)
	}
}
