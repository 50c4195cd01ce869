package worker

import (
	"sync/atomic"

	"weir/internal/journal"
)

// Flushes is what the flushes of one class have written since the process
// started. Each commit is one put, and its items are billed by the KB: that is
// what fast series cost.
type Flushes struct {
	Class                          journal.Class
	Commits, Items, Bytes, Samples uint64 // bytes of the items' bodies
}

// flushes counts by class. Safe for concurrent use.
type flushes [journal.Classes]struct{ commits, items, bytes, samples atomic.Uint64 }

func (f *flushes) add(c *journal.Commit) {
	of := &f[c.Class]
	of.commits.Add(1)
	of.items.Add(uint64(len(c.Items)))
	for _, i := range c.Items {
		of.bytes.Add(uint64(i.Bytes))
		of.samples.Add(uint64(i.Samples))
	}
}

// Flushes gives what was flushed, by class.
func (r *readers) Flushes() []Flushes {
	var out []Flushes
	for class := range r.flushes {
		of := &r.flushes[class]
		out = append(out, Flushes{journal.Class(class), of.commits.Load(), of.items.Load(), of.bytes.Load(), of.samples.Load()})
	}
	return out
}
