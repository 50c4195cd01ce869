// Package volumes reads week volumes, journals and heads as one: it is the
// query package's Source.
//
// It believes only the items that a journal names up to a cut (law 1), takes
// head and journal position in one step (law 5), and decides between samples
// of one series and time by the total order (law 6). It imports query, the
// core and the ports; heads come through an interface.
package volumes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/internal/catalog"
	"weir/internal/journal"
	"weir/internal/objects"
	"weir/internal/query"
	"weir/internal/sample"
	"weir/internal/store"
)

// Heads gives what workers of this process have not committed yet.
type Heads interface {
	// CatchUp waits until every sample that was acknowledged before the call
	// is in a head or named by a journal.
	CatchUp(ctx context.Context) error
	// Snapshot gives a head with its journal, as of one moment; ok is false
	// where no worker of this process writes the journal. It waits where a
	// head was lost after CatchUp, until its messages are in another.
	Snapshot(ctx context.Context, id store.JournalID) (s journal.Snapshot, ok bool, err error)
}

// Source reads volumes and heads. Safe for concurrent use.
type Source struct {
	tables  store.Tables
	book    *journal.Book
	catalog *catalog.Catalog
	heads   Heads

	archives Archives // nil: what was dropped is not read
	past     bool     // it reads as of a cut, and not what is there now
}

var _ query.Source = (*Source)(nil)

// catchUpTime bounds how long a query waits for the heads.
const catchUpTime = 10 * time.Second

// tries is how often a reading starts from a new cut. What misses something
// then misses it for good.
const tries = 4

// missingError says that an item, perhaps with its table, is not there that a
// cut names. It may have been merged, or dropped, since.
type missingError struct {
	journal store.JournalID
	item    *journal.Named
	err     error
}

func (e *missingError) Error() string { return e.err.Error() }
func (e *missingError) Unwrap() error { return e.err }

// chunk is how many series are read at once.
const chunk = 20_000

// Options is what a Source reads from.
type Options struct {
	Tables  store.Tables
	Book    *journal.Book
	Catalog *catalog.Catalog
	Heads   Heads
	// Archives may be nil: then a dropped volume reads as empty.
	Archives Archives
}

// New makes a source.
func New(o Options) *Source {
	return &Source{tables: o.Tables, book: o.Book, catalog: o.Catalog, heads: o.Heads, archives: o.Archives}
}

// Series lists matching series; see query.Source.
func (s *Source) Series(ctx context.Context, sel query.Selector, start, end int64) ([]query.SeriesInfo, error) {
	if err := s.catchUp(ctx); err != nil {
		return nil, err
	}
	metric, _ := sel.Metric()
	from, to := sample.WeekOf(start), sample.WeekOf(end-1)
	// Not only its samples are missing, its series are.
	if err := s.book.Damaged(from, to); err != nil {
		return nil, fmt.Errorf("%w (nothing was deleted; restore the store from a backup, or ask for other weeks)", err)
	}
	all, matches := s.catalog.Find(metric, sel.Equalities()), sel.Matching()
	out := make([]query.SeriesInfo, 0, min(len(all), chunk))
	var weeks []sample.Week // of all of them
	for _, found := range all {
		if !matches(found.Series) {
			continue
		}
		had := len(weeks)
		for _, in := range found.Weeks() {
			if in.Week >= from && in.Week <= to {
				weeks = append(weeks, in.Week)
			}
		}
		if own := weeks[had:len(weeks):len(weeks)]; len(own) > 0 {
			out = append(out, query.SeriesInfo{Series: found.Series, ID: found.ID, Kind: found.Kind(), Weeks: own, Own: found})
		}
	}
	return out, nil
}

func (s *Source) catchUp(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, catchUpTime)
	defer cancel()
	if err := s.heads.CatchUp(wait); err != nil {
		return fmt.Errorf("%w: the workers have not taken all that was acknowledged within %s, see the log: %w", query.ErrUnavailable, catchUpTime, err)
	}
	return nil
}

// Samples reads series; see query.Source. All of one call sees each journal
// as of one moment.
func (s *Source) Samples(ctx context.Context, r query.Reading, yield func(*query.Points) error) error {
	return s.read(ctx, &reading{Source: s, Reading: r}, func(info *query.SeriesInfo, list []result) error {
		points := &list[0].columns.Points
		if len(list) > 1 {
			points = join(info, list)
		}
		if len(points.Times) == 0 {
			return nil
		}
		return yield(points)
	})
}

