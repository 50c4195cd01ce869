package tail

import (
	"context"
	"fmt"
	"slices"
	"time"

	"weir/internal/feed"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
)

// Bounds of what is read of a journal at once.
const (
	stepEntries = 256
	stepSamples = 256 << 10 // or one commit that has more
)

// reader reads one journal for one subscription.
type reader struct {
	*subscription
	journal *journal.Journal
	name    feed.Journal
	tables  map[int]string // by revision

	looked  [sample.Shards]int // registrations that were looked at, by shard
	series  map[sample.Handle]sample.Series
	handles []sample.Handle // of series, sorted
}

// commit is one that is being read.
type commit struct {
	*journal.Commit
	position uint64
	parts    []*part
	missing  feed.Reason // why it cannot be read; "": it can
}

// accepted gives when the last of the commit's messages was accepted.
func (c *commit) accepted() message.Stamp {
	var last message.Stamp
	for i := range c.Lives {
		last = max(last, c.Lives[i].Last)
	}
	return last
}

// step gives some of what the journal has behind the cut, and says whether it
// had anything.
func (r *reader) step(ctx context.Context) (bool, error) {
	var end uint64
	r.journal.View(func(s *journal.State) { end = s.Cut() })
	if r.cut.Position(r.name) >= end {
		return false, nil
	}
	if err := r.passOver(); err != nil {
		return false, err
	}
	commits, next, err := r.commits(ctx, end)
	if err != nil {
		return false, err
	}
	r.register()
	for _, c := range commits {
		r.divide(c)
	}
	if err := r.read(ctx, commits); err != nil {
		return false, fmt.Errorf("journal %s: %w", r.journal.ID(), err)
	}
	if err := r.handOut(commits); err != nil {
		return false, err
	}
	r.moveTo(next)
	return true, nil
}

func (r *reader) moveTo(position uint64) {
	if position > r.cut.Position(r.name) {
		r.cut.Set(r.name, position)
	}
}

// passOver goes past commits that are older than the request's MaxLag.
func (r *reader) passOver() error {
	if r.request.MaxLag <= 0 {
		return nil
	}
	oldest := message.Stamp(r.Now().Add(-r.request.MaxLag).UnixNano())
	gap := feed.Gap{Reason: feed.Slow, From: r.cut.Position(r.name)}
	var last message.Stamp
	r.journal.View(func(s *journal.State) {
		all := s.Commits()
		at, _ := slices.BinarySearchFunc(all, gap.From, func(c journal.Placed, from uint64) int {
			if c.Position < from {
				return -1
			}
			return 1
		})
		for ; at < len(all); at++ {
			c := commit{Commit: all[at].Commit, position: all[at].Position}
			if c.accepted() >= oldest {
				return
			}
			if c.Stored() > 0 { // a beat is nothing to miss
				gap.Commits, gap.Samples, last = gap.Commits+1, gap.Samples+c.Stored(), c.accepted()
			}
			gap.To = c.position + 1
		}
	})
	r.moveTo(gap.To)
	if gap.Commits == 0 {
		return nil
	}
	return r.give(&feed.Event{Journal: r.name, Position: gap.To - 1, Accepted: timeOf(last), Gap: &gap})
}

func timeOf(s message.Stamp) time.Time { return time.Unix(0, int64(s)) }

// commits reads those that come next, and gives where it stopped.
func (r *reader) commits(ctx context.Context, end uint64) ([]*commit, uint64, error) {
	at := r.cut.Position(r.name)
	entries, err := r.journal.Entries(ctx, at, end, stepEntries)
	if err != nil {
		return nil, 0, err
	}
	var out []*commit
	samples := 0
	for _, e := range entries {
		if e.Commit != nil && len(e.Commit.Items) > 0 {
			n := 0
			for _, i := range e.Commit.Items {
				n += int(i.Samples)
			}
			if len(out) > 0 && samples+n > stepSamples {
				break
			}
			samples += n
			out = append(out, &commit{Commit: e.Commit, position: at})
		}
		at++
	}
	return out, at, nil
}

// register finds which of the series that the journal registered since match.
func (r *reader) register() {
	before := len(r.handles)
	r.journal.View(func(s *journal.State) {
		s.Ordinals(func(shard sample.Shard, n int) {
			of := s.Shard(shard)
			for ; r.looked[shard] < n; r.looked[shard]++ {
				series, err := sample.ParseKey([]byte(of[r.looked[shard]].Key))
				if err != nil || r.request.Match != nil && !r.request.Match(series) {
					continue // a key that cannot be read has no name to be given by
				}
				h := sample.NewHandle(shard, uint32(r.looked[shard]))
				r.series[h], r.handles = series, append(r.handles, h)
			}
		})
	})
	if len(r.handles) > before {
		slices.Sort(r.handles)
	}
}

// between gives the handles that match of shards [first, end).
func (r *reader) between(first, end sample.Shard) []sample.Handle {
	from, _ := slices.BinarySearch(r.handles, sample.NewHandle(first, 0))
	to, _ := slices.BinarySearch(r.handles, sample.NewHandle(end, 0))
	return r.handles[from:to]
}

// handOut gives the events of commits, in order. Those in a row that are
// missing for one reason are one gap.
func (r *reader) handOut(commits []*commit) error {
	for i := 0; i < len(commits); i++ {
		c := commits[i]
		if len(c.parts) == 0 {
			continue // nothing of it matches
		}
		e := &feed.Event{Journal: r.name, Position: c.position, Accepted: timeOf(c.accepted())}
		if c.missing == "" {
			if e.Series = r.points(c); len(e.Series) == 0 {
				continue
			}
		} else {
			e.Gap = &feed.Gap{Reason: c.missing, From: c.position}
			for ; ; i++ {
				if len(commits[i].parts) > 0 {
					c = commits[i]
					e.Gap.Commits, e.Gap.Samples = e.Gap.Commits+1, e.Gap.Samples+c.Stored()
				}
				if i+1 == len(commits) || len(commits[i+1].parts) > 0 && commits[i+1].missing != c.missing {
					break
				}
			}
			e.Gap.To, e.Position, e.Accepted = c.position+1, c.position, timeOf(c.accepted())
		}
		r.moveTo(c.position + 1)
		if err := r.give(e); err != nil {
			return err
		}
	}
	return nil
}
