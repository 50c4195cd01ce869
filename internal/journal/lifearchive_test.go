package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"weir/internal/sample"
	"weir/internal/store"
)

// lifeRows is what an archive holds, by partition.
type lifeRows [lifePartitions][]lifeRow

func (r *lifeRows) text() string {
	best := [lifePartitions]map[lifeSpot]lifeRow{}
	for p := range r {
		best[p] = map[lifeSpot]lifeRow{}
		for _, row := range r[p] {
			lifeOffer(best[p], row)
		}
	}
	return lifeText(best)
}

// volumeRows reads what a cut names of a volume from its table, settled.
func (p *lifeProcess) volumeRows(ctx context.Context, v *VolumeRecord, cut []uint64) (out lifeRows, err error) {
	for partition, at := range cut {
		s, err := p.book.At(ctx, store.JournalID{Week: lifeWeek, Partition: partition}, at)
		if err != nil {
			return out, err
		}
		best := map[lifeSpot]lifeRow{}
		for n := range s.Items.All() {
			if n.Revision != v.Revision {
				continue
			}
			rows, err := p.rows(ctx, v.Table, n)
			if err != nil {
				return out, err
			}
			for _, r := range rows {
				lifeOffer(best, r)
			}
		}
		out[partition] = slices.Collect(maps.Values(best))
	}
	return out, nil
}

func (p *lifeProcess) object(name string) (rows lifeRows, err error) {
	err = p.call("open", func(w *lifeWorld) error {
		var ok bool
		if rows, ok = w.objects[name]; !ok {
			return errLifeMissing
		}
		return nil
	})
	return rows, err
}

// archive writes a sealed volume's samples down and then turns its record. One
// that was archived before is archived again now and then.
func (p *lifeProcess) archive(ctx context.Context, id VolumeID) {
	w := p.world
	v, err := p.book.Volume(ctx, lifeWeek, id.Revision)
	if err != nil || v.State == VolumeOpen || v.State == VolumeDropped || v.State == VolumeVerified {
		return
	}
	instead := ""
	if v.Archive != nil {
		instead = v.Archive.Manifest
	}
	cut, err := p.cut(ctx)
	if err != nil {
		return
	}
	archive := Archive{Manifest: fmt.Sprint("manifest ", w.rng.Uint64()), Sealed: make([]uint64, lifePartitions)}
	for partition := range lifePartitions {
		sealed := false
		p.book.Journal(store.JournalID{Week: lifeWeek, Partition: partition}).View(func(s *State) {
			archive.Sealed[partition], sealed = s.SealedAt(id.Revision)
		})
		if !sealed {
			return
		}
	}
	if w.broken.archiveEarly {
		for partition := range cut {
			cut[partition] = min(cut[partition], archive.Sealed[partition]-1)
			archive.Sealed[partition] = 0
		}
	}
	rows, err := p.volumeRows(ctx, &v, cut)
	if err != nil {
		return
	}
	if w.rng.IntN(5) == 0 && len(rows[0]) > 0 {
		w.counts["archives that are damaged"]++
		rows[0] = rows[0][1:]
	}
	if err := p.call("object", func(w *lifeWorld) error { w.objects[archive.Manifest] = rows; return nil }); err != nil {
		return
	}
	if v, err = p.book.ArchiveVolume(ctx, id, archive, instead); err != nil {
		return
	}
	w.counts["archives"]++
	if v.Archive == nil || v.Archive.Manifest != archive.Manifest {
		w.counts["archives that another was before"]++
	}
}

// verify reads an archive and the volume anew.
func (p *lifeProcess) verify(ctx context.Context, id VolumeID) {
	v, err := p.book.Volume(ctx, lifeWeek, id.Revision)
	if err != nil || v.State != VolumeArchived && v.State != VolumeVerified {
		return
	}
	cut, err := p.cut(ctx)
	if err != nil {
		return
	}
	if p.world.broken.archiveEarly {
		cut = v.Archive.Sealed
	}
	archived, err := p.object(v.Archive.Manifest)
	if err != nil {
		return
	}
	rows, err := p.volumeRows(ctx, &v, cut)
	if err != nil {
		return
	}
	manifest := v.Archive.Manifest
	if rows.text() != archived.text() && !p.world.broken.archiveEarly {
		_, _ = p.book.DoubtVolume(ctx, id, manifest)
		return
	}
	if p.world.broken.verifyAny {
		if v, err = p.book.Volume(ctx, lifeWeek, id.Revision); err == nil && v.Archive != nil {
			manifest = v.Archive.Manifest
		}
	}
	if _, err = p.book.VerifyVolume(ctx, id, manifest); err == nil {
		p.world.counts["verified"]++
	}
}

