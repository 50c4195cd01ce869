package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"weir/internal/archive/partfile"
	"weir/internal/block"
	"weir/internal/journal"
	"weir/internal/sample"
	"weir/internal/settle"
	"weir/internal/store"
)

// volume is a revision as of one cut, which is at or behind its seal.
type volume struct {
	journal.VolumeRecord
	partitions []partition
}

// partition is what a partition's journal names of a revision.
type partition struct {
	id     store.JournalID
	cut    uint64
	sealed uint64
	items  []journal.Named
	names  *names

	samples     uint64           // that commits stored
	flushed     uint64           // of these: overwritten by others of their flush
	overwritten uint64           // of these: by commits and merges
	erased      uint64           // of these: by erasures; what is left is in the items
	hours       map[int64]uint64 // by commits, without what their own flush overwrote
}

// errUnsealed means that a journal has not sealed the revision.
var errUnsealed = errors.New("revision is not sealed in each journal")

// look reads what the journals name of a volume by now.
func (a *Archiver) look(ctx context.Context, record journal.VolumeRecord) (*volume, error) {
	week, ok, err := a.book.Week(ctx, record.Week)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("week %s: %w", record.Week, store.ErrNotFound)
	}
	v := &volume{VolumeRecord: record}
	for p := range week.Partitions {
		id := store.JournalID{Week: record.Week, Partition: p}
		j := a.book.Journal(id)
		if err := j.Refresh(ctx); err != nil {
			return nil, err
		}
		of := partition{id: id, hours: map[int64]uint64{}}
		var snapshot journal.Snapshot
		j.View(func(s *journal.State) {
			snapshot = s.Snapshot()
			of.sealed, ok = s.SealedAt(record.Revision)
			of.overwritten = s.Overwritten(record.Revision)
			of.erased = s.Erased(record.Revision)
			of.names = namesOf(s, p, week.Partitions)
		})
		if !ok {
			return nil, fmt.Errorf("journal %s: %w", id, errUnsealed)
		}
		of.read(&snapshot, record.Revision)
		if held := of.held(); held+of.overwritten+of.erased != of.samples {
			return nil, fmt.Errorf("journal %s: %w: commits stored %d samples; its items hold %d, %d were overwritten, and %d erased",
				id, journal.ErrCorrupt, of.samples, held, of.overwritten, of.erased)
		}
		v.partitions = append(v.partitions, of)
	}
	return v, nil
}

func (p *partition) read(s *journal.Snapshot, revision int) {
	p.cut = s.Cut
	for n := range s.Items.All() {
		if n.Revision == revision {
			p.items = append(p.items, *n)
		}
	}
	for _, c := range s.Commits {
		if c.Revision != revision {
			continue
		}
		p.samples += c.Stored()
		p.flushed += c.Overwritten
		for _, h := range c.Hours {
			p.hours[h.Start] += h.Samples
		}
	}
}

// held gives how many samples the items hold.
func (p *partition) held() (n uint64) {
	for i := range p.items {
		n += uint64(p.items[i].Samples)
	}
	return n
}

func (v *volume) held() (n uint64) {
	for i := range v.partitions {
		n += v.partitions[i].held()
	}
	return n
}

func (v *volume) cut() (cut []uint64) {
	for i := range v.partitions {
		cut = append(cut, v.partitions[i].cut)
	}
	return cut
}

func (v *volume) sealed() (sealed []uint64) {
	for i := range v.partitions {
		sealed = append(sealed, v.partitions[i].sealed)
	}
	return sealed
}

// place is what a part says of itself.
func (v *volume) place(f *File) *partfile.Place {
	return &partfile.Place{
		Week: v.Week, Revision: v.Revision, Partitions: len(v.partitions), Partition: f.Partition, First: f.FirstShard, End: f.EndShard,
	}
}

// piece is what is read at once of a partition: some shards, or of one shard
// that holds too much, a stretch of time.
type piece struct {
	first, end sample.Shard
	items      []*journal.Named // that may hold samples of it; all there are
	samples    int              // about
}

