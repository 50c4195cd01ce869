package volumes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"weir/internal/query"
	"weir/internal/sample"
	"weir/internal/store"
)

// sweeping is Tables of which something goes while they are read.
type sweeping struct {
	store.Tables
	before func() error // called before a query; its error is the query's
}

func (s *sweeping) Query(ctx context.Context, table string, bucket sample.Shard, from, to int64, yield func(store.Item) bool) error {
	if err := s.before(); err != nil {
		return err
	}
	return s.Tables.Query(ctx, table, bucket, from, to, yield)
}

// TestAnItemThatIsMissingIsLookedForAgain takes an item away and brings it
// back, so that the second cut finds it.
func TestAnItemThatIsMissingIsLookedForAgain(t *testing.T) {
	r := unitNewRig(t, 1)
	m := unitMetric("m")
	c := r.flush(unitWeek, m, []unitVersioned{{unitFloat(1, 1), 1}}, false)
	volume, err := r.book.Volume(t.Context(), unitWeek, 0)
	if err != nil {
		t.Fatal(err)
	}
	var kept store.Item
	err = r.store.Query(t.Context(), volume.Table, c.Items[0].Bucket, c.Items[0].Span, c.Items[0].Span, func(i store.Item) bool {
		kept = store.Item{Key: i.Key, Body: slices.Clone(i.Body)}
		return false
	})
	if err != nil {
		t.Fatal(err)
	}
	times := 0
	r.source.tables = &sweeping{r.store, func() error {
		if times++; times == 1 {
			return r.store.Delete(t.Context(), volume.Table, []store.ItemKey{kept.Key})
		}
		return r.store.Write(t.Context(), volume.Table, []store.Item{kept})
	}}
	got, err := r.read("m", unitAt(0), unitAt(10))
	if err != nil || len(got["m"]) != 1 || times != 2 {
		t.Errorf("%v, %v after %d queries", got, err, times)
	}
}

// TestTablesThatGoAreLookedForAgain bounds the tries.
func TestTablesThatGoAreLookedForAgain(t *testing.T) {
	for missing, fails := range map[int]bool{1: false, tries - 1: false, tries: true} {
		r := unitNewRig(t, 1)
		r.flush(unitWeek, unitMetric("m"), []unitVersioned{{unitFloat(1, 1), 1}}, false)
		times := 0
		r.source.tables = &sweeping{r.store, func() error {
			if times++; times <= missing {
				return fmt.Errorf("gone: %w", store.ErrNoTable)
			}
			return nil
		}}
		got, err := r.read("m", unitAt(0), unitAt(10))
		if fails != errors.Is(err, store.ErrNoTable) || !fails && len(got["m"]) != 1 {
			t.Errorf("missing %d times: %v, %v", missing, got, err)
		}
	}
}

// TestALaterPartOfAReadingTakesNoNewCut: its first part was given already.
func TestALaterPartOfAReadingTakesNoNewCut(t *testing.T) {
	r := unitNewRig(t, 1)
	first, last := unitMetric("first"), unitMetric("last")
	r.flush(unitWeek, first, []unitVersioned{{unitFloat(1, 1), 1}}, false)
	r.flush(unitWeek, last, []unitVersioned{{unitFloat(1, 1), 1}}, false)
	list := make([]query.SeriesInfo, chunk+1)
	for i := range list {
		list[i] = query.SeriesInfo{Series: first, Kind: sample.Float64} // in no week
	}
	list[0].Weeks = []sample.Week{unitWeek}
	list[chunk] = query.SeriesInfo{Series: last, Kind: sample.Float64, Weeks: []sample.Week{unitWeek}}
	gone := false
	r.source.tables = &sweeping{r.store, func() error {
		if gone {
			return store.ErrNoTable
		}
		return nil
	}}
	err := r.source.Samples(t.Context(), r.reading(list, unitAt(0), unitAt(10)), func(*query.Points) error { gone = true; return nil })
	if !errors.Is(err, query.ErrUnavailable) || !errors.Is(err, store.ErrNoTable) {
		t.Errorf("got %v", err)
	}
}

// TestWhatIsReplacedEachTimeItIsReadIsUnavailable: an item that no cut names
// any more is not lost, so the query is to be asked again; one that counts
// still is.
func TestWhatIsReplacedEachTimeItIsReadIsUnavailable(t *testing.T) {
	for _, dropped := range []bool{true, false} {
		r := unitNewRig(t, 1)
		c := r.flush(unitWeek, unitMetric("m"), []unitVersioned{{unitFloat(1, 1), 1}}, false)
		volume, err := r.book.Volume(t.Context(), unitWeek, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.store.Delete(t.Context(), volume.Table, []store.ItemKey{c.Key(c.Items[0])}); err != nil {
			t.Fatal(err)
		}
		times := 0
		r.source.tables = &sweeping{r.store, func() error {
			if times++; times < tries || !dropped {
				return nil
			}
			return errors.Join(r.book.SealVolume(t.Context(), unitWeek, 0), r.book.DiscardVolume(t.Context(), unitWeek, 0, time.Now()))
		}}
		_, err = r.read("m", unitAt(0), unitAt(10))
		if errors.Is(err, query.ErrUnavailable) != dropped || errors.Is(err, store.ErrCorrupt) == dropped || times != tries {
			t.Errorf("dropped %v, after %d tries: %v", dropped, times, err)
		}
	}
}
