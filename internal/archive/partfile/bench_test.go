package partfile

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"weir/internal/block"
	"weir/internal/sample"
)

// fleet makes series that are sampled every ten seconds and flushed as often:
// "walk" to one decimal, "counter" as integers that grow, "noise" in full.
func fleet(shape string, series, each int) (*block.Batch, identities) {
	r := rand.New(rand.NewPCG(1, 1))
	b, of := &block.Batch{Versions: []uint64{}, Positions: []uint64{}}, identities{}
	versions := make([]uint64, each)
	stamp := uint64(1_768_000_000e9)
	for i := range versions {
		stamp += 10e9 + uint64(r.IntN(1e6))
		versions[i] = stamp
	}
	for s := range series {
		h := sample.NewHandle(sample.Shard(s), 0)
		identity, err := Identify(sample.Series{Metric: "cpu", Tags: []sample.Tag{{Name: "host", Value: fmt.Sprint(s)}, {Name: "region", Value: "eu-west-1"}}}.Key())
		if err != nil {
			panic(err)
		}
		identity.ID[0], identity.ID[1] = byte(s>>2), byte(s<<6)
		of[h] = &identity
		kind, v, count := sample.Float64, 50.0, int64(0)
		for i := range each {
			var value sample.Value
			switch shape {
			case "walk":
				v += float64(r.IntN(21)-10) / 10
				value = sample.FloatValue(float64(int(v*10)) / 10)
			case "counter":
				count += r.Int64N(100)
				kind, value = sample.Int64, sample.IntValue(count)
			default:
				value = sample.FloatValue(r.NormFloat64())
			}
			b.AddSample(sample.Sample{Time: int64(1_768_000_000e9) + int64(i)*10e9, Value: value})
			b.Versions, b.Positions = append(b.Versions, versions[i]), append(b.Positions, uint64(i*2))
		}
		b.EndRun(h, kind)
	}
	return b, of
}

func BenchmarkWrite(b *testing.B) {
	for _, shape := range []string{"walk", "counter", "noise"} {
		b.Run(shape, func(b *testing.B) {
			batch, of := fleet(shape, 200, 5000)
			bytes := 0
			for b.Loop() {
				bytes = len(encodePart(b, batch, of))
			}
			b.ReportMetric(float64(b.N*batch.Samples())/b.Elapsed().Seconds()/1e6, "Mrows/s")
			b.ReportMetric(float64(bytes)/float64(batch.Samples()), "B/row")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, shape := range []string{"walk", "counter", "noise"} {
		b.Run(shape, func(b *testing.B) {
			batch, of := fleet(shape, 200, 5000)
			part, wanted := object{bytes.NewReader(encodePart(b, batch, of))}, of.wanted(batch.Handles...)
			var r Reader
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				err := r.Read(b.Context(), part, Selection{Wanted: wanted, From: minTime, To: maxTime}, func(got *block.Batch) error { n += got.Samples(); return nil })
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}
