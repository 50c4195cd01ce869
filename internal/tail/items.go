package tail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"weir/internal/block"
	"weir/internal/feed"
	"weir/internal/journal"
	"weir/internal/sample"
	"weir/internal/store"
)

// tries is how often merged items are looked for anew because they, too, were
// merged and swept meanwhile.
const tries = 8

// part is a commit's items of one bucket and span: what a merge replaces whole.
type part struct {
	commit     *commit
	first, end sample.Shard
	span       int64
	keys       []store.ItemKey
	found      []found
}

// found is an item's samples, of series that match alone.
type found struct {
	key   store.ItemKey
	batch *block.Batch
}

// place is where the store keeps items together.
type place struct {
	revision int
	bucket   sample.Shard
	span     int64
}

// divide makes the parts of a commit that may have samples of series that match.
func (r *reader) divide(c *commit) {
	var last *part
	for _, i := range c.Items { // sorted by span, bucket, part
		n := journal.Named{Key: c.Key(i), Buckets: c.Buckets}
		if last == nil || last.span != i.Span || last.keys[0].Bucket != i.Bucket {
			first, end := n.Shards()
			if len(r.between(first, end)) == 0 {
				continue
			}
			last = &part{commit: c, first: first, end: end, span: i.Span}
			c.parts = append(c.parts, last)
		}
		last.keys = append(last.keys, n.Key)
	}
}

// read finds the samples of the commits' parts: in their own items, where they
// are there still, else in those that merges made of them.
func (r *reader) read(ctx context.Context, commits []*commit) error {
	at := map[place][]*part{}
	for _, c := range commits {
		for _, p := range c.parts {
			to := place{c.Revision, p.keys[0].Bucket, p.span}
			at[to] = append(at[to], p)
		}
	}
	for _, to := range ordered(at) {
		if err := r.readOwn(ctx, to, at[to]); err != nil {
			return err
		}
	}
	var left []*part
	for _, c := range commits {
		for _, p := range c.parts {
			if c.missing == "" && len(p.found) < len(p.keys) {
				p.found = nil // all of it from where it went
				left = append(left, p)
			}
		}
	}
	if len(left) == 0 {
		return nil
	}
	return r.readMerged(ctx, left)
}

func ordered[T any](at map[place]T) []place {
	places := make([]place, 0, len(at))
	for p := range at {
		places = append(places, p)
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.revision, b.revision), cmp.Compare(a.bucket, b.bucket), cmp.Compare(a.span, b.span))
	})
	return places
}

// readOwn reads the items of parts that lie at one place.
func (r *reader) readOwn(ctx context.Context, at place, parts []*part) error {
	of := map[store.ItemKey]*part{}
	for _, p := range parts {
		for _, k := range p.keys {
			of[k] = p
		}
	}
	damaged, err := r.fetch(ctx, at, func(i store.Item) error {
		p := of[i.Key]
		if p == nil {
			return nil
		}
		b := &block.Batch{}
		if err := block.DecodeSeries(b, i.Body, r.between(p.first, p.end)); err != nil {
			return err
		}
		p.found = append(p.found, found{i.Key, b})
		return nil
	})
	for _, k := range damaged {
		if p := of[k]; p != nil {
			p.commit.missing = feed.Damaged
		}
	}
	if errors.Is(err, errDropped) {
		for _, p := range parts {
			p.commit.missing = feed.Dropped
		}
		return nil
	}
	return err
}

// errDropped says that a volume's items are gone for good.
var errDropped = errors.New("the volume was dropped")

// fetch calls take with the items that lie at a place; its body is the store's.
// It gives the keys of those that cannot be read.
func (r *reader) fetch(ctx context.Context, at place, take func(store.Item) error) (damaged []store.ItemKey, err error) {
	table, err := r.table(ctx, at.revision)
	if err != nil {
		return nil, err
	}
	err = r.Tables.Query(ctx, table, at.bucket, at.span, at.span, func(i store.Item) bool {
		if err := take(i); err != nil {
			damaged = append(damaged, i.Key) // it is read whole, and says nothing
		}
		return true
	})
	var unreadable *store.Unreadable
	switch {
	case errors.As(err, &unreadable):
		return append(damaged, unreadable.Keys...), nil
	case errors.Is(err, store.ErrNoTable):
		delete(r.tables, at.revision) // read the record again: it says why
		if _, again := r.table(ctx, at.revision); again != nil {
			err = again
		}
	}
	return damaged, err
}

// table gives the table of a revision's volume.
func (r *reader) table(ctx context.Context, revision int) (string, error) {
	if name, ok := r.tables[revision]; ok {
		return name, nil
	}
	v, err := r.Book.Volume(ctx, r.name.Week, revision)
	if err != nil {
		return "", err
	}
	if v.Gone() {
		return "", errDropped
	}
	r.tables[revision] = v.Table
	return v.Table, nil
}

