package backup

import (
	"context"
	"errors"
	"fmt"
)

// Verify reads all content of a backup and compares it with its hashes. What is
// not what was written is moved to the place's folder of damaged content, so that
// the next backup copies it anew, as far as the instance has it still.
func (p *Place) Verify(ctx context.Context, m *Manifest, tell Progress) error {
	seen := map[Content]bool{}
	done, total := int64(0), m.Bytes()
	var damaged []error
	for _, f := range m.Files {
		for _, c := range f.Content {
			if seen[c] {
				done += c.Bytes
				continue
			}
			seen[c] = true
			err := p.readContent(ctx, c, nil, func(n int) {
				done += int64(n)
				tell(done, total)
			})
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				damaged = append(damaged, fmt.Errorf("%s: %w", f.Path, errors.Join(err, p.setAside(c))))
			}
		}
	}
	return errors.Join(damaged...)
}

// setAside moves content out of the way that is not what was written.
func (p *Place) setAside(c Content) error {
	if _, err := p.disk.Size(p.contentPath(c.Sum)); err != nil {
		return nil //nolint:nilerr // there is nothing to move
	}
	if err := p.disk.Mkdir(p.path(damagedFolder)); err != nil {
		return err
	}
	return p.disk.Rename(p.contentPath(c.Sum), p.path(damagedFolder, c.Sum))
}

// Trial restores a backup into a folder of the place's own, has it tried, and
// removes it. Files that never change are linked there, not copied.
func (p *Place) Trial(ctx context.Context, m *Manifest, try func(dir string) error, tell Progress) error {
	dir := p.path(trialFolder)
	if err := p.disk.Remove(dir); err != nil {
		return err
	}
	if err := p.disk.Mkdir(dir); err != nil {
		return roomError(p.dir, err)
	}
	err := p.build(ctx, m, dir, true, tell)
	if err == nil {
		err = try(dir)
	}
	return errors.Join(roomError(p.dir, err), p.disk.Remove(dir))
}
