// Package compactions owns when Pebble may compact a folder.
//
// It imports the client library alone.
package compactions

import engine "github.com/cockroachdb/pebble/v2"

// Permits lets Pebble compact one thing at a time, and nothing in a folder in
// which something could not be read: Pebble would try that again at once, for
// ever. Pebble's own scheduler does the same but for that; it asks Pebble how
// much is allowed, and gets its answer here.
type Permits struct {
	*engine.ConcurrencyLimitScheduler
	sick func() bool
}

// NewPermits makes the permits of a folder, which sick says to be so.
func NewPermits(sick func() bool) Permits {
	return Permits{engine.NewConcurrencyLimitSchedulerWithNoPeriodicGrantingForTest(), sick}
}

// Register is called once, by Pebble.
func (p Permits) Register(goroutines int, db engine.DBForCompaction) {
	p.ConcurrencyLimitScheduler.Register(goroutines, wellOnly{db, p.sick})
}

type wellOnly struct {
	engine.DBForCompaction
	sick func() bool
}

func (w wellOnly) GetAllowedWithoutPermission() int {
	if w.sick() {
		return 0
	}
	return w.DBForCompaction.GetAllowedWithoutPermission()
}
