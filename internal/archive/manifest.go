package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"weir/internal/objects"
	"weir/internal/sample"
)

// ManifestVersion is that of manifests of archives that samples were erased from;
// others are of version 1, which programs before erasures read.
const ManifestVersion = 2

// Manifest says what an archive of a revision is: its parts, and what they hold
// in all. It is written last, under a name of its attempt; which one counts, the
// volume's record says.
type Manifest struct {
	Version    int      `json:"version"`
	Week       string   `json:"week"`
	Revision   int      `json:"revision"`
	Partitions int      `json:"partitions"` // a series is of partition shard × partitions / 1024
	Cut        []uint64 `json:"cut"`        // by partition: the journal position up to which the revision was read
	Sealed     []uint64 `json:"sealed"`     // by partition: the position behind its seal

	Samples     uint64 `json:"samples"`     // that the revision's commits stored: rows, overwritten and erased
	Overwritten uint64 `json:"overwritten"` // duplicates: others of their series and time count
	// Erased are, by partition, samples that erasures took out; nil for none.
	Erased   []uint64 `json:"erased,omitempty"`
	Rows     uint64   `json:"rows"`
	Series   int      `json:"series"`
	MinTime  int64    `json:"min_time"` // ns UTC; 0 where there are no rows
	MaxTime  int64    `json:"max_time"`
	Checksum string   `json:"checksum"` // of all samples, whatever their order

	Files []File `json:"files"`
}

// File is one part of an archive.
type File struct {
	Name       string       `json:"name"` // of the object
	Partition  int          `json:"partition"`
	FirstShard sample.Shard `json:"first_shard"` // its series' shards are in [first_shard, end_shard)
	EndShard   sample.Shard `json:"end_shard"`
	Rows       uint64       `json:"rows"`
	Bytes      int64        `json:"bytes"`
	SHA256     string       `json:"sha256"` // hex
	MinTime    int64        `json:"min_time"`
	MaxTime    int64        `json:"max_time"`
}

// Bytes gives what the parts take.
func (m *Manifest) Bytes() (n uint64) {
	for i := range m.Files {
		n += uint64(m.Files[i].Bytes)
	}
	return n
}

// ErasedIn gives how many samples erasures took out of a partition.
func (m *Manifest) ErasedIn(partition int) uint64 {
	if partition < len(m.Erased) {
		return m.Erased[partition]
	}
	return 0
}

// ErasedInAll gives how many samples erasures took out.
func (m *Manifest) ErasedInAll() (n uint64) {
	for _, of := range m.Erased {
		n += of
	}
	return n
}

// erase notes samples that erasures took out, by partition, where there are any.
func (m *Manifest) erase(samples []uint64) {
	for _, n := range samples {
		if n > 0 {
			m.Version, m.Erased = ManifestVersion, samples
		}
	}
}

// Validate says what is wrong with a manifest.
func (m *Manifest) Validate() error {
	if m.Version > ManifestVersion {
		return fmt.Errorf("%w: %d", ErrVersion, m.Version)
	}
	_, err := sample.ParseWeek(m.Week)
	switch {
	case m.Version < 1:
		return fmt.Errorf("%w: version %d", ErrCorrupt, m.Version)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	case m.Revision < 0:
		return fmt.Errorf("%w: revision %d", ErrCorrupt, m.Revision)
	case m.Partitions < 1 || m.Partitions > sample.Shards || len(m.Cut) != m.Partitions || len(m.Sealed) != m.Partitions:
		return fmt.Errorf("%w: %d partitions, cut at %d and sealed at %d positions", ErrCorrupt, m.Partitions, len(m.Cut), len(m.Sealed))
	case (m.Version == 2) != (m.Erased != nil), m.Erased != nil && len(m.Erased) != m.Partitions:
		return fmt.Errorf("%w: samples were erased from %d partitions in version %d", ErrCorrupt, len(m.Erased), m.Version)
	case m.Samples != m.Rows+m.Overwritten+m.ErasedInAll():
		return fmt.Errorf("%w: %d samples are not %d rows, %d overwritten and %d erased ones", ErrCorrupt, m.Samples, m.Rows, m.Overwritten, m.ErasedInAll())
	case len(m.Checksum) != 32:
		return fmt.Errorf("%w: checksum %q", ErrCorrupt, m.Checksum)
	}
	rows := uint64(0)
	for i := range m.Files {
		f := &m.Files[i]
		if err := objects.CheckName(f.Name); err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		first, end := shardsOf(f.Partition, m.Partitions)
		if f.Partition < 0 || f.Partition >= m.Partitions || f.FirstShard < first || f.EndShard > end || f.FirstShard >= f.EndShard {
			return fmt.Errorf("%w: part %s holds shards %d to %d, not of partition %d of %d", ErrCorrupt, f.Name, f.FirstShard, f.EndShard, f.Partition, m.Partitions)
		}
		rows += f.Rows
	}
	for partition := range m.Cut {
		if m.Cut[partition] < m.Sealed[partition] {
			return fmt.Errorf("%w: partition %d was read up to %d, before its seal at %d", ErrCorrupt, partition, m.Cut[partition], m.Sealed[partition])
		}
	}
	if rows != m.Rows {
		return fmt.Errorf("%w: its parts have %d rows, and it says %d", ErrCorrupt, rows, m.Rows)
	}
	return nil
}

func shardsOf(partition, partitions int) (first, end sample.Shard) {
	return sample.FirstShard(partition, partitions), sample.FirstShard(partition+1, partitions)
}

// write stores the manifest and gives the SHA-256 of it and its length.
func (m *Manifest) write(ctx context.Context, to objects.Objects, name string) (sum string, n int, err error) {
	if err := m.Validate(); err != nil {
		return "", 0, fmt.Errorf("manifest %s: %w", name, err)
	}
	body, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return "", 0, err
	}
	body = append(body, '\n')
	w, err := to.Create(ctx, name)
	if err != nil {
		return "", 0, err
	}
	defer w.Abort()
	if _, err := w.Write(body); err != nil {
		return "", 0, err
	}
	return hexSum(body), len(body), w.Close()
}

func hexSum(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// maxManifest bounds what is read as a manifest, in bytes.
const maxManifest = 64 << 20

// ReadManifest reads the manifest that a volume's record names, and checks that
// it is that.
func ReadManifest(ctx context.Context, from objects.Objects, name, sum string) (*Manifest, error) {
	r, err := from.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // it was read
	if r.Size() > maxManifest {
		return nil, fmt.Errorf("manifest %s: %w: it has %d bytes", name, ErrCorrupt, r.Size())
	}
	body := make([]byte, r.Size())
	if _, err := r.ReadAt(body, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if got := hexSum(body); got != sum {
		return nil, fmt.Errorf("manifest %s: %w: its SHA-256 is %s, and the volume's record says %s", name, ErrCorrupt, got, sum)
	}
	return parseManifest(body, name)
}

// parseManifest reads a manifest's JSON. Keys that it does not know are those of
// a newer program, which its version tells.
func parseManifest(body []byte, name string) (*Manifest, error) {
	var v struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return nil, fmt.Errorf("manifest %s: %w: %w", name, ErrCorrupt, err)
	}
	if v.Version > ManifestVersion {
		return nil, fmt.Errorf("manifest %s: %w: %d", name, ErrVersion, v.Version)
	}
	m := &Manifest{}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("manifest %s: %w: %w", name, ErrCorrupt, err)
	}
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", name, err)
	}
	return m, nil
}
