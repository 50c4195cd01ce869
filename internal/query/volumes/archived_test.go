package volumes

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"weir/internal/analysis"
	"weir/internal/archive"
	"weir/internal/archive/partfile"
	"weir/internal/block"
	"weir/internal/compute"
	"weir/internal/journal"
	"weir/internal/objects"
	"weir/internal/objects/folder"
	"weir/internal/query"
	"weir/internal/sample"
)

// archivedRig is a rig with an archive beside it.
type archivedRig struct {
	*unitRig
	objects  objects.Objects
	archiver *archive.Archiver
}

func newArchivedRig(t *testing.T, partitions int) *archivedRig {
	t.Helper()
	r := &archivedRig{unitRig: unitNewRig(t, partitions)}
	to, err := folder.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r.objects = to
	r.archiver = archive.New(archive.Options{
		Book: r.book, Tables: r.store, Objects: to, Now: time.Now, Random: r.random, PartRows: 300,
		Commit: func(context.Context, sample.Week) error { return nil },
	})
	r.limits = query.DefaultLimits()
	r.source = New(Options{Tables: r.store, Book: r.book, Catalog: r.catalog, Heads: r.heads, Archives: archive.NewArchives(to)})
	return r
}

func (r *archivedRig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *archivedRig) do(do func(context.Context, sample.Week, archive.Report) error) {
	r.t.Helper()
	r.must(do(r.t.Context(), unitWeek, func(archive.Progress) {}))
}

// answers is what queries of all sorts give.
func (r *archivedRig) answers() string {
	r.t.Helper()
	out := ""
	for _, of := range [][2]int64{{0, 7 * 86400}, {3600, 100_000}, {86_000, 87_000}, {500_000, 600_000}} {
		for _, selector := range []string{`{__name__=~".+"}`, "f0", "f3", "i1"} {
			got, err := r.read(selector, unitAt(of[0]), unitAt(of[1]))
			r.must(err)
			out += fmt.Sprintln(of, selector, got)
		}
		for _, function := range query.Functions() {
			got, err := r.aggregate(r.source, query.Aggregation{
				Selection: query.Selection{Selector: unitSelector(r.t, `{__name__=~"f.*|i.*"}`), Start: unitAt(of[0]), End: unitAt(of[1])},
				Window:    7 * 3600e9, Function: function,
			})
			r.must(err)
			out += fmt.Sprintln(of, function, got)
		}
	}
	return out
}

// fill flushes a few days of each kind, some of it several times.
func (r *archivedRig) fill(version uint64, from, step int64) {
	for n := range 6 {
		series := sample.Series{Metric: fmt.Sprintf("%s%d", [...]string{"f", "i", "b", "s"}[n%4], n)}
		var samples []unitVersioned
		for k := range int64(400) {
			s := unitFloat(from+k*step, float64(k)*0.1+float64(version))
			switch n % 4 {
			case 1:
				s.Value = sample.IntValue(k * int64(version))
			case 2:
				s.Value = sample.BoolValue(k%3 == 0)
			case 3:
				s.Value = sample.StringValue(fmt.Sprint("text ", k%5, version))
			}
			if k%50 == 0 {
				s.Quality = sample.Quality(version)
			}
			samples = append(samples, unitVersioned{s, version})
		}
		r.flush(unitWeek, series, samples, false)
	}
}

// TestQueriesAreTheSameWhereverTheSamplesAre: before the archive, after the drop,
// and restored, with late samples in a revision of their own and in a head.
func TestQueriesAreTheSameWhereverTheSamplesAre(t *testing.T) {
	r := newArchivedRig(t, 2)
	r.fill(2, 0, 700)
	r.fill(1, 70_000, 350) // loses where both have a time
	want := r.answers()
	held, heldWant := []*Input{}, []string{} // what jobs read that hold cuts
	hold := func() {
		in := r.inputOf(t, `{__name__=~".*"}`)
		held, heldWant = append(held, in), append(heldWant, wholeInput(t, in))
	}
	same := func(when string) {
		t.Helper()
		for i, in := range held {
			if got := wholeInput(t, in); got != heldWant[i] {
				t.Fatalf("%s a job of cut %d reads\n%s\nwant\n%s", when, i, got, heldWant[i])
			}
		}
		if got := r.answers(); got != want {
			t.Fatalf("%s queries give\n%s\nwant\n%s", when, got, want)
		}
	}
	r.do(r.archiver.Archive)
	hold()
	same("archived,")
	r.must(r.archiver.Drop(t.Context(), unitWeek))
	same("dropped,")
	r.fill(3, 80_000, 700) // late: revision 1
	r.pend(unitWeek, unitMetric("f0"), 1, 9, unitFloat(700, 99))
	want = r.answers()
	r.do(r.archiver.Restore)
	same("restored beside late samples,")
	r.do(r.archiver.Archive)
	hold()
	same("archived beside late samples,")
	r.must(r.archiver.Drop(t.Context(), unitWeek))
	same("both revisions dropped,")
	r.do(r.archiver.Restore)
	same("both revisions restored,")
}

