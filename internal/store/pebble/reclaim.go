package pebble

import (
	"context"

	"weir/internal/store"
)

const (
	// fewDeletes is how many deletes are not worth a compaction.
	fewDeletes = 32
	// tidyBytes is how many bytes of keys a compaction may move for each
	// deleted item. A key and where its body is take about 60.
	tidyBytes = 1 << 10
)

// tidy takes note of deletes and compacts the keys when there were many. Then
// Pebble knows which bodies nobody refers to, and gives their room back behind
// the calls. It would do that by itself when enough is written, which a past
// week's table never sees.
//
// The deletes are durable already: what fails here is tried with the next ones.
func (i *instance) tidy(ctx context.Context, path string, n int, s *Store) {
	deletes := i.deletes.Add(int64(n))
	if deletes < fewDeletes || deletes*tidyBytes < i.keyBytes() {
		return
	}
	i.deletes.Store(0)
	ctx, stop := i.untilFrozen(ctx)
	defer stop()
	first, last := store.ItemKey{}.Append(nil), make([]byte, store.KeySize+1)
	for n := range last {
		last[n] = 0xff
	}
	if err := i.db.Compact(ctx, first[:1], last, false); err != nil && ctx.Err() == nil && i.guard.failure() == nil {
		i.deletes.Store(deletes)
		s.cfg.Logger.Warn("a table's keys could not be compacted: the room of deleted items is not free yet", "path", path, "error", err)
	}
}

// untilFrozen gives a context that also ends when the folder freezes: what
// Pebble then waits for never comes.
func (i *instance) untilFrozen(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(ctx)
	go func() {
		select {
		case <-i.guard.frozen:
			stop()
		case <-ctx.Done():
		}
	}()
	return ctx, stop
}

// keyBytes gives what the table's keys take, small bodies among them.
func (i *instance) keyBytes() (size int64) {
	for _, level := range i.db.Metrics().Levels {
		size += level.TablesSize
	}
	return size
}
