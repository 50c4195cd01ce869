package pebble

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"weir/internal/store"
	"weir/internal/store/pebble/names"
)

// errHealthy refuses to set a table aside.
var errHealthy = errors.New("no damage of the table is known: verify the store first")

// asideError is the error of calls on a table that was set aside.
func asideError(path string) error {
	return &store.Error{
		Op: "open", Key: path, Hint: hintAside,
		Err: fmt.Errorf("%w: the table was set aside", store.ErrCorrupt),
	}
}

// SetAside moves a table with damage to the folder of damaged ones. It is
// there, or still where it was, after a crash.
func (s *Store) SetAside(ctx context.Context, table string) error {
	if err := s.enter(ctx); err != nil {
		return wrap("set aside", table, err)
	}
	defer s.calls.Done()
	if !names.IsTable(table) {
		return wrap("set aside", table, names.BadTable(table))
	}
	if !s.isDamaged(s.path(folderWeeks, table)) {
		return wrap("set aside", table, errHealthy)
	}
	aside := s.path(folderDamaged, table)
	if err := s.cfg.FS.MkdirAll(s.path(folderDamaged), 0o755); err != nil {
		return wrap("set aside", table, err)
	}
	s.shape.Lock()
	defer s.shape.Unlock()
	s.mu.Lock()
	_, taken := s.aside[table]
	s.mu.Unlock()
	if taken {
		return wrap("set aside", table, asideError(aside))
	}
	return wrap("set aside", table, s.moveTable(table, aside))
}

// dropAside frees the name of a table that was set aside. Its files stay, under
// a name that no table has. shape is held.
func (s *Store) dropAside(table, path string) error {
	for n := range 1 << 20 {
		kept := path + "." + strconv.Itoa(n)
		if s.exists(kept) {
			continue
		}
		s.unsynced.Store(true)
		if err := s.cfg.FS.Rename(path, kept); err != nil {
			return err
		}
		s.mu.Lock()
		delete(s.aside, table)
		s.mu.Unlock()
		return s.syncShape()
	}
	return fmt.Errorf("%w: too many folders of %s are left in %s", store.ErrUnavailable, table, s.path(folderDamaged))
}

// readAside lists the tables that are set aside. A table that is there as well
// was made by hand: it counts.
func (s *Store) readAside() error {
	entries, err := s.cfg.FS.List(s.path(folderDamaged))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range entries {
		if names.IsTable(name) && s.tables[name] == nil {
			s.aside[name] = s.path(folderDamaged, name)
			s.cfg.Logger.Warn("a damaged table is set aside", "path", s.aside[name])
		}
	}
	return nil
}
