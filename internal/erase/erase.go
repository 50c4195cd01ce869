// Package erase removes the samples of series from all places of a data folder, and
// proves it: a person's right to be forgotten.
//
// It owns the order of the places, the wait for those who hold what is to go, the
// reading back, and the record that is kept of it. How samples are taken out of a
// merge, an archive, a result, an export or the warehouse is said there. It refuses
// to know HTTP and drivers, and imports ports and core.
//
// # What is erased
//
// The samples of the series that are accepted before, of the times that are asked
// for, and rows that were derived from them alone: rows of results, exports and
// warehouse tables that name the series. What comes after is a new sample. The
// series stays registered: journals, which are never rewritten, hold its name, and
// counts in which its samples are among others'.
//
// # What holds after a crash at any point
//
// An erasure has a record, written before anything is removed, and turned last.
// Each place is changed by its own law, item by item or file by file, such that what
// was removed is removed and what was not is found by the next look: so the same
// erasure asked for again goes on, and ends. Nothing of other series is lost at any
// point. A message is named once, whatever was erased of it: one that is delivered
// again is acked without effect. A cut that was taken before reads no erased sample
// either: this is the one thing that moves a cut.
//
// Proven means: after all was removed, every place was read again and had none.
package erase

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"weir/internal/objects"
	"weir/internal/sample"
)

// Errors of this package.
var (
	// ErrBusy means that another erasure is under way.
	ErrBusy = errors.New("another erasure is under way")
	// ErrNotFound means that there is no such series or erasure.
	ErrNotFound = errors.New("there is none")
	// ErrHeld means that somebody reads what is to go, for longer than was waited.
	ErrHeld = errors.New("somebody still reads what is to be erased")
	// ErrLeft means that samples are found that can't be removed from where they
	// are. The report says where.
	ErrLeft = errors.New("samples are left")
)

// Target is what is to be erased: samples with From ≤ time < To of series.
type Target struct {
	Series   []Member
	From, To int64
}

// Member is one series.
type Member struct {
	sample.Series
	Key string // canonical form
	ID  sample.SeriesID
}

// MakeMember gives a series with what it is called.
func MakeMember(s sample.Series) Member { return Member{s, s.Key(), s.ID()} }

// Found is how many samples of a target, or rows of them, a place has.
type Found struct {
	Place string
	Unit  string // "samples" or "rows"
	Count uint64
}

// Place is somewhere where samples are. Both methods may be called again, after
// they were cut short anywhere. tell is told how far it is.
type Place interface {
	// Count gives what there is, of each of the place's parts.
	Count(ctx context.Context, t *Target, tell Tell) ([]Found, error)
	// Erase removes it, as far as nobody holds it: ErrHeld or journal.ErrPinned
	// where somebody does.
	Erase(ctx context.Context, t *Target, tell Tell) error
}

// Tell is told how far a place is.
type Tell func(done, total uint64)

// Options is what an Eraser works with. Nothing may be nil.
type Options struct {
	Sources []Place // of samples as they were accepted, and their archives
	Derived []Place // of what runs make of them: once all are done that read before
	Records objects.Objects
	Now     func() time.Time
	Random  func() uint64
	// Pause waits, or gives ctx's error.
	Pause func(context.Context, time.Duration) error
	// Commit returns once all that was accepted before the call is committed.
	Commit func(context.Context) error
	// Reading names the runs that are not finished and have their cut.
	Reading func(context.Context) ([]string, error)
	// Notes tells of what this erasure cannot reach.
	Notes func(context.Context, *Target) ([]string, error)
	// Wait is how long it waits for whoever holds what is to go.
	Wait time.Duration
}

// Eraser erases, one after the other. Safe for concurrent use.
type Eraser struct {
	Options
	busy sync.Mutex
}

// New makes an eraser.
func New(o Options) *Eraser { return &Eraser{Options: o} }

// Request asks for an erasure.
type Request struct {
	Selector string // as it was asked for, for the record
	Target   Target
	Dry      bool // only count
}

// Progress is how far an erasure is.
type Progress struct {
	Step  string // "count", "erase", "check"
	Done  uint64
	Total uint64
}

// rounds bounds how often what was found afterwards is erased once more: samples
// that came back by a restore, or that were on their way.
const rounds = 3

