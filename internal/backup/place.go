package backup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// The names of a place: docs/formats/backup.md. What begins with a dot is being
// made or removed.
const (
	placeFormat   = "weir-backup 1\n"
	placeFile     = "FORMAT"
	placeLock     = "LOCK"
	manifestFile  = "manifest.json"
	contentFolder = "content"
	damagedFolder = "damaged"
	trialFolder   = ".trial"
	unfinished    = ".new"
)

// Place is a folder that keeps backups. It is used by one goroutine at a time,
// and by one process that writes to it.
//
//	FORMAT             what the folder is
//	LOCK               held by who works on it
//	NAME/manifest.json a backup: it counts once this is there
//	content/ab/abcd…   bytes, under their SHA-256, whole
//	damaged/abcd…      those that were found to be others
type Place struct {
	dir  string
	disk disk
	lock *os.File
	// piece is how long the pieces are in which files are kept that change in
	// place, so that what did not change of them is kept once.
	piece int64
	// Free gives the room on a folder's disk, or false where that is not known.
	Free func(dir string) (int64, bool)
}

// Use says what for a place is opened.
type Use int

// Uses of a place. Several may read it at once.
const (
	ToRead Use = iota
	ToWrite
	ToMake // as ToWrite, and an empty folder, or none, becomes a place
)

// OpenPlace opens a place.
func OpenPlace(dir string, use Use) (*Place, error) {
	p := &Place{dir: dir, disk: realDisk{}, piece: pieceBytes, Free: Free}
	if use == ToMake {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("backup folder: %w", err)
		}
	}
	// So that a lock is not all that is left in a folder of something else.
	if err := p.check(use); err != nil {
		return nil, err
	}
	if err := p.take(use); err != nil {
		return nil, err
	}
	if err := p.prepare(use); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Close gives the place back.
func (p *Place) Close() error {
	if p.lock == nil {
		return nil
	}
	return p.lock.Close()
}

func (p *Place) path(elements ...string) string {
	return filepath.Join(append([]string{p.dir}, elements...)...)
}

// take takes the lock. A place that can't be written to can be read without.
func (p *Place) take(use Use) error {
	lock, err := os.OpenFile(p.path(placeLock), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil && use == ToRead {
		return nil
	}
	if err != nil {
		return fmt.Errorf("backup folder: %w", err)
	}
	how := syscall.LOCK_EX
	if use == ToRead {
		how = syscall.LOCK_SH
	}
	if err := syscall.Flock(int(lock.Fd()), how|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = fmt.Errorf("%w in %s: wait until it has ended", ErrBusy, p.dir)
		}
		return errors.Join(err, lock.Close())
	}
	p.lock = lock
	return nil
}

// check refuses a folder of another version, and one of something else.
func (p *Place) check(use Use) error {
	text, err := p.read(p.path(placeFile))
	switch {
	case err == nil && string(text) == placeFormat:
		return nil
	case err == nil && strings.HasPrefix(string(text), "weir-backup "):
		return fmt.Errorf("%s: %w: %q", p.dir, ErrVersion, strings.TrimSpace(string(text)))
	case err == nil:
		return fmt.Errorf("%s: %w: %s says %.40q", p.dir, ErrNotEmpty, placeFile, text)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("backup folder: %w", err)
	case use != ToMake:
		return fmt.Errorf("%s: %w: there is no %s in it; name the folder that `weir backup` wrote to", p.dir, ErrNotFound, placeFile)
	}
	entries, err := p.disk.List(p.dir)
	if err != nil {
		return fmt.Errorf("backup folder: %w", err)
	}
	for _, e := range entries {
		if name := e.Name(); name != placeLock && name != placeFile+unfinished && name != "lost+found" {
			return fmt.Errorf("%s: %w: it has %s and no backups; name an empty folder", p.dir, ErrNotEmpty, name)
		}
	}
	return nil
}

func (p *Place) prepare(use Use) error {
	if use != ToMake {
		return nil
	}
	if _, err := p.disk.Size(p.path(placeFile)); err == nil {
		return nil
	}
	err := writeFile(p.disk, p.path(placeFile+unfinished), p.path(placeFile), []byte(placeFormat))
	if err == nil {
		err = errors.Join(p.disk.Sync(p.dir), p.disk.Sync(filepath.Dir(filepath.Clean(p.dir))))
	}
	if err != nil {
		return fmt.Errorf("backup folder: %w", roomError(p.dir, err))
	}
	return nil
}

func (p *Place) read(path string) ([]byte, error) {
	f, err := p.disk.Open(path)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(f)
	return text, errors.Join(err, f.Close())
}

// Names gives the backups that count, the oldest first.
func (p *Place) Names() ([]string, error) {
	entries, err := p.disk.List(p.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() || !validName(e.Name()) {
			continue
		}
		switch _, err := p.disk.Size(p.path(e.Name(), manifestFile)); {
		case err == nil:
			names = append(names, e.Name())
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	slices.Sort(names)
	return names, nil
}

// Manifest reads the manifest of a backup, "" for the newest.
func (p *Place) Manifest(name string) (*Manifest, error) {
	names, err := p.Names()
	if err != nil {
		return nil, err
	}
	switch {
	case len(names) == 0:
		return nil, fmt.Errorf("%w: there is none in %s", ErrNotFound, p.dir)
	case name == "":
		name = names[len(names)-1]
	case !slices.Contains(names, name):
		return nil, fmt.Errorf("%w as %s in %s: the newest is %s", ErrNotFound, name, p.dir, names[len(names)-1])
	}
	text, err := p.read(p.path(name, manifestFile))
	if err != nil {
		return nil, fmt.Errorf("backup %s: %w", name, err)
	}
	m, err := DecodeManifest(text)
	if err == nil && m.Name != name {
		err = fmt.Errorf("%w: its manifest is that of %s", ErrDamaged, m.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("backup %s: %w", name, err)
	}
	return m, nil
}

// roomError says of a full disk what helps.
func roomError(dir string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: the disk of %s is full: make room, with `weir backup prune` for instance, and try again: %w", ErrNoRoom, dir, err)
	}
	return err
}
