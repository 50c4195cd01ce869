package worker

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"weir/internal/block"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

// accept takes an entry into a journal, and watches laws 2 and 3 over it.
func (w *world) accept(j *naiveJournal, entry []byte) {
	position := uint64(len(j.raw))
	j.raw = append(j.raw, entry)
	e, err := journal.DecodeEntry(entry)
	if err != nil {
		w.violate(2, "journal %s, position %d: %v", j.id, position, err)
		return
	}
	if at := w.entries[e.ID]; at != "" {
		w.violate(2, "entry %v stands twice: in %s, and in %s at %d", e.ID, at, j.id, position)
	}
	w.entries[e.ID] = j.id.String()
	if e.Epoch != nil {
		if position > 0 {
			w.counts["journals taken over"]++
		}
		j.writer, j.epoch = e.ID.Writer, position
		return
	}
	if e.ID.Writer != j.writer {
		w.violate(2, "journal %s, position %d: an entry of a writer after the epoch of another at %d", j.id, position, j.epoch)
	}
	if e.Register != nil {
		j.register(e.Register)
		return
	}
	w.acceptCommit(j, position, e.Commit)
}

func (w *world) acceptCommit(j *naiveJournal, position uint64, c *journal.Commit) {
	if at := w.flushes[c.Flush]; at != "" {
		w.violate(2, "flush %s is named by %s and again by %s at %d", c.Flush, at, j.id, position)
	}
	w.flushes[c.Flush] = j.id.String()
	if c.Flush.Epoch != j.epoch {
		w.violate(2, "flush %s carries an epoch that is not the last one of %s, which is at %d", c.Flush, j.id, j.epoch)
	}
	n := naiveCommit{Commit: c, position: position, before: j.horizon[c.Class]}
	for i := range c.Lives {
		l := &c.Lives[i]
		for _, r := range l.Ranges {
			for number := r.From; number <= r.To; number++ {
				n.messages = append(n.messages, w.name(j, position, message.ID{Life: l.Life, Number: number})...)
			}
		}
	}
	slices.SortFunc(n.messages, compareTruths)
	j.horizon[c.Class] = max(j.horizon[c.Class], c.Horizon)
	j.commits = append(j.commits, n)
	w.checkStored(j, &n)
	w.checkTaken(j, &n)
	w.count(&n)
}

// checkTaken is law 6's horizon: a flush takes of its head all messages with
// stamps below it, or else they would lose for no reason of theirs. One of the
// same stamp gets the same version in the next flush, and so does not.
func (w *world) checkTaken(j *naiveJournal, c *naiveCommit) {
	if w.actor == nil || w.actor.runner.heads[j.id] == nil {
		return
	}
	for _, e := range w.actor.runner.heads[j.id].entries {
		if e.class() != c.Class {
			continue
		}
		if s := e.message.Stamp; s > c.before && s < c.Horizon && w.named[e.message.ID()] == "" {
			w.violate(6, "journal %s, position %d leaves message %v with stamp %d in the head; its horizon is %d", j.id, c.position, e.message.ID(), s, c.Horizon)
		}
	}
}

// count tells what of interest a commit has.
func (w *world) count(c *naiveCommit) {
	w.counts["commits"]++
	if len(c.Quarantined) > 0 {
		w.counts["commits with refused samples"]++
	}
	if c.Overwritten > 0 {
		w.counts["commits with overwritten samples"]++
	}
	w.counts[c.Class.String()+" commits"]++
	for i, m := range c.messages {
		if (m.message.Role == message.Fast) != (c.Class == journal.Fast) {
			w.violate(6, "a %s commit at %d names message %v of role %d", c.Class, c.position, m.message.ID(), m.message.Role)
		}
		if m.message.Stamp <= c.before {
			w.counts["late messages"]++
		}
		if m.message.Stamp == c.before {
			w.counts["messages with the stamp of the horizon before"]++
		}
		if i > 0 && m.message.Stamp == c.messages[i-1].message.Stamp {
			w.counts["equal stamps of two lives in a flush"]++
		}
	}
}

// name is law 3 at the moment of naming: a message of this journal, once.
func (w *world) name(j *naiveJournal, position uint64, id message.ID) []*truth {
	t := w.truths[id]
	switch {
	case t == nil || t.poison || t.message.Week != j.id.Week:
		w.violate(3, "journal %s, position %d names message %v, which is not for it", j.id, position, id)
	case w.named[id] != "":
		w.violate(3, "message %v is named by %s and again by %s at %d", id, w.named[id], j.id, position)
	}
	w.named[id] = j.id.String()
	if t == nil {
		return nil
	}
	return []*truth{t}
}

