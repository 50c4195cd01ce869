package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"weir/internal/sample"
	"weir/internal/store"
	"weir/internal/store/pebble/checkpoint"
)

// namer writes items and then names them in a journal, and removes some after
// the journal says so, as workers and sweepers do.
type namer struct {
	store *Store
	id    store.JournalID
	table string
}

func (n namer) run(ctx context.Context) error {
	var position uint64
	tell := func(word byte, span int) error {
		err := n.store.Append(ctx, n.id, position, binary.BigEndian.AppendUint32([]byte{word}, uint32(span)))
		position++
		return err
	}
	for span := 0; ctx.Err() == nil; span++ {
		list := items(1, span+1, 2000)[span:]
		err := n.store.Write(ctx, n.table, list)
		if err == nil {
			err = tell('+', span)
		}
		if gone := span - 3; err == nil && span%2 == 1 && gone >= 0 {
			if err = tell('-', gone); err == nil {
				err = n.store.Delete(ctx, n.table, []store.ItemKey{bucketKey(1, gone)})
			}
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// named counts the items that a journal names, and those that are missing.
func (n namer) named(t *testing.T, s *Store) (named, missing int) {
	t.Helper()
	entries, err := s.Read(background(), n.id, 0, 1<<20)
	must(t, "read", err)
	spans := map[int64]bool{}
	for _, e := range entries {
		span := int64(binary.BigEndian.Uint32(e[1:]))
		if spans[span] = true; e[0] == '-' {
			delete(spans, span)
		}
	}
	named = len(spans)
	must(t, "query", s.Query(background(), n.table, sample.Shard(1), 0, 1<<40, func(i store.Item) bool {
		delete(spans, i.Key.Span)
		return true
	}))
	return named, len(spans)
}

func TestASnapshotHasEveryItemThatItsJournalsName(t *testing.T) {
	fs := vfs.NewMem()
	s := openMem(t, memConfig(fs))
	ctx, stop := context.WithCancel(background())
	defer stop()
	var work sync.WaitGroup
	namers := make([]namer, 5) // more than are kept open
	for i := range namers {
		namers[i] = namer{s, store.JournalID{Week: 10, Partition: i}, fmt.Sprintf("t%d", i)}
		must(t, "ensure", s.Ensure(ctx, namers[i].table))
		work.Go(func() {
			if err := namers[i].run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	rounds := 10
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		cfg := memConfig(fs)
		cfg.Dir = fmt.Sprintf("/var/weir/copies/%d", round)
		moments := 0
		must(t, "snapshot", s.Snapshot(ctx, cfg.Dir, func(context.Context) error { moments++; return nil }))
		if moments != 1 {
			t.Fatalf("moment ran %d times", moments)
		}
		restored := openMem(t, cfg)
		for _, n := range namers {
			if named, missing := n.named(t, restored); missing > 0 {
				t.Fatalf("round %d: %s has %d of %d items that its journal names", round, n.table, named-missing, named)
			}
		}
	}
	stop()
	work.Wait()
}

func TestNothingIsRemovedWhileASnapshotIsTaken(t *testing.T) {
	fs := vfs.NewMem()
	s := openMem(t, memConfig(fs))
	list := items(1, 10, 2000)
	for _, table := range []string{"kept", "dropped"} {
		must(t, "ensure", s.Ensure(background(), table))
		must(t, "write", s.Write(background(), table, list))
	}
	removed := make(chan error, 2)
	cfg := memConfig(fs)
	cfg.Dir = "/var/weir/copy"
	must(t, "snapshot", s.Snapshot(background(), cfg.Dir, func(context.Context) error {
		go func() { removed <- s.Delete(background(), "kept", keysOf(list)) }()
		go func() { removed <- s.Drop(background(), "dropped") }()
		select {
		case err := <-removed:
			t.Errorf("something was removed while the snapshot's moment ran: %v", err)
		case <-time.After(100 * time.Millisecond):
		}
		return nil
	}))
	must(t, "delete and drop", errors.Join(<-removed, <-removed))
	restored := openMem(t, cfg)
	find(t, restored, "kept", list)
	find(t, restored, "dropped", list)
	find(t, s, "kept", nil)
}

func TestASnapshotHasWhatIsDamagedAsItIs(t *testing.T) {
	cfg := damagedFolder(t)
	s := openMem(t, cfg)
	copied := cfg
	copied.Dir = cfg.FS.PathJoin(t.TempDir(), "copy")
	must(t, "snapshot", s.Snapshot(background(), copied.Dir, func(context.Context) error { return nil }))
	var walk func(dir string) (files []string)
	walk = func(dir string) (files []string) {
		names, err := cfg.FS.List(dir)
		must(t, "list", err)
		for _, name := range names {
			path := cfg.FS.PathJoin(dir, name)
			if info, err := cfg.FS.Stat(path); err == nil && info.IsDir() {
				files = append(files, walk(path)...)
			} else if checkpoint.Fixed(name) {
				f, err := cfg.FS.Open(path)
				must(t, "open", err)
				data, err := io.ReadAll(f)
				must(t, "read", closing(f, err))
				files = append(files, name+string(data))
			}
		}
		return files
	}
	if here, there := walk(cfg.Dir), walk(copied.Dir); len(here) == 0 || strings.Join(here, "\n") != strings.Join(there, "\n") {
		t.Errorf("%d files were copied to %d, or to others", len(here), len(there))
	}
}

func TestASnapshotThatFindsNoRoomLeavesTheStoreAlone(t *testing.T) {
	disk := newSickDisk()
	cfg := memConfig(disk)
	s := openMem(t, cfg)
	must(t, "ensure", s.Ensure(background(), "t"))
	must(t, "write", s.Write(background(), "t", items(1, 10, 2000)))
	for _, part := range []string{"/copy", "/copy/journals", "/copy/weeks/t"} {
		disk.set(full(part, growing...))
		dir := "/var/weir" + part[:len("/copy")]
		if err := s.Snapshot(background(), dir, func(context.Context) error { return nil }); err == nil {
			t.Fatalf("a snapshot without room for %s gives no error", part)
		}
		must(t, "write after a snapshot that failed", s.Write(background(), "t", items(1, 20, 2000)))
		if n := s.Metrics().Failures; n != 0 {
			t.Fatalf("without room for %s, %d folders of the store failed with the snapshot", part, n)
		}
		disk.heal()
		must(t, "remove", disk.RemoveAll(dir))
	}
	disk.heal()
	must(t, "snapshot", s.Snapshot(background(), "/var/weir/copy2", func(context.Context) error { return nil }))
}
