package journal

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"weir/internal/sample"
	"weir/internal/store"
)

func TestWeeksThatAreMadeAtOnceGetOneAnswer(t *testing.T) {
	s := unitPebble(t)
	const week, processes = sample.Week(2900), 8
	answers := make([]WeekRecord, 2*processes)
	var group sync.WaitGroup
	for i := range processes {
		b := NewBook(s, i+1, unitRandom(7), nil)
		for twin := range 2 { // from two goroutines of each process
			group.Go(func() {
				var err error
				if answers[2*i+twin], err = b.EnsureWeek(t.Context(), week); err != nil {
					t.Error(err)
				}
			})
		}
	}
	group.Wait()
	stands, ok, err := NewBook(s, 99, unitRandom(7), nil).Week(t.Context(), week)
	if err != nil || !ok || stands.Partitions > processes {
		t.Fatal(stands, ok, err)
	}
	for _, got := range answers {
		if got != stands {
			t.Errorf("answers %v; the record says %v", answers, stands)
		}
	}
}

// TestAWeekIsMadeAfterACrashBetweenAnyTwoSteps fails the n-th call of
// EnsureWeek, for each n, and makes the week with another book after it.
func TestAWeekIsMadeAfterACrashBetweenAnyTwoSteps(t *testing.T) {
	s := unitPebble(t)
	var steps []string
	for n := 0; ; n++ {
		week, calls := sample.Week(2900+n), 0
		s.fail = func(call, key string) error {
			if calls++; calls == n+1 {
				steps = append(steps, call)
				return store.ErrUnavailable
			}
			return nil
		}
		first, err := NewBook(s, 3, unitRandom(7), nil).EnsureWeek(t.Context(), week)
		s.fail = nil
		if err == nil {
			if first.Partitions != 3 || n < 5 {
				t.Errorf("%+v after %d steps", first, n)
			}
			break
		}
		if !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("step %d: %v", n, err)
		}
		b := NewBook(s, 5, unitRandom(7), nil)
		again, err := b.EnsureWeek(t.Context(), week)
		if err != nil {
			t.Fatalf("after a crash at step %d (%s): %v", n, steps[n], err)
		}
		if want := 5; n < 5 && again.Partitions != want || n >= 5 && again.Partitions != 3 {
			t.Errorf("after a crash at step %d (%s) the week has %d partitions", n, steps[n], again.Partitions)
		}
		volume, err := b.Volume(t.Context(), week, 0)
		if err != nil || volume.State != VolumeOpen || volume.Week != week || volume.Revision != 0 {
			t.Errorf("its volume is %+v, %v", volume, err)
		}
		if names, err := s.Names(t.Context()); err != nil || !slices.Contains(names, volume.Table) {
			t.Errorf("its table %s is not among %v, %v", volume.Table, names, err)
		}
	}
	if want := []string{"get", "get", "ensure", "put", "put", "get"}; !slices.Equal(steps, want) {
		t.Errorf("the steps are %v; want %v", steps, want)
	}
}

func TestAWeekThatIsNotMadeIsNotKnown(t *testing.T) {
	s := unitPebble(t)
	b := NewBook(s, 3, unitRandom(7), nil)
	if _, ok, err := b.Week(t.Context(), 2900); ok || err != nil {
		t.Errorf("a week that nobody made: %v, %v", ok, err)
	}
	if _, err := b.EnsureWeek(t.Context(), 2900); err != nil {
		t.Fatal(err)
	}
	s.fail = func(string, string) error { return store.ErrUnavailable }
	if got, ok, err := b.Week(t.Context(), 2900); !ok || err != nil || got.Partitions != 3 {
		t.Errorf("what never changes is asked for again: %v, %v", got, err)
	}
}

func TestRecordsThatAreNoneAreCorrupt(t *testing.T) {
	for _, value := range []string{"", "{", `{"partitions":0}`, `{"partitions":1025}`, `{"partitions":"2"}`, "null"} {
		s := unitPebble(t)
		if _, err := s.Put(t.Context(), weekKey(2900), []byte(value), 0); err != nil {
			t.Fatal(err)
		}
		b := NewBook(s, 3, unitRandom(7), nil)
		if _, _, err := b.Week(t.Context(), 2900); !errors.Is(err, ErrCorrupt) {
			t.Errorf("week %q: %v; want ErrCorrupt", value, err)
		}
		if _, err := b.EnsureWeek(t.Context(), 2900); !errors.Is(err, ErrCorrupt) {
			t.Errorf("making it again, week %q: %v; want ErrCorrupt", value, err)
		}
		if r, err := s.Get(t.Context(), weekKey(2900)); err != nil || string(r.Value) != value {
			t.Errorf("it was changed to %q, %v", r.Value, err)
		}
	}
}

func TestWeeksAreListedInOrder(t *testing.T) {
	s := unitPebble(t)
	b := NewBook(s, 3, unitRandom(7), nil)
	want := []sample.Week{-60, -1, 0, 2900, 2923, 2924} // years 1968 to 2026, with a turn of the year
	for _, i := range []int{3, 0, 5, 2, 1, 4} {
		if _, err := b.EnsureWeek(t.Context(), want[i]); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := b.Weeks(t.Context()); err != nil || !slices.Equal(got, want) {
		t.Errorf("weeks %v, %v; want %v", got, err, want)
	}
	if _, err := s.Put(t.Context(), "weeks/2026-w77", []byte("{}"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Weeks(t.Context()); !errors.Is(err, ErrCorrupt) {
		t.Errorf("with a record of week 77: %v; want ErrCorrupt", err)
	}
	s.fail = func(string, string) error { return store.ErrUnavailable }
	if _, err := b.Weeks(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("without a store: %v", err)
	}
}

func TestVolumesAreReadByRevision(t *testing.T) {
	s := unitPebble(t)
	b := NewBook(s, 3, unitRandom(7), nil)
	week, err := sample.ParseWeek("2026-W03")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Volume(t.Context(), week, 0); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a volume of a week that is not made: %v", err)
	}
	if _, err := b.EnsureWeek(t.Context(), week); err != nil {
		t.Fatal(err)
	}
	v, err := b.Volume(t.Context(), week, 0)
	if want := (VolumeRecord{Week: week, Table: "samples_2026_w03", State: VolumeOpen}); err != nil || !cmp.Equal(v, want, cmpopts.IgnoreUnexported(VolumeRecord{})) {
		t.Errorf("volume %+v, %v; want %+v", v, err, want)
	}
	if name := (VolumeID{week, 2}).table(); name != "samples_2026_w03_r2" {
		t.Errorf("the table of revision 2 is %s", name)
	}
	if _, err := s.Put(t.Context(), (VolumeID{week, 1}).key(), []byte("{"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Volume(t.Context(), week, 1); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "volumes/2026-w03/0001") {
		t.Errorf("a record cut short: %v; want ErrCorrupt with its key", err)
	}
}
