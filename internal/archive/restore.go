package archive

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"weir/internal/archive/partfile"
	"weir/internal/block"
	"weir/internal/journal"
	"weir/internal/sample"
	"weir/internal/settle"
	"weir/internal/store"
)

// Restore writes the samples of a week's dropped volumes as items into tables of
// names never used, names them in the journals, and turns the records. A volume
// that is not dropped is left as it is; ErrEnded where all have ended. Cut short
// anywhere, it is called again and goes on.
func (a *Archiver) Restore(ctx context.Context, week sample.Week, report Report) error {
	volumes, ended := 0, 0
	err := a.each(ctx, week, func(v journal.VolumeRecord) error {
		volumes++
		switch v.State {
		case journal.VolumeDropped:
		case journal.VolumeEnded:
			ended++
			return nil
		default:
			return nil
		}
		var err error
		for range maxTries {
			if err = a.restore(ctx, volumeID(&v), report); !errors.Is(err, journal.ErrChanged) {
				return err
			}
		}
		return err
	})
	if err == nil && ended == volumes {
		err = fmt.Errorf("week %s: %w; it cannot be restored", week, journal.ErrEnded)
	}
	return err
}

func (a *Archiver) restore(ctx context.Context, id journal.VolumeID, report Report) error {
	record, err := a.book.BeginRestore(ctx, id)
	if err != nil || record.State != journal.VolumeDropped {
		return err
	}
	m, err := ReadManifest(ctx, a.objects, record.Archive.Manifest, record.Archive.SHA256)
	if err != nil {
		return err
	}
	v, err := a.look(ctx, record)
	if err != nil {
		return err
	}
	if m.Partitions != len(v.partitions) {
		return fmt.Errorf("%w: the manifest has %d partitions, and the week %d", ErrCorrupt, m.Partitions, len(v.partitions))
	}
	r := &restorer{Archiver: a, id: id, table: record.Restoring, m: m, step: step{report, Progress{Step: "restore", Revision: id.Revision, Total: m.Rows}}}
	positions := make([]uint64, len(v.partitions))
	for i := range v.partitions {
		if positions[i], err = r.partition(ctx, &v.partitions[i]); err != nil {
			return err
		}
	}
	_, err = a.book.EndRestore(ctx, id, record.Restoring, positions)
	return err
}

// restorer fills one table.
type restorer struct {
	*Archiver
	id    journal.VolumeID
	table string
	m     *Manifest
	step  step

	reader partfile.Reader
	spans  map[int64]*block.Batch // of the bucket at hand
	sorter settle.Collector
	items  []store.Item
	bytes  int // of these
	parts  map[[2]int64]uint16
	before uint64 // samples of the partitions before
	held   uint64 // samples that the journal at hand names of the revision,
	erased uint64 // and those that it says erasures took out
}

// partition writes the items of a partition and names them by a merge in place
// of all that its journal names of the revision. It gives the position behind.
func (r *restorer) partition(ctx context.Context, p *partition) (uint64, error) {
	j := r.book.Journal(p.id)
	r.before = r.step.now.Done
	for range maxTries {
		if err := j.Refresh(ctx); err != nil {
			return 0, err
		}
		var snapshot journal.Snapshot
		j.View(func(s *journal.State) { snapshot, r.erased = s.Snapshot(), s.Erased(r.id.Revision) })
		var replaced []journal.Named
		r.held = 0
		for n := range snapshot.Items.All() {
			if n.Revision == r.id.Revision {
				replaced = append(replaced, *n)
				r.held += uint64(n.Samples)
			}
		}
		if len(replaced) == 0 {
			return snapshot.Cut, nil
		}
		flush, ok := r.book.NewMerge(j)
		if !ok {
			return 0, fmt.Errorf("journal %s names items, and nobody took it over: %w", p.id, journal.ErrCorrupt)
		}
		if err := r.wanted(ctx); err != nil {
			return 0, err
		}
		counts, err := r.replace(ctx, p, flush, replaced)
		if err != nil || counts {
			return j.Snapshot().Cut, err
		}
	}
	return 0, fmt.Errorf("journal %s: %w: others merge there, or take it over, all the time", p.id, journal.ErrChanged)
}

// wanted says whether the table is being restored still. It is asked after the
// journal was read: so who was paused since an earlier restore, and finds what a
// later one has named, finds here that its own is over; and where a later one
// begins after this, it replaces what the journal named, and this merge does not
// count.
func (r *restorer) wanted(ctx context.Context) error {
	v, err := r.book.Volume(ctx, r.id.Week, r.id.Revision)
	if err == nil && v.Restoring != r.table {
		err = fmt.Errorf("volume %s: %w: it is not restored into %s any more", r.id, journal.ErrChanged, r.table)
	}
	return err
}

