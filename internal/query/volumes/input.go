package volumes

import (
	"context"
	"slices"
	"sync"

	"weir/internal/analysis"
	"weir/internal/compute"
	"weir/internal/journal"
	"weir/internal/query"
	"weir/internal/sample"
	"weir/internal/store"
)

// Input is the samples of a job as of a cut.
type Input struct {
	past   *Source
	cut    string
	series []query.SeriesInfo // in order of ID
	memory int64

	streams sync.Pool // of *stream
}

var _ compute.Input = (*Input)(nil)

// InputOptions says what a job reads.
type InputOptions struct {
	Selector   query.Selector
	Start, End int64
	Cut        string // the token of what Positions gives
	Positions  func(store.JournalID) uint64
	Memory     int64 // bytes that the reading of one slice may hold
}

// Input lists the series of a job.
func (s *Source) Input(ctx context.Context, o InputOptions) (*Input, error) {
	in := &Input{past: s.At(o.Positions), cut: o.Cut, memory: o.Memory}
	var err error
	if in.series, err = in.past.Series(ctx, o.Selector, o.Start, o.End); err != nil {
		return nil, err
	}
	slices.SortFunc(in.series, func(a, b query.SeriesInfo) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return in, nil
}

// Cut gives the token.
func (in *Input) Cut() string { return in.cut }

// Series gives how many series a range of shards has.
func (in *Input) Series(first, end int) int { return len(in.of(first, end)) }

// of gives the series of a range of shards.
func (in *Input) of(first, end int) []query.SeriesInfo {
	at := func(shard int) int {
		i, _ := slices.BinarySearchFunc(in.series, shard, func(s query.SeriesInfo, shard int) int {
			if int(s.ID.Shard()) < shard {
				return -1
			}
			return 1
		})
		return i
	}
	return in.series[at(first):at(end)]
}

// Estimate gives what commits count in the hours, by the part of the weeks'
// series that is wanted.
func (in *Input) Estimate(ctx context.Context, start, end int64) (uint64, error) {
	if len(in.series) == 0 {
		return 0, nil
	}
	wanted := map[sample.Week]int{}
	for i := range in.series {
		for _, week := range in.series[i].Weeks {
			wanted[week]++
		}
	}
	total := uint64(0)
	for week, n := range wanted {
		record, ok, err := in.past.book.Week(ctx, week)
		if err != nil {
			return 0, err
		}
		if !ok || week.End() <= start || week.Start() >= end {
			continue
		}
		samples, series := uint64(0), uint64(0)
		for partition := range record.Partitions {
			id := store.JournalID{Week: week, Partition: partition}
			snapshot, _, err := in.past.heads.Snapshot(ctx, id)
			if err != nil {
				return 0, err
			}
			series += uint64(snapshot.Series)
			for _, c := range snapshot.Commits {
				for _, h := range c.Hours {
					if h.Start < end && h.Start+int64(3600e9) > start {
						samples += h.Samples
					}
				}
			}
		}
		series = max(series, uint64(n))
		total += samples/series*uint64(n) + samples%series*uint64(n)/series
	}
	return total, nil
}

// Whole says whether a week that overlaps is read from its archive, whose rows lie
// by series.
func (in *Input) Whole(ctx context.Context, from, to int64) (bool, error) {
	for week := sample.WeekOf(from); week <= sample.WeekOf(to-1); week++ {
		list, err := in.past.book.Volumes(ctx, week)
		if err != nil {
			return false, err
		}
		for _, v := range list {
			if v.State == journal.VolumeDropped && v.Archive != nil {
				return true, nil
			}
		}
	}
	return false, nil
}

// Read reads the series of some shards.
func (in *Input) Read(ctx context.Context, part compute.Part, yield func(*analysis.Samples) error) error {
	limits := query.DefaultLimits()
	limits.MaxSamples, limits.MaxMemory = 1<<62, in.memory
	r := &reading{
		Source: in.past, Reading: query.Reading{Start: part.From, End: part.To, Budget: query.NewBudget(limits)},
		cut: map[store.JournalID]journal.Snapshot{},
	}
	st, _ := in.streams.Get().(*stream)
	if st == nil {
		st = &stream{}
	}
	defer in.streams.Put(st)
	st.versions = part.Versions
	var of analysis.Samples
	series := in.of(part.First, part.End)
	return st.read(ctx, r, series, func(i int, p *query.Points) error {
		of = analysis.Samples{
			Series: st.words.at(series, i),
			Times:  p.Times, Bits: p.Bits, Texts: p.Texts, Qualities: p.Qualities,
		}
		if part.Versions {
			of.Versions, of.Positions = st.spare.versions, st.spare.positions
		}
		return yield(&of)
	})
}
