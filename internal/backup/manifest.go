package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// manifestVersion is that of docs/formats/backup.md.
const manifestVersion = 1

// Manifest says what one backup holds. It counts once it is there.
type Manifest struct {
	Weir    string    `json:"weir_backup"` // always "manifest"
	Version int       `json:"version"`
	Sum     string    `json:"sum"` // SHA-256 of all bytes but these digits
	Name    string    `json:"name"`
	Begun   time.Time `json:"begun"`
	Taken   time.Time `json:"taken"`
	By      string    `json:"by"` // version of the instance
	Folders []string  `json:"folders"`
	Files   []Kept    `json:"files"`
}

// Kept is a file and where its bytes are.
type Kept struct {
	File
	Content []Content `json:"content"` // in order
}

// Content is some bytes that a place keeps once, under their hash.
type Content struct {
	Sum   string `json:"sha256"`
	Bytes int64  `json:"bytes"`
}

const manifestWord = "manifest"

// Encode gives the manifest's file, with its sum.
func (m *Manifest) Encode() ([]byte, error) {
	out := *m
	out.Weir, out.Version, out.Sum = manifestWord, manifestVersion, ""
	text, err := json.MarshalIndent(out, "", " ")
	if err != nil {
		return nil, err
	}
	text = append(text, '\n')
	sum := sha256.Sum256(text)
	m.Weir, m.Version, m.Sum = out.Weir, out.Version, hex.EncodeToString(sum[:])
	return bytes.Replace(text, []byte(`"sum": ""`), []byte(`"sum": "`+m.Sum+`"`), 1), nil
}

// DecodeManifest reads a manifest's file.
func DecodeManifest(text []byte) (*Manifest, error) {
	var head struct {
		Weir    string `json:"weir_backup"`
		Version int    `json:"version"`
		Sum     string `json:"sum"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, fmt.Errorf("%w: its manifest: %w", ErrDamaged, err)
	}
	switch {
	case head.Weir != manifestWord || len(head.Sum) != 2*sha256.Size:
		return nil, fmt.Errorf("%w: it has no manifest of a backup of Weir's", ErrDamaged)
	case head.Version > manifestVersion:
		return nil, fmt.Errorf("%w: its manifest is of version %d, this program knows %d", ErrVersion, head.Version, manifestVersion)
	}
	sum := sha256.Sum256(bytes.Replace(text, []byte(head.Sum), nil, 1))
	if hex.EncodeToString(sum[:]) != head.Sum {
		return nil, fmt.Errorf("%w: its manifest has another checksum", ErrDamaged)
	}
	m := &Manifest{}
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	if err := in.Decode(m); err != nil {
		return nil, fmt.Errorf("%w: its manifest: %w", ErrDamaged, err)
	}
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("%w: its manifest: %w", ErrDamaged, err)
	}
	return m, nil
}

// validate refuses what would lead out of a folder, or can't be whole.
func (m *Manifest) validate() error {
	if !validName(m.Name) {
		return fmt.Errorf("%q is no name of a backup", m.Name)
	}
	for _, folder := range m.Folders {
		if !validPath(folder) {
			return fmt.Errorf("%q is no path below a data folder", folder)
		}
	}
	for _, f := range m.Files {
		if !validPath(f.Path) {
			return fmt.Errorf("%q is no path below a data folder", f.Path)
		}
		left := f.Bytes
		for _, c := range f.Content {
			if raw, err := hex.DecodeString(c.Sum); err != nil || len(raw) != sha256.Size || strings.ToLower(c.Sum) != c.Sum || c.Bytes < 1 {
				return fmt.Errorf("%s has content of no hash", f.Path)
			}
			left -= c.Bytes
		}
		if left != 0 {
			return fmt.Errorf("%s has %d bytes, and its content another number", f.Path, f.Bytes)
		}
	}
	return nil
}

func validPath(path string) bool {
	return filepath.IsLocal(path) && filepath.ToSlash(filepath.Clean(path)) == path && path != "." && !strings.ContainsAny(path, "\\\x00")
}

// Bytes gives the size of all files.
func (m *Manifest) Bytes() (n int64) {
	for _, f := range m.Files {
		n += f.Bytes
	}
	return n
}

// nameFormat names backups by the second in which they were taken, so that they
// sort by it. One of a second that has one already has a number behind.
const nameFormat = "2006-01-02T15-04-05Z"

func validName(name string) bool {
	if len(name) < len(nameFormat) {
		return false
	}
	if _, err := time.Parse(nameFormat, name[:len(nameFormat)]); err != nil {
		return false
	}
	rest := name[len(nameFormat):]
	return rest == "" || len(rest) == 3 && rest[0] == '-' && isDigit(rest[1]) && isDigit(rest[2])
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

var errNames = errors.New("a hundred backups have the name of this second")

// freeName gives a name that no other has.
func freeName(at time.Time, taken func(string) bool) (string, error) {
	name := at.UTC().Format(nameFormat)
	for n := 1; taken(name); n++ {
		if n > 99 {
			return "", errNames
		}
		name = fmt.Sprintf("%s-%02d", at.UTC().Format(nameFormat), n)
	}
	return name, nil
}
