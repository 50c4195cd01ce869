// Package partfile owns the Parquet files of archives: the samples of a range of shards,
// in order of series and time, and how they are read and written.
//
// It refuses to know volumes and manifests. It imports objects, block and sample.
// The format is docs/formats/archive.md.
package partfile

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"unsafe"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"

	"weir/internal/block"
	"weir/internal/bounds"
	"weir/internal/objects"
	"weir/internal/sample"
)

// Errors of this package.
var (
	// ErrCorrupt means that a manifest or a part is not what was written.
	ErrCorrupt = errors.New("archive is corrupt")
	// ErrVersion means that a newer Weir wrote the archive.
	ErrVersion = errors.New("archive is of a version this program does not know")
)

// Wanted is the series that are read, and what the caller calls them.
type Wanted struct {
	ids     []sample.SeriesID // sorted
	handles []sample.Handle
}

// WantSorted makes the series that are read of a list that is sorted by id.
func WantSorted(ids []sample.SeriesID, handles []sample.Handle) *Wanted {
	return &Wanted{ids: ids, handles: handles}
}

// Want makes the series that are read of a map.
func Want(handles map[sample.SeriesID]sample.Handle) *Wanted {
	w := &Wanted{}
	for id := range handles {
		w.ids = append(w.ids, id)
	}
	slices.SortFunc(w.ids, CompareIDs)
	for _, id := range w.ids {
		w.handles = append(w.handles, handles[id])
	}
	return w
}

// CompareIDs orders ids as parts do.
func CompareIDs(a, b sample.SeriesID) int { return bytes.Compare(a[:], b[:]) }

// any says whether a wanted series lies in [least, most].
func (w *Wanted) any(least, most sample.SeriesID) bool {
	at, _ := slices.BinarySearchFunc(w.ids, least, CompareIDs)
	return at < len(w.ids) && CompareIDs(w.ids[at], most) <= 0
}

// Selection is what is read of a part: samples of wanted series with
// From ≤ time < To.
type Selection struct {
	Wanted   *Wanted
	From, To int64
	// NoVersions leaves out versions and positions, for who reads one revision
	// alone and needs no order.
	NoVersions bool
}

// Reader reads parts, one after the other, in memory that it keeps. It is
// not safe for concurrent use.
type Reader struct {
	batch  block.Batch
	runs   []readRun
	ranges []rowRange
	names  []parquet.ByteArray
	levels []int16
	words  []int32
}

// readRun is the rows of a series in a row group, and after the times are read
// those of them that are wanted.
type readRun struct {
	wanted     int // -1: it is not
	start, end int
}

type rowRange struct{ start, end int }

// Read calls yield with what is selected of a part, a row group at a time: runs
// in order of series, times ascending. A series may have runs in two batches, if
// the part divides it. A batch is the caller's until yield returns; its Positions
// are those of commits, and Qualities are nil where all are Good. A part that
// cannot be read is ErrCorrupt.
func (r *Reader) Read(ctx context.Context, part objects.Reader, s Selection, yield func(*block.Batch) error) (err error) {
	yielding := false
	defer func() {
		if yielding {
			return // a panic of the caller's
		}
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrCorrupt, p)
		}
	}()
	f, err := openPart(part)
	if err != nil {
		return err
	}
	for i := range f.NumRowGroups() {
		if err := ctx.Err(); err != nil {
			return err
		}
		group := f.RowGroup(i)
		some, err := r.group(group, &s)
		if err != nil {
			return fmt.Errorf("%w: row group %d: %w", ErrCorrupt, i, err)
		}
		if !some {
			continue
		}
		yielding = true
		err = yield(&r.batch)
		yielding = false
		if err != nil {
			return err
		}
	}
	return nil
}

// openPart reads a part's footer and checks that it is one of ours.
func openPart(part objects.Reader) (*file.Reader, error) {
	f, err := bounds.Open(io.NewSectionReader(part, 0, part.Size()), part.Size())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	root, err := partSchema()
	if err != nil {
		return nil, err
	}
	if got := f.MetaData().Schema.Root(); !got.Equals(root) {
		if version := f.MetaData().KeyValueMetadata().FindValue(formatKey); version != nil && *version > "1" {
			return nil, fmt.Errorf("%w: %s", ErrVersion, *version)
		}
		return nil, fmt.Errorf("%w: its columns are not those of an archive", ErrCorrupt)
	}
	return f, nil
}

// group reads what is selected of a row group into the batch, and says whether
// there is something.
func (r *Reader) group(g *file.RowGroupReader, s *Selection) (some bool, err error) {
	rows := g.NumRows()
	if rows < 0 || rows > GroupRows {
		return false, fmt.Errorf("it has %d rows", rows)
	}
	skip, within, err := r.judge(g, s)
	if err != nil || skip {
		return false, err
	}
	if some, err = r.readSeries(g, s, int(rows)); err != nil || !some {
		return false, err
	}
	b := &r.batch
	b.Reset()
	b.Times = slices.Grow(b.Times, rowsOf(r.ranges))
	if b.Times, err = readInts(r, g, columnTime, b.Times); err != nil {
		return false, err
	}
	if err := r.cut(s, within); err != nil || len(b.Times) == 0 {
		return false, err
	}
	if err := r.readValues(g); err != nil {
		return false, err
	}
	if err := r.readQualities(g); err != nil {
		return false, err
	}
	if s.NoVersions {
		b.Versions, b.Positions = nil, nil
		return true, nil
	}
	if b.Versions, err = r.readOrder(g, columnVersion, b.Versions); err == nil {
		b.Positions, err = r.readOrder(g, columnPosition, b.Positions)
	}
	return err == nil, err
}

