package journal

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"weir/internal/message"
	"weir/internal/store"
)

// lifeModel is one journal, folded naively as its entries are accepted.
type lifeModel struct {
	epoch    uint64
	taken    bool
	revision int
	horizons [2]message.Stamp
	named    map[message.ID]bool
	commits  []lifeCommit
	current  map[store.ItemKey]Item
	of       map[store.ItemKey]int // the revision of all that was ever named
	retired  map[store.ItemKey]uint64
	stored   int
	n        uint64
}

type lifeCommit struct {
	position uint64
	revision int
	rows     []lifeRow // with version and position
}

// accept takes an entry, and watches laws 2, 3 and 4 over it.
func (w *lifeWorld) accept(p int, body []byte) []byte {
	e, err := DecodeEntry(body)
	if err != nil {
		panic(err)
	}
	m := &w.models[p]
	position := m.n
	m.n++
	switch {
	case e.Epoch != nil:
		if m.taken {
			w.counts["journals taken over"]++
		}
		m.epoch, m.taken = position, true
	case e.Seal != nil:
		w.counts["seals"]++
		if e.Seal.Revision == m.revision {
			m.revision++
		}
	case e.Merge != nil:
		if w.broken.mergeAnyEpoch {
			w.believeEpoch(e.Merge, m.epoch)
		}
		return w.acceptMerge(m, position, e)
	case e.Commit != nil:
		if w.broken.staleRevision {
			e.Commit.Revision = m.revision
		}
		w.acceptCommit(m, position, e.Commit)
		return e.Encode(nil)
	}
	return body
}

// believeEpoch takes a merge, and what is left of its items, to be of an epoch.
func (w *lifeWorld) believeEpoch(m *Merge, epoch uint64) {
	table := w.tables[VolumeID{lifeWeek, m.Revision}.table()]
	old := *m
	m.Flush.Epoch = epoch
	for _, i := range m.Items {
		if body := table[old.Key(i)]; body != nil && old.Flush != m.Flush {
			delete(table, old.Key(i))
			table[m.Key(i)] = body
		}
	}
}

func (w *lifeWorld) acceptMerge(m *lifeModel, position uint64, e *Entry) []byte {
	counts := e.Merge.Flush.Epoch == m.epoch && m.taken
	for _, key := range e.Merge.Replaces {
		_, ok := m.current[key]
		counts = counts && ok && m.of[key] == e.Merge.Revision
	}
	if !counts {
		w.counts["merges that do not count"]++
		return e.Encode(nil)
	}
	w.counts["merges"]++
	for _, key := range e.Merge.Replaces {
		delete(m.current, key)
		m.retired[key] = position
	}
	for _, i := range e.Merge.Items {
		w.named(m, 4, e.Merge.Revision, e.Merge.Key(i), i)
	}
	return e.Encode(nil)
}

// lifeTableOf says whether a table is, or was restored as, that of a volume.
func lifeTableOf(table, base string) bool {
	return table == base || strings.HasPrefix(table, base+"_v")
}

// named watches that what an entry names is there, unless its table was dropped.
func (w *lifeWorld) named(m *lifeModel, law, revision int, key store.ItemKey, i Item) {
	m.current[key], m.of[key] = i, revision
	base := VolumeID{lifeWeek, revision}.table()
	for table, items := range w.tables {
		if items[key] != nil && lifeTableOf(table, base) {
			return
		}
	}
	for table := range w.gone {
		if lifeTableOf(table, base) {
			return
		}
	}
	w.violate(law, "item %v of table %s is named, which is not there", key, base)
}

func (w *lifeWorld) acceptCommit(m *lifeModel, position uint64, c *Commit) {
	w.counts["commits"]++
	if c.Flush.Epoch != m.epoch || c.Revision != m.revision {
		w.violate(2, "commit %s of revision %d after epoch %d, revision %d", c.Flush, c.Revision, m.epoch, m.revision)
	}
	before := m.horizons[c.Class]
	best := map[lifeSpot]lifeRow{}
	var of []*lifeMessage
	for _, l := range c.Lives {
		for _, r := range l.Ranges {
			for n := r.From; n <= r.To; n++ {
				id := message.ID{Life: l.Life, Number: n}
				if m.named[id] {
					w.violate(3, "message %v is named twice", id)
					w.violate(7, "message %v is stored again after a seal or a drop", id)
				}
				m.named[id] = true
				of = append(of, w.message(id))
			}
		}
	}
	for _, msg := range lifeSorted(of) {
		m.stored += len(msg.rows)
		if msg.stamp <= before {
			w.counts["late messages"]++
		}
		for _, r := range msg.rows {
			r.Version, r.Position = Version(msg.stamp, before, c.Horizon), position
			if known, ok := best[lifeSpot{r.Series, r.Time}]; !ok || !known.beats(r) {
				best[lifeSpot{r.Series, r.Time}] = r
			}
		}
	}
	m.horizons[c.Class] = max(before, c.Horizon)
	m.commits = append(m.commits, lifeCommit{position, c.Revision, slices.Collect(maps.Values(best))})
	for _, i := range c.Items {
		w.named(m, 2, c.Revision, c.Key(i), i)
	}
}

func lifeSorted(of []*lifeMessage) []*lifeMessage {
	return slices.SortedFunc(slices.Values(of), func(a, b *lifeMessage) int {
		return cmp.Or(cmp.Compare(a.stamp, b.stamp), cmp.Compare(a.id.Number, b.id.Number))
	})
}

func (w *lifeWorld) message(id message.ID) *lifeMessage {
	for _, m := range w.messages {
		if m.id == id {
			return m
		}
	}
	panic(fmt.Sprintf("message %v was never sent", id))
}

// expected is what a reader at a cut has to find in revisions, merges or not.
func (w *lifeWorld) expected(cut []uint64, revisions map[int]bool) string {
	best := [lifePartitions]map[lifeSpot]lifeRow{}
	for p := range w.models {
		best[p] = map[lifeSpot]lifeRow{}
		for _, c := range w.models[p].commits {
			if c.position < cut[p] && revisions[c.revision] {
				for _, r := range c.rows {
					lifeOffer(best[p], r)
				}
			}
		}
	}
	return lifeText(best)
}

func lifeOffer(best map[lifeSpot]lifeRow, r lifeRow) {
	if known, ok := best[lifeSpot{r.Series, r.Time}]; !ok || r.beats(known) {
		best[lifeSpot{r.Series, r.Time}] = r
	}
}

func lifeText(best [lifePartitions]map[lifeSpot]lifeRow) string {
	var lines []string
	for p := range best {
		for _, r := range best[p] {
			lines = append(lines, fmt.Sprint(p, r))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

var errLifeDead = errors.New("simulated crash")
