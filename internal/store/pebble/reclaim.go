package pebble

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"

	"weir/internal/store"
)

const (
	// fewDeletes is how many deletes are not worth a compaction.
	fewDeletes = 32
	// tidyBytes is how many bytes of keys a compaction may move for each
	// deleted item. A key and where its body is take about 60.
	tidyBytes = 1 << 10
	// garbage is the share of deleted bodies that a table's blob files may
	// keep. BenchmarkDelete has what it costs.
	garbage = 0.25
	// moveBytes is about how many bytes of items are moved at a time.
	moveBytes = 4 << 20
)

// tidy takes note of deletes, and gives room back when there were many. It
// compacts the keys, so that blob files to which nobody refers go away. Where
// too much of the others is garbage, it writes what is left of the emptiest
// ones anew: each item under its key, as a Write of the same item would, so a
// crash at any point loses nothing.
//
// The deletes are durable already: what fails here is tried with the next ones.
func (s *Store) tidy(ctx context.Context, i *instance, path string, n int) {
	deletes := i.deletes.Add(int64(n))
	if i.isSick() || deletes < fewDeletes || deletes*tidyBytes < i.keyBytes() || !i.tidying.TryLock() {
		return
	}
	defer i.tidying.Unlock()
	i.deletes.Store(0)
	ctx, stop := i.whileWell(ctx)
	defer stop()
	err := i.reclaim(ctx, path)
	if err == nil || i.guard.failure() != nil {
		return
	}
	if isLoss(err) {
		i.sicken()
	}
	i.deletes.Add(deletes)
	s.cfg.Logger.Warn("the room of a table's deleted items is not free yet", "path", path, "error", err)
}

// reclaim gives room back.
func (i *instance) reclaim(ctx context.Context, path string) error {
	if err := i.compact(ctx); err != nil {
		return err
	}
	files, err := blobFiles(i.db, i.guard, path)
	if err != nil {
		return err
	}
	emptiest := emptiestFiles(files)
	if len(emptiest) == 0 {
		return nil
	}
	if err := i.moveItems(ctx, emptiest); err != nil {
		return err
	}
	return i.compact(ctx)
}

// compact compacts all keys.
func (i *instance) compact(ctx context.Context) error {
	return i.db.Compact(ctx, []byte{0}, bytes.Repeat([]byte{0xff}, store.KeySize+1), false)
}

// emptiestFiles gives the blob files without which no more than a share of the
// bodies is garbage. Those with the least left cost the least.
func emptiestFiles(files []blobFile) map[uint64]bool {
	var bodies, live uint64
	for _, f := range files {
		bodies += f.bodies
		live += f.live
	}
	slices.SortFunc(files, func(a, b blobFile) int { return cmp.Compare(a.live*b.bodies, b.live*a.bodies) })
	emptiest := map[uint64]bool{}
	for _, f := range files {
		if float64(bodies-live) <= garbage*float64(bodies) {
			break
		}
		emptiest[f.id] = true
		bodies -= f.bodies - f.live
	}
	return emptiest
}

// moveItems writes the items anew whose bodies are in these blob files.
func (i *instance) moveItems(ctx context.Context, files map[uint64]bool) error {
	it, err := i.db.NewIterWithContext(ctx, nil)
	if err != nil {
		return err
	}
	var keys [][]byte
	size := 0
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		body := it.LazyValue()
		if body.Fetcher == nil || !files[uint64(body.Fetcher.BlobFileID)] {
			continue
		}
		keys, size = append(keys, bytes.Clone(it.Key())), size+body.Len()
		if size >= moveBytes {
			err = i.moveBatch(ctx, keys)
			keys, size = keys[:0], 0
		}
	}
	if err == nil {
		err = it.Error()
	}
	if err == nil {
		err = i.moveBatch(ctx, keys)
	}
	return closing(it, err)
}

// moveBatch writes those of the items anew that are still there.
func (i *instance) moveBatch(ctx context.Context, keys [][]byte) error {
	i.moving.Lock()
	defer i.moving.Unlock()
	it, err := i.db.NewIterWithContext(ctx, nil)
	if err != nil {
		return err
	}
	b := i.db.NewBatch()
	for _, key := range keys {
		if !it.SeekGE(key) || !bytes.Equal(it.Key(), key) {
			if err = it.Error(); err != nil {
				break
			}
			continue
		}
		var body []byte
		if body, err = itemBody(it); err != nil {
			break
		}
		if err = b.Set(key, body, nil); err != nil {
			break
		}
	}
	if err = errors.Join(err, it.Close(), ctx.Err()); err != nil || b.Empty() {
		return errors.Join(err, b.Close())
	}
	if err := i.commit(b); err != nil {
		return err
	}
	return b.Close()
}

// whileWell gives a context that also ends when the folder freezes or is found
// damaged: a compaction that was asked for then never comes.
func (i *instance) whileWell(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(ctx)
	go func() {
		select {
		case <-i.guard.frozen:
		case <-i.sick:
		case <-ctx.Done():
		}
		stop()
	}()
	return ctx, stop
}

// sicken notes that something in the folder could not be read: until it is
// opened again, no room is given back.
func (i *instance) sicken() {
	i.sickOnce.Do(func() { close(i.sick) })
}

func (i *instance) isSick() bool {
	select {
	case <-i.sick:
		return true
	default:
		return false
	}
}

// keyBytes gives what the table's keys take, small bodies among them.
func (i *instance) keyBytes() (size int64) {
	levels := &i.db.Metrics().Levels
	for level := range levels {
		size += levels[level].TablesSize
	}
	return size
}
