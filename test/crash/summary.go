package crash

import (
	"fmt"
	"time"

	"weir/test/harness"
)

// Summary is what a run did, and what its check found.
type Summary struct {
	Plan     Plan
	Kills    int
	Starting int // of the kills: before the process was ready
	Draining int // beside the kills: SIGTERM, and SIGKILL soon after
	Attempts int
	Items    Report
	Read     Report
	Copies   int    // samples in the items, copies too
	Seals    int    // that were answered
	Discards int    // that were answered, but for the last one
	Volumes  int    // revisions of all weeks, dropped ones too
	Dropped  uint64 // samples of dropped volumes
	Merges   int    // of all processes, as last seen before each one's end
	Ledger   harness.Ledger
	Slowest  time.Duration // from start to ready

	SlowestRead time.Duration
	Overtaken   int // reads that never came to an end, with every item there
	Retaken     int // reads that were asked again, see selectLines
}

// String is the run's closing line.
func (s Summary) String() string {
	answered := s.Items.Answered
	return fmt.Sprintf("crash: %d kills, %d revisions, %d merges, %d samples, lost %d, doubled %d, seed %d",
		s.Kills, s.Volumes, s.Merges, answered+s.Items.Unanswered,
		max(s.Items.Lost, s.Read.Lost), max(s.Items.Doubled, s.Read.Doubled), s.Plan.Seed)
}
