package pebble

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	engine "github.com/cockroachdb/pebble/v2"

	"weir/internal/store"
	"weir/internal/store/pebble/names"
)

// The layout's names. Names that begin with a dot are no tables: what is being
// made, and what was dropped and is being removed.
const (
	fileFormat    = "FORMAT"
	fileLock      = "LOCK"
	folderJournal = "journals"
	folderWeeks   = "weeks"
	folderDamaged = "damaged"
	prefixMaking  = ".making-"
	prefixDropped = ".dropped-"
)

// Open opens the store, and makes it where there is none. Nothing in it is
// opened until it is used, but for the journals.
func Open(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Store{
		cfg:    cfg,
		cache:  engine.NewCache(cfg.CacheBytes),
		files:  engine.NewFileCache(4, 256),
		tables: map[string]*folder{},
		aside:  map[string]string{},
	}
	s.journals = &folder{name: folderJournal, path: s.path(folderJournal)}
	if err := s.prepare(); err != nil {
		_ = s.Close()
		return nil, wrap("open", cfg.Dir, err)
	}
	i, err := s.journals.acquire(s)
	if err != nil {
		_ = s.Close()
		return nil, wrap("open", cfg.Dir, err)
	}
	i.release(s, s.journals.path)
	return s, nil
}

// prepare takes the lock, makes what is missing of a new layout, and reads
// which tables there are.
func (s *Store) prepare() error {
	if err := s.cfg.FS.MkdirAll(s.cfg.Dir, 0o755); err != nil {
		return err
	}
	lock, err := s.cfg.FS.Lock(s.path(fileLock))
	var errno syscall.Errno
	if errors.As(err, &errno) && errno != syscall.EAGAIN {
		return err // the file could not be made
	}
	if err != nil {
		return &store.Error{Op: "open", Key: s.cfg.Dir, Hint: hintLocked, Err: fmt.Errorf("%w: %w", store.ErrUnavailable, err)}
	}
	s.lock = lock
	version, err := s.readFormat()
	switch {
	case err != nil:
		return err
	case version == 0:
		err = s.create()
	default:
		err = s.upgrade(version)
	}
	if err != nil {
		return err
	}
	if err := s.syncAncestors(); err != nil {
		return err
	}
	if err := s.readTables(); err != nil {
		return err
	}
	return s.readAside()
}

// create makes the layout, FORMAT last, so that a layout with FORMAT is whole.
// A crash before that leaves folders without data, which are taken over.
func (s *Store) create() error {
	if err := s.refuseForeign(); err != nil {
		return err
	}
	for _, folder := range []string{folderWeeks, folderDamaged} {
		if err := s.cfg.FS.MkdirAll(s.path(folder), 0o755); err != nil {
			return err
		}
	}
	if !s.exists(s.journals.path) {
		if err := s.makeFolder(s.cfg.Dir, folderJournal, false); err != nil {
			return err
		}
	}
	if err := s.sync(s.cfg.Dir); err != nil {
		return err
	}
	return s.writeFormat(formatVersion) // prepare syncs the folder
}

// refuseForeign gives an error when a folder without FORMAT holds data: then
// FORMAT was lost, and to go on as if the store were new could hide more.
func (s *Store) refuseForeign() error {
	lost := fmt.Errorf("%w: %s is missing, but the folder holds data", store.ErrCorrupt, s.path(fileFormat))
	names, err := s.cfg.FS.List(s.path(folderWeeks))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(names) > 0 {
		return lost
	}
	if !s.exists(s.journals.path) {
		return nil
	}
	i, err := s.journals.acquire(s)
	if err != nil {
		return err
	}
	defer i.release(s, s.journals.path)
	it, err := i.db.NewIter(nil)
	if err != nil {
		return err
	}
	empty := !it.First()
	if err := it.Close(); err != nil {
		return err
	}
	if !empty {
		return lost
	}
	return nil
}

// syncAncestors syncs the folder and those above it. A process that was killed
// may have made any of them without syncing the one that names it. Those above
// that cannot be synced were hardly made by this user: that is no reason to
// stand still.
func (s *Store) syncAncestors() error {
	for _, dir := range []string{s.path(folderWeeks), s.path(folderDamaged), s.cfg.Dir} {
		if err := s.sync(dir); err != nil {
			return err
		}
	}
	for dir := s.cfg.Dir; ; {
		parent := s.cfg.FS.PathDir(dir)
		if parent == dir {
			return nil
		}
		if err := s.sync(parent); err != nil {
			s.cfg.Logger.Info("a folder above the store cannot be synced", "path", parent, "error", err)
		}
		dir = parent
	}
}

// readTables lists the tables, and removes what was dropped or never made.
func (s *Store) readTables() error {
	entries, err := s.cfg.FS.List(s.path(folderWeeks))
	if err != nil {
		return err
	}
	for _, name := range entries {
		path := s.path(folderWeeks, name)
		switch {
		case names.IsTable(name):
			s.tables[name] = &folder{name: name, path: path}
		case strings.HasPrefix(name, prefixMaking), strings.HasPrefix(name, prefixDropped):
			if err := s.cfg.FS.RemoveAll(path); err != nil {
				return err
			}
		default:
			s.cfg.Logger.Warn("not a table, left alone", "path", path)
		}
	}
	return nil
}
