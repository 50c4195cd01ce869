package definition

import (
	"time"
)

// Definition is one pipeline as its text says it. Parse makes it.
type Definition struct {
	Name        string
	Text        string // as it was given
	Hash        string // of the text
	Schedule    Schedule
	Delay       time.Duration // a window's tick comes that long after its end
	Backfill    Backfill
	Concurrency int // runs at once
	Retries     Retries
	Timeout     time.Duration // of one attempt of one step
	LateAfter   time.Duration // after the tick; 0: never late
	RerunStale  bool
	Watermark   bool // a run begins once the watermark is past its window
	Steps       []Step
}

// Scheduled says whether the pipeline has windows of its own.
func (d Definition) Scheduled() bool { return d.Schedule.Defined() }

// Step gives the step of that name.
func (d Definition) Step(name string) (Step, bool) {
	for _, s := range d.Steps {
		if s.Name == name {
			return s, true
		}
	}
	return Step{}, false
}

// Backfill says which missed windows are made up: all, or those whose tick is
// at most Within ago. The newest is made in any case.
type Backfill struct {
	All    bool
	Within time.Duration
}

// Retries says how often a step is tried, and how long to wait in between:
// the backoff, doubled each time, at most Most.
type Retries struct {
	Attempts int
	Backoff  time.Duration
	Most     time.Duration
}

// Wait gives the pause after so many failures, at least one.
func (r Retries) Wait(failures int) time.Duration {
	wait := r.Backoff
	for range failures - 1 {
		if wait >= r.Most/2 {
			return r.Most
		}
		wait *= 2
	}
	return min(wait, r.Most)
}

// Kind is what a step does.
type Kind string

// The kinds of steps, as the key that a definition gives them by.
const (
	KindAnalyse       Kind = "analyse"
	KindLoad          Kind = "load"
	KindExport        Kind = "export"
	KindArchive       Kind = "archive"
	KindSQL           Kind = "sql"
	KindImportHistory Kind = "import-history"
)

// Step is one node of a pipeline's graph. Of the pointers that of its Kind is
// set.
type Step struct {
	Name  string
	Kind  Kind
	After []string // what must be done before, a step that it takes from included

	Analyse       *Analyse
	Load          *Load
	Export        *Export
	Archive       *Archive
	SQL           *SQL
	ImportHistory *ImportHistory

	places places // where the definition says it
	sound  bool   // no fault was found in it alone
}

// Analyse runs an analysis over the series that a selector takes.
type Analyse struct {
	Analysis  string        // "rollup" and others
	Select    string        // a selector of series
	Every     time.Duration // width of the result's rows; 0: the whole window
	By        []string      // tags to group by
	Functions []string
	Quantiles []float64
}

// Load puts an analyse step's results into the warehouse.
type Load struct {
	From string // name of the analyse step
}

// Export writes an analyse step's results as files.
type Export struct {
	From   string
	Format string
	Folder string
}

// Archive archives the weeks that ended so long before the window's end, and
// drops those that are verified if Drop says so.
type Archive struct {
	OlderThan time.Duration
	Drop      bool
}

// SQL asks the warehouse and writes the answer as a file.
type SQL struct {
	Statement string
	Format    string
	Folder    string
}

// ImportHistory copies the samples of the whole weeks of the window into the
// warehouse.
type ImportHistory struct {
	Select string
}

// Checks judges what this package does not know: for each kind, whether the
// step's parameters are right. An error that wraps *KeyError is shown at that
// key.
type Checks map[Kind]func(Step) error

// KeyError says that the value of one of a step's keys is wrong.
type KeyError struct {
	Key string // as in the definition, such as "select"
	Err error
}

func (e *KeyError) Error() string { return e.Key + ": " + e.Err.Error() }

func (e *KeyError) Unwrap() error { return e.Err }
