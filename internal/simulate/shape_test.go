package simulate

import (
	"bytes"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The meters' shape is a promise to those who measure with it.
func TestMetersShape(t *testing.T) {
	c := Config{Count: 300, Start: Default().Start, For: 30 * time.Minute, Seed: 5}
	body, samples := drain(mustNew(t, "power-meters", c), 1000)
	if samples != 300*180 {
		t.Fatalf("%d samples", samples)
	}
	form := regexp.MustCompile(`^energy_kwh,meter=(m\d{6}),site=(s\d{2}) value=(\d+)\.(\d{3}) (\d+)000000000$`)
	last, phase, steps := map[string]int{}, map[string]int{}, make([]int, 10)
	sites, phases := map[string]bool{}, make([]int, 10)
	for l := range strings.Lines(string(body)) {
		m := form.FindStringSubmatch(strings.TrimSuffix(l, "\n"))
		if m == nil {
			t.Fatalf("the line %q has another form", l)
		}
		wh, _ := strconv.Atoi(m[3] + m[4])
		second, _ := strconv.Atoi(m[5])
		if before, ok := last[m[1]]; ok {
			if step := wh - before; step < 0 || step > 9 {
				t.Fatalf("%s steps by %d Wh", m[1], step)
			}
			steps[wh-before]++
			if second%10 != phase[m[1]] {
				t.Fatalf("%s leaves its phase", m[1])
			}
		} else {
			phases[second%10]++
		}
		last[m[1]], phase[m[1]], sites[m[2]] = wh, second%10, true
	}
	if len(last) != 300 || len(sites) != 6 {
		t.Errorf("%d meters at %d sites", len(last), len(sites))
	}
	// 53,700 even draws: a count is 5,370 ± 70; five sigma keeps any seed safe.
	for step, n := range steps {
		if math.Abs(float64(n)-5370) > 350 {
			t.Errorf("%d of 53,700 steps are of %d Wh", n, step)
		}
	}
	for second, n := range phases {
		if n < 10 || n > 60 {
			t.Errorf("%d of 300 meters have phase %d", n, second)
		}
	}
}

func TestHostsWalkAsTSBSDoes(t *testing.T) {
	c := Config{Count: 10, Start: Default().Start, For: 80 * time.Minute, Seed: 5}
	body, samples := drain(mustNew(t, "hosts", c), 1000)
	if samples != 10*480*10 {
		t.Fatalf("%d samples", samples)
	}
	field := regexp.MustCompile(`[ ,](usage_\w+)=(\d+)i`)
	last := map[string]int{}
	var n, sum, squares float64
	for l := range bytes.Lines(body) {
		host, _, _ := bytes.Cut(l, []byte(",region="))
		fields := field.FindAllSubmatch(l, -1)
		if len(fields) != 10 || bytes.Count(l, []byte(",")) != 19 {
			t.Fatalf("the line %q has not ten tags and ten fields", l)
		}
		for _, f := range fields {
			key := string(host) + string(f[1])
			v, _ := strconv.Atoi(string(f[2]))
			if v > 100 {
				t.Fatalf("%s is %d", key, v)
			}
			if before, ok := last[key]; ok && v > 5 && v < 95 {
				step := float64(v - before)
				n, sum, squares = n+1, sum+step, squares+step*step
			}
			last[key] = v
		}
	}
	// Truncation adds 1/6 to the variance of a standard normal step.
	if mean, variance := sum/n, squares/n; math.Abs(mean) > 0.03 || math.Abs(variance-7.0/6) > 0.04 {
		t.Errorf("steps have mean %.3f and mean square %.3f", mean, variance)
	}
}

func TestStationsStayInRange(t *testing.T) {
	c := Config{Count: 3, Start: Default().Start, For: 48 * time.Hour, Seed: 5}
	body, _ := drain(mustNew(t, "environment-stations", c), 1000)
	form := regexp.MustCompile(`temperature=(\S+),humidity=(\S+),pressure=(\S+) `)
	for l := range bytes.Lines(body) {
		m := form.FindSubmatch(l)
		for i, limits := range [][2]float64{{-25, 45}, {5, 100}, {950, 1050}} {
			v, err := strconv.ParseFloat(string(m[i+1]), 64)
			if err != nil || v < limits[0] || v > limits[1] {
				t.Fatalf("%s: %v is outside %v, %v", l, v, limits, err)
			}
		}
	}
}

func TestInstrumentsHaveTroublesAndKeepCounting(t *testing.T) {
	c := Config{Count: 25, Start: Default().Start, For: 25 * time.Minute, Seed: 5}
	body, samples := drain(mustNew(t, "industrial-instruments", c), 1000)
	bad := bytes.Count(body, []byte(`,"quality":`))
	// Trouble comes in 0.2 % of samples and stays for ten: about 2 %.
	if share := float64(bad) / float64(samples); share < 0.01 || share > 0.03 {
		t.Errorf("%d of %d samples are not Good", bad, samples)
	}
	for _, code := range []uint32{statusGoodLocalOverride, statusUncertainLastUsable, statusUncertainNotExact, statusBadNoCommunication, statusBadSensorFailure} {
		if !bytes.Contains(body, []byte(`,"quality":`+strconv.FormatUint(uint64(code), 10)+"}")) {
			t.Errorf("no sample has the quality %#x", code)
		}
	}
	pieces := regexp.MustCompile(`"pieces".*"(i\d+)".*"value":(\d+)`)
	last := map[string]int{}
	for l := range bytes.Lines(body) {
		if !bytes.Contains(l, []byte("pieces")) {
			continue
		}
		m := pieces.FindSubmatch(l)
		v, _ := strconv.Atoi(string(m[2]))
		if before, ok := last[string(m[1])]; ok && (v < before || v > before+3) {
			t.Fatalf("the counter %s goes from %d to %d", m[1], before, v)
		}
		last[string(m[1])] = v
	}
	if len(last) != 5 {
		t.Errorf("%d counters", len(last))
	}
}

func TestFarEndsOfTimeEnd(t *testing.T) {
	for _, start := range []int64{math.MinInt64 / 2, math.MaxInt64 - int64(time.Hour) - int64(time.Second), -1, 0} {
		c := Config{Count: 3, Start: start, For: time.Hour, Interval: 40 * time.Minute, Seed: 1}
		for _, kind := range kindNames() {
			if _, samples := drain(mustNew(t, kind, c), 7); samples == 0 && kind != "mobile-clients" {
				t.Errorf("%s from %d sends nothing", kind, start)
			}
		}
	}
	c := Config{Count: 3, Start: 1, For: time.Nanosecond, Seed: 1}
	if b, more := mustNew(t, "hosts", c).Next(nil, 5); more || b.Lines != 0 {
		t.Error("a span without a whole second has samples")
	}
}

func BenchmarkFleet(b *testing.B) {
	for _, kind := range kindNames() {
		b.Run(kind, func(b *testing.B) {
			c := Config{Count: 1000, Start: Default().Start, For: 1000 * time.Hour, Seed: 1}
			f := mustNew(b, kind, c)
			var dst []byte
			samples := 0
			b.ReportAllocs()
			for b.Loop() {
				batch, _ := f.Next(dst, 5000)
				dst, samples = batch.Body, samples+batch.Samples
				b.SetBytes(int64(len(dst)))
			}
			b.ReportMetric(float64(samples)/b.Elapsed().Seconds(), "values/s")
		})
	}
}
