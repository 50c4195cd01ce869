package export

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"weir/internal/objects"
)

// Errors of reading.
var (
	// ErrCorrupt means that a manifest or a file is not what was written.
	ErrCorrupt = errors.New("export is corrupt")
	// ErrVersion means that a newer Weir wrote the manifest.
	ErrVersion = errors.New("export is of a version this program does not know")
)

// maxManifest bounds what is read as a manifest, in bytes.
const maxManifest = 1 << 20

// List gives the names of the manifests at a place.
func List(ctx context.Context, at objects.Objects) (manifests []string, err error) {
	all, err := at.List(ctx, "")
	for _, o := range all {
		if strings.HasSuffix(o.Name, manifestEnding) {
			manifests = append(manifests, o.Name)
		}
	}
	return manifests, err
}

// ReadManifest reads a manifest.
func ReadManifest(ctx context.Context, at objects.Objects, name string) (*Manifest, error) {
	r, err := at.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // it was read
	if r.Size() > maxManifest {
		return nil, fmt.Errorf("manifest %s: %w: %d bytes", name, ErrCorrupt, r.Size())
	}
	body := make([]byte, r.Size())
	if _, err := r.ReadAt(body, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	m, err := parseManifest(body)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", name, err)
	}
	return m, nil
}

func parseManifest(body []byte) (*Manifest, error) {
	var v struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if v.Version > Version {
		return nil, fmt.Errorf("%w: %d", ErrVersion, v.Version)
	}
	m := &Manifest{}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if _, err := ParseFormat(string(m.Format)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if m.Version < 1 || m.File == "" || strings.Contains(m.File, "/") || objects.CheckName(m.File) != nil {
		return nil, fmt.Errorf("%w: version %d, file %q", ErrCorrupt, m.Version, m.File)
	}
	return m, nil
}

// beside gives the name of a manifest's file.
func (m *Manifest) beside(manifest string) string {
	return manifest[:strings.LastIndexByte(manifest, '/')+1] + m.File
}
