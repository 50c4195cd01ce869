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
	"fmt"
	"slices"
	"time"

	"weir/internal/catalog"
	"weir/internal/journal"
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
	limit   int
}

var _ query.Source = (*Source)(nil)

// catchUpTime bounds how long a query waits for the heads.
const catchUpTime = 10 * time.Second

// chunk is how many series are read at once.
const chunk = 20_000

// Options is what a Source reads from.
type Options struct {
	Tables  store.Tables
	Book    *journal.Book
	Catalog *catalog.Catalog
	Heads   Heads
	// MaxSamples is how many samples, of chunk series, may be held at once.
	MaxSamples int
}

// New makes a source.
func New(o Options) *Source {
	return &Source{tables: o.Tables, book: o.Book, catalog: o.Catalog, heads: o.Heads, limit: o.MaxSamples}
}

// Series lists matching series; see query.Source.
func (s *Source) Series(ctx context.Context, sel query.Selector, start, end int64) ([]query.SeriesInfo, error) {
	if err := s.catchUp(ctx); err != nil {
		return nil, err
	}
	metric, _ := sel.Metric()
	from, to := sample.WeekOf(start), sample.WeekOf(end-1)
	var out []query.SeriesInfo
	for _, found := range s.catalog.Find(metric, sel.Equalities()) {
		if !sel.MatchesSeries(found.Series) {
			continue
		}
		info := query.SeriesInfo{Series: found.Series, ID: found.ID, Kind: found.Kind()}
		for _, in := range found.Weeks() {
			if in.Week >= from && in.Week <= to {
				info.Weeks = append(info.Weeks, in.Week)
			}
		}
		if len(info.Weeks) > 0 {
			out = append(out, info)
		}
	}
	slices.SortFunc(out, func(a, b query.SeriesInfo) int { return query.Compare(a.Series, b.Series) })
	return out, nil
}

func (s *Source) catchUp(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, catchUpTime)
	defer cancel()
	if err := s.heads.CatchUp(wait); err != nil {
		return fmt.Errorf("%w: the workers have not taken all that was acknowledged within %s: %w", query.ErrUnavailable, catchUpTime, err)
	}
	return nil
}

// Samples reads series; see query.Source. All of one call sees each journal
// as of one moment.
func (s *Source) Samples(ctx context.Context, series []query.SeriesInfo, start, end int64, yield func(*query.Points) error) error {
	if err := s.catchUp(ctx); err != nil {
		return err
	}
	cut := map[store.JournalID]journal.Snapshot{}
	for len(series) > 0 {
		n := min(chunk, len(series))
		r := &reading{Source: s, cut: cut, start: start, end: end, columns: make([]columns, n)}
		if err := r.read(ctx, series[:n]); err != nil {
			return err
		}
		for i := range n {
			points, err := r.columns[i].points(&series[i])
			if err != nil {
				return err
			}
			if len(points.Times) == 0 {
				continue
			}
			if err := yield(points); err != nil {
				return err
			}
			r.columns[i] = columns{}
		}
		series = series[n:]
	}
	return nil
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
