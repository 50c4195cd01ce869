// Package block owns the codec: many series' samples as columns, compressed
// and checksummed. A block is the one currency of Weir: the body of a message
// in the buffer, the body of an item in a week table, the unit of a shuffle.
//
// It is lossless always: every bit pattern of every kind comes back, and a
// flipped bit is an error, never wrong data. The format is docs/formats/block.md.
//
// It knows nothing of queues, tables or journals, and imports sample alone.
package block

import (
	"errors"
	"fmt"

	"weir/internal/sample"
)

// Errors that Decode wraps.
var (
	// ErrCorrupt means that the bytes are not what Encode wrote.
	ErrCorrupt = errors.New("block is corrupt")
	// ErrVersion means that a newer Weir wrote the block. Leave it to one.
	ErrVersion = errors.New("block is of a version this program does not know")
)

// Batch is many series' samples in memory. A run is one series' samples; the
// runs lie one after the other in the columns, registered series first.
//
// A batch may be filled, encoded, decoded into and reset again and again; its
// columns keep their capacity. It is not safe for concurrent use while it
// changes.
type Batch struct {
	Handles []sample.Handle // the first len(Handles) runs: registered series
	Keys    []string        // the runs after them: canonical keys, not registered yet
	Kinds   []sample.Kind   // one a run
	Ends    []int           // one a run: where its samples end in the columns

	Times     []int64          // one a sample, in any order, equal ones allowed
	Bits      []uint64         // one a sample, as sample.Value.Bits; of a string its place in Texts
	Texts     []string         // the strings; several samples may share one
	Qualities []sample.Quality // one a sample, or nil: all Good
	Versions  []uint64         // one a sample, or nil: not carried (messages)
	Positions []uint64         // one a sample, or nil: the commit that names the item says it

	spare spare
}

// spare keeps the memory of columns that a batch does not have at present.
type spare struct {
	qualities           []sample.Quality
	versions, positions []uint64
}

// Runs gives the number of runs.
func (b *Batch) Runs() int { return len(b.Ends) }

// Samples gives the number of samples.
func (b *Batch) Samples() int { return len(b.Times) }

// Run gives the half-open range of run i's samples in the columns.
func (b *Batch) Run(i int) (start, end int) {
	if i > 0 {
		start = b.Ends[i-1]
	}
	return start, b.Ends[i]
}

// Quality gives sample i's quality.
func (b *Batch) Quality(i int) sample.Quality {
	if b.Qualities == nil {
		return sample.Good
	}
	return b.Qualities[i]
}

// Value gives sample i's value; kind is its run's.
func (b *Batch) Value(kind sample.Kind, i int) sample.Value {
	if kind == sample.String {
		return sample.StringValue(b.Texts[b.Bits[i]])
	}
	return sample.Value{Kind: kind, Bits: b.Bits[i]}
}

// Reset empties b and keeps the capacity of its columns.
func (b *Batch) Reset() {
	clear(b.Keys)
	clear(b.Texts)
	if b.Qualities != nil {
		b.spare.qualities = b.Qualities
	}
	if b.Versions != nil {
		b.spare.versions = b.Versions
	}
	if b.Positions != nil {
		b.spare.positions = b.Positions
	}
	*b = Batch{
		Handles: b.Handles[:0], Keys: b.Keys[:0], Kinds: b.Kinds[:0], Ends: b.Ends[:0],
		Times: b.Times[:0], Bits: b.Bits[:0], Texts: b.Texts[:0], spare: b.spare,
	}
}

// forgetVersions leaves out versions and positions, and keeps their memory.
func (b *Batch) forgetVersions() {
	if b.Versions != nil {
		b.spare.versions, b.Versions = b.Versions, nil
	}
	if b.Positions != nil {
		b.spare.positions, b.Positions = b.Positions, nil
	}
}

// AddSample appends one sample to the columns; EndRun closes the run it is of.
func (b *Batch) AddSample(s sample.Sample) {
	if s.Quality != sample.Good && b.Qualities == nil {
		b.Qualities = make([]sample.Quality, len(b.Times), max(cap(b.Times), 16))
	}
	b.Times = append(b.Times, s.Time)
	if s.Value.Kind == sample.String {
		b.Bits = append(b.Bits, uint64(len(b.Texts)))
		b.Texts = append(b.Texts, s.Value.Text)
	} else {
		b.Bits = append(b.Bits, s.Value.Bits)
	}
	if b.Qualities != nil {
		b.Qualities = append(b.Qualities, s.Quality)
	}
}

// EndRun closes a registered series' run: the samples since the last end.
// It must not be called after EndKeyRun.
func (b *Batch) EndRun(h sample.Handle, k sample.Kind) {
	b.Handles = append(b.Handles, h)
	b.Kinds = append(b.Kinds, k)
	b.Ends = append(b.Ends, len(b.Times))
}

// EndKeyRun closes the run of a series that is not registered yet.
func (b *Batch) EndKeyRun(key string, k sample.Kind) {
	b.Keys = append(b.Keys, key)
	b.Kinds = append(b.Kinds, k)
	b.Ends = append(b.Ends, len(b.Times))
}

// Validate checks that the columns agree with one another; Encode calls it.
func (b *Batch) Validate() error {
	runs, samples := b.Runs(), b.Samples()
	switch {
	case len(b.Handles)+len(b.Keys) != runs || len(b.Kinds) != runs:
		return fmt.Errorf("block: %d handles and %d keys and %d kinds for %d runs", len(b.Handles), len(b.Keys), len(b.Kinds), runs)
	case runs > 0 && b.Ends[runs-1] != samples || runs == 0 && samples != 0:
		return fmt.Errorf("block: the runs do not end with the %d samples", samples)
	case len(b.Bits) != samples:
		return fmt.Errorf("block: %d values for %d times", len(b.Bits), samples)
	case b.Qualities != nil && len(b.Qualities) != samples,
		b.Versions != nil && len(b.Versions) != samples,
		b.Positions != nil && len(b.Positions) != samples:
		return fmt.Errorf("block: a column is shorter or longer than the %d samples", samples)
	}
	last, kinds := 0, b.Kinds[:runs]
	for i, end := range b.Ends {
		if end < last || end > samples {
			return fmt.Errorf("block: run %d ends at %d, before the one ahead of it or past the %d samples", i, end, samples)
		}
		if kind := kinds[i]; kind != sample.Float64 && kind != sample.Int64 {
			if err := b.validateRun(i, b.Bits[last:end]); err != nil {
				return err
			}
		}
		last = end
	}
	return nil
}

// validateRun checks the values of run i, which are no numbers.
func (b *Batch) validateRun(i int, values []uint64) error {
	kind := b.Kinds[i]
	var most uint64
	switch kind {
	case sample.Bool:
		most = 1
	case sample.String:
		if len(b.Texts) == 0 && len(values) > 0 {
			return fmt.Errorf("block: run %d of strings has no texts", i)
		}
		most = uint64(len(b.Texts)) - 1
	default:
		return fmt.Errorf("block: run %d is of unknown kind %d", i, kind)
	}
	for _, bits := range values {
		if bits > most {
			return fmt.Errorf("block: run %d of %s has value %d", i, kind, bits)
		}
	}
	return nil
}
