package history

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"weir/internal/catalog"
	"weir/internal/sample"
	"weir/internal/store"
)

// maxWeeks is of how many weeks a chunk may bring samples.
const maxWeeks = 4096

// maxText is the longest text that surely fits an item, in bytes.
const maxText = store.MaxItem / 2

// place is a series in a week.
type place struct {
	week  sample.Week
	index uint32 // catalog.Series.Index
}

// known is the kinds of series that a week's journal says, where they are not
// what the catalog says.
type known map[place]sample.Kind

// reading is a chunk that was read.
type reading struct {
	messages []*gathered // by week and partition
	segments []*segment
	rejected uint64
	faults   []Fault
}

// gathered is a chunk's samples of one week and partition.
type gathered struct {
	week       sample.Week
	partition  int
	partitions int        // of the week
	columns    []*columns // of all partitions, in the order of the text
	samples    int        // of this one
}

// columns is samples in the order they came.
type columns struct {
	series    []uint32 // catalog.Series.Index
	kinds     []sample.Kind
	times     []int64
	bits      []uint64 // of a string its place in texts
	texts     []string
	qualities []sample.Quality // nil: all Good
}

// columnPool keeps the memory of columns from chunk to chunk.
type columnPool struct{ sync.Pool }

func (p *columnPool) get() *columns {
	if c, ok := p.Get().(*columns); ok {
		return c
	}
	return &columns{}
}

func (p *columnPool) put(c *columns) {
	clear(c.texts)
	*c = columns{series: c.series[:0], kinds: c.kinds[:0], times: c.times[:0], bits: c.bits[:0], texts: c.texts[:0]}
	p.Put(c)
}

// read decodes a chunk, in parts side by side. Where two of them took the first
// value of a series for different kinds, that shows when its kind is registered.
func (im *Importer) read(ctx context.Context, c Chunk, decode Decoder, kinds known) (*reading, error) {
	parts := halves(c.Text, c.Format, runtime.GOMAXPROCS(0))
	segments := im.decode(parts, decode, kinds)
	r := &reading{segments: segments}
	lines := 0
	for i, s := range segments {
		r.rejected += s.rejected
		for _, f := range s.faults {
			f.Line += lines
			r.faults = append(r.faults, f)
		}
		if i+1 < len(segments) {
			lines += bytes.Count(parts[i], []byte("\n"))
		}
	}
	r.faults = r.faults[:min(len(r.faults), maxFaults)]
	var err error
	r.messages, err = im.divide(ctx, segments)
	return r, err
}

