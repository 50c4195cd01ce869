package simulate

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"
	"pgregory.net/rapid"

	"weir/internal/sample"
)

var update = flag.Bool("update", false, "write the golden files anew")

func kindNames() []string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, k.Name)
	}
	return names
}

func mustNew(t testing.TB, kind string, c Config) *Fleet {
	t.Helper()
	f, err := New(kind, c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// drain gives all that a fleet sends, and the number of samples it claims.
func drain(f *Fleet, lines int) (body []byte, samples int) {
	var dst []byte
	for {
		b, more := f.Next(dst, lines)
		if !more {
			return body, samples
		}
		body, samples, dst = append(body, b.Body...), samples+b.Samples, b.Body
	}
}

func drawConfig(t *rapid.T) Config {
	return Config{
		Count: rapid.IntRange(1, 30).Draw(t, "count"), First: rapid.IntRange(0, 1000).Draw(t, "first"),
		Start: rapid.Int64Range(-1<<60, 1<<60).Draw(t, "start"),
		For:   time.Duration(rapid.Int64Range(1, int64(5*time.Minute)).Draw(t, "for")),
		Seed:  rapid.Uint64().Draw(t, "seed"),
	}
}

func TestBodySizeChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind, c := rapid.SampledFrom(kindNames()).Draw(t, "kind"), drawConfig(t)
		one, err := New(kind, c)
		if err != nil {
			t.Fatal(err)
		}
		other, _ := New(kind, c)
		a, an := drain(one, rapid.IntRange(1, 20).Draw(t, "lines"))
		b, bn := drain(other, 1<<20)
		if !bytes.Equal(a, b) || an != bn {
			t.Fatalf("%s: small bodies hold %d samples, one large %d, or they differ", kind, an, bn)
		}
	})
}

func TestPartsMakeTheWhole(t *testing.T) {
	for _, kind := range kindNames() {
		c := Config{Count: 40, Start: Default().Start, For: 3 * time.Minute, Seed: 7}
		whole, _ := drain(mustNew(t, kind, c), 100)
		low, high := c, c
		low.Count, high.First, high.Count = 15, 15, 25
		a, _ := drain(mustNew(t, kind, low), 100)
		b, _ := drain(mustNew(t, kind, high), 100)
		if x, y := sortedLines(whole), sortedLines(append(a, b...)); x != y {
			t.Errorf("%s: two parts of a fleet do not send what the whole sends", kind)
		}
	}
}

func sortedLines(body []byte) string {
	lines := strings.SplitAfter(string(body), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func TestSeedMatters(t *testing.T) {
	for _, kind := range kindNames() {
		c := Config{Count: 40, Start: Default().Start, For: 2 * time.Minute, Seed: 7}
		a, _ := drain(mustNew(t, kind, c), 100)
		c.Seed++
		b, _ := drain(mustNew(t, kind, c), 100)
		if bytes.Equal(a, b) {
			t.Errorf("%s: two seeds give one fleet", kind)
		}
	}
}

// line is one line of a fleet, read by a decoder that is not ours.
type line struct {
	device string
	at     int64
	fields int
}

func TestLinesAreValidInOrderAndCounted(t *testing.T) {
	for _, k := range Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			c := Config{Count: 50, Start: Default().Start + 1, For: 5 * time.Minute, Seed: 3}
			f := mustNew(t, k.Name, c)
			body, samples := drain(f, 64)
			var lines []line
			if k.Format == JSONLines {
				lines = jsonLines(t, body)
			} else {
				lines = protocolLines(t, body)
			}
			start, end := f.Span()
			if start != Default().Start+int64(time.Second) || end != c.Start+int64(c.For) {
				t.Errorf("the span is %d to %d", start, end)
			}
			sum, last := 0, map[string]int64{}
			for i, l := range lines {
				sum += l.fields
				if l.at < start || l.at >= end || l.at%int64(time.Second) != 0 || i > 0 && l.at < lines[i-1].at {
					t.Fatalf("line %d is at %d, after %d, in [%d, %d)", i, l.at, lines[max(i-1, 0)].at, start, end)
				}
				if before, ok := last[l.device]; ok && (l.at-before)%int64(k.Interval) != 0 {
					t.Fatalf("%s sends after %d ns", l.device, l.at-before)
				}
				last[l.device] = l.at
			}
			if sum != samples || len(last) != c.Count && k.Name != "mobile-clients" {
				t.Errorf("%d samples of %d devices were sent; the fleet claims %d of %d", sum, len(last), samples, c.Count)
			}
			if k.phases == 1 && len(lines) != c.Count*int((c.For+k.Interval-1)/k.Interval) {
				t.Errorf("%d lines", len(lines))
			}
		})
	}
}

