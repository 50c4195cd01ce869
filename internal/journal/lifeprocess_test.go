package journal

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

// lifeProcess is one run of a process with a book of its own, which does one
// thing after the other and stops at each port call until it is let go on.
type lifeProcess struct {
	world   *lifeWorld
	book    *Book
	writers [lifePartitions]*Writer
	stopped chan bool
	resumed chan lifeOutcome
	doing   string // at a choice: what comes next
	idle    bool
	dead    bool
	name    string
}

func startLifeProcess(w *lifeWorld, name string) *lifeProcess {
	p := &lifeProcess{world: w, name: name, stopped: make(chan bool), resumed: make(chan lifeOutcome)}
	p.book = NewBook(lifeStore{p}, lifePartitions, w.rng.Uint64, nil)
	go func() {
		for p.choose(); !p.dead; p.choose() {
			p.act(context.Background())
		}
		p.stopped <- false
	}()
	<-p.stopped
	return p
}

func (p *lifeProcess) choose() {
	if p.dead {
		return
	}
	p.idle = true
	p.stopped <- true
	if o := <-p.resumed; o == lifeCrashBefore || o == lifeCrashAfter {
		p.dead = true
	}
	p.idle = false
}

func (p *lifeProcess) resume(o lifeOutcome) bool {
	p.resumed <- o
	return <-p.stopped
}

// call carries out a port call the way the schedule wants it.
func (p *lifeProcess) call(what string, do func(*lifeWorld) error) error {
	if p.dead {
		return errLifeDead
	}
	p.stopped <- true
	switch o := <-p.resumed; o {
	case lifeFail:
		return errLifeSilence
	case lifeLose:
		_ = do(p.world)
		return errLifeSilence
	case lifeDefer:
		if what == "append" || what == "put" || what == "write" || what == "delete" || what == "drop" || what == "ensure" || what == "object" {
			p.world.late = append(p.world.late, func() {
				if do(p.world) == nil {
					p.world.counts["calls that arrive after their error"]++
				}
			})
		}
		return errLifeSilence
	case lifeCrashAfter:
		_ = do(p.world)
		p.dead = true
		return errLifeDead
	case lifeCrashBefore:
		p.dead = true
		return errLifeDead
	}
	return do(p.world)
}

func (p *lifeProcess) act(ctx context.Context) {
	w := p.world
	revision := 0
	if vs := w.volumes(); len(vs) > 0 {
		revision = len(vs) - 1 - w.rng.IntN(min(2, len(vs)))
		if w.archivers {
			revision = w.rng.IntN(min(2, len(vs)))
		}
	}
	partition := w.rng.IntN(lifePartitions)
	switch p.doing {
	case "flush":
		p.flush(ctx, partition)
	case "merge":
		_ = p.merge(ctx, partition)
	case "seal":
		_ = p.book.SealVolume(ctx, lifeWeek, revision)
	case "drop", "discard":
		drop := p.book.DropVolume
		if p.doing == "discard" {
			drop = p.book.DiscardVolume
		}
		if w.broken.dropUnverified {
			drop = p.dropUnverified
		}
		switch err := drop(ctx, lifeWeek, revision, w.now()); {
		case errors.Is(err, ErrPinned):
			w.counts["drops that a pin refused"]++
		case errors.Is(err, ErrUnverified):
			w.counts["drops of what is not verified"]++
		}
	case "archive":
		p.archive(ctx, VolumeID{lifeWeek, revision})
	case "verify":
		p.verify(ctx, VolumeID{lifeWeek, revision})
	case "restore":
		if p.restore(ctx, VolumeID{lifeWeek, revision}) == nil {
			w.counts["restores"]++
		}
	case "sweep":
		if cut, err := p.cut(ctx); err == nil {
			_, _ = p.book.Sweep(ctx, lifeWeek, revision, cut, w.now())
		}
	case "orphans":
		_, _ = p.book.SweepOrphans(ctx, lifeWeek, revision)
	case "pin":
		p.pin(ctx)
	case "unpin":
		if len(w.pins) > 0 {
			i := w.rng.IntN(len(w.pins))
			pin := w.pins[i]
			w.pins = slices.Delete(w.pins, i, i+1)
			for r := range pin.revisions {
				_ = p.book.Unpin(ctx, lifeWeek, r, pin.Holder)
			}
		}
	case "held":
		if len(w.pins) > 0 {
			p.readHeld(ctx, w.pins[w.rng.IntN(len(w.pins))])
		}
	case "read":
		p.readNow(ctx)
	}
}

