package backup

import (
	"errors"
	"io/fs"
	"strings"
)

// Pruned says what was removed.
type Pruned struct {
	Names []string // of backups
	Files int      // of content that none names any more
	Bytes int64
}

// Prune removes all backups but the newest, of which it keeps a number, and then
// the content that none names. While a backup's manifest can't be read nothing is
// removed: what it names is not known.
func (p *Place) Prune(keep int) (Pruned, error) {
	names, err := p.Names()
	if err != nil {
		return Pruned{}, err
	}
	named := map[string]bool{}
	old := names[:max(len(names)-keep, 0)]
	for _, name := range names[len(old):] {
		m, err := p.Manifest(name)
		if err != nil {
			return Pruned{}, err
		}
		for _, f := range m.Files {
			for _, c := range f.Content {
				named[c.Sum] = true
			}
		}
	}
	done := Pruned{Names: old}
	for _, name := range old {
		if err := p.disk.Remove(p.path(name, manifestFile)); err != nil {
			return Pruned{}, err
		}
	}
	// They cease to count for good before anything is gone that they name.
	if err := p.removeUnfinished(); err != nil {
		return Pruned{}, err
	}
	err = p.removeUnnamed(named, &done)
	return done, err
}

// removeUnfinished removes the folders of backups that don't count, and trials.
func (p *Place) removeUnfinished() error {
	entries, err := p.disk.List(p.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || !validName(e.Name()) && e.Name() != trialFolder {
			continue
		}
		_, err := p.disk.Size(p.path(e.Name(), manifestFile))
		if errors.Is(err, fs.ErrNotExist) {
			err = p.disk.Remove(p.path(e.Name()))
		}
		if err != nil {
			return err
		}
	}
	return p.disk.Sync(p.dir)
}

func (p *Place) removeUnnamed(named map[string]bool, done *Pruned) error {
	folders, err := p.disk.List(p.path(contentFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if !folder.IsDir() {
			continue
		}
		files, err := p.disk.List(p.path(contentFolder, folder.Name()))
		if err != nil {
			return err
		}
		for _, f := range files {
			path := p.path(contentFolder, folder.Name(), f.Name())
			if named[f.Name()] || !strings.HasPrefix(f.Name(), folder.Name()) {
				continue
			}
			size, err := p.disk.Size(path)
			if err == nil {
				err = p.disk.Remove(path)
			}
			if err != nil {
				return err
			}
			done.Files, done.Bytes = done.Files+1, done.Bytes+size
		}
	}
	return p.disk.Remove(p.path(contentFolder, unfinished))
}
