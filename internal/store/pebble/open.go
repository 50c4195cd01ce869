package pebble

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"weir/internal/store"
)

// The layout's names. Names that begin with a dot are no tables: what is being
// made, and what was dropped and is being removed.
const (
	formatName    = "weir-store-pebble"
	formatVersion = 1

	fileFormat    = "FORMAT"
	fileLock      = "LOCK"
	folderJournal = "journals"
	folderWeeks   = "weeks"
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
	if err != nil {
		return &store.Error{Op: "open", Key: s.cfg.Dir, Hint: hintLocked, Err: fmt.Errorf("%w: %w", store.ErrUnavailable, err)}
	}
	s.lock = lock
	made, err := s.checkFormat()
	if err != nil {
		return err
	}
	if !made {
		if err := s.create(); err != nil {
			return err
		}
	}
	if err := s.syncAncestors(); err != nil {
		return err
	}
	return s.readTables()
}

// checkFormat reads FORMAT and says whether there is one.
func (s *Store) checkFormat() (bool, error) {
	f, err := s.cfg.FS.Open(s.path(fileFormat))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, 256))
	if err != nil {
		return false, err
	}
	name, number, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	version, err := strconv.Atoi(number)
	if name != formatName || err != nil || version < 1 {
		return false, fmt.Errorf("%w: %s says %q, not %q and a version", store.ErrCorrupt, s.path(fileFormat), text, formatName)
	}
	if version > formatVersion {
		return false, &store.Error{
			Op: "open", Key: s.cfg.Dir, Hint: hintNewer,
			Err: fmt.Errorf("%w: the folder is of version %d, this program knows up to %d", store.ErrVersion, version, formatVersion),
		}
	}
	return true, nil
}

// create makes the layout, FORMAT last, so that a layout with FORMAT is whole.
// A crash before that leaves folders without data, which are taken over.
func (s *Store) create() error {
	if err := s.refuseForeign(); err != nil {
		return err
	}
	if err := s.cfg.FS.MkdirAll(s.path(folderWeeks), 0o755); err != nil {
		return err
	}
	if !s.exists(s.journals.path) {
		if err := s.makeFolder(s.cfg.Dir, folderJournal, false); err != nil {
			return err
		}
	}
	if err := s.sync(s.cfg.Dir); err != nil {
		return err
	}
	temporary := s.path(prefixMaking + fileFormat)
	f, err := s.cfg.FS.Create(temporary, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s %d\n", formatName, formatVersion)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return s.cfg.FS.Rename(temporary, s.path(fileFormat)) // prepare syncs the folder
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
	for _, dir := range []string{s.path(folderWeeks), s.cfg.Dir} {
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
	names, err := s.cfg.FS.List(s.path(folderWeeks))
	if err != nil {
		return err
	}
	for _, name := range names {
		path := s.path(folderWeeks, name)
		switch {
		case validTable(name):
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
