package volumes

import (
	"context"
	"math"
	"slices"

	"weir/internal/archive"
	"weir/internal/archive/partfile"
	"weir/internal/block"
	"weir/internal/journal"
	"weir/internal/sample"
	"weir/internal/store"
)

// Archives reads what dropped volumes held. Safe for concurrent use.
type Archives interface {
	// Manifest gives the manifest of a volume's archive. It is not to be changed.
	Manifest(ctx context.Context, v *journal.VolumeRecord) (*archive.Manifest, error)
	// Read calls yield with what is selected of a part. The batch is the
	// caller's until yield returns.
	Read(ctx context.Context, f *archive.File, s partfile.Selection, yield func(*block.Batch) error) error
}

var _ Archives = (*archive.Archives)(nil)

// taskRows is how many rows of parts a task reads, about: the parts of a week
// hold millions, and a task's are in memory.
const taskRows = 512 << 10

// archived gives what parts of a dropped volume's archive may hold, divided by
// shards.
func (r *reading) archived(ctx context.Context, v *journal.VolumeRecord, id store.JournalID, w *wanted) (areas []area, err error) {
	m, err := r.archives.Manifest(ctx, v)
	if err != nil {
		return nil, err
	}
	for i := range m.Files {
		f := &m.Files[i]
		if f.Partition != id.Partition || f.MinTime >= r.End || f.MaxTime < r.Start {
			continue
		}
		end := f.MaxTime
		if end < math.MaxInt64 {
			end++
		}
		shards := int(f.EndShard - f.FirstShard)
		each := min(max(int(uint64(shards)*taskRows/max(f.Rows, 1)), 1), shards)
		for first := f.FirstShard; first < f.EndShard; first += sample.Shard(each) {
			until := min(first+sample.Shard(each), f.EndShard)
			if from, to := w.between(first, until); from < to {
				areas = append(areas, area{from: f.MinTime, to: end, first: first, end: until, part: f})
			}
		}
	}
	return areas, nil
}

// partsOf gives the parts of areas, each once.
func partsOf(areas []area) (parts []*archive.File) {
	for _, a := range areas {
		if a.part != nil && !slices.Contains(parts, a.part) {
			parts = append(parts, a.part)
		}
	}
	return parts
}

// addArchived puts what a task's parts hold on the lists, behind items and heads.
func (w *worker) addArchived(ctx context.Context, t *task, handles []sample.Handle) error {
	item := len(w.bodies) + len(t.pending)
	for _, f := range t.parts {
		err := w.readPart(ctx, f, t, true, func(b *block.Batch) error {
			at := 0
			for run, handle := range b.Handles {
				at = find(handles, handle, at)
				if err := w.add(t, at, b, run, origin{item: item}); err != nil {
					return err
				}
			}
			item++
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// readPart calls yield with what a part holds of a task's handles and time, with
// versions and positions or without. A batch is the caller's to keep.
func (w *worker) readPart(ctx context.Context, f *archive.File, t *task, versions bool, yield func(*block.Batch) error) error {
	ids := make(map[sample.SeriesID]sample.Handle, t.end-t.first)
	for at, handle := range t.handles() {
		info := w.infoOf(t, at)
		id := info.ID
		if id == (sample.SeriesID{}) {
			id = info.Series.ID()
		}
		ids[id] = handle
	}
	s := partfile.Selection{Wanted: partfile.Want(ids), From: t.from, To: t.to, NoVersions: !versions}
	return w.archives.Read(ctx, f, s, func(b *block.Batch) error {
		own := &block.Batch{
			Handles: slices.Clone(b.Handles), Kinds: slices.Clone(b.Kinds), Ends: slices.Clone(b.Ends),
			Times: slices.Clone(b.Times), Bits: slices.Clone(b.Bits), Texts: slices.Clone(b.Texts),
			Qualities: slices.Clone(b.Qualities), Versions: slices.Clone(b.Versions), Positions: slices.Clone(b.Positions),
		}
		if err := w.hold(sizeOf(own)); err != nil {
			return err
		}
		return yield(own)
	})
}

// archivedBatch is what a stream read of a part, and the series of each run.
type archivedBatch struct {
	batch  *block.Batch
	places []int
}

// fetchArchived reads what the archives of dropped volumes hold of a journal's
// series. Within one archive no two samples have one series and time, so who reads
// it alone needs no versions.
func (st *stream) fetchArchived(ctx context.Context, id store.JournalID, archives []journal.VolumeRecord, w *wanted, versions bool) error {
	for i := range archives {
		areas, err := st.reading.archived(ctx, &archives[i], id, w)
		if err != nil {
			return err
		}
		for _, f := range partsOf(areas) {
			from, to := w.between(f.FirstShard, f.EndShard)
			handles := w.handles[from:to]
			err := st.readPart(ctx, f, &task{from: st.Start, to: st.End, wanted: w, first: from, end: to}, versions, func(b *block.Batch) error {
				of, at := archivedBatch{batch: b}, 0
				for _, handle := range b.Handles {
					at = find(handles, handle, at)
					of.places = append(of.places, w.places[from+at])
				}
				st.archived = append(st.archived, of)
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// gatherArchived puts the runs of parts on the lists of their series.
func (st *stream) gatherArchived() {
	for i, of := range st.archived {
		for run, place := range of.places {
			if p, ok := cut(of.batch, run, st.Start, st.End); ok {
				p.origin = origin{item: len(st.bodies) + i}
				st.lists[place] = append(st.lists[place], p)
			}
		}
	}
}