// checkStored is law 2 at the moment of naming: all items are there, and all
// they name is registered. Their bytes are remembered.
func (w *world) checkStored(j *naiveJournal, c *naiveCommit) {
	check := func(table string, i journal.Item) {
		key := c.Key(i)
		body, ok := w.tables[table][key]
		if !ok || len(body) != int(i.Bytes) && !w.broken.oneVersion {
			w.violate(2, "journal %s, position %d names item %v of table %s, which is not there or not of %d bytes", j.id, c.position, key, table, i.Bytes)
			return
		}
		if w.bodies[table] == nil {
			w.bodies[table] = map[store.ItemKey][]byte{}
		}
		w.bodies[table][key] = body
		b, err := decodeItem(body)
		if err != nil || b.Samples() != int(i.Samples) {
			w.violate(2, "item %v of table %s: %v, %d samples; its commit says %d", key, table, err, b.Samples(), i.Samples)
			return
		}
		for _, h := range b.Handles {
			if j.keys[h] == "" {
				w.violate(2, "item %v of table %s uses ordinal %d of shard %d, which is not registered yet", key, table, h.Ordinal(), h.Shard())
			}
		}
	}
	for _, i := range c.Items {
		check(j.table(), i)
	}
	for _, q := range c.Quarantined {
		check(journal.QuarantineTable, q.Item)
	}
}

func decodeItem(body []byte) (*block.Batch, error) {
	b := &block.Batch{}
	return b, block.Decode(b, body)
}

// checkBytes is law 2 later on: what was named is as it was.
func (w *world) checkBytes() {
	for table, items := range w.bodies {
		for key, body := range items {
			if !bytes.Equal(w.tables[table][key], body) {
				w.violate(2, "item %v of table %s has changed since it was named", key, table)
			}
		}
	}
}

// checkReading is law 1: a reader that takes the items named up to a cut
// finds exactly the samples of the messages named up to it.
func (w *world) checkReading(j *naiveJournal, cut int) {
	want, wantRefused := map[row]int{}, map[row]int{}
	got, gotRefused := map[row]int{}, map[row]int{}
	for i := range j.commits[:cut] {
		c := &j.commits[i]
		kept, refused, overwritten := c.stored(j)
		add(want, kept)
		add(wantRefused, refused)
		w.checkCounts(j, c, overwritten)
		for _, i := range c.Items {
			w.read(j, j.table(), c.Key(i), got)
		}
		for _, q := range c.Quarantined {
			w.read(j, journal.QuarantineTable, c.Key(q.Item), gotRefused)
		}
	}
	if w.broken.believeAll && cut == len(j.commits) {
		clear(got)
		for key := range w.tables[j.table()] {
			w.read(j, j.table(), key, got)
		}
	}
	if !maps.Equal(want, got) {
		w.violate(1, "the items of %s that are named up to commit %d hold %d samples, and %d were sent; or not the same: %+v", j.id, cut, total(got), total(want), differing(want, got))
	}
	if !maps.Equal(wantRefused, gotRefused) {
		w.violate(1, "the quarantine of %s up to commit %d holds %d samples; want %d: %+v", j.id, cut, total(gotRefused), total(wantRefused), differing(wantRefused, gotRefused))
	}
}

// read adds the samples of an item.
func (w *world) read(j *naiveJournal, table string, key store.ItemKey, into map[row]int) {
	b, err := decodeItem(w.tables[table][key])
	if err != nil {
		w.violate(1, "item %v of table %s: %v", key, table, err)
		return
	}
	for i := range b.Runs() {
		var name string
		if i < len(b.Handles) {
			name = j.keys[b.Handles[i]]
		} else {
			name = b.Keys[i-len(b.Handles)]
		}
		start, end := b.Run(i)
		for at := start; at < end; at++ {
			into[row{j.id.Week, name, b.Times[at], b.Value(b.Kinds[i], at), b.Quality(at)}]++
		}
	}
}

// checkCounts holds what a commit says of itself against its messages.
func (w *world) checkCounts(j *naiveJournal, c *naiveCommit, overwritten uint64) {
	kept, refused, _ := c.stored(j)
	hours := map[int64]uint64{}
	for r, n := range kept {
		hours[r.time-(r.time%3600e9+3600e9)%3600e9] += uint64(n)
	}
	var sent, rejected, hourly uint64
	lives := map[message.Life]journal.Life{}
	for _, m := range c.messages {
		sent += m.message.Samples
		rejected += m.message.Rejected
		l := lives[m.message.Life]
		l.Samples += m.message.Samples
		l.Accepted = max(l.Accepted, m.message.Accepted)
		l.Last = max(l.Last, m.message.Stamp)
		l.Started = l.Started || m.message.Role == message.Start
		l.Closed = l.Closed || m.message.Role == message.Close
		lives[m.message.Life] = l
	}
	for _, h := range c.Hours {
		if hours[h.Start] != h.Samples {
			w.violate(1, "journal %s, position %d counts %d samples in the hour at %d; it has %d", j.id, c.position, h.Samples, h.Start, hours[h.Start])
		}
		hourly += h.Samples
	}
	if hourly != uint64(total(kept)) || c.Overwritten != overwritten || c.Rejected != rejected || c.Stored() != sent-uint64(total(refused)) {
		w.violate(1, "journal %s, position %d counts %d by hour, %d overwritten, %d rejected, %d stored; its messages %d, %d, %d, %d",
			j.id, c.position, hourly, c.Overwritten, c.Rejected, c.Stored(), total(kept), overwritten, rejected, sent-uint64(total(refused)))
	}
	for _, l := range c.Lives {
		want := lives[l.Life]
		if l.Samples != want.Samples || l.Accepted != want.Accepted || l.Last != want.Last || l.Started != want.Started || l.Closed != want.Closed {
			w.violate(1, "journal %s, position %d tells of life %s %+v; want %+v", j.id, c.position, l.Life, l, want)
		}
	}
}