// dropUnverified is DropVolume, broken.
func (p *lifeProcess) dropUnverified(ctx context.Context, _ sample.Week, revision int, now time.Time) error {
	return p.book.drop(ctx, VolumeID{lifeWeek, revision}, now, func(*VolumeRecord) error { return nil })
}

// restore fills a new table from an archive, as internal/archive does.
func (p *lifeProcess) restore(ctx context.Context, id VolumeID) error {
	v, err := p.book.BeginRestore(ctx, id)
	if err != nil {
		return err
	}
	if v.State != VolumeDropped {
		return errLifeMissing
	}
	table := v.Restoring
	if p.world.broken.restoreSame {
		table = id.table()
		if err := (lifeStore{p}).Ensure(ctx, table); err != nil {
			return err
		}
	}
	archived, err := p.object(v.Archive.Manifest)
	if err != nil {
		return err
	}
	positions := make([]uint64, lifePartitions)
	for partition := range lifePartitions {
		if positions[partition], err = p.restorePartition(ctx, id, partition, v.Restoring, table, archived[partition]); err != nil {
			return err
		}
	}
	if p.world.broken.restoreUncut {
		clear(positions)
	}
	if p.world.broken.restoreSame {
		_, err = p.book.turn(ctx, id, func(v *VolumeRecord) (bool, error) { v.Restoring = table; return true, nil })
		if err != nil {
			return err
		}
		v.Restoring = table
	}
	_, err = p.book.EndRestore(ctx, id, v.Restoring, positions)
	return err
}

func (p *lifeProcess) restorePartition(ctx context.Context, id VolumeID, partition int, claimed, table string, rows []lifeRow) (uint64, error) {
	j := p.book.Journal(store.JournalID{Week: lifeWeek, Partition: partition})
	for range 20 {
		if err := j.Refresh(ctx); err != nil {
			return 0, err
		}
		var current []store.ItemKey
		s := j.Snapshot()
		for n := range s.Items.All() {
			if n.Revision == id.Revision {
				current = append(current, n.Key)
			}
		}
		if len(current) == 0 {
			return s.Cut, nil
		}
		slices.SortFunc(current, CompareKeys)
		flush, ok := p.book.NewMerge(j)
		if !ok {
			return 0, errLifeMissing
		}
		// After the snapshot: who ended or claimed since replaced what it shows.
		v, err := p.book.Volume(ctx, lifeWeek, id.Revision)
		if err != nil {
			return 0, err
		}
		if v.Restoring != claimed && !p.world.broken.restoreSame {
			return 0, ErrChanged
		}
		m := &Merge{Flush: flush, Revision: id.Revision, Buckets: 1 + p.world.rng.IntN(2), Span: int64(time.Hour), Replaces: current}
		items, named := lifeItems(flush, m.Buckets, rows)
		m.Items = named
		if err := (lifeStore{p}).Write(ctx, table, items); err != nil {
			return 0, err
		}
		counts, err := p.book.Merge(ctx, j.ID(), m)
		if err != nil {
			return 0, err
		}
		if counts {
			return j.Snapshot().Cut, nil
		}
	}
	return 0, errors.New("others merge all the time")
}

// watchTurn is law 5: what a record says of an archive is so.
func (w *lifeWorld) watchTurn(key string, value []byte) {
	if !strings.HasPrefix(key, "volumes/") {
		return
	}
	var was, is VolumeRecord
	if err := json.Unmarshal(value, &is); err != nil {
		panic(err)
	}
	if r, ok := w.records[key]; ok {
		if err := json.Unmarshal(r.Value, &was); err != nil {
			panic(err)
		}
	}
	var revision int
	if _, err := fmt.Sscanf(key[strings.LastIndexByte(key, '/')+1:], "%d", &revision); err != nil {
		panic(err)
	}
	if is.State == VolumeVerified && was.State == VolumeArchived {
		rows := w.objects[is.Archive.Manifest]
		if rows.text() != w.expected([]uint64{1 << 62, 1 << 62}, map[int]bool{revision: true}) {
			w.violate(5, "archive %s is verified, and is not what the volume holds", is.Archive.Manifest)
		}
	}
	if is.State == VolumeDropped && was.State != VolumeDropped {
		if is.Archive != nil && was.State != VolumeVerified {
			w.violate(5, "a volume is dropped that is not verified")
		}
		if strings.Contains(is.Table, "_v") {
			w.counts["drops of a restored table"]++
		}
	}
}