// join puts the samples of a series that several tasks read behind each other.
func join(info *query.SeriesInfo, list []result) *query.Points {
	all := columns{info: info, Points: query.Points{Info: info}}
	n := 0
	for i := range list {
		n += len(list[i].columns.Times)
	}
	all.Times = make([]int64, 0, n)
	if info.Kind == sample.String {
		all.Texts = make([]string, 0, n)
	} else {
		all.Bits = make([]uint64, 0, n)
	}
	for i := range list {
		c := list[i].columns
		if c.Qualities != nil && all.Qualities == nil {
			all.Qualities = make([]sample.Quality, len(all.Times), n)
		}
		if all.Qualities != nil {
			had := len(all.Qualities)
			all.Qualities = append(all.Qualities, make([]sample.Quality, len(c.Times))...)
			copy(all.Qualities[had:], c.Qualities)
		}
		all.Times, all.Bits, all.Texts = append(all.Times, c.Times...), append(all.Bits, c.Bits...), append(all.Texts, c.Texts...)
	}
	return &all.Points
}

// Windows reads series by windows; see query.Source. All of one call sees each
// journal as of one moment.
func (s *Source) Windows(ctx context.Context, r query.Reading, w query.Windowing, yield func(*query.SeriesInfo, []query.Cell) error) error {
	var cells []query.Cell // of one series after the other
	return s.read(ctx, &reading{Source: s, Reading: r, windowing: &w}, func(info *query.SeriesInfo, list []result) error {
		if len(list) == 1 {
			return yield(info, list[0].cells)
		}
		cells = cells[:0]
		for i := range list {
			cells = w.Join(cells, info.Kind, list[i].cells)
		}
		return yield(info, cells)
	})
}

// read reads series, so many at once, and calls yield for those that have
// something.
func (s *Source) read(ctx context.Context, r *reading, yield func(*query.SeriesInfo, []result) error) error {
	if err := s.catchUp(ctx); err != nil {
		return err
	}
	for at := 0; at < len(r.Reading.Series); at += chunk {
		series := r.Reading.Series[at:min(at+chunk, len(r.Reading.Series))]
		all, err := s.readChunk(ctx, r, series, at == 0)
		if err != nil {
			return err
		}
		for i, list := range all {
			if len(list) == 0 {
				continue
			}
			if err := yield(&series[i], list); err != nil {
				r.release(all)
				return err
			}
		}
		r.release(all)
	}
	return nil
}

// readChunk reads some series. What a sweep or a drop took away since the cut
// was taken is found elsewhere from a new cut (law 5), which only the first
// part of a reading can take: a later one would not agree with it.
func (s *Source) readChunk(ctx context.Context, r *reading, series []query.SeriesInfo, first bool) ([][]result, error) {
	for try := 1; ; try++ {
		if first {
			r.cut = map[store.JournalID]journal.Snapshot{}
		}
		all, err := r.read(ctx, series)
		var missing *missingError
		// A part may be written anew without what was erased: the record names that.
		replaced := errors.Is(err, objects.ErrNotFound) && try < tries
		if err == nil || !errors.As(err, &missing) && !replaced {
			return all, err
		}
		switch {
		case !first:
			return nil, fmt.Errorf("%w: what was read was merged or dropped meanwhile; ask again: %w", query.ErrUnavailable, err)
		case try < tries:
			continue
		}
		if named, e := s.names(ctx, missing); e != nil || named {
			return nil, errors.Join(err, e)
		}
		return nil, fmt.Errorf("%w: what was read was merged or dropped meanwhile, from %d cuts; ask again", query.ErrUnavailable, try)
	}
}

// names says whether an item that is missing counts still: then it is lost, and
// was not merged or dropped.
func (s *Source) names(ctx context.Context, missing *missingError) (bool, error) {
	id, item := missing.journal, missing.item
	volume, err := s.book.Volume(ctx, id.Week, item.Revision)
	if err != nil || volume.Gone() {
		return false, err
	}
	j := s.book.Journal(id)
	if err := j.Refresh(ctx); err != nil {
		return false, err
	}
	for n := range j.Snapshot().Items.Overlapping(item.From, item.To) {
		if n.Key == item.Key {
			return true, nil
		}
	}
	return false, nil
}

// snapshot gives a journal as of the moment this reading first asked for it.
func (r *reading) snapshot(ctx context.Context, id store.JournalID) (journal.Snapshot, error) {
	if s, ok := r.cut[id]; ok {
		return s, nil
	}
	s, ok, err := r.heads.Snapshot(ctx, id)
	if err != nil {
		return s, fmt.Errorf("%w: a worker's head was lost, and what it held is not taken again yet: %w", query.ErrUnavailable, err)
	}
	if !ok {
		j := r.book.Journal(id)
		if err := j.Refresh(ctx); err != nil {
			return s, err
		}
		s = j.Snapshot()
	}
	r.cut[id] = s
	return s, nil
}