// wholeInput gives all that a job reads, as text.
func wholeInput(t *testing.T, in *Input) (out string) {
	t.Helper()
	err := in.Read(t.Context(), compute.Part{End: sample.Shards, From: unitAt(0), To: unitAt(7 * 86400)}, func(of *analysis.Samples) error {
		out += fmt.Sprintln(of.Series.Metric, of.Times, of.Bits, of.Texts, of.Qualities)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestADamagedPartIsAnError: a query of a dropped week names the part.
func TestADamagedPartIsAnError(t *testing.T) {
	r := newArchivedRig(t, 1)
	r.fill(1, 0, 700)
	r.do(r.archiver.Archive)
	r.must(r.archiver.Drop(t.Context(), unitWeek))
	all, err := r.objects.List(t.Context(), "")
	r.must(err)
	for _, o := range all {
		w, err := r.objects.Create(t.Context(), o.Name)
		r.must(err)
		_, err = w.Write([]byte("damage"))
		r.must(errors.Join(err, w.Close()))
	}
	if _, err := r.read("f0", unitAt(0), unitAt(100_000)); !errors.Is(err, archive.ErrCorrupt) {
		t.Errorf("reading damaged parts: %v", err)
	}
	for _, o := range all {
		r.must(r.objects.Delete(t.Context(), o.Name))
	}
	if _, err := r.read("f0", unitAt(0), unitAt(100_000)); !errors.Is(err, objects.ErrNotFound) {
		t.Errorf("reading parts that are gone: %v", err)
	}
}

// TestACutBeforeTheSealIsTakenAnew: the archive of a dropped volume does not
// serve it.
func TestACutBeforeTheSealIsTakenAnew(t *testing.T) {
	r := newArchivedRig(t, 1)
	r.fill(1, 0, 700)
	id := r.journalOf(unitWeek, unitMetric("f0"))
	old := r.book.Journal(id).Snapshot()
	r.do(r.archiver.Archive)
	r.must(r.archiver.Drop(t.Context(), unitWeek))
	asked := 0
	r.heads.snapshots[id] = func() journal.Snapshot {
		if asked++; asked == 1 {
			return old
		}
		return r.book.Journal(id).Snapshot()
	}
	got, err := r.read("f0", unitAt(0), unitAt(100_000))
	if err != nil || len(got["f0"]) != 143 || asked != 2 {
		t.Errorf("%d samples after %d cuts, %v", len(got["f0"]), asked, err)
	}
}

// vanishing is archives whose parts are not there the first times that they are read,
// as where an erasure writes them anew.
type vanishing struct {
	Archives
	left *int
}

func (v vanishing) Read(ctx context.Context, f *archive.File, s partfile.Selection, yield func(*block.Batch) error) error {
	if *v.left > 0 {
		*v.left--
		return &objects.Error{Op: "open", Name: f.Name, Err: objects.ErrNotFound}
	}
	return v.Archives.Read(ctx, f, s, yield)
}

// TestPartsThatAreReplacedAreReadAnew: the record names others by then. Parts that are
// lost are told.
func TestPartsThatAreReplacedAreReadAnew(t *testing.T) {
	r := newArchivedRig(t, 1)
	r.fill(1, 0, 700)
	r.do(r.archiver.Archive)
	r.must(r.archiver.Drop(t.Context(), unitWeek))
	want, err := r.read("f0", unitAt(0), unitAt(7*86400))
	r.must(err)
	left := 0
	r.source = New(Options{
		Tables: r.store, Book: r.book, Catalog: r.catalog, Heads: r.heads, Archives: vanishing{archive.NewArchives(r.objects), &left},
	})
	left = 1
	if got, err := r.read("f0", unitAt(0), unitAt(7*86400)); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("replaced once: %v, %v; want %v", got, err, want)
	}
	left = 1000
	if _, err := r.read("f0", unitAt(0), unitAt(7*86400)); !errors.Is(err, objects.ErrNotFound) {
		t.Errorf("lost: %v", err)
	}
}
