package archive

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"weir/internal/archive/partfile"
	"weir/internal/block"
	"weir/internal/sample"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden: what version 1 wrote is read for as long as it is known.
func TestGolden(t *testing.T) {
	goldenManifest(t, "manifest.json", func(*Manifest) {})
	goldenManifest(t, "manifest-2.json", func(m *Manifest) { m.Samples += 4; m.erase([]uint64{0, 4}) })
}

// TestGoldenChecksum adds up the rows of the golden part.
func TestGoldenChecksum(t *testing.T) {
	body, err := os.ReadFile(filepath.Join("partfile", "testdata", "part.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	var ids []sample.SeriesID
	wanted := map[sample.SeriesID]sample.Handle{}
	for i := range 9 {
		s := sample.Series{Metric: fmt.Sprintf("metric_%d", i%3), Tags: []sample.Tag{{Name: "host", Value: fmt.Sprintf("h\"%d", i)}}}
		wanted[s.ID()] = sample.Handle(i)
		ids = append(ids, s.ID())
	}
	sum := newTally()
	var r partfile.Reader
	err = r.Read(t.Context(), inMemory{bytes.NewReader(body)}, partfile.Selection{Wanted: partfile.Want(wanted), From: minTime, To: maxTime}, func(b *block.Batch) error {
		sum.add(b, func(h sample.Handle) *sample.SeriesID { return &ids[h] })
		return nil
	})
	const known = "6a6fd2039f7d50737acd54f2f9a82415"
	if got := sum.checksum.String(); got != known || err != nil {
		t.Errorf("the checksum is %s, %v; want %s", got, err, known)
	}
}

// inMemory is an object in memory.
type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

func goldenManifest(t *testing.T, name string, change func(*Manifest)) {
	t.Helper()
	want := &Manifest{
		Version: 1, Week: "2026-W03", Revision: 1, Partitions: 2, Cut: []uint64{9, 12}, Sealed: []uint64{8, 12},
		Samples: 12, Overwritten: 2, Rows: 10, Series: 3, MinTime: -5, MaxTime: 1_768_000_000_000_000_000, Checksum: "000102030405060708090a0b0c0d0e0f",
		Files: []File{{
			Name: "week=2026-W03/rev=1/bucket=0512-1023/part-20260102T150405Z-0123456789abcdef-0000.parquet", Partition: 1,
			FirstShard: 512, EndShard: 1024, Rows: 10, Bytes: 1234, SHA256: "ab", MinTime: -5, MaxTime: 1_768_000_000_000_000_000,
		}},
	}
	change(want)
	path := filepath.Join("testdata", name)
	text, err := json.MarshalIndent(want, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(body, text) {
		t.Errorf("the golden manifest is\n%s\nwant\n%s", body, text)
	}
	if _, err := parseManifest(body, path); err != nil {
		t.Error(err)
	}
	for _, spoil := range [][2]string{
		{`"version": 1`, `"version": 2`}, {`"version": 2`, `"version": 1`}, {`"version": `, `"version": 3`}, {`"rows": 10,`, `"rows": 11,`}, {`"week"`, `"weeks"`}, {`"partitions": 2`, `"partitions": 3`},
		{`"first_shard": 512`, `"first_shard": 511`}, {`"sealed": [`, `"sealed": [1,`}, {"bucket=0512", "../0512"},
	} {
		spoilt := bytes.Replace(body, []byte(spoil[0]), []byte(spoil[1]), 1)
		if _, err := parseManifest(spoilt, path); err == nil && !bytes.Equal(spoilt, body) {
			t.Errorf("a manifest with %s is taken", spoil[1])
		}
	}
}
