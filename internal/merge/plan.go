package merge

import (
	"math/bits"
	"slices"
	"time"

	"weir/internal/journal"
	"weir/internal/sample"
	"weir/internal/store"
)

// job is items of one revision and span that are to become fewer.
type job struct {
	inputs []journal.Named
	small  bool // nothing more is expected: pack as small as can be
}

// spanID names a span of a journal's items.
type spanID struct {
	journal       store.JournalID
	start, length int64
	revision      int
}

// change is what a merger remembers of a span.
type change struct {
	position uint64 // of the latest item
	seen     time.Time
}

// plan gives what is to be merged in a journal now.
func (m *Merger) plan(id store.JournalID) []job {
	var jobs []job
	for span := range m.book.Journal(id).Snapshot().Items.Spans() {
		for _, items := range byRevision(span) {
			items = slices.DeleteFunc(items, func(n journal.Named) bool {
				_, unreadable := m.left[n.Key]
				return unreadable
			})
			if len(items) < 2 {
				continue
			}
			sid := spanID{id, items[0].Key.Span, items[0].Length, items[0].Revision}
			if m.quiet(sid, items) {
				jobs = append(jobs, m.config.settle(items)...)
			} else {
				jobs = append(jobs, m.config.tiers(items)...)
			}
		}
	}
	return jobs
}

// byRevision parts a span's items.
func byRevision(span []journal.Named) map[int][]journal.Named {
	out := map[int][]journal.Named{}
	for _, n := range span {
		out[n.Revision] = append(out[n.Revision], n)
	}
	return out
}

// quiet says whether nothing has come for the span for as long as it takes to
// settle. Merges do not count as coming.
func (m *Merger) quiet(id spanID, items []journal.Named) bool {
	var latest uint64
	for _, n := range items {
		if !n.Merged {
			latest = max(latest, n.Position+1)
		}
	}
	was, known := m.changed[id]
	if !known || was.position < latest {
		was = change{latest, m.now()}
		m.changed[id] = was
	}
	return m.now().Sub(was.seen) >= m.config.Settle
}

// tiers merges items of the same shards that are of about one size, a fan-in
// or more of them at once: so a sample is rewritten about once for each power
// of the fan-in that its span's items come to (size-tiered compaction, as
// Bigtable's and Cassandra's).
func (c Config) tiers(items []journal.Named) []job {
	type tier struct {
		bucket  sample.Shard
		buckets int
		size    int
	}
	groups := map[tier][]journal.Named{}
	var order []tier
	for _, n := range items {
		t := tier{n.Key.Bucket, n.Buckets, c.size(n.Samples)}
		if groups[t] == nil {
			order = append(order, t)
		}
		groups[t] = append(groups[t], n)
	}
	var jobs []job
	for _, t := range order {
		for group := groups[t]; len(group) >= c.FanIn; {
			n := c.fit(group)
			if n < 2 {
				break
			}
			jobs = append(jobs, job{inputs: group[:n]})
			group = group[n:]
		}
	}
	return jobs
}

// size gives which power of the fan-in a number of samples comes to.
func (c Config) size(samples uint32) int {
	return bits.Len32(samples) / max(bits.Len(uint(c.FanIn))-1, 1)
}

// fit gives how many items, from the first on, a merge may read.
func (c Config) fit(items []journal.Named) int {
	bytes := 0
	for i, n := range items {
		if bytes += int(n.Bytes); bytes > c.Memory {
			return i
		}
	}
	return len(items)
}

// settle merges what shares series, all of it, so that a series of a span is
// one run: where that is not rewriting much for little.
func (c Config) settle(items []journal.Named) []job {
	items = slices.Clone(items)
	slices.SortStableFunc(items, func(a, b journal.Named) int { return int(a.Key.Bucket) - int(b.Key.Bucket) })
	var jobs []job
	for start := 0; start < len(items); {
		end, last := start, sample.Shard(0)
		for end < len(items) {
			first, until := items[end].Shards()
			if end > start && first >= last {
				break
			}
			last = max(last, until)
			end++
		}
		if region := items[start:end]; c.worthwhile(region) && c.fit(region) == len(region) {
			jobs = append(jobs, job{inputs: region, small: true})
		} else if len(region) >= c.FanIn {
			jobs = append(jobs, c.tiers(region)...)
		}
		start = end
	}
	return jobs
}

// Late samples that trickle into a settled span must not rewrite it each time:
// what is merged already may be at most so many times what is new, unless the
// items that a reader has to look at are many.
const (
	rewriteForNew = 8
	manyItems     = 16
)

// worthwhile says whether a region's items are to be merged to the end.
func (c Config) worthwhile(region []journal.Named) bool {
	if len(region) < 2 {
		return false
	}
	var merged, fresh uint64
	news := 0
	for _, n := range region {
		if n.Merged {
			merged += uint64(n.Samples)
		} else {
			fresh += uint64(n.Samples)
			news++
		}
	}
	return news == 0 || merged <= rewriteForNew*fresh || news >= manyItems
}
