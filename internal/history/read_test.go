package history

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/journal"
	"weir/internal/sample"
	"weir/internal/store"
)

func TestFaultsAreToldAndTheRestIsKept(t *testing.T) {
	r := newRig(t)
	w := week(t, "2026-W03")
	want := model{}
	r.live(w, "known", want, w.Start())
	var text strings.Builder
	want.line(&text, "m1", "1", w.Start()+hour)
	text.WriteString("nonsense\n")
	fmt.Fprintf(&text, "known \"text\" %d\n", w.Start())
	fmt.Fprintf(&text, "m1 \"text\" %d\n", w.Start())
	fmt.Fprintf(&text, "m1 5i %d\nm1 9007199254740993i %d\n", w.Start()+2*hour, w.Start()+3*hour)
	want.put("m1", w.Start()+2*hour, sample.FloatValue(5))
	fmt.Fprintf(&text, "m1 1 %d\nm1 1 %d\nm1 1 9223372036854775807\n", NoTime, now().Add(25*time.Hour).UnixNano())
	want.line(&text, "s1", `"text"`, w.Start()+hour)
	out, err := r.take(t.Context(), Import{Life: 5}, 0, text.String())
	r.must(err)
	var got []string
	for _, f := range out.Faults {
		got = append(got, fmt.Sprintf("%d %.60s", f.Line, f.Reason))
	}
	wanted := []string{
		"2 not three fields", "3 series known: value is string, but the series holds float64", "4 series m1: value is string, but the series holds float64",
		"6 series m1: int64 9007199254740993 has no exact float64, and the ", "7 the line has no time, and history needs one",
		"8 time 2026-03-05T13:00:00Z is more than 24h0m0s ahead of now;", "9 time 2262-04-11T23:47:16Z is more than 24h0m0s ahead of now;",
	}
	for i := range wanted {
		wanted[i] = wanted[i][:min(len(wanted[i]), 62)]
	}
	if !slices.Equal(got, wanted) || out.Rejected != 7 || out.Stored != 3 {
		t.Errorf("%+v\n%q\n%q", out, got, wanted)
	}
	r.check(want, 4)
	rejected := uint64(0)
	r.importer.each(5, func(_ store.JournalID, c *journal.Commit, _ *journal.Life) { rejected += c.Rejected })
	if rejected != 7 {
		t.Errorf("journals tell of %d rejected", rejected)
	}
}

// A large text is read in halves, whose lines are told as of the whole; where
// the first values of a series differ in kind, the first of the text decides.
func TestALargeTextIsReadInHalves(t *testing.T) {
	r := newRig(t)
	start := week(t, "2026-W03").Start()
	want, lines := model{}, 3*smallText/25
	var text strings.Builder
	for i := range lines {
		switch i {
		case 0:
			want.line(&text, "mixed", "1", start)
		case lines - 2:
			want.put("mixed", start+int64(i), sample.FloatValue(2))
			fmt.Fprintf(&text, "mixed 2i %d\n", start+int64(i))
		case lines - 1:
			text.WriteString("bad\n")
		default:
			want.line(&text, fmt.Sprintf("m%d", i%50), fmt.Sprint(i), start+int64(i))
		}
	}
	if n := len(halves([]byte(text.String()), FormatLines, 2)); n != 2 {
		t.Fatalf("%d parts", n)
	}
	out, err := r.take(t.Context(), Import{Life: 5}, 0, text.String())
	r.must(err)
	if len(out.Faults) != 1 || out.Faults[0].Line != lines {
		t.Errorf("%+v; want line %d", out, lines)
	}
	r.check(want, uint64(len(want)))
}

// A series that another registers with another kind between reading and storing
// is read anew.
func TestAKindThatIsRegisteredMeanwhile(t *testing.T) {
	r := newRig(t)
	w, want := week(t, "2026-W03"), model{}
	r.commit = func(context.Context, sample.Week) error {
		r.live(w, "m1", want, w.Start())
		r.commit = func(context.Context, sample.Week) error { return nil }
		return nil
	}
	var text strings.Builder
	fmt.Fprintf(&text, "m1 5i %d\nm1 \"x\" %d\n", w.Start()+1, w.Start()+2)
	want.put("m1", w.Start()+1, sample.FloatValue(5))
	out, err := r.take(t.Context(), Import{Life: 5}, 0, text.String())
	r.must(err)
	if out.Stored != 1 || out.Rejected != 1 || out.Faults[0].Line != 2 {
		t.Errorf("%+v", out)
	}
	r.check(want, 2)
}

// Where two weeks registered a series with different kinds, each holds its own.
func TestWeeksThatDisagreeAboutAKind(t *testing.T) {
	r := newRig(t)
	first, second, want := week(t, "2026-W02"), week(t, "2026-W03"), model{}
	writer := r.live(second, "m1", want, second.Start())
	r.live(first, "other", want, first.Start())
	key := sample.Series{Metric: "m1"}.Key()
	earlier, err := journal.OpenWriter(t.Context(), r.book.Journal(store.JournalID{Week: first, Partition: writer.Journal().ID().Partition}), "worker", rand.Uint64)
	r.must(err)
	r.must(earlier.Register(t.Context(), []journal.Registration{{Key: key, Kind: sample.Int64}}))
	var text strings.Builder
	want.line(&text, "m1", "5i", first.Start()+1)
	fmt.Fprintf(&text, "m1 6i %d\nm1 1.5 %d\n", second.Start()+1, first.Start()+2)
	want.put("m1", second.Start()+1, sample.FloatValue(6))
	out, err := r.take(t.Context(), Import{Life: 5}, 0, text.String())
	r.must(err)
	if out.Stored != 2 || out.Rejected != 1 || out.Faults[0].Line != 3 {
		t.Errorf("%+v", out)
	}
	r.check(want, 4)
}
