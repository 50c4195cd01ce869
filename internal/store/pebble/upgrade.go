package pebble

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"weir/internal/store"
)

// Versions of the layout, as docs/formats/store.md has them.
//
// 2 has the folder of damaged tables, whose names stay taken. A program that
// knows 1 only would make such a table anew and take what is missing for never
// written; so it must refuse the folder.
const (
	formatName    = "weir-store-pebble"
	formatVersion = 2
)

// upgrades gives the step from each version to the next one, the first from 1.
// A step may be cut short anywhere and is then taken again from its beginning:
// it must find what an earlier attempt left, and must leave what the older
// version needs until FORMAT says that it is over. No table is opened.
func (s *Store) upgrades() []func() error {
	return []func() error{s.addDamaged}
}

// addDamaged makes the folder of damaged tables, 1 to 2.
func (s *Store) addDamaged() error { return s.cfg.FS.MkdirAll(s.path(folderDamaged), 0o755) }

// upgrade brings a layout to the version of this program. FORMAT is turned
// after each step, by rename, once what the step made is durable. So after a
// crash FORMAT tells which steps are over, and the next Open takes the others.
func (s *Store) upgrade(version int) error {
	for ; version < formatVersion; version++ {
		if err := s.upgrades()[version-1](); err != nil {
			return fmt.Errorf("upgrade from version %d to %d: %w", version, version+1, err)
		}
		if err := s.syncAncestors(); err != nil {
			return err
		}
		if err := s.writeFormat(version + 1); err != nil {
			return err
		}
		if err := s.sync(s.cfg.Dir); err != nil {
			return err
		}
		s.cfg.Logger.Info("the store's folder was upgraded", "path", s.cfg.Dir, "from", version, "to", version+1)
	}
	return nil
}

// readFormat reads the layout's version, 0 where there is no FORMAT.
func (s *Store) readFormat() (int, error) {
	f, err := s.cfg.FS.Open(s.path(fileFormat))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, 256))
	if err != nil {
		return 0, err
	}
	name, number, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	version, err := strconv.Atoi(number)
	if name != formatName || err != nil || version < 1 {
		return 0, fmt.Errorf("%w: %s says %q, not %q and a version", store.ErrCorrupt, s.path(fileFormat), text, formatName)
	}
	if version > formatVersion {
		return 0, &store.Error{
			Op: "open", Key: s.cfg.Dir, Hint: hintNewer,
			Err: fmt.Errorf("%w: the folder is of version %d, this program knows up to %d", store.ErrVersion, version, formatVersion),
		}
	}
	return version, nil
}

// writeFormat turns FORMAT. The folder is left to sync.
func (s *Store) writeFormat(version int) error {
	temporary := s.path(prefixMaking + fileFormat)
	f, err := s.cfg.FS.Create(temporary, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s %d\n", formatName, version)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return s.cfg.FS.Rename(temporary, s.path(fileFormat))
}
