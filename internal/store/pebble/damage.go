package pebble

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"weir/internal/store"
	"weir/internal/store/pebble/manifest"
)

var _ store.Inspector = (*Store)(nil)

// damages is what was found damaged, by path. The first finding of a file is
// kept: it says since when, and a file that is damaged is read again and again.
type damages struct {
	mu     sync.Mutex
	byPath map[string]store.Damage
}

// damaged notes damage in a file or folder.
func (s *Store) damaged(path, what string) {
	s.damages.mu.Lock()
	_, known := s.damages.byPath[path]
	if !known {
		if s.damages.byPath == nil {
			s.damages.byPath = map[string]store.Damage{}
		}
		s.damages.byPath[path] = store.Damage{Owner: s.owner(path), Path: path, What: what, Since: s.cfg.Now()}
	}
	s.damages.mu.Unlock()
	if !known {
		s.cfg.Logger.Error("the store is damaged; nothing is deleted", "path", path, "what", what)
	}
}

// owner gives the table that a path belongs to, or the journals.
func (s *Store) owner(path string) string {
	below, ok := strings.CutPrefix(path, s.path(folderWeeks)+"/")
	if !ok {
		return folderJournal
	}
	table, _, _ := strings.Cut(below, "/")
	return table
}

// mended forgets the damage of a folder, and with all of what is in it.
func (s *Store) mended(path string, all bool) {
	s.damages.mu.Lock()
	defer s.damages.mu.Unlock()
	delete(s.damages.byPath, path)
	if all {
		maps.DeleteFunc(s.damages.byPath, func(p string, _ store.Damage) bool { return strings.HasPrefix(p, path+"/") })
	}
}

// isDamaged says whether damage of a folder, or of what is in it, is known.
func (s *Store) isDamaged(path string) bool {
	s.damages.mu.Lock()
	defer s.damages.mu.Unlock()
	for p := range s.damages.byPath {
		if p == path || strings.HasPrefix(p, path+"/") {
			return true
		}
	}
	return false
}

// Damage lists what is known to be damaged.
func (s *Store) Damage(ctx context.Context) ([]store.Damage, error) {
	if err := s.enter(ctx); err != nil {
		return nil, wrap("list damage", s.cfg.Dir, err)
	}
	defer s.calls.Done()
	return s.listDamage(), nil
}

func (s *Store) listDamage() []store.Damage {
	s.damages.mu.Lock()
	list := slices.Collect(maps.Values(s.damages.byPath))
	s.damages.mu.Unlock()
	s.mu.Lock()
	for table, path := range s.aside {
		d := store.Damage{Owner: table, Path: path, What: "the table was set aside", Aside: true}
		if info, err := s.cfg.FS.Stat(path); err == nil {
			d.Since = info.ModTime()
		}
		list = append(list, d)
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b store.Damage) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// Verify reads all of the store.
func (s *Store) Verify(ctx context.Context) ([]store.Damage, error) {
	if err := s.enter(ctx); err != nil {
		return nil, wrap("verify", s.cfg.Dir, err)
	}
	defer s.calls.Done()
	s.mu.Lock()
	folders := []*folder{s.journals}
	for _, name := range slices.Sorted(maps.Keys(s.tables)) {
		folders = append(folders, s.tables[name])
	}
	s.mu.Unlock()
	for _, f := range folders {
		err := s.with(f, func(i *instance) error { return s.verify(ctx, f, i) })
		switch {
		case err == nil:
			s.mended(f.path, true)
		case isLoss(err): // it is noted
		case f != s.journals && f.isDropped():
		default:
			return nil, wrap("verify", f.path, err)
		}
	}
	return s.listDamage(), nil
}

// verify reads all of a folder, and gives the first damage.
func (s *Store) verify(ctx context.Context, f *folder, i *instance) error {
	if err := manifest.Check(i.guard, f.path); err != nil {
		return err
	}
	whole, err := checkBlobFiles(i.db, i.guard, f.path)
	if err != nil {
		return err
	}
	it, err := i.db.NewIterWithContext(ctx, nil)
	if err != nil {
		return err
	}
	if f == s.journals {
		err = readThrough(ctx, it)
	} else {
		err = (&itemScan{ctx: ctx, it: it, yield: func(store.Item) bool { return true }}).run()
	}
	if err = closing(it, err); err == nil && !whole {
		err = store.ErrCorrupt
	}
	return err
}
