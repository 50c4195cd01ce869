package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
)

// Source is a copy that an instance lends.
type Source interface {
	// Open gives a file of it.
	Open(ctx context.Context, path string) (io.ReadCloser, error)
}

// Taken says what a backup took.
type Taken struct {
	Name   string
	Files  int
	Bytes  int64 // of all files
	Copied int64 // of them, those written now; the others were there
}

// Take puts a copy of an instance into the place. It counts once its manifest is
// there, which is written last. What was cut short before is gone over again, and
// what it had written is not written again.
func (p *Place) Take(ctx context.Context, c *Copy, from Source, tell Progress) (Taken, error) {
	before, err := p.newest()
	if err != nil {
		return Taken{}, err
	}
	if err := p.checkRoom(c, before); err != nil {
		return Taken{}, err
	}
	if err := p.disk.Mkdir(p.path(contentFolder)); err != nil {
		return Taken{}, roomError(p.dir, err)
	}
	t := &taking{keeper: keeper{place: p, touched: map[string]bool{}}, from: from, tell: tell, total: c.Bytes()}
	m := &Manifest{Begun: c.Begun.UTC(), Taken: c.Taken.UTC(), By: c.Version, Folders: c.Folders}
	for _, f := range c.Files {
		kept := Kept{f, p.known(f, before)}
		if kept.Content == nil {
			if kept.Content, err = t.take(ctx, f); err != nil {
				return Taken{}, fmt.Errorf("copy %s: %w", f.Path, roomError(p.dir, err))
			}
		} else {
			t.told(int(f.Bytes))
		}
		m.Files = append(m.Files, kept)
	}
	if err := t.sync(); err != nil {
		return Taken{}, err
	}
	if err := p.publish(m); err != nil {
		return Taken{}, roomError(p.dir, err)
	}
	return Taken{m.Name, len(m.Files), m.Bytes(), t.written}, nil
}

// taking is one Take.
type taking struct {
	keeper
	from        Source
	tell        Progress
	done, total int64
}

func (t *taking) told(n int) {
	t.done += int64(n)
	t.tell(t.done, t.total)
}

func (t *taking) take(ctx context.Context, f File) ([]Content, error) {
	in, err := t.from.Open(ctx, f.Path)
	if err != nil {
		return nil, err
	}
	list, err := t.keep(ctx, f, in, t.told)
	if err = errors.Join(err, in.Close()); err != nil {
		return nil, err
	}
	if list == nil {
		list = []Content{}
	}
	return list, nil
}

// newest gives the files of the newest backup that can be read, by their paths.
func (p *Place) newest() (map[string]Kept, error) {
	names, err := p.Names()
	if err != nil {
		return nil, err
	}
	for len(names) > 0 {
		m, err := p.Manifest(names[len(names)-1])
		names = names[:len(names)-1]
		if errors.Is(err, ErrDamaged) {
			continue // Verify tells
		}
		if err != nil {
			return nil, err
		}
		files := make(map[string]Kept, len(m.Files))
		for _, f := range m.Files {
			files[f.Path] = f
		}
		return files, nil
	}
	return nil, nil
}

// known gives the content of a file that the backup before has and that never
// changes, or nil.
func (p *Place) known(f File, before map[string]Kept) []Content {
	kept, ok := before[f.Path]
	if !ok || !f.Fixed || kept.File != f {
		return nil
	}
	for _, c := range kept.Content {
		if !p.has(c) {
			return nil
		}
	}
	return kept.Content
}

// checkRoom refuses a backup that would not fit. A file that changes in place is
// taken to need what it grew by.
func (p *Place) checkRoom(c *Copy, before map[string]Kept) error {
	var need int64
	for _, f := range c.Files {
		switch {
		case p.known(f, before) != nil:
		case f.Fixed:
			need += f.Bytes
		default:
			need += max(f.Bytes-before[f.Path].Bytes, 0)
		}
	}
	if free, known := p.Free(p.dir); known && free < need {
		return noRoom(p.dir, need, free, "for what is not there yet; `weir backup prune` removes old ones")
	}
	return nil
}

// publish writes the manifest, and with that the backup counts.
func (p *Place) publish(m *Manifest) error {
	names, err := p.Names()
	if err != nil {
		return err
	}
	if m.Name, err = freeName(m.Taken, func(name string) bool {
		for _, n := range names {
			if n == name {
				return true
			}
		}
		return false
	}); err != nil {
		return err
	}
	text, err := m.Encode()
	if err != nil {
		return err
	}
	dir := p.path(m.Name)
	if err := p.disk.Mkdir(dir); err != nil {
		return err
	}
	if err := p.disk.Sync(p.dir); err != nil {
		return err
	}
	if err := writeFile(p.disk, filepath.Join(dir, unfinished), filepath.Join(dir, manifestFile), text); err != nil {
		return err
	}
	return p.disk.Sync(dir)
}
