package block

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"weir/internal/sample"
)

// examples is where the public data sets of the demo lie.
const examples = "../../examples/data"

// column is one series of a public data set.
type column struct {
	name  string
	times []int64
	bits  []uint64
}

// readColumns reads a CSV file whose first column is the time: its other
// columns are a series each.
func readColumns(t testing.TB, name string) []column {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := make([]column, len(rows[0])-1)
	for c := range out {
		out[c].name = rows[0][1+c]
	}
	for _, row := range rows[1:] {
		at, err := time.Parse(time.DateTime, row[0])
		if err != nil {
			t.Fatal(err)
		}
		for c := range out {
			v, err := strconv.ParseFloat(row[1+c], 64)
			if err != nil {
				t.Fatal(err)
			}
			out[c].times = append(out[c].times, at.UnixNano())
			out[c].bits = append(out[c].bits, sample.FloatValue(v).Bits)
		}
	}
	return out
}

// nab reads the series of the Numenta Anomaly Benchmark, by name of file.
func nab(t testing.TB) []column {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(examples, "nab", "*", "*.csv"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	var out []column
	for _, name := range names {
		c := readColumns(t, name)[0]
		c.name = filepath.Base(name)
		out = append(out, c)
	}
	return out
}

// ett reads the columns of ETTh1.
func ett(t testing.TB) []column {
	t.Helper()
	return readColumns(t, filepath.Join(examples, "ett", "ETTh1.csv"))
}

// smallestParquet gives the bytes of the smallest zstd-9 Parquet of the same
// columns, as tools/parquet.py finds it by pyarrow 26.0.1.
func smallestParquet() map[string]int {
	return map[string]int{
		"ETTh1": 140270, // its columns beside one another, times once
		"NAB":   328631, // a file a series; all in one file are 343530

		"art_daily_small_noise.csv":              26991,
		"art_daily_flatmiddle.csv":               24874,
		"art_daily_jumpsup.csv":                  26981,
		"ec2_cpu_utilization_5f5533.csv":         11716,
		"elb_request_count_8c0756.csv":           5172,
		"exchange-2_cpc_results.csv":             11787,
		"exchange-3_cpm_results.csv":             11296,
		"ambient_temperature_system_failure.csv": 45355,
		"machine_temperature_system_failure.csv": 140890,
		"TravelTime_451.csv":                     6257,
		"speed_t4013.csv":                        3500,
		"Twitter_volume_AMZN.csv":                13812,
	}
}

// batchOf makes a batch of some columns, a run each.
func batchOf(columns ...column) *Batch {
	b := new(Batch)
	for i, c := range columns {
		b.Times = append(b.Times, c.times...)
		b.Bits = append(b.Bits, c.bits...)
		b.EndRun(sample.NewHandle(0, uint32(i)), sample.Float64)
	}
	return b
}

// bytesOf gives the size of a batch as one block, all costs included.
func bytesOf(t testing.TB, encode func([]byte, *Batch) ([]byte, error), b *Batch) int {
	t.Helper()
	body, err := encode(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	var back Batch
	if err := Decode(&back, body); err != nil || !slices.Equal(back.Bits, b.Bits) || !slices.Equal(back.Times, b.Times) {
		t.Fatalf("not what was encoded; %v", err)
	}
	return len(body)
}

// TestAgainstParquet prints by -v what each data set takes, at both efforts.
// Blocks are at most 0.7 times the smallest Parquet, whatever they share.
func TestAgainstParquet(t *testing.T) {
	parquet := smallestParquet()
	show := func(what string, values, fast, small int) {
		each := func(size int) float64 { return float64(size) / float64(values) }
		t.Logf("%-40s %6d values, B/value: Encode %.3f, EncodeSmall %.3f, Parquet %.3f; ratio %.3f and %.3f",
			what, values, each(fast), each(small), each(parquet[what]),
			float64(fast)/float64(parquet[what]), float64(small)/float64(parquet[what]))
	}
	limit := func(what string, values, fast, small int) {
		show(what, values, fast, small)
		if most := parquet[what] * 7 / 10; fast > most || small > most || small > fast {
			t.Errorf("%s: %d and %d bytes, not at most %d", what, fast, small, most)
		}
	}
	series, values, fast, small := nab(t), 0, 0, 0
	for _, c := range series {
		b := batchOf(c)
		f, s := bytesOf(t, Encode, b), bytesOf(t, EncodeSmall, b)
		show(c.name, b.Samples(), f, s)
		values, fast, small = values+b.Samples(), fast+f, small+s
	}
	t.Log("a block a series:")
	limit("NAB", values, fast, small)
	t.Log("all series in one block:")
	for what, columns := range map[string][]column{"NAB": series, "ETTh1": ett(t)} {
		b := batchOf(columns...)
		limit(what, b.Samples(), bytesOf(t, Encode, b), bytesOf(t, EncodeSmall, b))
	}
}
