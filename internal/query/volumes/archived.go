package volumes

import (
	"context"
	"math"
	"slices"

	"weir/internal/archive"
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
	Read(ctx context.Context, f *archive.File, s archive.Selection, yield func(*block.Batch) error) error
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
	if len(t.parts) == 0 {
		return nil
	}
	ids := make(map[sample.SeriesID]sample.Handle, len(handles))
	for at, handle := range handles {
		info := w.infoOf(t, at)
		id := info.ID
		if id == (sample.SeriesID{}) {
			id = info.Series.ID()
		}
		ids[id] = handle
	}
	s := archive.Selection{Wanted: archive.Want(ids), From: t.from, To: t.to}
	item := len(w.bodies) + len(t.pending)
	for _, f := range t.parts {
		err := w.archives.Read(ctx, f, s, func(b *block.Batch) error {
			own := &block.Batch{
				Handles: slices.Clone(b.Handles), Kinds: slices.Clone(b.Kinds), Ends: slices.Clone(b.Ends),
				Times: slices.Clone(b.Times), Bits: slices.Clone(b.Bits), Texts: slices.Clone(b.Texts),
				Qualities: slices.Clone(b.Qualities), Versions: slices.Clone(b.Versions), Positions: slices.Clone(b.Positions),
			}
			if err := w.hold(sizeOf(own)); err != nil {
				return err
			}
			at := 0
			for run, handle := range own.Handles {
				at = find(handles, handle, at)
				if err := w.add(t, at, own, run, origin{item: item}); err != nil {
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
