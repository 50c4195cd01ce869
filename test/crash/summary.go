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
	Copies   int // samples in the items, copies too
	Ledger   harness.Ledger
	Slowest  time.Duration // from start to ready
}

// String is the run's closing line.
func (s Summary) String() string {
	answered := s.Items.Answered
	return fmt.Sprintf("crash: %d kills, %d attempts, %d+%d samples, lost %d, doubled %d, seed %d",
		s.Kills, s.Attempts, answered, s.Items.Unanswered,
		max(s.Items.Lost, s.Read.Lost), max(s.Items.Doubled, s.Read.Doubled), s.Plan.Seed)
}