// Erase erases, or goes on with an erasure of the same selector and times that was
// cut short, and gives the report. Where it is not proven there is an error too.
func (e *Eraser) Erase(ctx context.Context, r Request, report func(Progress)) (*Report, error) {
	if !e.busy.TryLock() {
		return nil, fmt.Errorf("%w: wait until it has ended", ErrBusy)
	}
	defer e.busy.Unlock()
	if len(r.Target.Series) == 0 {
		return nil, fmt.Errorf("no series matches %s: %w", r.Selector, ErrNotFound)
	}
	w := &work{Eraser: e, target: r.Target, tell: report}
	if r.Dry {
		w.report = e.newReport(&r)
		w.report.State = Dry
		return w.report, w.first(ctx)
	}
	var err error
	if w.report, err = e.begin(ctx, &r); err != nil {
		return nil, err
	}
	w.target.Series = r.Target.Series
	err = w.carryOut(ctx)
	return w.report, w.end(ctx, err)
}

// work is one erasure under way.
type work struct {
	*Eraser
	target Target
	report *Report
	tell   func(Progress)
}

func (w *work) places() []Place { return append(append([]Place{}, w.Sources...), w.Derived...) }

// first commits what was accepted, and counts what there is.
func (w *work) first(ctx context.Context) error {
	if err := w.Commit(ctx); err != nil {
		return fmt.Errorf("what was accepted before is not all committed, so it can't be erased yet: %w", err)
	}
	found, err := w.count(ctx, "count")
	w.report.found(found)
	if err != nil {
		return err
	}
	w.report.Notes, err = w.Notes(ctx, &w.target)
	return err
}

func (w *work) count(ctx context.Context, step string) (all []Found, err error) {
	for i, p := range w.places() {
		found, err := p.Count(ctx, &w.target, w.step(step, i))
		all = append(all, found...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// share is how many parts the progress of each place has.
const share = 1000

func (w *work) step(name string, place int) Tell {
	total := uint64(len(w.places()))
	tell := func(done, of uint64) {
		w.tell(Progress{name, uint64(place)*share + share*min(done, of)/max(of, 1), total * share})
	}
	tell(0, 1)
	return tell
}

// carryOut erases until nothing is found.
func (w *work) carryOut(ctx context.Context) error {
	if err := w.first(ctx); err != nil {
		return err
	}
	if err := w.save(ctx, w.report); err != nil {
		return err
	}
	for range rounds {
		if err := w.round(ctx); err != nil {
			return err
		}
		found, err := w.count(ctx, "check")
		if err != nil {
			return err
		}
		if w.report.found(found); w.report.Left() == 0 {
			return nil
		}
	}
	return fmt.Errorf("%w, after %d rounds: see the report, and erase again", ErrLeft, rounds)
}

func (w *work) round(ctx context.Context) error {
	for i, p := range w.Sources {
		if err := w.patiently(ctx, func() error { return p.Erase(ctx, &w.target, w.step("erase", i)) }); err != nil {
			return err
		}
	}
	// Who began to read before may make rows of it yet; who begins now does not.
	if err := w.outlast(ctx); err != nil {
		return err
	}
	for i, p := range w.Derived {
		if err := p.Erase(ctx, &w.target, w.step("erase", len(w.Sources)+i)); err != nil {
			return err
		}
	}
	return nil
}

// pause is between two looks at whether what is held was let go.
const pause = 500 * time.Millisecond

// patiently does something again until nobody holds what it removes.
func (w *work) patiently(ctx context.Context, do func() error) error {
	until := w.Now().Add(w.Wait)
	for {
		err := do()
		if !isHeld(err) {
			return err
		}
		if !w.Now().Before(until) {
			return fmt.Errorf("%w, after %s; wait for it, or cancel it, and erase again: that goes on from here: %w", ErrHeld, w.Wait, err)
		}
		if err := w.Pause(ctx, pause); err != nil {
			return err
		}
	}
}

// outlast waits until the runs that read now are finished.
func (w *work) outlast(ctx context.Context) error {
	before, err := w.Reading(ctx)
	if err != nil {
		return err
	}
	return w.patiently(ctx, func() error {
		now, err := w.Reading(ctx)
		if err != nil {
			return err
		}
		for _, run := range now {
			for _, b := range before {
				if run == b {
					return fmt.Errorf("%w: run %s", ErrHeld, run)
				}
			}
		}
		return nil
	})
}

// end turns the record, also where ctx is over.
func (w *work) end(ctx context.Context, err error) error {
	w.report.Ended, w.report.State, w.report.Error = w.Now().UTC(), Proven, ""
	w.report.Pending = nil
	if err != nil {
		w.report.State, w.report.Error = Unfinished, err.Error()
		w.report.pend(&w.target)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
	defer cancel()
	return errors.Join(err, w.save(ctx, w.report))
}

const saveTime = 10 * time.Second

// Always is the range of all times.
func Always() (from, to int64) { return math.MinInt64, math.MaxInt64 }
