package jsonl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/internal/sample"
)

// FuzzDecode checks on any body that the decoder does not panic, that a
// warm one gives the same, and that what is read as samples is what
// encoding/json reads there.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"metric":"m","tags":{"a":"b"},"time":"2026-01-05T00:00:00.5Z","value":1.5,"quality":3}`,
		`[{"metric":"m","time":7,"value":"NaN","kind":"float64"},{"metric":"\u00e9\ud83d\ude00","value":true},1]`,
		"{\"metric\":\"a\",\"value\":1\n{\"metric\":\"b\",\"value\":-9223372036854775808,\"kind\":\"int64\"}{\"metric\":\"c\",\"value\":\"x\"}\n",
		`{"metric":"m","x":{"y":[1,{"z":null}]},"value":1e400}`, "[[[[", "{\"\\ud800\":\"\xff\"}", "\ufeff[]",
	} {
		f.Add([]byte(seed))
	}
	warm := New(bySeries, Options{CacheSeries: 64})
	f.Fuzz(func(t *testing.T, body []byte) {
		cold, again := decode(string(body), Options{}), new(collector)
		warm.Decode(body, now, again)
		if diff := cmp.Diff(cold.emitted, again.emitted) + cmp.Diff(cold.rejected, again.rejected); diff != "" {
			t.Fatalf("%q on a warm decoder differs:\n%s", body, diff)
		}
		text := bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
		for _, r := range cold.rejected {
			if strings.Contains(r, "nest deeper") {
				return // encoding/json allows more
			}
		}
		if json.Valid(text) {
			checkElements(t, text, cold)
		} else if bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) && len(cold.rejected) == 0 {
			t.Fatalf("%q is no JSON, but nothing was rejected", body)
		}
	})
}

// checkElements compares what a valid body gave with its elements as
// encoding/json reads them: each is emitted once or rejected once, in order.
func checkElements(t *testing.T, body []byte, got *collector) {
	var elements []json.RawMessage
	if json.Unmarshal(body, &elements) != nil {
		elements = []json.RawMessage{body}
	}
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("n")) {
		return // null reads as no elements
	}
	if len(got.emitted)+len(got.rejected) != len(elements) {
		t.Fatalf("%q has %d elements; emitted %q, rejected %q", body, len(elements), got.emitted, got.rejected)
	}
	next := 0
	for _, e := range elements {
		alone := decode(string(e), Options{})
		if len(alone.emitted) == 0 {
			continue
		}
		if got.emitted[next] != alone.emitted[0] {
			t.Fatalf("%q: element %q gave %q, alone %q", body, e, got.emitted[next], alone.emitted[0])
		}
		next++
		var o struct {
			Metric string
			Tags   map[string]string
			Value  any
		}
		if err := json.Unmarshal(e, &o); err != nil {
			t.Fatalf("%q was emitted; encoding/json says %v", e, err)
		}
		s := sample.Series{Metric: o.Metric}
		for name, text := range o.Tags {
			s.Tags = append(s.Tags, sample.Tag{Name: name, Value: text})
		}
		s, err := sample.NewSeries(s.Metric, s.Tags)
		if err != nil || !strings.HasPrefix(alone.emitted[0], s.String()+" ") {
			t.Fatalf("%q was emitted as %q; encoding/json reads %s, %v", e, alone.emitted[0], s, err)
		}
		if text, ok := o.Value.(string); ok && !strings.Contains(string(e), "kind") && !strings.HasPrefix(alone.emitted[0], fmt.Sprintf("%s %q @", s, text)) {
			t.Fatalf("%q was emitted as %q; encoding/json reads %q", e, alone.emitted[0], text)
		}
	}
}

// sum is a sink that does next to nothing.
type sum struct {
	values, rejected int
	bits             uint64
}

func (s *sum) Emit(series uint64, v sample.Sample) error {
	s.values++
	s.bits += v.Value.Bits ^ uint64(v.Time) ^ series
	return nil
}

func (s *sum) Reject(int, error) { s.rejected++ }

func BenchmarkDecode(b *testing.B) {
	const objects = 5000
	var lines []byte
	for i := range objects {
		lines = fmt.Appendf(lines, `{"metric":"energy","tags":{"site":"s%d","meter":"m%d"},"time":1767571200000000000,"value":%.3f}`+"\n", i%50, i, float64(i*7919%1_000_000)/1000)
	}
	array := append(append([]byte("["), bytes.ReplaceAll(bytes.TrimSpace(lines), []byte("\n"), []byte(","))...), ']')
	dated := bytes.ReplaceAll(lines, []byte("1767571200000000000"), []byte(`"2026-01-05T00:00:00Z"`))
	for name, body := range map[string][]byte{"lines": lines, "array": array, "rfc3339": dated} {
		b.Run(name, func(b *testing.B) {
			d := New(func([]byte) (uint64, error) { return 1, nil }, Options{})
			s := new(sum)
			d.Decode(body, 0, s) // meets every series
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				d.Decode(body, 0, s)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*objects), "ns/value")
			if s.rejected > 0 {
				b.Fatal(s.rejected, " objects were rejected")
			}
		})
	}
}
