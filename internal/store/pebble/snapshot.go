package pebble

import (
	"context"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"weir/internal/store/pebble/checkpoint"
)

// Snapshot copies the store to dir, which is not there yet and lies beside the
// store on one file system: files that never change are linked, so it takes
// little time and room. From before moment until all is copied nothing is removed:
// deletes and drops wait, and so do tables that are to be made.
//
// The journals are copied first. So an item that the copy's journals name is in
// the copy: it was durable before it was named, and was not removed meanwhile. An
// item that was written since is an orphan there, which is swept once the
// copy's journals are taken over.
//
// What is damaged is copied as it is.
func (s *Store) Snapshot(ctx context.Context, dir string, moment func(context.Context) error) error {
	if err := s.enter(ctx); err != nil {
		return wrap("copy", dir, err)
	}
	defer s.calls.Done()
	s.removals.Lock()
	defer s.removals.Unlock()
	s.shape.Lock()
	defer s.shape.Unlock()
	if err := moment(ctx); err != nil {
		return err
	}
	return wrap("copy", dir, s.snapshot(ctx, dir))
}

func (s *Store) snapshot(ctx context.Context, dir string) error {
	disk := s.cfg.FS
	for _, folder := range []string{folderWeeks, folderDamaged} {
		if err := disk.MkdirAll(disk.PathJoin(dir, folder), 0o755); err != nil {
			return err
		}
	}
	if err := s.snapshotFolder(s.journals, disk.PathJoin(dir, folderJournal)); err != nil {
		return err
	}
	s.mu.Lock()
	tables := make([]*folder, 0, len(s.tables))
	for _, f := range s.tables {
		tables = append(tables, f)
	}
	s.mu.Unlock()
	slices.SortFunc(tables, func(a, b *folder) int { return strings.Compare(a.name, b.name) })
	for _, f := range tables {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.snapshotFolder(f, disk.PathJoin(dir, folderWeeks, f.name)); err != nil {
			return err
		}
	}
	aside, err := disk.List(s.path(folderDamaged))
	if err != nil {
		return err
	}
	for _, name := range aside {
		if err := checkpoint.Folder(disk, s.path(folderDamaged, name), disk.PathJoin(dir, folderDamaged, name)); err != nil {
			return err
		}
	}
	return vfs.Copy(disk, s.path(fileFormat), disk.PathJoin(dir, fileFormat))
}

// snapshotFolder copies one Pebble folder. One that is not open, or open to be
// read only, does not change while its lock is held.
func (s *Store) snapshotFolder(f *folder, to string) error {
	f.mu.Lock()
	i := f.current
	if i == nil || i.readOnly != nil {
		defer f.mu.Unlock()
		return checkpoint.Folder(s.cfg.FS, f.path, to)
	}
	i.use()
	f.mu.Unlock()
	defer i.release(s, f.path)
	err := i.db.Checkpoint(to)
	if cause := i.guard.failure(); cause != nil {
		return unavailable(cause)
	}
	return err
}
