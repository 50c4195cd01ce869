package lineprotocol

import (
	"fmt"
	"testing"

	"weir/internal/gateway/intake"
	"weir/internal/sample"
)

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

func (s *sum) EmitLine(l *intake.Line[uint64]) bool {
	s.values += len(l.Bits)
	for i, bits := range l.Bits {
		s.bits += bits ^ uint64(l.Time) ^ l.Series[i]
	}
	return true
}

func (s *sum) Reject(int, error) { s.rejected++ }

// fleet writes a body as TSBS does: a line a host, all at one time, with ten
// tags and ten fields.
func fleet(hosts int, format string, value func(i int) any) []byte {
	fields := []string{"usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait", "usage_irq", "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice"}
	var body []byte
	for h := range hosts {
		body = fmt.Appendf(body, "cpu,hostname=host_%d,region=eu-central-1,datacenter=eu-central-1a,rack=%d,os=Ubuntu15.10,arch=x86,team=SF,service=%d,service_version=1,service_environment=test", h, h%100, h%20)
		for i, f := range fields {
			body = append(body, " ,"[min(i, 1)])
			body = fmt.Appendf(body, "%s="+format, f, value(h*7919+i*104729))
		}
		body = append(body, " 1767571200000000000\n"...)
	}
	return body
}

func BenchmarkDecode(b *testing.B) {
	bodies := map[string]func() []byte{
		"ints":      func() []byte { return fleet(1000, "%di", func(i int) any { return i % 100 }) },
		"decimals":  func() []byte { return fleet(1000, "%.3f", func(i int) any { return float64(i%100_000) / 1000 }) },
		"doubles":   func() []byte { return fleet(1000, "%v", func(i int) any { return 100 / (float64(i%100_000) + 3) }) },
		"strings":   func() []byte { return fleet(1000, "%q", func(i int) any { return fmt.Sprint("state", i%5) }) },
		"tsbs-file": func() []byte { return tsbsBody(b) },
	}
	for name, make := range bodies {
		b.Run(name, func(b *testing.B) {
			body := make()
			next := uint64(0)
			d := New(func([]byte) (uint64, error) { next++; return next, nil }, Options{})
			s := new(sum)
			d.Decode(body, Nanosecond, 0, s) // meets every series
			values := s.values
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				d.Decode(body, Nanosecond, 0, s)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*values), "ns/value")
			if s.rejected > 0 {
				b.Fatal(s.rejected, " lines were rejected")
			}
		})
	}
}

// A decoder that has met a series allocates nothing for its samples.
func TestDecodeAllocatesNothingInTheSteadyState(t *testing.T) {
	for name, body := range map[string][]byte{
		"ints":    fleet(100, "%di", func(i int) any { return i % 100 }),
		"floats":  fleet(100, "%v", func(i int) any { return 100 / (float64(i%100_000) + 3) }),
		"strings": fleet(100, "%q", func(i int) any { return fmt.Sprint("state", i%5) }),
	} {
		d := New(func([]byte) (uint64, error) { return 1, nil }, Options{})
		s := new(sum)
		d.Decode(body, Nanosecond, 0, s)
		if n := testing.AllocsPerRun(10, func() { d.Decode(body, Nanosecond, 0, s) }); n > 0 {
			t.Errorf("%s: %.0f allocations for a body of 100 lines", name, n)
		}
	}
}
