package archive

import (
	"context"
	"fmt"
	"time"

	"weir/internal/archive/partfile"
	"weir/internal/block"
	"weir/internal/journal"
	"weir/internal/objects"
	"weir/internal/sample"
)

// partRows is how many rows a part should have at most: it is settled in memory, in
// 64 bytes a row, about. One series of one stretch of time is never divided, so that
// it may have more.
const partRows = 2 << 20

// pinTime is how long a volume is held that is read, at a time: what is left of
// it where the reader was killed keeps nobody for long.
const pinTime = 2 * time.Minute

// hold holds the cut of a volume for a reader until the release that it gives.
// Whoever reads calls renew now and then.
func (a *Archiver) hold(ctx context.Context, v *volume, holder string) (renew func() error, release func(), err error) {
	renew = func() error {
		now := a.now()
		return a.book.Pin(ctx, v.Week, v.Revision, journal.Pin{Holder: holder, Cut: v.cut(), Expires: now.Add(pinTime)}, now)
	}
	release = func() {
		// Also where ctx is over: else it would stand until it expires.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unpinTime)
		defer cancel()
		_ = a.book.Unpin(ctx, v.Week, v.Revision, holder) // else it expires
	}
	return renew, release, renew()
}

const unpinTime = 5 * time.Second

// attempt gives a name that no other attempt has. It tells when it began.
func (a *Archiver) attempt() string {
	return fmt.Sprintf("%s-%016x", a.now().UTC().Format(attemptTime), a.random())
}

const attemptTime = "20060102T150405Z"

func folderOf(week sample.Week, revision int) string {
	return fmt.Sprintf("week=%s/rev=%d/", week, revision)
}

// write writes a sealed volume's parts and manifest and names it in the record,
// unless that names another than instead by then.
func (a *Archiver) write(ctx context.Context, record journal.VolumeRecord, instead string, report Report) error {
	v, err := a.look(ctx, record)
	if err != nil {
		return err
	}
	attempt := a.attempt()
	renew, release, err := a.hold(ctx, v, "archive "+attempt)
	if err != nil {
		return err
	}
	defer release()
	w := &volumeWriter{
		Archiver: a, v: v, attempt: attempt, renew: renew, reader: volumeReader{tables: a.tables}, tally: newTally(),
		step: step{report, Progress{Step: "archive", Revision: v.Revision, Total: v.held()}},
	}
	name := folderOf(v.Week, v.Revision) + "manifest-" + attempt + ".json"
	m, err := w.manifest(ctx)
	if err != nil {
		w.discard(ctx, name)
		return err
	}
	sum, size, err := m.write(ctx, a.objects, name)
	if err != nil {
		w.discard(ctx, name)
		return err
	}
	_, err = a.book.ArchiveVolume(ctx, volumeID(&record), journal.Archive{
		Manifest: name, SHA256: sum, Rows: m.Rows, Bytes: m.Bytes() + uint64(size), Sealed: m.Sealed, Erased: m.ErasedInAll(),
	}, instead)
	return err
}

// discard removes what an attempt wrote that failed before a record could name it:
// a disk that is full needs the room. What stays is swept later.
func (w *volumeWriter) discard(ctx context.Context, manifest string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unpinTime)
	defer cancel()
	_ = w.objects.Delete(ctx, manifest)
	for i := range w.files {
		_ = w.objects.Delete(ctx, w.files[i].Name)
	}
}

// volumeWriter writes the parts of one volume.
type volumeWriter struct {
	*Archiver
	v       *volume
	attempt string
	renew   func() error
	reader  volumeReader
	tally   *tally
	series  int
	step    step
	files   []File
}

