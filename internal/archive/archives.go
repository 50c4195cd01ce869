package archive

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"weir/internal/archive/partfile"
	"weir/internal/block"
	"weir/internal/journal"
	"weir/internal/objects"
)

// Archives reads the archives that volumes' records name. It keeps the manifests
// of some, which never change. Safe for concurrent use.
type Archives struct {
	objects objects.Objects
	readers sync.Pool

	mu        sync.Mutex
	manifests map[string]*Manifest
}

// maxManifests is how many manifests are kept.
const maxManifests = 256

// NewArchives makes a reader of archives.
func NewArchives(from objects.Objects) *Archives {
	return &Archives{objects: from, readers: sync.Pool{New: func() any { return new(partfile.Reader) }}, manifests: map[string]*Manifest{}}
}

// Manifest gives the manifest of a volume's archive. It is not to be changed.
func (a *Archives) Manifest(ctx context.Context, v *journal.VolumeRecord) (*Manifest, error) {
	if v.Archive == nil {
		return nil, fmt.Errorf("week %s, revision %d: %w", v.Week, v.Revision, journal.ErrNoArchive)
	}
	a.mu.Lock()
	m := a.manifests[v.Archive.SHA256]
	a.mu.Unlock()
	if m != nil {
		return m, nil
	}
	m, err := ReadManifest(ctx, a.objects, v.Archive.Manifest, v.Archive.SHA256)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.manifests) >= maxManifests {
		clear(a.manifests)
	}
	a.manifests[v.Archive.SHA256] = m
	return m, nil
}

// Read calls yield with what is selected of a part; see partfile.Reader.Read.
func (a *Archives) Read(ctx context.Context, f *File, s partfile.Selection, yield func(*block.Batch) error) error {
	part, err := a.objects.Open(ctx, f.Name)
	if err != nil {
		return mendable(err)
	}
	defer func() { _ = part.Close() }() // it was read
	r := a.readers.Get().(*partfile.Reader)
	defer a.readers.Put(r)
	if err := r.Read(ctx, part, s, yield); err != nil {
		return fmt.Errorf("part %s: %w", f.Name, mendable(err))
	}
	return nil
}

// mendable says how an archive is mended that is read in place of its week.
func mendable(err error) error {
	if errors.Is(err, ErrCorrupt) || errors.Is(err, objects.ErrNotFound) {
		return fmt.Errorf("%w; bring it back from a backup of the archive, then weir archive verify tells whether all is well", err)
	}
	return err
}
