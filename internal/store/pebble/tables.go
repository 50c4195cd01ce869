package pebble

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"weir/internal/store"
	"weir/internal/store/pebble/names"
)

// syncWeeks makes the tables' names durable, where an earlier sync failed.
func (s *Store) syncWeeks() error {
	if !s.unsynced.Load() {
		return nil
	}
	s.shape.Lock()
	defer s.shape.Unlock()
	return s.syncShape()
}

// syncShape is syncWeeks for a caller that holds shape.
func (s *Store) syncShape() error {
	if !s.unsynced.Load() {
		return nil
	}
	for _, dir := range []string{s.cfg.Dir, s.path(folderDamaged), s.path(folderWeeks)} {
		if err := s.sync(dir); err != nil {
			return err
		}
	}
	s.unsynced.Store(false)
	return nil
}

// Ensure makes a table unless it is there.
func (s *Store) Ensure(ctx context.Context, table string) error {
	if err := s.enter(ctx); err != nil {
		return wrap("ensure", table, err)
	}
	defer s.calls.Done()
	if !names.IsTable(table) {
		return wrap("ensure", table, names.BadTable(table))
	}
	s.mu.Lock()
	there, aside := s.tables[table] != nil, s.aside[table]
	s.mu.Unlock()
	if there {
		return wrap("ensure", table, s.syncWeeks())
	}
	if aside != "" {
		return wrap("ensure", table, asideError(aside))
	}
	return wrap("ensure", table, s.makeTable(table))
}

func (s *Store) makeTable(table string) error {
	s.shape.Lock()
	defer s.shape.Unlock()
	s.mu.Lock()
	there := s.tables[table] != nil
	s.mu.Unlock()
	if !there {
		s.unsynced.Store(true)
		if err := s.makeFolder(s.path(folderWeeks), table, true); err != nil {
			return err
		}
		s.mu.Lock()
		s.tables[table] = &folder{name: table, path: s.path(folderWeeks, table)}
		s.mu.Unlock()
	}
	return s.syncShape()
}

// Names lists the tables.
func (s *Store) Names(ctx context.Context) ([]string, error) {
	if err := s.enter(ctx); err != nil {
		return nil, wrap("list tables", s.cfg.Dir, err)
	}
	defer s.calls.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.tables)), nil
}

// Drop removes a table. It is gone once its folder has another name; what is
// left of that after a crash is removed by the next Open.
func (s *Store) Drop(ctx context.Context, table string) error {
	if err := s.enter(ctx); err != nil {
		return wrap("drop", table, err)
	}
	defer s.calls.Done()
	if !names.IsTable(table) {
		return wrap("drop", table, names.BadTable(table))
	}
	dropped, err := s.unname(table)
	if err != nil || dropped == "" {
		return wrap("drop", table, err)
	}
	if err := s.cfg.FS.RemoveAll(dropped); err != nil {
		// The table is dropped all the same; only its room is not free yet.
		s.cfg.Logger.Warn("a dropped table's folder could not be removed; the next start will try again", "path", dropped, "error", err)
	}
	return nil
}

// unname takes a table's name away, and gives the path of what is to be
// removed, or "".
func (s *Store) unname(table string) (string, error) {
	s.shape.Lock()
	defer s.shape.Unlock()
	s.mu.Lock()
	f, aside := s.tables[table], s.aside[table]
	s.mu.Unlock()
	if aside != "" {
		return "", s.dropAside(table, aside)
	}
	if f == nil {
		return "", s.syncShape()
	}
	dropped, err := s.freeName(table)
	if err != nil {
		return "", err
	}
	return dropped, s.moveTable(table, dropped)
}

// moveTable renames a table's folder to one that is no table. Whoever uses the
// table meanwhile goes on reading what is still there, and no longer writes.
// shape is held.
func (s *Store) moveTable(table, to string) error {
	s.mu.Lock()
	f := s.tables[table]
	s.mu.Unlock()
	if f == nil {
		return store.ErrNoTable
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current != nil {
		f.current.guard.freeze(store.ErrNoTable)
		f.retire(s)
	}
	s.unsynced.Store(true)
	if err := s.cfg.FS.Rename(f.path, to); err != nil {
		return err
	}
	f.dropped = true
	s.mended(f.path, true)
	s.mu.Lock()
	delete(s.tables, table)
	s.recent = without(s.recent, f)
	if s.cfg.FS.PathDir(to) == s.path(folderDamaged) {
		s.aside[table] = to
	}
	s.mu.Unlock()
	return s.syncShape()
}

// freeName gives a path for a dropped table that nothing has: an earlier one
// of the same name may not be removed yet.
func (s *Store) freeName(table string) (string, error) {
	for n := range 1 << 20 {
		if path := s.path(folderWeeks, prefixDropped+table+"-"+strconv.Itoa(n)); !s.exists(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: too many dropped folders of %s are left in %s", store.ErrUnavailable, table, s.path(folderWeeks))
}