// divide makes the weeks, several at once since that takes long, and counts
// their samples by partition. It gives those that have some, by week and
// partition.
func (im *Importer) divide(ctx context.Context, segments []*segment) ([]*gathered, error) {
	weeks := map[sample.Week][]*columns{}
	for _, s := range segments {
		for week, w := range s.weeks {
			weeks[week] = append(weeks[week], w.columns)
		}
	}
	all := im.Catalog.All()
	var mu sync.Mutex
	var out []*gathered
	err := several(ctx, slices.Sorted(maps.Keys(weeks)), func(ctx context.Context, week sample.Week) error {
		record, err := im.Book.EnsureWeek(ctx, week)
		if err != nil {
			return err
		}
		of := make([]*gathered, record.Partitions)
		for p := range of {
			of[p] = &gathered{week: week, partition: p, partitions: record.Partitions, columns: weeks[week]}
		}
		for _, c := range weeks[week] {
			for _, index := range c.series {
				of[all[index].Shard().Range(record.Partitions)].samples++
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for _, g := range of {
			if g.samples > 0 {
				out = append(out, g)
			}
		}
		return nil
	})
	slices.SortFunc(out, func(a, b *gathered) int {
		return cmp.Or(cmp.Compare(a.week, b.week), cmp.Compare(a.partition, b.partition))
	})
	return out, err
}

// release gives back the memory of what was read.
func (r *reading) release(to *columnPool) {
	for _, s := range r.segments {
		for _, w := range s.weeks {
			to.put(w.columns)
		}
	}
}

// decode reads parts of a text side by side.
func (im *Importer) decode(parts [][]byte, decode Decoder, kinds known) []*segment {
	segments := make([]*segment, len(parts))
	latest := im.Now().Add(maxAhead).UnixNano()
	var all sync.WaitGroup
	for i, text := range parts {
		segments[i] = &segment{latest: latest, known: kinds, columns: &im.columns, weeks: map[sample.Week]*ofWeek{}}
		all.Go(func() { decode(text, segments[i]) })
	}
	all.Wait()
	return segments
}

// smallText is a text that is not worth dividing, in bytes.
const smallText = 256 << 10

// halves divides a text at line breaks that surely end a line: in line protocol
// any, unless there are strings; in JSON one that an object follows.
func halves(text []byte, format string, most int) [][]byte {
	end := []byte("\n")
	switch {
	case len(text) < smallText:
		return [][]byte{text}
	case format == FormatJSON:
		end = []byte("\n{")
	case bytes.IndexByte(text, '"') >= 0:
		return [][]byte{text}
	}
	var parts [][]byte
	for left := most; left > 1; left-- {
		middle := len(text) / left
		at := bytes.Index(text[middle:], end)
		if at < 0 {
			break
		}
		parts = append(parts, text[:middle+at+1])
		text = text[middle+at+1:]
	}
	return append(parts, text)
}

// FormatLines and FormatJSON are the formats of a chunk: line protocol, and
// objects, one a line.
const (
	FormatLines = "lines"
	FormatJSON  = "json"
)

// segment is the sink of one decoder.
type segment struct {
	latest  int64
	known   known
	columns *columnPool

	kinds    []sample.Kind // by series index; 0: not looked up yet
	weeks    map[sample.Week]*ofWeek
	current  *ofWeek
	rejected uint64
	faults   []Fault
}

// ofWeek is a week's samples.
type ofWeek struct {
	start, end int64
	*columns
}

var _ Sink = (*segment)(nil)

// maxAhead is how far ahead of now a sample's time may be.
const maxAhead = 24 * time.Hour

// kind gives the kind of a series: the one that is registered, else the one that
// its first value has.
func (s *segment) kind(series *catalog.Series, came sample.Kind) sample.Kind {
	if missing := int(series.Index) + 1 - len(s.kinds); missing > 0 {
		s.kinds = append(s.kinds, make([]sample.Kind, missing)...)
	}
	k := s.kinds[series.Index]
	if k == 0 {
		if k = series.Kind(); k == 0 {
			k = came
		}
		s.kinds[series.Index] = k
	}
	return k
}

// Emit takes one sample; see Sink.
func (s *segment) Emit(series *catalog.Series, one sample.Sample) error {
	w, err := s.week(one.Time)
	if err != nil {
		return err
	}
	if len(one.Value.Text) > maxText {
		return fmt.Errorf("a text of %d bytes; the limit is %d", len(one.Value.Text), maxText)
	}
	kind := s.kind(series, one.Value.Kind)
	if len(s.known) > 0 {
		if of, ok := s.known[place{sample.WeekOf(one.Time), series.Index}]; ok {
			kind = of
		}
	}
	if kind != one.Value.Kind {
		v, err := one.Value.As(kind)
		if err != nil {
			return fmt.Errorf("series %s: %w", series, err)
		}
		one.Value = v
	}
	w.add(series.Index, one)
	return nil
}

// Line takes a line's samples; see Sink. It takes those lines of which nothing
// has to be asked.
func (s *segment) Line(series []*catalog.Series, kinds []sample.Kind, bits []uint64, at int64) bool {
	w := s.current
	if w == nil || at < w.start || at >= w.end || at > s.latest || len(s.known) > 0 {
		return false
	}
	for i, of := range series {
		if int(of.Index) >= len(s.kinds) || s.kinds[of.Index] != kinds[i] {
			return false
		}
	}
	for _, of := range series {
		w.series, w.times = append(w.series, of.Index), append(w.times, at)
		if w.qualities != nil {
			w.qualities = append(w.qualities, sample.Good)
		}
	}
	w.kinds, w.bits = append(w.kinds, kinds...), append(w.bits, bits...)
	return true
}

// week finds the week of a time, and makes it if need be.
func (s *segment) week(t int64) (*ofWeek, error) {
	if w := s.current; w != nil && t >= w.start && t < w.end && t <= s.latest {
		return w, nil
	}
	switch week := sample.WeekOf(t); {
	case t == NoTime:
		return nil, fmt.Errorf("the line has no time, and history needs one")
	case t > s.latest:
		return nil, fmt.Errorf("time %s is more than %s ahead of now; name the precision of the times",
			time.Unix(0, t).UTC().Format(time.RFC3339), maxAhead)
	case week.Start() == math.MinInt64 || week.End() == math.MaxInt64:
		return nil, fmt.Errorf("time %d ns lies in a week that int64 nanoseconds do not hold whole", t)
	case s.weeks[week] != nil:
		s.current = s.weeks[week]
	case len(s.weeks) >= maxWeeks:
		return nil, fmt.Errorf("the chunk has samples of more than %d weeks", maxWeeks)
	default:
		s.current = &ofWeek{start: week.Start(), end: week.End(), columns: s.columns.get()}
		s.weeks[week] = s.current
	}
	return s.current, nil
}

// Reject takes note of what is not kept; see Sink.
func (s *segment) Reject(f Fault) {
	if s.rejected++; len(s.faults) < maxFaults {
		s.faults = append(s.faults, f)
	}
}

func (c *columns) add(index uint32, s sample.Sample) {
	bits := s.Value.Bits
	if s.Value.Kind == sample.String {
		bits = uint64(len(c.texts))
		c.texts = append(c.texts, s.Value.Text)
	}
	if s.Quality != sample.Good && c.qualities == nil {
		c.qualities = make([]sample.Quality, len(c.times), max(cap(c.times), 16))
	}
	if c.qualities != nil {
		c.qualities = append(c.qualities, s.Quality)
	}
	c.series, c.kinds = append(c.series, index), append(c.kinds, s.Value.Kind)
	c.times, c.bits = append(c.times, s.Time), append(c.bits, bits)
}