func protocolLines(t *testing.T, body []byte) (lines []line) {
	d := lineprotocol.NewDecoderWithBytes(body)
	for d.Next() {
		name, err := d.Measurement()
		device, fields := string(name), 0
		for err == nil {
			var key, value []byte
			if key, value, err = d.NextTag(); key == nil {
				break
			}
			device += fmt.Sprintf(",%s=%s", key, value)
		}
		for err == nil {
			var key []byte
			if key, _, err = d.NextField(); key == nil {
				break
			}
			fields++
		}
		at, timeErr := d.Time(lineprotocol.Nanosecond, time.Time{})
		if err != nil || timeErr != nil {
			t.Fatal(err, timeErr)
		}
		lines = append(lines, line{device, at.UnixNano(), fields})
	}
	return lines
}

func jsonLines(t *testing.T, body []byte) (lines []line) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	for d.More() {
		var s struct {
			Metric  string
			Tags    map[string]string
			Time    int64
			Kind    string
			Value   any
			Quality uint32
		}
		if err := d.Decode(&s); err != nil {
			t.Fatal(err)
		}
		kind, err := sample.ParseKind(s.Kind)
		if err != nil {
			t.Fatal(err)
		}
		ok := false
		switch v := s.Value.(type) {
		case float64:
			ok = kind == sample.Float64 || kind == sample.Int64 && v == math.Trunc(v)
		case bool:
			ok = kind == sample.Bool
		case string:
			ok = kind == sample.String
		}
		if !ok {
			t.Fatalf("%s of kind %s has the value %v", s.Metric, kind, s.Value)
		}
		lines = append(lines, line{fmt.Sprint(s.Metric, s.Tags), s.Time, 1})
	}
	return lines
}

func TestGolden(t *testing.T) {
	for _, kind := range kindNames() {
		body, _ := drain(mustNew(t, kind, Config{Count: 8, Start: Default().Start, For: 45 * time.Second, Seed: 1}), 10)
		path := filepath.Join("testdata", kind+".golden")
		if *update {
			if err := os.WriteFile(path, body, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(body, want) {
			t.Errorf("%s sends something else than %s; if that is meant, run with -update\n%s", kind, path, body)
		}
	}
}

func TestRefusals(t *testing.T) {
	good := Default()
	if err := good.Validate(); err != nil {
		t.Fatalf("the default: %v", err)
	}
	for want, spoil := range map[string]func(*Config){
		"1 to 10000000 devices":  func(c *Config) { c.Count = 0 },
		"first device's number":  func(c *Config) { c.First = -1 },
		"more than 0":            func(c *Config) { c.For = 0 },
		"whole seconds":          func(c *Config) { c.Interval = 1500 * time.Millisecond },
		"past the last time":     func(c *Config) { c.Start = math.MaxInt64 - 5 },
		"must start after 1823-": func(c *Config) { c.Start = math.MinInt64 },
	} {
		c := good
		spoil(&c)
		if _, err := New("hosts", c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
	if _, err := New("toasters", good); err == nil || !strings.Contains(err.Error(), "power-meters, hosts") {
		t.Errorf("an unknown fleet: %v", err)
	}
}

func TestAppendPadded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, digits := rapid.Uint64().Draw(t, "n"), rapid.IntRange(1, 12).Draw(t, "digits")
		n >>= rapid.IntRange(0, 63).Draw(t, "shift")
		if got, want := string(appendPadded(nil, n, digits)), fmt.Sprintf("%0*d", digits, n); got != want {
			t.Fatalf("%d in %d digits is written %s, not %s", n, digits, got, want)
		}
	})
}
