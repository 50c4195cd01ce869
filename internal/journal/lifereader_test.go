package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"weir/internal/store"
)

var errLifeMissing = errors.New("item is not there")

// rows reads an item's samples, with their positions.
func (p *lifeProcess) rows(ctx context.Context, table string, n *Named) (rows []lifeRow, err error) {
	err = errLifeMissing
	qerr := (lifeStore{p}).Query(ctx, table, n.Key.Bucket, n.Key.Span, n.Key.Span, func(i store.Item) bool {
		if i.Key != n.Key {
			return true
		}
		err = json.Unmarshal(i.Body, &rows)
		return false
	})
	for i := range rows {
		if !n.Merged {
			rows[i].Position = n.Position
		}
		if p.world.broken.reversed {
			rows[i].Position = ^rows[i].Position
		}
	}
	if qerr != nil {
		return nil, qerr
	}
	return rows, err
}

func (p *lifeProcess) cut(ctx context.Context) (cut []uint64, err error) {
	for partition := range lifePartitions {
		j := p.book.Journal(store.JournalID{Week: lifeWeek, Partition: partition})
		if err := j.Refresh(ctx); err != nil {
			return nil, err
		}
		cut = append(cut, j.Snapshot().Cut)
	}
	return cut, nil
}

// read gives what a cut names of volumes, each from its one source.
func (p *lifeProcess) read(ctx context.Context, cut []uint64, volumes map[int]VolumeRecord) (string, error) {
	var best [lifePartitions]map[lifeSpot]lifeRow
	for partition, at := range cut {
		best[partition] = map[lifeSpot]lifeRow{}
		s, err := p.book.At(ctx, store.JournalID{Week: lifeWeek, Partition: partition}, at)
		if err != nil {
			return "", err
		}
		for n := range s.Items.All() {
			v, ok := volumes[n.Revision]
			if !ok || v.Serves(cut) != FromTable {
				continue
			}
			rows, err := p.rows(ctx, v.Table, n)
			if err != nil {
				return "", err
			}
			for _, r := range rows {
				lifeOffer(best[partition], r)
			}
		}
	}
	for _, v := range volumes {
		switch v.Serves(cut) {
		case FromNowhere:
			return "", errLifeMissing
		case FromArchive:
			rows, err := p.object(v.Archive.Manifest)
			if err != nil {
				return "", err
			}
			p.world.counts["readings of archives"]++
			for partition := range rows {
				for _, r := range rows[partition] {
					lifeOffer(best[partition], r)
				}
			}
		}
	}
	if p.world.broken.reversed {
		for p := range best {
			for spot, r := range best[p] {
				r.Position = ^r.Position
				best[p][spot] = r
			}
		}
	}
	if p.world.broken.believeAll {
		p.believeAll(best, volumes)
	}
	return lifeText(best), nil
}

// believeAll takes all that the tables have: law 1, broken.
func (p *lifeProcess) believeAll(best [lifePartitions]map[lifeSpot]lifeRow, volumes map[int]VolumeRecord) {
	for r := range volumes {
		for key, body := range p.world.tables[VolumeID{lifeWeek, r}.table()] {
			var rows []lifeRow
			if err := json.Unmarshal(body, &rows); err != nil {
				panic(err)
			}
			for _, row := range rows {
				lifeOffer(best[partitionOf(key.Flush)], row)
			}
		}
	}
}

// standing gives the volumes that something serves at a cut, which was taken before.
func (p *lifeProcess) standing(ctx context.Context, cut []uint64) (map[int]VolumeRecord, error) {
	vs, err := p.book.Volumes(ctx, lifeWeek)
	out := map[int]VolumeRecord{}
	for _, v := range vs {
		if v.Serves(cut) != FromNowhere {
			out[v.Revision] = v
		}
	}
	return out, err
}

func lifeRevisions(volumes map[int]VolumeRecord) map[int]bool {
	out := map[int]bool{}
	for r := range volumes {
		out[r] = true
	}
	return out
}

func lifeMisses(err error) bool {
	return errors.Is(err, errLifeMissing) || errors.Is(err, store.ErrNoTable)
}

// readNow is a reader without a pin: one that misses something starts again.
func (p *lifeProcess) readNow(ctx context.Context) {
	for range 20 {
		cut, err := p.cut(ctx)
		if err != nil {
			return
		}
		volumes, err := p.standing(ctx, cut)
		if err != nil {
			return
		}
		got, err := p.read(ctx, cut, volumes)
		if lifeMisses(err) {
			p.world.counts["readers that started again"]++
			continue
		}
		if err == nil {
			p.compare(got, cut, lifeRevisions(volumes))
		}
		return
	}
	p.world.violate(5, "a reader without a pin found what it missed in none of 20 cuts")
}

func (p *lifeProcess) compare(got string, cut []uint64, revisions map[int]bool) {
	w := p.world
	w.counts["readings"]++
	if want := w.expected(cut, revisions); got != want {
		for _, law := range []int{1, 4, 6} {
			w.violate(law, "at cut %v, revisions %v a reader finds\n%s\nwant\n%s", cut, revisions, got, want)
		}
	}
}

// pin holds a cut and reads it for the first time.
func (p *lifeProcess) pin(ctx context.Context) {
	w := p.world
	cut, err := p.cut(ctx)
	if err != nil {
		return
	}
	volumes, err := p.standing(ctx, cut)
	if err != nil || len(volumes) == 0 {
		return
	}
	if w.rng.IntN(3) == 0 { // one that is old by now
		for i := range cut {
			cut[i] -= min(cut[i], uint64(w.rng.IntN(8)))
		}
	}
	pin := &lifePin{Pin: Pin{Holder: fmt.Sprint(p.name, " ", w.rng.Uint64()), Cut: cut, Expires: w.now().Add(time.Duration(50+w.rng.IntN(600)) * time.Second)}, revisions: lifeRevisions(volumes)}
	for r := range volumes {
		if err := p.book.Pin(ctx, lifeWeek, r, pin.Pin, w.now()); err != nil {
			if errors.Is(err, ErrRemoved) {
				w.counts["pins that are refused"]++
			}
			return // what is pinned already expires
		}
	}
	w.pins = append(w.pins, pin)
	p.readHeld(ctx, pin)
}

// readHeld is law 5: at a cut that is held there is at any time what there was.
func (p *lifeProcess) readHeld(ctx context.Context, pin *lifePin) {
	w := p.world
	vs, err := p.book.Volumes(ctx, lifeWeek)
	if err != nil {
		return
	}
	volumes := map[int]VolumeRecord{}
	for _, v := range vs {
		if pin.revisions[v.Revision] {
			volumes[v.Revision] = v
		}
	}
	got, err := p.read(ctx, pin.Cut, volumes)
	if !slices.Contains(w.pins, pin) || !pin.Expires.After(w.now()) {
		return // let go of meanwhile
	}
	if lifeMisses(err) {
		w.violate(5, "a reader that holds cut %v misses an item: %v", pin.Cut, err)
	}
	if err != nil {
		return
	}
	w.counts["readings of held cuts"]++
	if pin.read != "" && got != pin.read {
		w.violate(5, "cut %v has moved", pin.Cut)
	}
	pin.read = got
	p.compare(got, pin.Cut, pin.revisions)
}