// Aims of the items, as of those that workers write.
const (
	samplesPerItem = 48 << 10
	samplesPerHour = 16 << 10
	samplesPerDay  = 2 << 10
	mostItems      = 8 << 10 // of a partition: more, and items are larger
	writeBytes     = 8 << 20 // of items that are written at once
)

// layout chooses span and buckets by how dense the samples are.
func (r *restorer) layout(p *partition, m *journal.Merge) {
	rows, first, last := uint64(0), int64(maxTime), int64(minTime)
	for i := range r.m.Files {
		if f := &r.m.Files[i]; f.Partition == p.id.Partition {
			rows += f.Rows
			first, last = min(first, f.MinTime), max(last, f.MaxTime)
		}
	}
	if rows == 0 {
		m.Span, m.Buckets = hour, 1
		return
	}
	hours := uint64(last/hour-first/hour) + 1
	spans := uint64(1)
	switch days := (hours + 23) / 24; {
	case rows >= samplesPerHour*hours:
		m.Span, spans = hour, hours
	case rows >= samplesPerDay*days:
		m.Span, spans = 24*hour, days
	default:
		m.Span = 7 * 24 * hour
	}
	each := max(samplesPerItem, rows/mostItems)
	everywhere := rows * uint64(r.m.Partitions) // were all partitions as full
	m.Buckets = min(1<<bits.Len64(everywhere/spans/each), sample.Shards)
}

// replace writes the items and the merge that names them.
func (r *restorer) replace(ctx context.Context, p *partition, flush store.FlushID, replaced []journal.Named) (bool, error) {
	m := &journal.Merge{Flush: flush, Revision: r.id.Revision}
	r.layout(p, m)
	r.spans, r.parts, r.step.now.Done = map[int64]*block.Batch{}, map[[2]int64]uint16{}, r.before
	rows := uint64(0)
	for i := range r.m.Files {
		f := &r.m.Files[i]
		if f.Partition != p.id.Partition {
			continue
		}
		if err := r.part(ctx, p, f, m); err != nil {
			return false, fmt.Errorf("part %s: %w", f.Name, err)
		}
		rows += f.Rows
	}
	if err := r.write(ctx); err != nil {
		return false, err
	}
	slices.SortFunc(m.Items, compareItems)
	return r.name(ctx, p, m, replaced, rows)
}

// name appends the merge. What one entry cannot replace others take away first,
// by naming nothing: nobody reads the table yet.
func (r *restorer) name(ctx context.Context, p *partition, m *journal.Merge, replaced []journal.Named, rows uint64) (bool, error) {
	replaced, rest := divide(replaced, max(r.keysAtOnce-2*len(m.Items), 2))
	for len(rest) > 0 {
		n := min(len(rest), r.keysAtOnce)
		flush, ok := r.book.NewMerge(r.book.Journal(p.id))
		if !ok {
			return false, nil
		}
		gone := &journal.Merge{Flush: flush, Revision: m.Revision, Span: m.Span}
		gone.Overwritten = take(gone, rest[:n])
		rest = rest[n:]
		if counts, err := r.book.Merge(ctx, p.id, gone); err != nil || !counts {
			return false, err
		}
	}
	// Modulo 2^64: what was taken away before is in no item any more.
	m.Overwritten = take(m, replaced) - rows
	// What the archive lacks, and the journal does not tell of, an erasure took out
	// of the archive alone: it found the volume dropped.
	m.Erased = min(r.m.ErasedIn(p.id.Partition)-min(r.erased, r.m.ErasedIn(p.id.Partition)), r.held-rows)
	m.Overwritten -= m.Erased
	return r.book.Merge(ctx, p.id, m)
}

// keysAtOnce is how many keys an entry replaces at most: each has 6 to 30 bytes.
const keysAtOnce = 12 << 10

// divide takes so many items out of a list, those of the earliest and the latest
// time among them: what is named in their place is bounded by their times.
func divide(items []journal.Named, n int) (some, rest []journal.Named) {
	for i := range items {
		if items[i].From < items[0].From {
			items[0], items[i] = items[i], items[0]
		}
	}
	for i := 2; i < len(items); i++ {
		if items[i].To > items[1].To {
			items[1], items[i] = items[i], items[1]
		}
	}
	n = min(n, len(items))
	return items[:n], items[n:]
}

