package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"weir/internal/archive/partfile"
	"weir/internal/block"
	"weir/internal/journal"
	"weir/internal/objects"
	"weir/internal/sample"
)

// ErrUnequal means that two countings of the same samples differ.
var ErrUnequal = errors.New("archive and volume are not equal")

// verify reads the archive that a record names, and the volume where its table
// is there, and turns the record by what it finds.
func (a *Archiver) verify(ctx context.Context, record journal.VolumeRecord, report Report) error {
	id, manifest := volumeID(&record), record.Archive.Manifest
	err := a.compare(ctx, record, report)
	switch {
	case err == nil:
		_, err = a.book.VerifyVolume(ctx, id, manifest)
		return err
	case errors.Is(err, ErrCorrupt), errors.Is(err, ErrUnequal), errors.Is(err, objects.ErrNotFound):
		_, doubt := a.book.DoubtVolume(ctx, id, manifest)
		return errors.Join(fmt.Errorf("%w; %s", err, mend(record)), doubt)
	}
	return err
}

// mend says what can be done about an archive that is damaged.
func mend(v journal.VolumeRecord) string {
	if v.State == journal.VolumeDropped {
		return "bring what is named back from a backup of the archive, since the week's table is dropped"
	}
	return fmt.Sprintf("the week's table is there: weir archive %s writes another archive", v.Week)
}

func (a *Archiver) compare(ctx context.Context, record journal.VolumeRecord, report Report) error {
	m, err := ReadManifest(ctx, a.objects, record.Archive.Manifest, record.Archive.SHA256)
	if err != nil {
		return err
	}
	v, err := a.look(ctx, record)
	if err != nil {
		return err
	}
	if m.Week != v.Week.String() || m.Revision != v.Revision || m.Partitions != len(v.partitions) {
		return fmt.Errorf("%w: manifest %s is of week %s, revision %d", ErrCorrupt, record.Archive.Manifest, m.Week, m.Revision)
	}
	dropped := record.Gone()
	work := &step{report, Progress{Step: "verify", Revision: v.Revision, Total: m.Rows}}
	if !dropped {
		work.now.Total += v.held()
	}
	if err := a.checkParts(ctx, v, m, work); err != nil || dropped {
		return err
	}
	return a.checkVolume(ctx, v, m, work)
}

// checkParts compares the parts with their manifest.
func (a *Archiver) checkParts(ctx context.Context, v *volume, m *Manifest, work *step) error {
	all := newTally()
	var r partfile.Reader
	for i := range m.Files {
		f := &m.Files[i]
		if err := a.checkPart(ctx, &r, f, v.partitions[f.Partition].names, all); err != nil {
			return fmt.Errorf("part %s: %w", f.Name, err)
		}
		work.add(f.Rows, uint64(f.Bytes))
	}
	if all.rows != m.Rows || all.checksum.String() != m.Checksum || all.first != m.MinTime || all.last != m.MaxTime {
		return fmt.Errorf("%w: the parts have %d rows of checksum %s, and the manifest says %d of %s",
			ErrUnequal, all.rows, &all.checksum, m.Rows, m.Checksum)
	}
	return v.checkHours(all, m)
}

func (a *Archiver) checkPart(ctx context.Context, r *partfile.Reader, f *File, names *names, all *tally) error {
	part, err := a.objects.Open(ctx, f.Name)
	if err != nil {
		return err
	}
	defer func() { _ = part.Close() }() // it was read
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(part, 0, part.Size())); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.SHA256 || part.Size() != f.Bytes {
		return fmt.Errorf("%w: it has %d bytes of SHA-256 %s, and the manifest says %d of %s", ErrCorrupt, part.Size(), got, f.Bytes, f.SHA256)
	}
	of := newTally()
	s := partfile.Selection{Wanted: names.wanted(f.FirstShard, f.EndShard), From: minTime, To: maxTime}
	last := sample.Handle(0)
	err = r.Read(ctx, part, s, func(b *block.Batch) error {
		// Within a batch the order is checked by reading.
		if len(b.Handles) > 0 && of.rows > 0 && names.compare(b.Handles[0], last) < 0 {
			return fmt.Errorf("%w: series are out of order", ErrCorrupt)
		}
		of.add(b, names.id)
		if n := len(b.Handles); n > 0 {
			last = b.Handles[n-1]
		}
		return nil
	})
	if err != nil {
		return err
	}
	if of.rows != f.Rows || of.first != f.MinTime || of.last != f.MaxTime {
		return fmt.Errorf("%w: it has %d rows of known series from %d to %d, and the manifest says %d from %d to %d",
			ErrCorrupt, of.rows, of.first, of.last, f.Rows, f.MinTime, f.MaxTime)
	}
	all.merge(of)
	return nil
}

// checkVolume compares the volume, read anew from its items, with a manifest.
func (a *Archiver) checkVolume(ctx context.Context, v *volume, m *Manifest, work *step) error {
	renew, release, err := a.hold(ctx, v, "verify "+a.attempt())
	if err != nil {
		return err
	}
	defer release()
	r, all := volumeReader{tables: a.tables}, newTally()
	samples := uint64(0)
	for i := range v.partitions {
		p := &v.partitions[i]
		samples += p.samples
		for _, one := range p.pieces(len(v.partitions), a.partRows) {
			if err := renew(); err != nil {
				return err
			}
			err := r.read(ctx, v.Table, p, &one, func(b *block.Batch) error {
				all.add(b, p.names.id)
				return nil
			})
			if err != nil {
				return err
			}
			work.add(uint64(r.collector.Samples()), 0)
		}
	}
	if all.rows != m.Rows || all.checksum.String() != m.Checksum || samples != m.Samples {
		return fmt.Errorf("%w: the volume has %d rows of checksum %s, of %d samples; the manifest says %d of %s, of %d",
			ErrUnequal, all.rows, &all.checksum, samples, m.Rows, m.Checksum, m.Samples)
	}
	return nil
}

// checkHours compares the rows of each hour with what the commits say that they
// stored there: no more, and in all as many fewer as were overwritten later.
func (v *volume) checkHours(t *tally, m *Manifest) error {
	stored, byHour, flushed := uint64(0), map[int64]uint64{}, uint64(0)
	for i := range v.partitions {
		for start, n := range v.partitions[i].hours {
			byHour[start] += n
			stored += n
		}
		flushed += v.partitions[i].flushed
	}
	for start, rows := range t.hours {
		if rows > byHour[start] {
			return fmt.Errorf("%w: %d rows of the hour from %d ns on, in which commits stored %d samples", ErrUnequal, rows, start, byHour[start])
		}
	}
	if stored+flushed != m.Samples || stored != t.rows+m.Overwritten+m.ErasedInAll()-flushed {
		return fmt.Errorf("%w: commits stored %d samples by hour, and overwrote %d; %d rows, %d overwritten and %d erased ones do not make them",
			ErrUnequal, stored, flushed, t.rows, m.Overwritten, m.ErasedInAll())
	}
	return nil
}
