// Package compute is the port of what carries analyses out: an engine reads
// samples as of a cut, lets an analysis make rows of them, and leaves a result.
//
// It owns the contract, and how a job is divided. Engines are its children. It
// imports analysis, objects and result.
//
// # What holds after a crash at any point
//
// A job writes under names of its attempt only. Until its manifest is named by
// the run's record nothing of it counts; what a killed attempt left stays, and
// nobody reads it.
package compute

import (
	"context"
	"errors"

	"weir/internal/analysis"
	"weir/internal/result"
)

// ErrInput means that the samples can't be had as of the cut any more: begin the
// run anew, as its next revision.
var ErrInput = errors.New("the input of the job is gone")

// Job is one analysis over one window.
type Job struct {
	Pipeline string
	Step     string
	Revision int
	Analysis analysis.Analysis
	Start    int64 // of the window, ns UTC
	End      int64 // half-open
	Input    Input
	// Prefix is of the names of what the job writes, and the attempt's own; it
	// ends in '/'.
	Prefix string
}

// Input is the samples of a job: those of some series as of a cut, the same
// whenever they are read. It is safe for concurrent use.
type Input interface {
	// Cut names what is read: the token that stands in the manifest.
	Cut() string

	// Estimate gives about how many samples there are with start ≤ time < end. It
	// hangs on what was accepted up to the cut, and not on how that is stored, so
	// that every engine divides a job alike.
	Estimate(ctx context.Context, start, end int64) (uint64, error)

	// Series gives how many series a range of shards has.
	Series(first, end int) int

	// Whole says whether a stretch of time is read no faster than all of a window:
	// samples that lie by series, as in the archive. Which it is changes nothing
	// but the time that it takes.
	Whole(ctx context.Context, from, to int64) (bool, error)

	// Read calls yield for each series of the shards [first, end) that has
	// samples with from ≤ time < to, in order of SeriesID. They are valid only
	// during the call. An error of yield ends it and is returned.
	Read(ctx context.Context, p Part, yield func(*analysis.Samples) error) error
}

// Part is what is read at once: a range of shards and of time.
type Part struct {
	First, End int // shards, half-open
	From, To   int64
	Versions   bool // they are read too, with positions
}

// Output is what a job left.
type Output struct {
	Manifest string // name of the object
	SHA256   string // of it, in hex
	Rows     uint64
	Bytes    int64
}

// Progress is told how far a job is. It may be called concurrently.
type Progress func(done, total int, samples uint64)

// Engine carries jobs out. It is safe for concurrent use.
type Engine interface {
	// Run computes a job and returns when its manifest is durable. It may be
	// called again after any error, with another prefix; the rows are the same.
	// progress may be nil.
	Run(ctx context.Context, j Job, progress Progress) (Output, error)
}

// Manifest begins the manifest of a job.
func (j *Job) Manifest() *result.Manifest {
	return &result.Manifest{
		Version: result.Version, Table: j.Analysis.Table(), Pipeline: j.Pipeline, Step: j.Step,
		Start: j.Start, End: j.End, Revision: j.Revision, Cut: j.Input.Cut(), Columns: j.Analysis.Columns(),
	}
}