// flush takes some messages, also such as come again, and commits them.
func (p *lifeProcess) flush(ctx context.Context, partition int) {
	w := p.world
	id := store.JournalID{Week: lifeWeek, Partition: partition}
	if p.writers[partition] == nil || p.writers[partition].Broken() {
		if _, err := p.book.EnsureWeek(ctx, lifeWeek); err != nil {
			return
		}
		writer, err := OpenWriter(ctx, p.book.Journal(id), p.name, w.rng.Uint64)
		if err != nil {
			return
		}
		p.writers[partition] = writer
	}
	writer, class := p.writers[partition], Class(w.rng.IntN(int(Classes)))
	var taken, acks []*lifeMessage
	for _, m := range w.messages {
		if m.partition != partition || m.class != class || m.acked && w.rng.IntN(4) > 0 {
			continue
		}
		if w.broken.ackAtReceive {
			m.acked = true
		}
		named := false
		writer.Journal().View(func(s *State) { named = s.Named(m.id) })
		switch {
		case named:
			w.counts["deliveries of what is named already"]++
			if vs := w.volumes(); len(vs) > 0 && vs[0].State == VolumeDropped {
				w.counts["deliveries of what is named already after a drop"]++
			}
			acks = append(acks, m)
		case len(taken) < 3 && w.rng.IntN(4) > 0:
			taken = append(taken, m)
		}
	}
	for _, m := range acks {
		m.acked = true
	}
	for range 4 {
		if len(taken) == 0 {
			return
		}
		err := p.commit(ctx, writer, lifeSorted(taken), class)
		if err == nil {
			for _, m := range taken {
				m.acked = true
			}
			return
		}
		if errors.Is(err, ErrFenced) {
			w.counts["fenced workers"]++
		}
		if !errors.Is(err, ErrSealed) && !errors.Is(err, store.ErrNoTable) {
			return
		}
		w.counts["flushes written anew"]++
	}
}

func (p *lifeProcess) commit(ctx context.Context, writer *Writer, of []*lifeMessage, class Class) error {
	c := &Commit{Flush: writer.NewFlush(), Class: class, Buckets: 1 + p.world.rng.IntN(2), Span: int64(time.Hour)}
	var before message.Stamp
	writer.Journal().View(func(s *State) {
		c.Revision, before = s.Revision(), s.Horizon(class)
		if p.world.broken.oneHorizon {
			before = s.horizon.Latest()
		}
	})
	life := Life{Life: of[0].id.Life}
	c.Horizon = before
	for _, m := range of {
		c.Horizon = max(c.Horizon, m.stamp)
		life.Ranges = Numbers(life.Ranges).AddNumber(m.id.Number)
		life.Samples += uint64(len(m.rows))
	}
	c.Lives = []Life{life}
	best := map[lifeSpot]lifeRow{}
	for _, m := range of {
		for _, r := range m.rows {
			r.Version = Version(m.stamp, before, c.Horizon)
			if known, ok := best[lifeSpot{r.Series, r.Time}]; !ok || !known.beats(r) {
				best[lifeSpot{r.Series, r.Time}] = r
			}
		}
	}
	items, named := lifeItems(c.Flush, c.Buckets, slices.Collect(maps.Values(best)))
	c.Items = named
	hours := map[int64]uint64{}
	for _, r := range best {
		hours[int64(r.Time)*int64(time.Hour)]++
	}
	for _, start := range slices.Sorted(maps.Keys(hours)) {
		c.Hours = append(c.Hours, Hour{start, hours[start]})
	}
	volume, err := p.book.EnsureVolume(ctx, lifeWeek, c.Revision)
	if err != nil {
		return err
	}
	if err := (lifeStore{p}).Write(ctx, volume.Table, items); err != nil {
		return errors.Join(err, writer.Confirm(ctx))
	}
	return writer.Commit(ctx, c)
}

