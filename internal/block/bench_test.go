package block

import (
	"bufio"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"weir/internal/sample"
)

// fleet is the whole of a data set: one kind, and every series has a sample
// at each of its times.
type fleet struct {
	kind   sample.Kind
	series []fleetSeries
}

type fleetSeries struct {
	handle sample.Handle
	times  []int64
	bits   []uint64
}

// register gives the series handles as a week's journal would, dense within
// each shard, and sorts them as a flush does.
func (f *fleet) register(keys []string) {
	var next [sample.Shards]uint32
	for i, key := range keys {
		shard := sample.KeyID([]byte(key)).Shard()
		f.series[i].handle = sample.NewHandle(shard, next[shard])
		next[shard]++
	}
	slices.SortFunc(f.series, func(a, b fleetSeries) int {
		return int(int64(a.handle) - int64(b.handle))
	})
}

// batches cuts the fleet into batches with runs of n samples.
func (f *fleet) batches(n, most int) []*Batch {
	var out []*Batch
	for at := 0; at+n <= len(f.series[0].times) && len(out) < most; at += n {
		b := new(Batch)
		for _, s := range f.series {
			b.Times = append(b.Times, s.times[at:at+n]...)
			b.Bits = append(b.Bits, s.bits[at:at+n]...)
			b.EndRun(s.handle, f.kind)
		}
		out = append(out, b)
	}
	return out
}

// hosts is a fleet in TSBS's shape: integers that walk in 0 to 100, ten of
// them a host, all at the same times.
func hosts(n, samples int) *fleet {
	r := rand.New(rand.NewPCG(1, 2))
	f := &fleet{kind: sample.Int64}
	var keys []string
	for host := range n {
		for field := range 10 {
			keys = append(keys, strconv.Itoa(host)+"/"+strconv.Itoa(field))
			v := r.Float64() * 100
			var s fleetSeries
			for i := range samples {
				v = min(max(v+r.NormFloat64(), 0), 100)
				s.times = append(s.times, 1767571200e9+int64(i)*10e9)
				s.bits = append(s.bits, uint64(int64(v)))
			}
			f.series = append(f.series, s)
		}
	}
	f.register(keys)
	return f
}

// meters is a fleet of power meters: cumulative kWh with three decimals, 0 to
// 9 Wh a step, every 10 s on whole seconds, each meter with its own phase; or
// each sample late by up to a jitter, in whole ms.
func meters(n, samples int, jitter int64) *fleet {
	r := rand.New(rand.NewPCG(3, 4))
	f := &fleet{kind: sample.Float64}
	var keys []string
	for meter := range n {
		keys = append(keys, "meter/"+strconv.Itoa(meter))
		watthours, phase := r.Int64N(50e6), r.Int64N(10)*1e9
		var s fleetSeries
		for i := range samples {
			watthours += r.Int64N(10)
			late := int64(0)
			if jitter > 0 {
				late = r.Int64N(jitter/1e6) * 1e6
			}
			s.times = append(s.times, 1767571200e9+phase+int64(i)*10e9+late)
			s.bits = append(s.bits, sample.FloatValue(float64(watthours)/1000).Bits)
		}
		f.series = append(f.series, s)
	}
	f.register(keys)
	return f
}

// tsbs reads the data set of the project, where it is at hand: WEIR_DATA
// names its folder, else ../shared/data beside the repository.
func tsbs(b *testing.B) *fleet {
	dir := os.Getenv("WEIR_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	name := filepath.Join(dir, "tsbs", "cpu-only-200x2h.lp.zst")
	file, err := os.Open(name)
	if err != nil {
		b.Skipf("the data set is not at hand (set WEIR_DATA to its folder): %v", err)
	}
	defer file.Close()
	unpacked, err := zstd.NewReader(file)
	if err != nil {
		b.Fatal(err)
	}
	defer unpacked.Close()
	f := &fleet{kind: sample.Int64}
	var keys []string
	place := map[string]int{}
	lines := bufio.NewScanner(unpacked)
	for lines.Scan() {
		parts := strings.Split(lines.Text(), " ")
		ns, err := strconv.ParseInt(parts[2], 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		for _, field := range strings.Split(parts[1], ",") {
			name, value, _ := strings.Cut(strings.TrimSuffix(field, "i"), "=")
			key := parts[0] + "/" + name
			at, known := place[key]
			if !known {
				at = len(keys)
				place[key] = at
				keys, f.series = append(keys, key), append(f.series, fleetSeries{})
			}
			v, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			s := &f.series[at]
			s.times, s.bits = append(s.times, ns), append(s.bits, uint64(v))
		}
	}
	if err := lines.Err(); err != nil {
		b.Fatal(err)
	}
	f.register(keys)
	return f
}

func BenchmarkHosts(b *testing.B)  { benchmark(b, hosts(200, 720)) }
func BenchmarkMeters(b *testing.B) { benchmark(b, meters(2000, 720, 0)) }
func BenchmarkJitter(b *testing.B) { benchmark(b, meters(2000, 720, 200e6)) }
func BenchmarkTSBS(b *testing.B)   { benchmark(b, tsbs(b)) }

// benchmark measures messages of one sample a series, items of six, and
// hours.
func benchmark(b *testing.B, f *fleet) {
	for _, n := range []int{1, 6, 360} {
		var bodies [][]byte
		values, size := 0, 0
		batches := f.batches(n, 8)
		for _, batch := range batches {
			body, err := Encode(nil, batch)
			if err != nil {
				b.Fatal(err)
			}
			bodies = append(bodies, body)
			values, size = values+batch.Samples(), size+len(body)
		}
		each := values / len(batches)
		report := func(b *testing.B) {
			b.ReportMetric(float64(size)/float64(values), "B/value")
			b.ReportMetric(float64(b.N)*float64(each)/b.Elapsed().Seconds()/1e6, "Mvalues/s")
		}
		name := "run=" + strconv.Itoa(n)
		b.Run("encode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			var body []byte
			for i := 0; b.Loop(); i++ {
				var err error
				if body, err = Encode(body[:0], batches[i%len(batches)]); err != nil {
					b.Fatal(err)
				}
			}
			report(b)
		})
		b.Run("decode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			var into Batch
			for i := 0; b.Loop(); i++ {
				if err := Decode(&into, bodies[i%len(bodies)]); err != nil {
					b.Fatal(err)
				}
			}
			report(b)
		})
		b.Run("small/"+name, func(b *testing.B) {
			var body []byte
			size, values := 0, 0
			for i := 0; b.Loop(); i++ {
				var err error
				if body, err = EncodeSmall(body[:0], batches[i%len(batches)]); err != nil {
					b.Fatal(err)
				}
				size, values = size+len(body), values+each
			}
			report(b)
			b.ReportMetric(float64(size)/float64(values), "B/value")
		})
		b.Run("summarize/"+name, func(b *testing.B) {
			b.ReportAllocs()
			var summaries []Summary
			for i := 0; b.Loop(); i++ {
				var err error
				if summaries, err = Summarize(summaries[:0], bodies[i%len(bodies)], nil); err != nil {
					b.Fatal(err)
				}
			}
			report(b)
		})
		b.Run("series/"+name, func(b *testing.B) {
			b.ReportAllocs()
			var into Batch
			wanted := []sample.Handle{f.series[len(f.series)/2].handle}
			for i := 0; b.Loop(); i++ {
				if err := DecodeSeries(&into, bodies[i%len(bodies)], wanted); err != nil {
					b.Fatal(err)
				}
			}
			report(b)
		})
	}
}
