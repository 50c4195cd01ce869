package archive

import (
	"context"
	"fmt"
	"strings"

	"weir/internal/archive/partfile"
	"weir/internal/block"
	"weir/internal/journal"
	"weir/internal/objects"
	"weir/internal/sample"
	"weir/internal/settle"
)

// Erasure says which samples are to be gone: those of series with From ≤ time < To.
type Erasure struct {
	Series   []sample.SeriesID
	From, To int64
}

// wanted is the erasure's series, each under its place in the list.
func (e *Erasure) wanted() *partfile.Wanted {
	handles := map[sample.SeriesID]sample.Handle{}
	for i, id := range e.Series {
		handles[id] = sample.Handle(i)
	}
	return partfile.Want(handles)
}

// touches says whether a part may hold samples of the erasure.
func (e *Erasure) touches(f *File) bool {
	if f.MinTime >= e.To || f.MaxTime < e.From {
		return false
	}
	for _, id := range e.Series {
		if shard := id.Shard(); shard >= f.FirstShard && shard < f.EndShard {
			return true
		}
	}
	return false
}

// Count gives how many rows a volume's archive has of what is to be erased.
func (a *Archiver) Count(ctx context.Context, record *journal.VolumeRecord, e Erasure) (rows uint64, err error) {
	if record.Archive == nil {
		return 0, nil
	}
	m, err := ReadManifest(ctx, a.objects, record.Archive.Manifest, record.Archive.SHA256)
	if err != nil {
		return 0, err
	}
	for i := range m.Files {
		if !e.touches(&m.Files[i]) {
			continue
		}
		n, err := a.countPart(ctx, m.Files[i].Name, &e)
		if err != nil {
			return rows, err
		}
		rows += n
	}
	return rows, nil
}

// countPart counts the rows of a part that are to be erased.
func (a *Archiver) countPart(ctx context.Context, name string, e *Erasure) (rows uint64, err error) {
	part, err := a.objects.Open(ctx, name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = part.Close() }() // it was read
	var r partfile.Reader
	s := partfile.Selection{Wanted: e.wanted(), From: e.From, To: e.To, NoVersions: true}
	err = r.Read(ctx, part, s, func(b *block.Batch) error {
		rows += uint64(b.Samples())
		return nil
	})
	if err != nil {
		return rows, fmt.Errorf("part %s: %w", name, err)
	}
	return rows, nil
}

// Erase takes samples out of a volume's archive, whatever its state, and gives how
// many there were. Parts that hold some are written anew without them and read
// back, then a manifest, then the record names that in place of the one before, and
// stays in its state; then what it named before is deleted. Cut short in between,
// it is called again; what is left of the one before is Leftovers' to remove. A
// table is not touched.
func (a *Archiver) Erase(ctx context.Context, id journal.VolumeID, e Erasure) (rows uint64, err error) {
	for range maxTries {
		if rows, err = a.erase(ctx, id, e); err == nil || !again(err) {
			break
		}
	}
	if err != nil {
		return rows, fmt.Errorf("erase from the archive of volume %s: %w", id, err)
	}
	return rows, nil
}

func (a *Archiver) erase(ctx context.Context, id journal.VolumeID, e Erasure) (uint64, error) {
	record, err := a.book.Volume(ctx, id.Week, id.Revision)
	if err != nil || record.Archive == nil {
		return 0, err
	}
	m, err := ReadManifest(ctx, a.objects, record.Archive.Manifest, record.Archive.SHA256)
	if err != nil {
		return 0, err
	}
	v, err := a.look(ctx, record)
	if err != nil {
		return 0, err
	}
	w := &eraser{Archiver: a, e: e, v: v, attempt: a.attempt(), gone: newTally(), erased: make([]uint64, len(v.partitions))}
	for i := range m.Files {
		if err := w.file(ctx, &m.Files[i]); err != nil {
			return 0, err
		}
	}
	if w.gone.rows == 0 {
		return 0, nil
	}
	next, err := w.manifest(ctx, m)
	if err != nil {
		return 0, err
	}
	name := folderOf(id.Week, id.Revision) + "manifest-" + w.attempt + ".json"
	sum, size, err := next.write(ctx, a.objects, name)
	if err != nil {
		return 0, err
	}
	_, err = a.book.ReplaceArchive(ctx, id, journal.Archive{
		Manifest: name, SHA256: sum, Rows: next.Rows, Bytes: next.Bytes() + uint64(size), Sealed: next.Sealed, Erased: next.ErasedInAll(),
	}, record.Archive.Manifest)
	if err != nil {
		return 0, err
	}
	for _, old := range append(w.replaced, record.Archive.Manifest) {
		if err := a.objects.Delete(ctx, old); err != nil {
			return w.gone.rows, err
		}
	}
	return w.gone.rows, nil
}

// eraser writes the parts of one archive anew.
type eraser struct {
	*Archiver
	e       Erasure
	v       *volume
	attempt string

	reader   partfile.Reader
	gone     *tally   // of what is taken out
	erased   []uint64 // by partition
	files    []File   // of the new manifest
	replaced []string // parts of the old one
	of       settle.Division
}

