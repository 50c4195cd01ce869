package pipeline

import (
	"testing"

	"weir/internal/store/pebble"
)

// TestOnTheEmbeddedStore: keys and values are such as a real driver takes, and
// are there when it is opened again.
func TestOnTheEmbeddedStore(t *testing.T) {
	config := pebble.Default()
	config.Dir = t.TempDir()
	for opening := range 2 {
		records, err := pebble.Open(config)
		if err != nil {
			t.Fatal(err)
		}
		r := newRig(t, "2026-03-04T12:00:00Z")
		s := r.scheduler(records)
		if opening == 0 {
			r.apply(s, daily)
		}
		for range 6 { // each pass opens two runs at most, and closes none itself
			if err := s.pass(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.group.Wait()
		}
		if got, want := states(r.runs(s, Filter{})), "28T23/0 done, 01T23/0 done, 02T23/0 done"; got != want {
			t.Errorf("opening %d: runs are %s; want %s", opening, got, want)
		}
		if n := r.worker.count(); opening == 1 && n != 0 {
			t.Errorf("%d tasks were done again", n)
		}
		if err := records.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