// manifest writes all parts and gives the manifest of them.
func (w *volumeWriter) manifest(ctx context.Context) (*Manifest, error) {
	v := w.v
	m := &Manifest{
		Version: 1, Week: v.Week.String(), Revision: v.Revision, Partitions: len(v.partitions), Cut: v.cut(), Sealed: v.sealed(),
	}
	erased := make([]uint64, len(v.partitions))
	for i := range v.partitions {
		p := &v.partitions[i]
		lost, err := w.partition(ctx, p)
		if err != nil {
			return nil, err
		}
		m.Samples += p.samples
		m.Overwritten += p.overwritten + lost
		erased[i] = p.erased
	}
	m.erase(erased)
	m.Rows, m.Series, m.Files = w.tally.rows, w.series, append([]File{}, w.files...)
	m.MinTime, m.MaxTime, m.Checksum = w.tally.first, w.tally.last, w.tally.checksum.String()
	return m, v.checkHours(w.tally, m)
}

// partition writes a partition's parts and gives how many samples of its items
// are on none of the rows, since others of their series and time count.
func (w *volumeWriter) partition(ctx context.Context, p *partition) (lost uint64, err error) {
	before, read := w.tally.rows, uint64(0)
	seen, at := map[sample.Handle]struct{}{}, sample.Shard(0) // stretches of a shard have the same series
	for _, one := range p.pieces(len(w.v.partitions), w.partRows) {
		if err := w.renew(); err != nil {
			return 0, err
		}
		if one.first != at {
			clear(seen)
			at = one.first
		}
		had := len(seen)
		err := w.part(ctx, p, &one, func(b *block.Batch) {
			w.tally.add(b, p.names.id)
			for _, h := range b.Handles {
				seen[h] = struct{}{}
			}
		})
		w.series += len(seen) - had
		read += uint64(w.reader.collector.Samples())
		lost += w.reader.collector.Overwritten()
		if err != nil {
			return 0, err
		}
	}
	if rows := w.tally.rows - before; read != p.held() || rows+lost != read {
		return 0, fmt.Errorf("%w: journal %s names %d samples; %d were read, and are %d rows and %d overwritten ones",
			ErrUnequal, p.id, p.held(), read, rows, lost)
	}
	return lost, nil
}

// part reads a piece and writes it as a part, and calls seen with what it has. A
// piece that turns out to have no samples is none.
func (w *volumeWriter) part(ctx context.Context, p *partition, one *piece, seen func(*block.Batch)) (err error) {
	f := File{
		Name: fmt.Sprintf("%sbucket=%04d-%04d/part-%s-%04d.parquet",
			folderOf(w.v.Week, w.v.Revision), one.first, one.end-1, w.attempt, len(w.files)),
		Partition: p.id.Partition, FirstShard: one.first, EndShard: one.end,
	}
	var to objects.Writer
	var counted *objects.Counted
	var rows *partfile.Writer
	defer func() {
		if to != nil {
			to.Abort()
		}
	}()
	err = w.reader.read(ctx, w.v.Table, p, one, func(b *block.Batch) error {
		if b.Samples() == 0 {
			return nil
		}
		if to == nil {
			if to, err = w.objects.Create(ctx, f.Name); err != nil {
				return err
			}
			counted = objects.Count(to)
			rows = partfile.NewWriter(counted, w.v.place(&f), p.names.identify)
			f.MinTime, f.MaxTime = b.Times[0], b.Times[0]
		}
		f.cover(b)
		seen(b)
		return rows.Write(b)
	})
	if err == nil && to != nil {
		if err = rows.Close(); err == nil {
			err = to.Close()
		}
	}
	if err != nil || to == nil {
		return err
	}
	f.Bytes, f.SHA256 = counted.Bytes(), counted.SHA256()
	w.files = append(w.files, f)
	w.step.add(uint64(w.reader.collector.Samples()), uint64(f.Bytes))
	return nil
}

// cover widens what the manifest says of a part by a batch.
func (f *File) cover(b *block.Batch) {
	f.Rows += uint64(b.Samples())
	for run := range b.Handles {
		start, end := b.Run(run)
		f.MinTime, f.MaxTime = min(f.MinTime, b.Times[start]), max(f.MaxTime, b.Times[end-1])
	}
}