// file takes a part over as it is, or writes it anew.
func (w *eraser) file(ctx context.Context, f *File) error {
	if !w.e.touches(f) {
		w.files = append(w.files, *f)
		return nil
	}
	n, err := w.countPart(ctx, f.Name, &w.e)
	if err != nil {
		return err
	}
	if n == 0 {
		w.files = append(w.files, *f)
		return nil
	}
	names := w.v.partitions[f.Partition].names
	before, removed, after := newTally(), newTally(), newTally()
	if err := w.checkPart(ctx, &w.reader, f, names, before); err != nil {
		return fmt.Errorf("part %s: %w", f.Name, err)
	}
	next, err := w.write(ctx, f, names, removed)
	if err != nil {
		return err
	}
	w.replaced = append(w.replaced, f.Name)
	if next.Rows > 0 {
		if err := w.checkPart(ctx, &w.reader, &next, names, after); err != nil {
			return fmt.Errorf("part %s: %w", next.Name, err)
		}
		w.files = append(w.files, next)
	}
	before.checksum.Remove(&removed.checksum)
	if removed.rows != n || before.rows != after.rows+n || before.checksum.String() != after.checksum.String() {
		return fmt.Errorf("%w: part %s has %d rows, %d of them to be erased; %s has %d", ErrUnequal, f.Name, before.rows, n, next.Name, after.rows)
	}
	w.gone.merge(removed)
	w.erased[f.Partition] += n
	return nil
}

// write writes a part anew without what is to be erased, which it counts. Where
// nothing is left there is no part.
func (w *eraser) write(ctx context.Context, f *File, names *names, removed *tally) (next File, err error) {
	next = File{
		Name: fmt.Sprintf("%sbucket=%04d-%04d/part-%s-%04d.parquet",
			folderOf(w.v.Week, w.v.Revision), f.FirstShard, f.EndShard-1, w.attempt, len(w.files)+len(w.replaced)),
		Partition: f.Partition, FirstShard: f.FirstShard, EndShard: f.EndShard, MinTime: maxTime, MaxTime: minTime,
	}
	part, err := w.objects.Open(ctx, f.Name)
	if err != nil {
		return next, err
	}
	defer func() { _ = part.Close() }() // it was read
	to, err := w.objects.Create(ctx, next.Name)
	if err != nil {
		return next, err
	}
	defer to.Abort()
	counted := objects.Count(to)
	rows := partfile.NewWriter(counted, w.v.place(f), names.identify)
	going := map[sample.SeriesID]bool{}
	for _, id := range w.e.Series {
		going[id] = true
	}
	s := partfile.Selection{Wanted: names.wanted(f.FirstShard, f.EndShard), From: minTime, To: maxTime}
	err = w.reader.Read(ctx, part, s, func(b *block.Batch) error {
		w.of.Divide(b, func(h sample.Handle) bool { return going[*names.id(h)] }, w.e.From, w.e.To)
		removed.add(&w.of.Gone, names.id)
		if w.of.Kept.Samples() == 0 {
			return nil
		}
		next.cover(&w.of.Kept)
		return rows.Write(&w.of.Kept)
	})
	if err != nil || next.Rows == 0 {
		return next, err
	}
	if err = rows.Close(); err == nil {
		err = to.Close()
	}
	next.Bytes, next.SHA256 = counted.Bytes(), counted.SHA256()
	return next, err
}

// manifest gives the manifest of what is left.
func (w *eraser) manifest(ctx context.Context, old *Manifest) (*Manifest, error) {
	sum, err := parseChecksum(old.Checksum)
	if err != nil {
		return nil, err
	}
	sum.Remove(&w.gone.checksum)
	m := *old
	m.Rows, m.Checksum, m.Files = old.Rows-w.gone.rows, sum.String(), append([]File{}, w.files...)
	erased := make([]uint64, m.Partitions)
	for partition := range erased {
		erased[partition] = old.ErasedIn(partition) + w.erased[partition]
	}
	m.erase(erased)
	m.MinTime, m.MaxTime = 0, 0
	for i := range m.Files {
		if i == 0 {
			m.MinTime, m.MaxTime = m.Files[i].MinTime, m.Files[i].MaxTime
		}
		m.MinTime, m.MaxTime = min(m.MinTime, m.Files[i].MinTime), max(m.MaxTime, m.Files[i].MaxTime)
	}
	for _, id := range w.e.Series {
		gone, err := w.left(ctx, old.Files, id)
		if err != nil {
			return nil, err
		}
		still, err := w.left(ctx, m.Files, id)
		if err != nil {
			return nil, err
		}
		if gone && !still {
			m.Series--
		}
	}
	return &m, nil
}

// left says whether parts have samples of a series.
func (w *eraser) left(ctx context.Context, files []File, id sample.SeriesID) (bool, error) {
	e := &Erasure{Series: []sample.SeriesID{id}, From: minTime, To: maxTime}
	for i := range files {
		if !e.touches(&files[i]) {
			continue
		}
		if n, err := w.countPart(ctx, files[i].Name, e); err != nil || n > 0 {
			return n > 0, err
		}
	}
	return false, nil
}

// Leftovers counts the rows that are to be erased of parts that no record names:
// of attempts that were cut short, or that an erasure replaced. It removes those
// parts where it is told so. What is being written meanwhile must be without those
// samples, or hold the volume by a pin that the caller has waited for.
func (a *Archiver) Leftovers(ctx context.Context, e Erasure, remove bool) (rows uint64, err error) {
	all, err := a.objects.List(ctx, "")
	if err != nil {
		return 0, err
	}
	weeks, err := a.book.Weeks(ctx)
	if err != nil {
		return 0, err
	}
	named, err := a.named(ctx, weeks, 0)
	if err != nil {
		return 0, err
	}
	for _, o := range all {
		if named[o.Name] || !attemptForm.MatchString(o.Name) || !strings.HasSuffix(o.Name, ".parquet") {
			continue
		}
		n, err := a.countPart(ctx, o.Name, &e)
		if err != nil {
			return rows, fmt.Errorf("no record names it, so it may be deleted by hand: %w", err)
		}
		if rows += n; n == 0 || !remove {
			continue
		}
		if err := a.objects.Delete(ctx, o.Name); err != nil {
			return rows, err
		}
	}
	return rows, nil
}