// pieces divides a partition so that each holds about so many samples at most.
func (p *partition) pieces(partitions, most int) []piece {
	first, end := shardsOf(p.id.Partition, partitions)
	weights := make([]float64, end-first) // by shard, were an item's series alike
	for i := range p.items {
		from, to := p.items[i].Shards()
		from, to = max(from, first), min(to, end)
		if from >= to {
			continue
		}
		each := float64(p.items[i].Samples) / float64(to-from)
		for s := from; s < to; s++ {
			weights[s-first] += each
		}
	}
	var out []piece
	for at := first; at < end; {
		next, held := at+1, weights[at-first]
		for next < end && held+weights[next-first] <= float64(most) {
			held += weights[next-first]
			next++
		}
		one := p.piece(at, next)
		one.samples = int(held)
		if held > float64(most) && next == at+1 {
			out = append(out, one.stretches(held, most)...)
		} else if len(one.items) > 0 {
			out = append(out, one)
		}
		at = next
	}
	return out
}

func (p *partition) piece(first, end sample.Shard) piece {
	one := piece{first: first, end: end}
	for i := range p.items {
		if from, to := p.items[i].Shards(); from < end && to > first {
			one.items = append(one.items, &p.items[i])
		}
	}
	return one
}

// stretches divides a piece where no item reaches over.
func (p piece) stretches(held float64, most int) []piece {
	slices.SortStableFunc(p.items, func(a, b *journal.Named) int { return cmp.Compare(a.Key.Span, b.Key.Span) })
	total := 0.0
	for _, n := range p.items {
		total += float64(n.Samples)
	}
	var out []piece
	begin, inside, reach := 0, 0.0, int64(math.MinInt64)
	for i, n := range p.items {
		if i > begin && n.Key.Span >= reach && inside*held/total >= float64(most)/2 {
			out = append(out, piece{p.first, p.end, p.items[begin:i], int(inside * held / total)})
			begin, inside = i, 0
		}
		inside += float64(n.Samples)
		reach = max(reach, n.To, n.Key.Span+1)
	}
	return append(out, piece{p.first, p.end, p.items[begin:], int(inside * held / total)})
}

// names is the series of a partition.
type names struct {
	first         sample.Shard
	registrations [][]journal.Registration // by shard, by ordinal
	ids           [][]sample.SeriesID
	ranks         [][]uint32 // of each: its place by id within its shard
	identities    map[sample.Handle]*partfile.Identity
}

func namesOf(s *journal.State, partition, partitions int) *names {
	first, end := shardsOf(partition, partitions)
	n := &names{first: first, identities: map[sample.Handle]*partfile.Identity{}}
	for shard := first; shard < end; shard++ {
		of := slices.Clip(s.Shard(shard))
		n.registrations = append(n.registrations, of)
	}
	return n
}

// index makes ids and ranks; it is called once the journal is let go of.
func (n *names) index() {
	if n.ids != nil {
		return
	}
	for _, of := range n.registrations {
		ids, order, ranks := make([]sample.SeriesID, len(of)), make([]int, len(of)), make([]uint32, len(of))
		for i := range of {
			ids[i], order[i] = sample.KeyID([]byte(of[i].Key)), i
		}
		slices.SortFunc(order, func(a, b int) int { return partfile.CompareIDs(ids[a], ids[b]) })
		for rank, i := range order {
			ranks[i] = uint32(rank)
		}
		n.ids, n.ranks = append(n.ids, ids), append(n.ranks, ranks)
	}
}

func (n *names) id(h sample.Handle) *sample.SeriesID { return &n.ids[h.Shard()-n.first][h.Ordinal()] }

func (n *names) compare(a, b sample.Handle) int {
	if a.Shard() != b.Shard() {
		return cmp.Compare(a.Shard(), b.Shard())
	}
	ranks := n.ranks[a.Shard()-n.first]
	return cmp.Compare(ranks[a.Ordinal()], ranks[b.Ordinal()])
}

func (n *names) knows(h sample.Handle) bool {
	shard := int(h.Shard()) - int(n.first)
	return shard >= 0 && shard < len(n.ids) && int(h.Ordinal()) < len(n.ids[shard])
}

func (n *names) identify(h sample.Handle) (*partfile.Identity, error) {
	if known := n.identities[h]; known != nil {
		return known, nil
	}
	identity, err := partfile.Identify(n.registrations[h.Shard()-n.first][h.Ordinal()].Key)
	if err != nil {
		return nil, err
	}
	n.identities[h] = &identity
	return &identity, nil
}

