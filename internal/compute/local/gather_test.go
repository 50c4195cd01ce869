package local

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"weir/internal/analysis"
	"weir/internal/analysis/rollup"
	"weir/internal/compute"
	"weir/internal/result"
	"weir/internal/sample"
)

// racks is an input of float series in racks, whose sums round.
type racks struct{ *input }

func newRacks(n int) racks {
	in := newInput(n)
	for i := range in.series {
		in.series[i].Tags = append(in.series[i].Tags, sample.Tag{Name: "rack", Value: fmt.Sprint(i % 3)})
	}
	sortByID(in.series)
	return racks{in}
}

func (r racks) Read(ctx context.Context, p compute.Part, yield func(*analysis.Samples) error) error {
	return r.input.Read(ctx, p, func(s *analysis.Samples) error {
		s.Series.Kind = sample.Float64
		for i := range s.Bits {
			random := rand.New(rand.NewPCG(s.Bits[i], uint64(s.Times[i])))
			s.Bits[i] = math.Float64bits(random.NormFloat64() * math.Exp(20*random.Float64()))
		}
		return yield(s)
	})
}

func groupedJob(t *testing.T, in compute.Input, by ...string) compute.Job {
	t.Helper()
	r, err := rollup.New(rollup.Parameters{Every: hour / 2, Quantiles: []float64{0.5, 0.99}, By: by})
	if err != nil {
		t.Fatal(err)
	}
	return compute.Job{Pipeline: "p", Step: "s", Revision: 3, Analysis: r, Start: 0, End: 5*hour + hour/2, Input: in, Prefix: "a/b/"}
}

// TestGroupsAreTheSameWhateverTheDivision: the file has the same bytes, however many
// cores and slices there are, and whether stretches are read at once.
func TestGroupsAreTheSameWhateverTheDivision(t *testing.T) {
	want := ""
	for _, c := range []struct {
		cores   int
		samples uint64 // what is estimated, by which a job is divided
		whole   int64
		rows    int
	}{{1, 1, 0, 200_000}, {1, 40 << 20, 0, 200_000}, {3, 40 << 20, 0, 200_000}, {4, 400 << 20, 3 * hour, 200_000}, {2, 1, 9 * hour, 200_000}} {
		in := newRacks(50)
		in.samples, in.whole = c.samples, c.whole
		to := place(t)
		out, err := New(Config{c.cores, c.rows}, to).Run(t.Context(), groupedJob(t, in, "rack"), nil)
		if err != nil {
			t.Fatal(err)
		}
		m, err := result.ReadManifest(t.Context(), to, out.Manifest, out.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Files) != 1 || m.Rows != 3*11 {
			t.Fatalf("%d files with %d rows; want one of three racks and eleven windows", len(m.Files), m.Rows)
		}
		if want == "" {
			want = m.Files[0].SHA256
		} else if m.Files[0].SHA256 != want {
			t.Errorf("%+v: the file differs", c)
		}
	}
}

// TestGroupsAreWrittenPieceByPiece, and a limit that is passed ends the job.
func TestGroupsAreWrittenPieceByPiece(t *testing.T) {
	to := place(t)
	out, err := New(Config{2, 4}, to).Run(t.Context(), groupedJob(t, newRacks(50), "rack"), nil)
	if err != nil || out.Rows != 33 {
		t.Fatalf("%+v, %v", out, err)
	}
	none := newRacks(0)
	if out, err := New(Config{2, 4}, to).Run(t.Context(), groupedJob(t, none, "rack"), nil); err != nil || out.Rows != 0 {
		t.Errorf("without series: %+v, %v", out, err)
	}
	bad := newRacks(5)
	bad.fail = errors.New("gone")
	if _, err := New(Config{2, 4}, to).Run(t.Context(), groupedJob(t, bad, "rack"), nil); !errors.Is(err, bad.fail) {
		t.Errorf("a reading that fails: %v", err)
	}
}