// lifeItems divides rows by span and bucket.
func lifeItems(flush store.FlushID, buckets int, rows []lifeRow) (items []store.Item, named []Item) {
	by := map[[2]int][]lifeRow{}
	for _, r := range rows {
		at := [2]int{r.Time, r.Series * buckets / 4}
		by[at] = append(by[at], r)
	}
	for _, at := range slices.SortedFunc(maps.Keys(by), func(a, b [2]int) int { return slices.Compare(a[:], b[:]) }) {
		body, err := json.Marshal(by[at])
		if err != nil {
			panic(err)
		}
		i := Item{Bucket: sample.FirstShard(at[1], buckets), Span: int64(at[0]) * int64(time.Hour), Samples: uint32(len(by[at])), Bytes: uint32(len(body))}
		named = append(named, i)
		items = append(items, store.Item{Key: store.ItemKey{Bucket: i.Bucket, Span: i.Span, Flush: flush}, Body: body})
	}
	return items, named
}

// merge brings some items of a span together, as internal/merge does.
func (p *lifeProcess) merge(ctx context.Context, partition int) error {
	id := store.JournalID{Week: lifeWeek, Partition: partition}
	j := p.book.Journal(id)
	if err := j.Refresh(ctx); err != nil {
		return err
	}
	flush, ok := p.book.NewMerge(j)
	if !ok {
		return nil
	}
	var inputs []Named
	for span := range j.Snapshot().Items.Spans() {
		revision := span[p.world.rng.IntN(len(span))].Revision
		of := slices.DeleteFunc(slices.Clone(span), func(n Named) bool { return n.Revision != revision })
		if len(of) > 1 && (inputs == nil || p.world.rng.IntN(2) == 0) {
			inputs = of
		}
	}
	if inputs == nil {
		return nil
	}
	m := &Merge{Flush: flush, Revision: inputs[0].Revision, Buckets: 1 + p.world.rng.IntN(2), Span: int64(time.Hour)}
	v, err := p.book.Volume(ctx, lifeWeek, m.Revision)
	if err != nil || v.State == VolumeDropped {
		return err
	}
	best := map[lifeSpot]lifeRow{}
	for i := range inputs {
		m.Replaces = append(m.Replaces, inputs[i].Key)
		rows, err := p.rows(ctx, v.Table, &inputs[i])
		if err != nil {
			return err
		}
		for _, r := range rows {
			if p.world.broken.mergeSome && i == 0 {
				continue
			}
			if p.world.broken.losePositions {
				r.Position = j.Snapshot().Cut
			}
			lifeOffer(best, r)
		}
	}
	slices.SortFunc(m.Replaces, CompareKeys)
	items, named := lifeItems(flush, m.Buckets, slices.Collect(maps.Values(best)))
	m.Items = named
	if err := (lifeStore{p}).Write(ctx, v.Table, items); err != nil {
		return err
	}
	if p.world.rng.IntN(2) == 0 { // unasked: the fold alone decides whether it counts
		j.mu.Lock()
		defer j.mu.Unlock()
		a := &appender{journal: j, id: p.world.rng.Uint64()}
		_, err = a.append(ctx, &Entry{Merge: m}, func() error { return nil })
		return err
	}
	counts, err := p.book.Merge(ctx, id, m)
	if !counts && err == nil {
		p.world.counts["merges that are spared"]++
	}
	return err
}
