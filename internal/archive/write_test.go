package archive

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"weir/internal/block"
	"weir/internal/sample"
)

// TestSizes is to be looked at.
func TestSizes(t *testing.T) {
	for _, shape := range []string{"walk", "tsbs"} {
		b, identify := fleet(shape, 200, 5000)
		var out bytes.Buffer
		begin := time.Now()
		w, err := newPartWriter(&out, &Place{Partitions: 1, End: 1024}, identify)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.write(b); err != nil {
			t.Fatal(err)
		}
		if err := w.close(); err != nil {
			t.Fatal(err)
		}
		took := time.Since(begin)
		n := float64(b.Samples())
		t.Logf("%s: %.3f B a sample, %.1f M rows/s; version %d", shape, float64(out.Len())/n, n/took.Seconds()/1e6, 0)
		meta, err := w.to.FileMetadata()
		if err != nil {
			t.Fatal(err)
		}
		for c := range columns {
			total := int64(0)
			for g := range meta.RowGroups {
				total += meta.RowGroups[g].Columns[c].MetaData.TotalCompressedSize
			}
			t.Logf("   %-40s %.3f", meta.Schema.Column(c).Name(), float64(total)/n)
		}
	}
}

// object is an object in memory.
type object struct{ *bytes.Reader }

func (object) Close() error { return nil }

func part(t testing.TB, b *block.Batch, identify func(sample.Handle) (*Identity, error)) object {
	t.Helper()
	var out bytes.Buffer
	w, err := newPartWriter(&out, &Place{Partitions: 1, End: 1024}, identify)
	if err == nil {
		err = w.write(b)
	}
	if err == nil {
		err = w.close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return object{bytes.NewReader(out.Bytes())}
}

func wantAll(t testing.TB, b *block.Batch, identify func(sample.Handle) (*Identity, error)) *Wanted {
	t.Helper()
	all := map[sample.SeriesID]sample.Handle{}
	for _, h := range b.Handles {
		id, err := identify(h)
		if err != nil {
			t.Fatal(err)
		}
		all[id.ID] = h
	}
	return Want(all)
}

func BenchmarkRead(b *testing.B) {
	for _, shape := range []string{"walk", "tsbs"} {
		b.Run(shape, func(b *testing.B) {
			batch, identify := fleet(shape, 200, 5000)
			p, wanted := part(b, batch, identify), wantAll(b, batch, identify)
			var r PartReader
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				err := r.Read(b.Context(), p, Selection{Wanted: wanted, From: -1 << 63, To: 1<<63 - 1}, func(got *block.Batch) error { n += got.Samples(); return nil })
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}

func fleet(shape string, series, each int) (*block.Batch, func(sample.Handle) (*Identity, error)) {
	r := rand.New(rand.NewPCG(1, 1))
	b := &block.Batch{}
	ids := map[sample.Handle]*Identity{}
	versions := make([]uint64, each)
	stamp := uint64(1_768_000_000e9)
	for i := range versions {
		stamp += 10e9 + uint64(r.IntN(1e6))
		versions[i] = stamp
	}
	for s := range series {
		h := sample.NewHandle(sample.Shard(s), 0)
		key := sample.Series{Metric: "cpu", Tags: []sample.Tag{{Name: "host", Value: fmt.Sprint(s)}, {Name: "region", Value: "eu-west-1"}}}.Key()
		id, err := Identify(key)
		if err != nil {
			panic(err)
		}
		id.ID[0], id.ID[1] = byte(s>>2), byte(s<<6)
		ids[h] = &id
		v := 50.0
		for i := range each {
			switch shape {
			case "walk":
				v += float64(r.IntN(21)-10) / 10
			case "tsbs":
				v = min(max(v+r.NormFloat64(), 0), 100)
			}
			b.AddSample(sample.Sample{Time: int64(1_768_000_000e9) + int64(i)*10e9, Value: sample.FloatValue(float64(int(v*10)) / 10)})
			b.Versions = append(b.Versions, versions[i])
			b.Positions = append(b.Positions, uint64(i*2))
		}
		b.EndRun(h, sample.Float64)
	}
	return b, func(h sample.Handle) (*Identity, error) { return ids[h], nil }
}