// handles lists the series of some shards.
func (n *names) handles(first, end sample.Shard) (out []sample.Handle) {
	for shard := first; shard < end; shard++ {
		for ordinal := range n.registrations[shard-n.first] {
			out = append(out, sample.NewHandle(shard, uint32(ordinal)))
		}
	}
	return out
}

// wanted gives the series of some shards, to be read from parts.
func (n *names) wanted(first, end sample.Shard) *partfile.Wanted {
	n.index()
	var ids []sample.SeriesID
	var handles []sample.Handle
	for shard := first; shard < end; shard++ {
		of := n.ranks[shard-n.first]
		sorted := make([]sample.Handle, len(of))
		for ordinal, rank := range of {
			sorted[rank] = sample.NewHandle(shard, uint32(ordinal))
		}
		for _, h := range sorted {
			ids, handles = append(ids, *n.id(h)), append(handles, h)
		}
	}
	return partfile.WantSorted(ids, handles)
}

// missingError says that an item is not there that the journal named.
type missingError struct{ err error }

func (e *missingError) Error() string { return e.err.Error() }
func (e *missingError) Unwrap() error { return e.err }

// volumeReader reads pieces, one after the other, in memory that it keeps.
type volumeReader struct {
	tables    store.Tables
	collector settle.Collector
	scratch   block.Batch
}

// read calls yield with the samples of a piece, in order of series and time, one
// a series and time (law 6), in batches of about a row group. A batch is valid
// until yield returns. Where the piece has no samples, so has the one batch.
func (r *volumeReader) read(ctx context.Context, table string, p *partition, one *piece, yield func(*block.Batch) error) error {
	if err := r.load(ctx, table, p, one); err != nil {
		return err
	}
	return r.collector.Each(p.names.compare, partfile.GroupRows, yield)
}

// load reads the items of a piece.
func (r *volumeReader) load(ctx context.Context, table string, p *partition, one *piece) error {
	p.names.index()
	clear(p.names.identities)
	r.collector.Reset()
	r.collector.Grow(one.samples)
	missing := map[store.ItemKey]*journal.Named{}
	buckets := map[sample.Shard][2]int64{}
	for _, n := range one.items {
		missing[n.Key] = n
		spans, ok := buckets[n.Key.Bucket]
		if !ok {
			spans = [2]int64{n.Key.Span, n.Key.Span}
		}
		buckets[n.Key.Bucket] = [2]int64{min(spans[0], n.Key.Span), max(spans[1], n.Key.Span)}
	}
	handles := p.names.handles(one.first, one.end)
	for bucket, spans := range buckets {
		var failed error
		err := r.tables.Query(ctx, table, bucket, spans[0], spans[1], func(item store.Item) bool {
			n := missing[item.Key]
			if n == nil {
				return true
			}
			delete(missing, item.Key)
			failed = r.add(n, item.Body, one, handles, p.names)
			return failed == nil && ctx.Err() == nil
		})
		var damaged *store.Unreadable
		switch {
		case errors.Is(err, store.ErrNoTable):
			return &missingError{err}
		case errors.As(err, &damaged) && !slices.ContainsFunc(damaged.Keys, func(k store.ItemKey) bool { return missing[k] != nil }):
			// Damage elsewhere in the table is no matter here.
		case err != nil:
			return err
		}
		if err := errors.Join(failed, ctx.Err()); err != nil {
			return err
		}
	}
	for key := range missing {
		return &missingError{fmt.Errorf("%w: table %s has no item %v, which its journal names", store.ErrCorrupt, table, key)}
	}
	return nil
}

func (r *volumeReader) add(n *journal.Named, body []byte, one *piece, handles []sample.Handle, known *names) error {
	var err error
	if first, end := n.Shards(); first >= one.first && end <= one.end {
		if err = block.Decode(&r.scratch, body); err == nil && r.scratch.Samples() != int(n.Samples) {
			err = fmt.Errorf("%w: it has %d samples, and its journal says %d", store.ErrCorrupt, r.scratch.Samples(), n.Samples)
		}
	} else {
		err = block.DecodeSeries(&r.scratch, body, handles)
	}
	if err != nil {
		return fmt.Errorf("item %v cannot be read: %w", n.Key, err)
	}
	for _, h := range r.scratch.Handles {
		if !known.knows(h) {
			return fmt.Errorf("item %v: %w: series %x is not registered", n.Key, store.ErrCorrupt, h)
		}
	}
	r.collector.Add(&r.scratch, n.Position)
	return nil
}
