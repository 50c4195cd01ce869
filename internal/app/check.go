package app

import (
	"context"
	"errors"
	"fmt"

	"weir/internal/block"
	"weir/internal/datafolder"
	"weir/internal/journal"
	"weir/internal/sample"
	"weir/internal/store"
)

// Report is what Check found.
type Report struct {
	Format   int      `json:"data_format"`
	Journals int      `json:"journals"`
	Series   int      `json:"series"`
	Items    int      `json:"items"`
	Samples  uint64   `json:"samples"`
	Queued   uint64   `json:"queued_messages"`
	Problems []string `json:"problems"`
}

// Check reads every item that a journal names and compares what it holds with
// what its journal says.
func Check(ctx context.Context, a *App) (Report, error) {
	r := Report{Format: datafolder.Format, Series: a.catalog.Len(), Problems: []string{}}
	for queue := range a.queues.Queues() {
		d, err := a.queues.Depth(ctx, queue)
		if err != nil {
			return r, err
		}
		r.Queued += d.Messages
	}
	for _, j := range a.book.Journals() {
		r.Journals++
		if err := a.checkJournal(ctx, j, &r); err != nil {
			return r, err
		}
	}
	err := a.checkStore(ctx, &r)
	return r, err
}

// checkStore reads all of the store's files, where it has files.
func (a *App) checkStore(ctx context.Context, r *Report) error {
	inspector, ok := a.store.(store.Inspector)
	if !ok {
		return nil
	}
	list, err := inspector.Verify(ctx)
	for _, d := range list {
		r.Problems = append(r.Problems, fmt.Sprintf("store, %s: %s: %s", d.Owner, d.Path, d.What))
	}
	return err
}

// SetAside moves a table of the store out of the way, whose damage a check has
// found.
func SetAside(ctx context.Context, a *App, table string) error {
	inspector, ok := a.store.(store.Inspector)
	if !ok {
		return errors.New("this store has no files to set aside")
	}
	if _, err := inspector.Verify(ctx); err != nil {
		return err
	}
	return inspector.SetAside(ctx, table)
}

func (a *App) checkJournal(ctx context.Context, j *journal.Journal, r *Report) error {
	revisions := map[int]map[store.ItemKey]uint32{} // with their samples
	for n := range j.Snapshot().Items.All() {
		if revisions[n.Revision] == nil {
			revisions[n.Revision] = map[store.ItemKey]uint32{}
		}
		revisions[n.Revision][n.Key] = n.Samples
	}
	for revision, named := range revisions {
		if err := a.checkItems(ctx, j, revision, named, r); err != nil {
			return err
		}
	}
	return nil
}

// checkItems reads the items of one revision that a journal names.
func (a *App) checkItems(ctx context.Context, j *journal.Journal, revision int, named map[store.ItemKey]uint32, r *Report) error {
	volume, err := a.book.Volume(ctx, j.ID().Week, revision)
	if err != nil || volume.Gone() {
		return err
	}
	buckets := map[sample.Shard][]store.ItemKey{}
	for key := range named {
		buckets[key.Bucket] = append(buckets[key.Bucket], key)
	}
	for bucket, keys := range buckets {
		first, last := keys[0].Span, keys[0].Span
		for _, k := range keys {
			first, last = min(first, k.Span), max(last, k.Span)
		}
		err := a.store.Query(ctx, volume.Table, bucket, first, last, func(item store.Item) bool {
			samples, ok := named[item.Key]
			if !ok {
				return true
			}
			delete(named, item.Key)
			var b block.Batch
			if err := block.Decode(&b, item.Body); err != nil {
				r.Problems = append(r.Problems, fmt.Sprintf("table %s, item %v: %v", volume.Table, item.Key, err))
			} else if b.Samples() != int(samples) {
				r.Problems = append(r.Problems, fmt.Sprintf("table %s, item %v: %d samples; its commit says %d", volume.Table, item.Key, b.Samples(), samples))
			}
			r.Items++
			r.Samples += uint64(b.Samples())
			return true
		})
		if err != nil {
			r.Problems = append(r.Problems, fmt.Sprintf("table %s: %v", volume.Table, err))
		}
	}
	for key := range named {
		r.Problems = append(r.Problems, fmt.Sprintf("table %s has no item %v, which journal %s names", volume.Table, key, j.ID()))
	}
	return nil
}
