package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"weir/internal/datafolder"
)

// lastFile says that a data folder is one; it is restored last.
const lastFile = datafolder.FormatFile

// Restore writes a backup into a folder that is not there, or empty. Until all is
// durable the folder has a file RESTORING, and no instance starts on it. One that
// was cut short is begun anew.
func (p *Place) Restore(ctx context.Context, m *Manifest, dir string, tell Progress) error {
	if err := p.emptyFolder(dir); err != nil {
		return err
	}
	if free, known := p.Free(dir); known && free < m.Bytes() {
		return noRoom(dir, m.Bytes(), free, "for what is restored")
	}
	if err := p.build(ctx, m, dir, false, tell); err != nil {
		return roomError(dir, err)
	}
	return errors.Join(p.disk.Remove(filepath.Join(dir, datafolder.RestoringFile)), p.disk.Sync(dir))
}

// emptyFolder makes a folder, marked as not whole, with nothing else in it.
func (p *Place) emptyFolder(dir string) error {
	if err := p.disk.Mkdir(dir); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	entries, err := p.disk.List(dir)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	marker := filepath.Join(dir, datafolder.RestoringFile)
	_, err = p.disk.Size(marker)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("restore: %w", err)
	}
	if err != nil && len(entries) > 0 {
		return fmt.Errorf("restore to %s: %w: name a new one", dir, ErrNotEmpty)
	}
	if err != nil {
		f, err := p.disk.Create(marker)
		if err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
		if err = errors.Join(err, p.disk.Sync(dir), p.disk.Sync(filepath.Dir(filepath.Clean(dir)))); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
	}
	for _, e := range entries {
		if e.Name() == datafolder.RestoringFile {
			continue
		}
		if err := p.disk.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
	}
	return nil
}

// build writes all files of a backup, the one that makes a data folder of them
// last. With links, files that never change are the place's own.
func (p *Place) build(ctx context.Context, m *Manifest, dir string, links bool, tell Progress) error {
	done, total := int64(0), m.Bytes()
	told := func(n int) {
		done += int64(n)
		tell(done, total)
	}
	var last *Kept
	folders := map[string]bool{dir: true}
	for _, folder := range m.Folders {
		if err := p.makeFolders(dir, folder, folders); err != nil {
			return err
		}
	}
	for i := range m.Files {
		f := &m.Files[i]
		if f.Path == lastFile {
			last = f
			continue
		}
		if err := p.makeFolders(dir, filepath.Dir(filepath.FromSlash(f.Path)), folders); err != nil {
			return err
		}
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		if links && f.Fixed && len(f.Content) == 1 && p.disk.Link(p.contentPath(f.Content[0].Sum), path) == nil {
			told(int(f.Bytes))
			continue
		}
		if err := p.writeKept(ctx, f, path, told); err != nil {
			return fmt.Errorf("restore %s: %w", f.Path, err)
		}
	}
	if last == nil {
		return fmt.Errorf("%w: it has no file %s", ErrDamaged, lastFile)
	}
	for folder := range folders {
		if err := p.disk.Sync(folder); err != nil {
			return err
		}
	}
	if err := p.writeKept(ctx, last, filepath.Join(dir, lastFile), told); err != nil {
		return err
	}
	return p.disk.Sync(dir)
}

// makeFolders makes a folder below dir, and those that lead to it.
func (p *Place) makeFolders(dir, folder string, made map[string]bool) error {
	path := filepath.Join(dir, filepath.FromSlash(folder))
	if made[path] {
		return nil
	}
	if err := p.makeFolders(dir, filepath.Dir(filepath.FromSlash(folder)), made); err != nil {
		return err
	}
	made[path] = true
	return p.disk.Mkdir(path)
}

// writeKept puts a file together from its content, which is compared with its
// hash on the way.
func (p *Place) writeKept(ctx context.Context, kept *Kept, path string, told func(int)) error {
	f, err := p.disk.Create(path)
	if err != nil {
		return err
	}
	for _, c := range kept.Content {
		if err = p.readContent(ctx, c, f, told); err != nil {
			break
		}
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