// readMerged finds the samples of parts in merged items, which say of each
// sample the position of the commit that brought it.
func (r *reader) readMerged(ctx context.Context, parts []*part) error {
	for range tries {
		if err := r.journal.Refresh(ctx); err != nil {
			return err
		}
		items := r.journal.Snapshot().Items
		left, err := r.readMergedOf(ctx, items, parts)
		if err != nil || left == 0 {
			return err
		}
		for _, p := range parts { // what was found may have been merged again
			p.found = nil
		}
	}
	return fmt.Errorf("%w: merged items were merged and swept %d times before they could be read", store.ErrUnavailable, tries)
}

// readMergedOf reads those of the current items that may hold samples of parts.
// It gives how many were not there any more.
func (r *reader) readMergedOf(ctx context.Context, items journal.Items, parts []*part) (left int, err error) {
	own := map[store.ItemKey]*part{}
	by := map[uint64][]*part{} // by their commits' positions
	for _, p := range parts {
		by[p.commit.position] = append(by[p.commit.position], p)
		for _, k := range p.keys {
			own[k] = p
		}
	}
	at := map[place]map[store.ItemKey]*journal.Named{}
	for n := range items.All() {
		if p := own[n.Key]; p != nil { // it counts still, and the store does not have it
			p.commit.missing = feed.Damaged
		}
		if !n.Merged || !slices.ContainsFunc(parts, func(p *part) bool { return p.mayBeIn(n) }) {
			continue
		}
		to := place{n.Revision, n.Key.Bucket, n.Key.Span}
		if at[to] == nil {
			at[to] = map[store.ItemKey]*journal.Named{}
		}
		at[to][n.Key] = n
	}
	for _, to := range ordered(at) {
		missing, err := r.readPlace(ctx, to, at[to], by)
		if err != nil {
			return 0, err
		}
		left += missing
	}
	return left, nil
}

// readPlace reads merged items that lie at one place, for parts by the
// positions of their commits. It gives how many were not there any more.
func (r *reader) readPlace(ctx context.Context, at place, items map[store.ItemKey]*journal.Named, by map[uint64][]*part) (missing int, err error) {
	lost := func(n *journal.Named, why feed.Reason) {
		for _, parts := range by {
			for _, p := range parts {
				if p.mayBeIn(n) {
					p.commit.missing = why
				}
			}
		}
	}
	left := maps.Clone(items)
	damaged, err := r.fetch(ctx, at, func(i store.Item) error {
		n := left[i.Key]
		if n == nil {
			return nil
		}
		delete(left, i.Key)
		return r.take(n, i, by)
	})
	for _, k := range damaged {
		if n := items[k]; n != nil {
			delete(left, k)
			lost(n, feed.Damaged)
		}
	}
	if errors.Is(err, errDropped) {
		for _, n := range items {
			lost(n, feed.Dropped)
		}
		return 0, nil
	}
	return len(left), err
}

// mayBeIn says whether a merged item may hold samples of a part.
func (p *part) mayBeIn(n *journal.Named) bool {
	first, end := n.Shards()
	return n.Revision == p.commit.Revision && first < p.end && end > p.first &&
		n.From < p.span+p.commit.Span && n.To > p.span
}

// take finds the samples of parts in one merged item.
func (r *reader) take(n *journal.Named, i store.Item, by map[uint64][]*part) error {
	b := &block.Batch{}
	if err := block.DecodeSeries(b, i.Body, r.between(n.Shards())); err != nil {
		return err
	}
	into := map[*part]*block.Batch{}
	for run, h := range b.Handles {
		start, end := b.Run(run)
		var of []*part // those that got samples of this run
		for k := start; k < end; k++ {
			position := n.Position
			if b.Positions != nil {
				position = b.Positions[k]
			}
			for _, p := range by[position] {
				if h.Shard() < p.first || h.Shard() >= p.end || b.Times[k] < p.span || b.Times[k]-p.span >= p.commit.Span {
					continue
				}
				to := into[p]
				if to == nil {
					to = &block.Batch{}
					into[p] = to
				}
				to.AddSample(sample.Sample{Time: b.Times[k], Value: b.Value(b.Kinds[run], k), Quality: b.Quality(k)})
				if !slices.Contains(of, p) {
					of = append(of, p)
				}
			}
		}
		for _, p := range of {
			into[p].EndRun(h, b.Kinds[run])
		}
	}
	for p, batch := range into {
		p.found = append(p.found, found{n.Key, batch})
	}
	return nil
}