// spot is a series' place in time.
type spot struct {
	week sample.Week
	key  string
	time int64
}

// candidate is one sample for a spot with all that law 6 orders by.
type candidate struct {
	row
	version, position uint64
	stamp             message.Stamp
	life              message.Life
	number            uint64
	place             int
}

func (c candidate) compare(d candidate) int {
	return cmp.Or(cmp.Compare(c.version, d.version), cmp.Compare(c.position, d.position), cmp.Compare(c.stamp, d.stamp),
		cmp.Compare(c.life, d.life), cmp.Compare(c.number, d.number), cmp.Compare(c.place, d.place))
}

func offer(best map[spot]candidate, c candidate) {
	s := spot{c.week, c.key, c.time}
	if known, ok := best[s]; !ok || known.compare(c) < 0 {
		best[s] = c
	}
}

// checkOrder is law 6: of the samples of one series and time, the one that
// the law's text says is the one that the items say.
func (w *world) checkOrder(j *naiveJournal) {
	want, got := map[spot]candidate{}, map[spot]candidate{}
	for i := range j.commits {
		c := &j.commits[i]
		highest := c.before
		for _, m := range c.messages {
			highest = max(highest, m.message.Stamp)
			good, _ := m.divided(j)
			for place, r := range good {
				offer(want, candidate{r, c.version(m), c.position, m.message.Stamp, m.message.Life, m.message.Number, place})
			}
		}
		if c.Horizon != highest {
			w.violate(6, "journal %s, position %d has horizon %d; its messages reach %d", j.id, c.position, c.Horizon, highest)
		}
		for _, i := range c.Items {
			w.offerItem(j, c, i, got)
		}
	}
	for s, c := range want {
		if g := got[s]; g.row != c.row {
			w.violate(6, "the winner of %q at %d in week %s is %+v; the law says %+v", s.key, s.time, s.week, g, c)
		}
	}
	if w.broken.oneVersion || w.broken.reversed {
		return // versions and positions are wrong anyway; whether a winner is, was asked
	}
	for s, c := range want {
		if g := got[s]; g.version != c.version || g.position != c.position {
			w.violate(6, "%q at %d in week %s has version %d and position %d; the law says %d and %d", s.key, s.time, s.week, g.version, g.position, c.version, c.position)
		}
	}
}

func (w *world) offerItem(j *naiveJournal, c *naiveCommit, i journal.Item, best map[spot]candidate) {
	b, err := decodeItem(w.tables[j.table()][c.Key(i)])
	if err != nil {
		return // law 1's finding
	}
	position := c.position
	if w.broken.reversed {
		position = ^position
	}
	for run := range b.Runs() {
		start, end := b.Run(run)
		for at := start; at < end; at++ {
			r := row{j.id.Week, j.keys[b.Handles[run]], b.Times[at], b.Value(b.Kinds[run], at), b.Quality(at)}
			offer(best, candidate{row: r, version: b.Versions[at], position: position})
		}
	}
}

// withVersion writes an item's samples as all of one version.
func withVersion(body []byte, version uint64) []byte {
	b, err := decodeItem(body)
	if err != nil {
		return body
	}
	for i := range b.Versions {
		b.Versions[i] = version
	}
	if body, err = block.Encode(nil, b); err != nil {
		panic(err)
	}
	return body
}

// checkSettled is law 3 in the end: every message is named, or it is poison
// and a dead letter.
func (w *world) checkSettled() {
	for id, t := range w.truths {
		if t.poison != (w.named[id] == "") {
			w.violate(3, "message %v, poison: %v, is named in the end: %v", id, t.poison, w.named[id] != "")
		}
		if t.poison && !w.broken.ackAtReceive && !slices.ContainsFunc(w.dead, func(q *queued) bool { return q.message == id }) {
			w.violate(3, "message %v cannot be handled, and is no dead letter", id)
		}
	}
}

func add(to, from map[row]int) {
	for r, n := range from {
		to[r] += n
	}
}

func total(rows map[row]int) int {
	n := 0
	for _, of := range rows {
		n += of
	}
	return n
}

// differing gives one row that two sets disagree on.
func differing(want, got map[row]int) row {
	for r, n := range want {
		if got[r] != n {
			return r
		}
	}
	for r, n := range got {
		if want[r] != n {
			return r
		}
	}
	return row{}
}
