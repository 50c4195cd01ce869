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

// read gives what a cut names in revisions.
func (p *lifeProcess) read(ctx context.Context, cut []uint64, revisions map[int]bool) (string, error) {
	var best [lifePartitions]map[lifeSpot]lifeRow
	for partition, at := range cut {
		best[partition] = map[lifeSpot]lifeRow{}
		s, err := p.book.At(ctx, store.JournalID{Week: lifeWeek, Partition: partition}, at)
		if err != nil {
			return "", err
		}
		for n := range s.Items.All() {
			if !revisions[n.Revision] {
				continue
			}
			rows, err := p.rows(ctx, VolumeID{lifeWeek, n.Revision}.table(), n)
			if err != nil {
				return "", err
			}
			for _, r := range rows {
				lifeOffer(best[partition], r)
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
		p.believeAll(best, revisions)
	}
	return lifeText(best), nil
}

// believeAll takes all that the tables have: law 1, broken.
func (p *lifeProcess) believeAll(best [lifePartitions]map[lifeSpot]lifeRow, revisions map[int]bool) {
	for r := range revisions {
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

// standing gives the revisions that are not dropped. The cut is taken before.
func (p *lifeProcess) standing(ctx context.Context) (map[int]bool, error) {
	vs, err := p.book.Volumes(ctx, lifeWeek)
	out := map[int]bool{}
	for _, v := range vs {
		if v.State != VolumeDropped {
			out[v.Revision] = true
		}
	}
	return out, err
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
		revisions, err := p.standing(ctx)
		if err != nil {
			return
		}
		got, err := p.read(ctx, cut, revisions)
		if lifeMisses(err) {
			p.world.counts["readers that started again"]++
			continue
		}
		if err == nil {
			p.compare(got, cut, revisions)
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
	if w.rng.IntN(3) == 0 { // one that is old by now
		for i := range cut {
			cut[i] -= min(cut[i], uint64(w.rng.IntN(8)))
		}
	}
	revisions, err := p.standing(ctx)
	if err != nil || len(revisions) == 0 {
		return
	}
	pin := &lifePin{Pin: Pin{Holder: fmt.Sprint(p.name, " ", w.rng.Uint64()), Cut: cut, Expires: w.now().Add(time.Duration(50+w.rng.IntN(600)) * time.Second)}, revisions: revisions}
	for r := range revisions {
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
	got, err := p.read(ctx, pin.Cut, pin.revisions)
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
