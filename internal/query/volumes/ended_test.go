package volumes

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"weir/internal/analysis"
	"weir/internal/archive"
	"weir/internal/compute"
	"weir/internal/journal"
	"weir/internal/sample"
)

// TestEndedWeekReadsAsEmpty: for queries, and for jobs whose cuts were taken after
// the end. A job whose cut was taken before is told that its input is gone: it never
// reads less than it did.
func TestEndedWeekReadsAsEmpty(t *testing.T) {
	r := newArchivedRig(t, 2)
	r.fill(2, 0, 700)
	before := r.inputOf(t, `{__name__=~".*"}`)
	r.do(r.archiver.Archive)
	r.do(func(ctx context.Context, w sample.Week, _ archive.Report) error { return r.archiver.Drop(ctx, w) })
	dropped := r.inputOf(t, `{__name__=~".*"}`)
	if got := wholeInput(t, dropped); got == "" {
		t.Fatal("the archive has nothing")
	}
	if _, err := r.book.EndVolume(t.Context(), journal.VolumeID{Week: unitWeek}, time.Now()); err != nil {
		t.Fatal(err)
	}
	r.flush(unitWeek, unitMetric("late"), []unitVersioned{{unitFloat(100, 7), 9}}, false)
	if got, err := r.read(`{__name__=~".+"}`, unitWeek.Start(), unitWeek.End()); err != nil || len(got) != 1 {
		t.Errorf("a query reads %v, %v; want what came late, alone", got, err)
	}
	after := r.inputOf(t, `{__name__=~".*"}`)
	if got := wholeInput(t, after); !strings.Contains(got, "late") || strings.Contains(got, "f0") {
		t.Errorf("a job that began after reads %.200s; want what came late, alone", got)
	}
	for name, in := range map[string]*Input{"before the seal": before, "before the end": dropped} {
		err := in.Read(t.Context(), compute.Part{End: sample.Shards, From: unitWeek.Start(), To: unitWeek.End()}, func(*analysis.Samples) error { return nil })
		if !errors.Is(err, compute.ErrInput) {
			t.Errorf("a job that began %s: %v; want ErrInput", name, err)
		}
	}
}
