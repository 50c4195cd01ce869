package history

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
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
	samples  uint64
	rejected uint64
	faults   []Fault
}

// gathered is a chunk's samples of one week and partition.
type gathered struct {
	week      sample.Week
	partition int
	columns   []*columns // in the order of the text
	samples   int
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

// read decodes a chunk: in two halves at once where its samples' kinds don't
// hang on which came first.
func (im *Importer) read(ctx context.Context, c Chunk, decode Decoder, kinds known) (*reading, error) {
	parts := halves(c.Text, c.Format, runtime.GOMAXPROCS(0))
	segments, err := im.decode(ctx, parts, decode, kinds)
	if err == nil && len(parts) > 1 && contradict(segments) {
		parts = [][]byte{c.Text}
		segments, err = im.decode(ctx, parts, decode, kinds)
	}
	if err != nil {
		return nil, err
	}
	r := &reading{}
	byPlace := map[[2]int]*gathered{}
	lines := 0
	for i, s := range segments {
		r.samples += s.samples
		r.rejected += s.rejected
		for _, f := range s.faults {
			f.Line += lines
			r.faults = append(r.faults, f)
		}
		if i+1 < len(segments) {
			lines += bytes.Count(parts[i], []byte("\n"))
		}
		for _, w := range s.weeks {
			for partition, of := range w.partitions {
				if of == nil {
					continue
				}
				at := [2]int{int(w.week), partition}
				if byPlace[at] == nil {
					byPlace[at] = &gathered{week: w.week, partition: partition}
					r.messages = append(r.messages, byPlace[at])
				}
				byPlace[at].columns = append(byPlace[at].columns, of)
				byPlace[at].samples += len(of.times)
			}
		}
	}
	r.faults = r.faults[:min(len(r.faults), maxFaults)]
	slices.SortFunc(r.messages, func(a, b *gathered) int {
		return cmp.Or(cmp.Compare(a.week, b.week), cmp.Compare(a.partition, b.partition))
	})
	return r, nil
}

// decode reads parts of a text side by side.
func (im *Importer) decode(ctx context.Context, parts [][]byte, decode Decoder, kinds known) ([]*segment, error) {
	segments := make([]*segment, len(parts))
	latest := im.Now().Add(maxAhead).UnixNano()
	var all sync.WaitGroup
	for i, text := range parts {
		segments[i] = &segment{importer: im, ctx: ctx, latest: latest, known: kinds, weeks: map[sample.Week]*ofWeek{}}
		all.Go(func() { decode(text, segments[i]) })
	}
	all.Wait()
	for _, s := range segments {
		if s.err != nil {
			return nil, s.err
		}
	}
	return segments, nil
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

// contradict says whether segments took the first value of a series that is not
// registered for different kinds.
func contradict(segments []*segment) bool {
	first := map[uint32]sample.Kind{}
	for _, s := range segments {
		for _, index := range s.news {
			kind := s.kinds[index]
			if was, ok := first[index]; ok && was != kind {
				return true
			}
			first[index] = kind
		}
	}
	return false
}

// segment is the sink of one decoder.
type segment struct {
	importer *Importer
	ctx      context.Context
	latest   int64
	known    known

	kinds    []sample.Kind // by series index; 0: not looked up yet
	news     []uint32      // series that are registered nowhere
	weeks    map[sample.Week]*ofWeek
	current  *ofWeek
	samples  uint64
	rejected uint64
	faults   []Fault
	err      error
}

// ofWeek is a week's samples by partition; nil where none came.
type ofWeek struct {
	week       sample.Week
	start, end int64
	partitions []*columns
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
			s.news = append(s.news, series.Index)
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
		if of, ok := s.known[place{w.week, series.Index}]; ok {
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
	w.columns(series).add(series.Index, one)
	s.samples++
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
	for i, of := range series {
		c := w.columns(of)
		c.series, c.kinds = append(c.series, of.Index), append(c.kinds, kinds[i])
		c.times, c.bits = append(c.times, at), append(c.bits, bits[i])
		if c.qualities != nil {
			c.qualities = append(c.qualities, sample.Good)
		}
	}
	s.samples += uint64(len(series))
	return true
}

// week finds the week of a time, and makes it if need be.
func (s *segment) week(t int64) (*ofWeek, error) {
	if w := s.current; w != nil && t >= w.start && t < w.end && t <= s.latest {
		return w, nil
	}
	switch week := sample.WeekOf(t); {
	case s.err != nil:
		return nil, s.err
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
		record, err := s.importer.Book.EnsureWeek(s.ctx, week)
		if err != nil {
			s.err = err
			return nil, err
		}
		s.current = &ofWeek{week: week, start: week.Start(), end: week.End(), partitions: make([]*columns, record.Partitions)}
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

func (w *ofWeek) columns(series *catalog.Series) *columns {
	p := series.Shard().Range(len(w.partitions))
	if w.partitions[p] == nil {
		w.partitions[p] = &columns{}
	}
	return w.partitions[p]
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
