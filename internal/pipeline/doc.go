// Package pipeline runs what is done with samples on schedule: it owns plans,
// runs and their durable state, the scheduler and the local orchestrator.
// Definitions and their windows are its child's, internal/pipeline/definition.
//
// # What holds
//
// Each window of a schedule is run once, in order, at most as many at a time
// as the definition says, whoever is killed and whenever; several schedulers
// may work on the same records. A run's input, its cut, is taken when it
// begins and never moves. A step is tried as often as it must be, and what
// one attempt gave counts: the one that was written into the run's record.
//
// All state is records that are turned by conditional writes; their shapes
// are in docs/formats/pipeline.md. The order of writes is what survives a
// kill between any two: a run is asked for in its pipeline's state, then its
// record is made, then it is opened in the state, then carried out, then
// finished in its record, then closed in the state. Each of these can be done
// again without harm.
//
// It refuses to know how a step does its work (Worker), what a cut is
// (Cutter), the command line and the config. It may import
// internal/pipeline/definition, internal/store (records only), internal/sample
// and internal/problem.
package pipeline

import "weir/internal/pipeline/definition"

// The child's words that this package speaks in.
type (
	// Definition is one pipeline as its text says it.
	Definition = definition.Definition
	// Step is one node of a definition's graph.
	Step = definition.Step
	// Window is the half-open range of time that a run is about.
	Window = definition.Window
	// Instant is a time in ns since 1970 UTC.
	Instant = definition.Instant
)