// take makes a merge replace items and gives how many samples those hold.
func take(m *journal.Merge, items []journal.Named) (samples uint64) {
	for i := range items {
		m.Replaces = append(m.Replaces, items[i].Key)
		samples += uint64(items[i].Samples)
	}
	slices.SortFunc(m.Replaces, journal.CompareKeys)
	return samples
}

// part reads a part and makes items of it.
func (r *restorer) part(ctx context.Context, p *partition, f *File, m *journal.Merge) error {
	part, err := r.objects.Open(ctx, f.Name)
	if err != nil {
		return err
	}
	defer func() { _ = part.Close() }() // it was read
	bucket, rows := -1, uint64(0)
	s := partfile.Selection{Wanted: p.names.wanted(f.FirstShard, f.EndShard), From: minTime, To: maxTime}
	err = r.reader.Read(ctx, part, s, func(b *block.Batch) error {
		for run, h := range b.Handles {
			if next := h.Shard().Range(m.Buckets); next != bucket {
				if err := r.close(ctx, bucket, m); err != nil {
					return err
				}
				bucket = next
			}
			r.add(b, run, m.Span)
		}
		rows += uint64(b.Samples())
		r.step.add(uint64(b.Samples()), 0)
		return nil
	})
	if err == nil && rows != f.Rows {
		err = fmt.Errorf("%w: it has %d rows of known series, and the manifest says %d", ErrCorrupt, rows, f.Rows)
	}
	if err != nil {
		return err
	}
	r.step.add(0, uint64(f.Bytes))
	return r.close(ctx, bucket, m)
}

// add divides a run by span.
func (r *restorer) add(b *block.Batch, run int, span int64) {
	start, end := b.Run(run)
	begin := r.id.Week.Start()
	for start < end {
		at := begin + (b.Times[start]-begin)/span*span
		n := start
		for n < end && b.Times[n]-at < span {
			n++
		}
		to := r.spans[at]
		if to == nil {
			to = &block.Batch{}
			r.spans[at] = to
		}
		settle.Part(to, b, run, start, n)
		to.EndRun(b.Handles[run], b.Kinds[run])
		start = n
	}
}

// close makes items of the bucket at hand.
func (r *restorer) close(ctx context.Context, bucket int, m *journal.Merge) error {
	if bucket < 0 {
		return nil
	}
	for span, b := range r.spans {
		r.sorter.Reset()
		r.sorter.Add(b, 0)
		key := store.ItemKey{Bucket: sample.FirstShard(bucket, m.Buckets), Span: span, Flush: m.Flush}
		if err := r.item(key, r.sorter.Batch(), m); err != nil {
			return err
		}
		if r.bytes >= writeBytes {
			if err := r.write(ctx); err != nil {
				return err
			}
		}
	}
	clear(r.spans)
	return nil
}

func (r *restorer) item(key store.ItemKey, b *block.Batch, m *journal.Merge) error {
	body, err := block.EncodeSmall(nil, b)
	if err != nil {
		return err
	}
	if len(body) > store.MaxItem {
		if b.Samples() < 2 {
			return fmt.Errorf("%w: an item of %d bytes for a sample", store.ErrTooLarge, len(body))
		}
		for _, half := range settle.Halves(b) {
			if err := r.item(key, half, m); err != nil {
				return err
			}
		}
		return nil
	}
	at := [2]int64{int64(key.Bucket), key.Span}
	key.Part = r.parts[at]
	r.parts[at]++
	r.items, r.bytes = append(r.items, store.Item{Key: key, Body: body}), r.bytes+len(body)
	m.Items = append(m.Items, journal.Item{Bucket: key.Bucket, Span: key.Span, Part: key.Part, Samples: uint32(b.Samples()), Bytes: uint32(len(body))})
	return nil
}

func (r *restorer) write(ctx context.Context) error {
	err := r.tables.Write(ctx, r.table, r.items)
	r.items, r.bytes = r.items[:0], 0
	if errors.Is(err, store.ErrNoTable) {
		return fmt.Errorf("%w: table %s is gone", journal.ErrChanged, r.table)
	}
	return err
}

func compareItems(a, b journal.Item) int {
	switch {
	case a.Span != b.Span && a.Span < b.Span:
		return -1
	case a.Span != b.Span:
		return 1
	case a.Bucket != b.Bucket:
		return int(a.Bucket) - int(b.Bucket)
	}
	return int(a.Part) - int(b.Part)
}