// judge tells by statistics whether a row group has nothing that is selected,
// and whether all of its times are in range.
func (r *Reader) judge(g *file.RowGroupReader, s *Selection) (skip, within bool, err error) {
	for c := range columns {
		chunk, err := g.MetaData().ColumnChunk(c)
		if err != nil {
			return false, false, err
		}
		if chunk.NumValues() != g.NumRows() {
			return false, false, fmt.Errorf("column %d has %d values for %d rows", c, chunk.NumValues(), g.NumRows())
		}
	}
	names, ok := statistics[*metadata.ByteArrayStatistics](g, columnSeries)
	if ok && names.HasMinMax() {
		least, e1 := parseID(names.Min())
		most, e2 := parseID(names.Max())
		if err := errors.Join(e1, e2); err != nil {
			return false, false, err
		}
		if !s.Wanted.any(least, most) {
			return true, false, nil
		}
	}
	times, ok := statistics[*metadata.Int64Statistics](g, columnTime)
	if ok && times.HasMinMax() {
		return times.Max() < s.From || times.Min() >= s.To, times.Min() >= s.From && times.Max() < s.To, nil
	}
	return false, false, nil
}

func statistics[T metadata.TypedStatistics](g *file.RowGroupReader, column int) (s T, ok bool) {
	chunk, err := g.MetaData().ColumnChunk(column)
	if err != nil {
		return s, false
	}
	if set, err := chunk.StatsSet(); err != nil || !set {
		return s, false
	}
	any, err := chunk.Statistics()
	if err != nil {
		return s, false
	}
	s, ok = any.(T)
	return s, ok
}

func parseID(text []byte) (id sample.SeriesID, err error) {
	if len(text) != 2*len(id) {
		return id, fmt.Errorf("series %q is no id", text)
	}
	_, err = hex.Decode(id[:], text)
	return id, err
}

// readSeries finds the runs of a row group, and which rows are wanted.
func (r *Reader) readSeries(g *file.RowGroupReader, s *Selection, rows int) (some bool, err error) {
	r.runs, r.ranges = r.runs[:0], r.ranges[:0]
	c, err := g.Column(columnSeries)
	if err != nil {
		return false, err
	}
	col, ok := c.(*file.ByteArrayColumnChunkReader)
	if !ok {
		return false, errors.New("series are no text")
	}
	const page = 16 << 10
	r.names = slices.Grow(r.names[:0], page)[:page]
	var last parquet.ByteArray
	var id sample.SeriesID
	for at := 0; at < rows; {
		total, n, err := col.ReadBatchInPage(min(page, int64(rows-at)), r.names, nil, nil)
		if err != nil {
			return false, err
		}
		if n == 0 || total != int64(n) {
			return false, fmt.Errorf("series end at row %d of %d", at, rows)
		}
		raw := (*byte)(nil) // of the name before, as the library has it: a page's memory may be used again
		for _, name := range r.names[:n] {
			if len(r.runs) == 0 || len(name) != len(last) || unsafe.SliceData(name) != raw && !bytes.Equal(name, last) {
				next, err := parseID(name)
				if err != nil {
					return false, err
				}
				if len(r.runs) > 0 && CompareIDs(next, id) <= 0 {
					return false, fmt.Errorf("series %s comes after %s", next, id)
				}
				id = next
				r.runs = append(r.runs, readRun{r.place(s.Wanted, id), at, at})
				last = append(last[:0], name...)
			}
			raw = unsafe.SliceData(name)
			at++
			r.runs[len(r.runs)-1].end = at
		}
	}
	for i := range r.runs {
		run := &r.runs[i]
		if run.wanted < 0 {
			continue
		}
		if n := len(r.ranges); n > 0 && r.ranges[n-1].end == run.start {
			r.ranges[n-1].end = run.end
		} else {
			r.ranges = append(r.ranges, rowRange{run.start, run.end})
		}
	}
	return len(r.ranges) > 0, nil
}

func (r *Reader) place(w *Wanted, id sample.SeriesID) int {
	at, ok := slices.BinarySearchFunc(w.ids, id, CompareIDs)
	if !ok {
		return -1
	}
	return at
}

func rowsOf(ranges []rowRange) int {
	n := 0
	for _, r := range ranges {
		n += r.end - r.start
	}
	return n
}

// cut leaves the rows whose times are in range, checks that they ascend, and
// begins the batch's runs.
func (r *Reader) cut(s *Selection, within bool) error {
	b := &r.batch
	r.ranges = r.ranges[:0]
	kept, at := 0, 0
	for i := range r.runs {
		run := &r.runs[i]
		if run.wanted < 0 {
			continue
		}
		times := b.Times[at : at+run.end-run.start]
		at += len(times)
		for k := 1; k < len(times); k++ {
			if times[k] <= times[k-1] {
				return fmt.Errorf("times of series %s do not ascend", s.Wanted.ids[run.wanted])
			}
		}
		from, to := 0, len(times)
		if !within {
			from = sort.Search(len(times), func(k int) bool { return times[k] >= s.From })
			to = from + sort.Search(len(times)-from, func(k int) bool { return times[from+k] >= s.To })
		}
		if from == to {
			continue
		}
		kept += copy(b.Times[kept:], times[from:to])
		b.EndRun(s.Wanted.handles[run.wanted], 0)
		b.Ends[len(b.Ends)-1] = kept
		start, end := run.start+from, run.start+to
		if n := len(r.ranges); n > 0 && r.ranges[n-1].end == start {
			r.ranges[n-1].end = end
		} else {
			r.ranges = append(r.ranges, rowRange{start, end})
		}
	}
	b.Times = b.Times[:kept]
	return nil
}
